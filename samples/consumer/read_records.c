/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read-records: the records of a data stream, a line each, on libkinema-consumer. Start it several
 * times with one --application: they share the shards, and take over from one that is killed.
 */
#include "program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kinema/consumer.h"

struct reader {
    struct kinema_consumer_config config;
    struct kinema_consumer *consumer;
    unsigned slow_ms; /* as long does the work on a record take */
    int once;
};

/* As it is, but for what would break the line. */
static void print_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        (void) putchar((unsigned char) text[i] < ' ' || text[i] == 127 ? '.' : text[i]);
}

static int on_record(void *ctx, const struct kinema_record *record)
{
    const struct reader *reader = ctx;
    if (program_is_told_to_end())
        return -1; /* it is not done: whoever reads on gets it */
    (void) printf("record\t%s\t%s\t%lld\t", record->shard, record->sequence,
                  (long long) record->sub);
    print_text(record->partition_key, record->partition_key_len);
    (void) putchar('\t');
    print_text(record->data, record->len);
    (void) putchar('\n');
    if (reader->slow_ms)
        (void) fflush(stdout);
    if (reader->slow_ms)
        (void) nanosleep(&(struct timespec){.tv_sec = reader->slow_ms / 1000,
                                            .tv_nsec = reader->slow_ms % 1000 * 1000000L},
                         NULL);
    if (reader->config.own_checkpoints)
        return kinema_consumer_done(reader->consumer, record->shard, record->sequence, record->sub);
    return 0;
}

static void on_event(void *ctx, const struct kinema_consumer_event *event)
{
    static const char *const names[] = {"taken", "lost", "ended", "failed"};
    (void) ctx;
    (void) printf("%s\t%s\t%s\n", names[event->type], event->shard, event->text);
}

static int run(void *ctx)
{
    struct reader *reader = ctx;
    struct kinema_consumer_stats stats;
    int code = kinema_consumer_open(&reader->config, &reader->consumer);
    if (code < 0) {
        (void) fprintf(stderr, "read-records: %s\n", strerror(-code));
        return 1;
    }
    (void) printf("worker\t%s\n", kinema_consumer_worker(reader->consumer));
    while (!program_is_told_to_end()) {
        (void) kinema_consumer_poll(reader->consumer, 100);
        (void) fflush(stdout);
        kinema_consumer_stats(reader->consumer, &stats);
        if (reader->once && stats.shards == stats.shards_left && stats.behind_ms == 0)
            break;
    }
    kinema_consumer_stats(reader->consumer, &stats);
    kinema_consumer_close(reader->consumer);
    (void) printf("stats\trecords=%llu pages=%llu taken=%llu lost=%llu ended=%llu errors=%llu\n",
                  (unsigned long long) stats.records, (unsigned long long) stats.pages,
                  (unsigned long long) stats.taken, (unsigned long long) stats.lost,
                  (unsigned long long) stats.ended, (unsigned long long) stats.errors);
    return 0;
}

static const char usage[] =
    "usage: read-records --stream NAME --application NAME [options]\n"
    "\n"
    "  --endpoint URL    AWS's of the region; of a Kinema http://127.0.0.1:4566\n"
    "  --region REGION   us-east-1\n"
    "  --ca FILE         trust this certificate\n"
    "  --from POSITION   TRIM_HORIZON, LATEST, or ms since 1970; of an application that is new\n"
    "  --worker NAME     one of its own for each\n"
    "  --lease MS        a worker silent for as long is taken for dead\n"
    "  --shards N        at most so many\n"
    "  --slow MS         work on a record takes as long\n"
    "  --raw             aggregated records as they are\n"
    "  --own             a record is done when the program says so\n"
    "  --once            end when all that is there was read\n"
    "\n"
    "Prints worker, record, taken, lost, ended, failed and stats lines, separated by tabs. The "
    "key\n"
    "is taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.\n";

static int read_options(struct reader *reader, int argc, char **argv)
{
    static const struct option options[] = {
        {"stream",      required_argument, NULL, 's'},
        {"application", required_argument, NULL, 'a'},
        {"endpoint",    required_argument, NULL, 'e'},
        {"region",      required_argument, NULL, 'r'},
        {"ca",          required_argument, NULL, 'c'},
        {"from",        required_argument, NULL, 'f'},
        {"worker",      required_argument, NULL, 'w'},
        {"lease",       required_argument, NULL, 'l'},
        {"shards",      required_argument, NULL, 'n'},
        {"slow",        required_argument, NULL, 'S'},
        {"raw",         no_argument,       NULL, 'R'},
        {"own",         no_argument,       NULL, 'O'},
        {"once",        no_argument,       NULL, 'o'},
        {"help",        no_argument,       NULL, 'h'},
        {NULL,          0,                 NULL, 0  },
    };
    struct kinema_consumer_config *config = &reader->config;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned number = optarg ? (unsigned) strtoul(optarg, NULL, 10) : 0;
        if (option == 's')
            config->stream = optarg;
        else if (option == 'a')
            config->application = optarg;
        else if (option == 'e')
            config->endpoint = optarg;
        else if (option == 'r')
            config->region = optarg;
        else if (option == 'c')
            config->ca_file = optarg;
        else if (option == 'w')
            config->worker = optarg;
        else if (option == 'l')
            config->lease_ms = number;
        else if (option == 'n')
            config->shards_max = number;
        else if (option == 'S')
            reader->slow_ms = number;
        else if (option == 'R')
            config->no_deaggregation = 1;
        else if (option == 'O')
            config->own_checkpoints = 1;
        else if (option == 'o')
            reader->once = 1;
        else if (option != 'f')
            return 0;
        else if (strcmp(optarg, "LATEST") == 0)
            config->start = KINEMA_LATEST;
        else if (strcmp(optarg, "TRIM_HORIZON") != 0) {
            config->start = KINEMA_AT_TIME;
            config->start_ms = strtoll(optarg, NULL, 10);
        }
    }
    return config->stream && config->application && optind == argc;
}

int main(int argc, char **argv)
{
    static struct reader reader = {
        .config = {.region = "us-east-1", .on_record = on_record, .on_event = on_event}
    };
    reader.config.ctx = &reader;
    if (!read_options(&reader, argc, argv))
        return program_usage(argc, argv, usage);
    return program_run(run, &reader, &reader.config.credentials);
}
