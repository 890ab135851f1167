/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One camera of 2 Mbit/s on libkinema-producer: 25 frames of 10,000 bytes a second, a key frame
 * every two. Says what the library cost once it had begun, apart from that what the program's own
 * sleeping cost, and the most heap the process had, libcurl and OpenSSL included, beyond the
 * buffer.
 *
 *   producer_load URL STREAM SECONDS BUFFER_BYTES [CA_FILE]
 */
#include "tool.h"

#include <curl/curl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kinema/producer.h"

enum {
    FRAME_BYTES = 10000,
    FRAME_MS = 40,
    KEY_FRAMES = 50,  /* a fragment */
    WARM_FRAMES = 50, /* connecting is not counted */
    DRAIN_MS = 120000
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct run {
    struct kinema_producer *producer;
    size_t frames, heap_most;
    double cpu_s, own_cpu_s, wall_s; /* own: of this thread outside the library */
};

static int play(struct run *run)
{
    static uint8_t bytes[FRAME_BYTES];
    struct timespec due;
    double cpu = 0, own_cpu = 0, wall = 0, in_library = 0;
    int64_t first_ms = (int64_t) (seconds(CLOCK_REALTIME) * 1000);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (size_t i = 0; i < run->frames; i++) {
        struct kinema_frame frame = {.track = 1,
                                     .key = i % KEY_FRAMES == 0,
                                     .time_ms = first_ms + (int64_t) i * FRAME_MS,
                                     .data = bytes,
                                     .len = sizeof bytes};
        double before = seconds(CLOCK_THREAD_CPUTIME_ID);
        int code = kinema_producer_put_frame(run->producer, &frame);
        in_library += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
        if (code < 0)
            return code;
        if (i == WARM_FRAMES) {
            in_library = 0;
            cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            own_cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
            wall = seconds(CLOCK_MONOTONIC);
        }
        if (i % KEY_FRAMES == KEY_FRAMES - 1 && heap_bytes() > run->heap_most)
            run->heap_most = heap_bytes();
        due.tv_nsec += FRAME_MS * 1000000l;
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    run->own_cpu_s = seconds(CLOCK_THREAD_CPUTIME_ID) - own_cpu - in_library;
    run->cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu - run->own_cpu_s;
    run->wall_s = seconds(CLOCK_MONOTONIC) - wall;
    return 0;
}

static int report(struct run *run, int code)
{
    struct kinema_stats stats;
    kinema_producer_stats(run->producer, &stats);
    printf("{\"cpu_percent\": %.4f, \"program_percent\": %.4f, \"heap_bytes\": %zu, \"frames\": "
           "%llu, \"lost\": %llu, "
           "\"persisted\": %llu, \"connections\": %llu}\n",
           100 * run->cpu_s / run->wall_s, 100 * run->own_cpu_s / run->wall_s, run->heap_most,
           (unsigned long long) stats.frames_put, (unsigned long long) stats.frames_lost,
           (unsigned long long) stats.frames_persisted, (unsigned long long) stats.connections);
    return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc < 5 || argc > 6)
        return 2;
    struct kinema_credential_provider *keys = NULL;
    struct kinema_track track = {.type = KINEMA_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    struct kinema_config config = {.stream = argv[2],
                                   .region = "us-east-1",
                                   .endpoint = argv[1],
                                   .ca_file = argv[5],
                                   .retention_hours = 24,
                                   .tracks = &track,
                                   .track_count = 1,
                                   .buffer_bytes = (size_t) strtoull(argv[4], NULL, 10)};
    struct run run = {.frames = (size_t) strtoull(argv[3], NULL, 10) * 1000 / FRAME_MS};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = kinema_credentials_static("AKIDEXAMPLE", "secret", NULL, &keys);
    config.credentials = keys;
    if (code == 0)
        code = kinema_producer_open(&config, &run.producer);
    if (code < 0) {
        fprintf(stderr, "producer_load: %s\n", strerror(-code));
        return EXIT_FAILURE;
    }
    code = kinema_producer_start(run.producer);
    if (code == 0)
        code = play(&run);
    if (code == 0)
        code = kinema_producer_drain(run.producer, DRAIN_MS);
    run.heap_most -= config.buffer_bytes < run.heap_most ? config.buffer_bytes : run.heap_most;
    code = report(&run, code);
    kinema_producer_close(run.producer);
    kinema_credentials_free(keys);
    return code;
}
