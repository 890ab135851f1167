/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All settings of the process: the server's own and every module's, as one list of tables that the
 * file, the environment, the flags, the help and docs/config.md are made from.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "args.h"

#include "core/api.h"
#include "core/http_server.h"
#include "datastream/datastream.h"
#include "ingest/ingest.h"
#include "playback/playback.h"
#include "storage/shard.h"

enum server_limits {
    SERVER_LIMITS_NONE,
    SERVER_LIMITS_AWS
};

struct server_settings { /* every member is a row of config.c */
    char *data;
    char *api, *ingest, *console, *api_tls, *ingest_tls, *rtsp,
        *rtsp_tls; /* "off": no such listener */
    char *tls_cert, *tls_key;
    char *iot_tls, *iot_ca; /* devices fetch keys there by certificate: iot.h */
    uint64_t iot_key_ms;
    char *public_api_url, *public_ingest_url;
    char *region, *account, *pinned_region;
    bool no_auth;
    bool plain_ingest_anywhere;
    uint64_t skew_ms;
    uint64_t drain_ms;
    int limits;                /* enum server_limits */
    int log_level, log_format; /* enum kn_log_level, kn_log_format */
    uint64_t open_files_min;
    uint64_t console_threads, console_connections_max, console_connections_per_peer_max;
    uint64_t console_session_ms;
    char *host_names;
    char *camera_program, *camera_ca_file, *camera_files;
    bool metrics_anywhere;
};

enum {
    SERVER_CONFIG_TABLES = 7
};

struct server_config {
    struct server_settings server;
    struct kn_http_conf http;
    struct storage_conf storage;
    struct storage_shard_conf shards;
    struct ingest_conf ingest;
    struct playback_conf playback;
    struct datastream_conf datastream;
    struct kn_conf_table tables[SERVER_CONFIG_TABLES];
};

/* Fills the list of tables with rows whose target is this config, and sets every default. */
int server_config_init(struct server_config *config) KN_MUSTUSE;
void server_config_done(struct server_config *config);

/* File (--config, else KINEMA_CONFIG, else ./kinema.conf if there is one), then environment, then
 * flags. err names key and place. */
int server_config_load(struct server_config *config, const struct server_args *args,
                       struct kn_err *err) KN_MUSTUSE;

/* Logs each variable of the environment that looks like a mistyped setting. */
void server_config_warn(const struct server_config *config);

/* The program that talks to cameras: as set, else beside the one that runs. ret: PATH_MAX bytes. */
int server_camera_program(const struct server_settings *settings, char *ret, struct kn_err *err)
    KN_MUSTUSE;

/* "off" or empty. */
bool server_address_is_off(const char *address);
/* Its host part is 127.0.0.0/8, ::1 or localhost. */
bool server_address_is_loopback(const char *address);

#endif
