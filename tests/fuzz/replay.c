/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer where there is none: gives every file of the named files and folders to
 * the target once. Found crashes stay in the corpus, so every build replays them.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PATH_BYTES_MAX = 4096
};
static unsigned replayed;

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 1;
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    /* exactly as large as the input: a sanitizer sees a step past it */
    uint8_t *data = malloc(size > 0 ? (size_t) size : 1);
    if (!data || fread(data, 1, (size_t) size, f) != (size_t) size) {
        fprintf(stderr, "%s: not readable\n", path);
        free(data);
        fclose(f);
        return 1;
    }
    fclose(f);
    (void) LLVMFuzzerTestOneInput(data, (size_t) size);
    free(data);
    replayed++;
    return 0;
}

static int replay_folder(const char *path)
{
    int failed = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        char file[PATH_BYTES_MAX];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        failed |= replay_file(file);
    }
    closedir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        failed |= folder ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    printf("%u inputs replayed\n", replayed);
    return failed || !replayed;
}
