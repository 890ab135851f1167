/* SPDX-License-Identifier: Apache-2.0 */
/* kinema check, kinema dump and kinema config: what looks at a data folder or at the settings. */
#include "command.h"

#include <unistd.h>

static void say(void *ctx, const char *line)
{
    (void) ctx;
    (void) printf("%s\n", line);
}

static struct storage_look looking(void)
{
    return (struct storage_look){.fs = kn_fs_system(), .clock = kn_clock_system(), .say = say};
}

static enum server_exit run_check(struct server_config *config, const struct server_args *args)
{
    struct kn_err err = {0};
    struct storage_check_result result;
    (void) args;
    const struct storage_look look = looking();
    int code = storage_check(config->server.data, &look, &result, &err);
    if (code < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_DATA;
    }
    (void) printf("checked streams=%" PRIu64 " chunks=%" PRIu64 " fragments=%" PRIu64
                  " shards=%" PRIu64 " segments=%" PRIu64 " records=%" PRIu64 " bytes=%" PRIu64
                  " problems=%" PRIu64 "\n",
                  result.streams, result.chunks, result.fragments, result.shards, result.segments,
                  result.records, result.bytes, result.problems);
    return result.problems > 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static const char *const check_reads[] = {"data", NULL};

const struct server_command server_command_check = {
    .name = "check",
    .words = "",
    .summary = "verify a data folder that no server holds",
    .about =
        "Reads every chunk, and the segments and journals of data streams, whole and compares "
        "records, "
        "checksums and catalogue; changes nothing.\nOne line a problem; ends with 1 when "
        "there is any, with 3 when a server has the "
        "folder: stop it first.\nWhat the disk refuses to read is tried again for 10 s in all; "
        "then it is a problem, with file and offset, and the rest is checked.\nWhile a check "
        "reads, no server can start on the folder.",
    .settings = true,
    .reads = check_reads,
    .run = run_check,
};

static const struct server_option dump_options[] = {
    {"frames", NULL, "Also every frame of a chunk, every record of a journal or segment."},
};

static enum server_exit run_dump(struct server_config *config, const struct server_args *args)
{
    const struct storage_look look = looking();
    enum server_exit code = SERVER_EXIT_OK;
    (void) config;
    if (args->word_count == 0) {
        server_complain("dump wants the path of a chunk, journal, segment or pack file (see kinema "
                        "dump --help)");
        return SERVER_EXIT_USAGE;
    }
    for (size_t i = 0; i < args->word_count; i++) {
        struct kn_err err = {0};
        int r = storage_dump(args->words[i], &look, server_args_has(args, "frames"), &err);
        if (r == 0)
            continue;
        server_complain("%s", *err.text ? err.text : kn_errsay(r));
        code = SERVER_EXIT_FAILED; /* and on to the next file */
    }
    return code;
}

const struct server_command server_command_dump = {
    .name = "dump",
    .words = "FILE …",
    .summary =
        "a chunk, journal, segment or pack file in words: header, fragments or frames, index",
    .about =
        "Chunk files lie under DATA/chunks/<stream id>/<day>/, journals under DATA/journal/, "
        "segments under DATA/shards/<shard id>/ and, many together, DATA/packs/.\nWhat the disk "
        "refuses to read is tried again for 10 s in all; then it is said, and the rest is "
        "dumped. Ends with 1 when any file could not be read whole.",
    .options = dump_options,
    .option_count = KN_ARRAY_LEN(dump_options),
    .run = run_dump,
};

static const struct server_option config_options[] = {
    {"markdown", NULL, "As the page docs/config.md."},
};

static enum server_exit run_config(struct server_config *config, const struct server_args *args)
{
    struct kn_buf out;
    kn_buf_init(&out, MIB(4));
    int code = server_args_has(args, "markdown")
                   ? kn_conf_write_markdown(config->tables, SERVER_CONFIG_TABLES, &out)
                   : kn_conf_write_help(config->tables, SERVER_CONFIG_TABLES, &out);
    if (code == 0)
        (void) printf(KN_STR_FMT, KN_STR_ARG(kn_buf_str(&out)));
    kn_buf_done(&out);
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

const struct server_command server_command_config = {
    .name = "config",
    .words = "",
    .summary = "list every setting with its range, default and meaning",
    .about = "",
    .options = config_options,
    .option_count = KN_ARRAY_LEN(config_options),
    .run = run_config,
};
