/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of kinema: one row each, from which the parser and the help are made. */
#ifndef SERVER_COMMAND_H
#define SERVER_COMMAND_H

#include "config.h"

/* What scripts may rely on. */
enum server_exit {
    SERVER_EXIT_OK = 0,
    SERVER_EXIT_FAILED = 1,  /* it was tried and did not work; a check found problems */
    SERVER_EXIT_USAGE = 2,   /* a flag, a setting or the file of settings is wrong */
    SERVER_EXIT_DATA = 3,    /* the data folder is in use or cannot be used */
    SERVER_EXIT_ADDRESS = 4, /* an address is in use or cannot be bound */
};

struct server_command {
    const char *name;
    const char *words;   /* "create|list|revoke [ID]"; "" */
    const char *summary; /* one line */
    const char *about;   /* a paragraph for its own help */
    const struct server_option *options;
    size_t option_count;
    bool settings; /* every setting is a flag of it */
    /* those it reads, which its help names, ending with NULL; without: the server's own */
    const char *const *reads;
    enum server_exit (*run)(struct server_config *config, const struct server_args *args);
};

extern const struct server_command server_command_serve;
extern const struct server_command server_command_check;
extern const struct server_command server_command_dump;
extern const struct server_command server_command_credentials;
extern const struct server_command server_command_camera;
extern const struct server_command server_command_link;
extern const struct server_command server_command_config;

/* "kinema: <text>" to standard error. */
void server_complain(const char *fmt, ...) KN_PRINTF(1, 2);

#endif
