/* SPDX-License-Identifier: Apache-2.0 */
/* kinema: finds the command in a table, takes its arguments apart, loads the settings, runs it. */
#include "command.h"

#include <stdarg.h>
#include <unistd.h>

#include "core/log.h"
#include "core/nearest.h"

static enum server_exit run_version(struct server_config *config, const struct server_args *args);
static enum server_exit run_help(struct server_config *config, const struct server_args *args);

static const struct server_command command_version = {
    .name = "version",
    .words = "",
    .summary = "print the version",
    .about = "",
    .run = run_version,
};

static const struct server_command command_help = {
    .name = "help",
    .words = "[COMMAND]",
    .summary = "explain a command",
    .about = "",
    .run = run_help,
};

static const struct server_command *const commands[] = {
    &server_command_serve,  &server_command_credentials,
    &server_command_camera, &server_command_link,
    &server_command_check,  &server_command_dump,
    &server_command_config, &command_version,
    &command_help,
};

/* Options that every command with settings has besides its own. */
static const struct server_option common[] = {
    {"config", "FILE", "Read settings from this file instead of ./kinema.conf."},
};

void server_complain(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void) fprintf(stderr, "kinema: %s\n", text);
}

static const struct server_command *command_find(const char *name)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(commands); i++)
        if (kn_str_eq(kn_str_from(commands[i]->name), kn_str_from(name)))
            return commands[i];
    return NULL;
}

static enum server_exit complain_of_command(const char *name, const char *help)
{
    struct kn_nearest nearest;
    kn_nearest_init(&nearest, kn_str_from(name));
    for (size_t i = 0; i < KN_ARRAY_LEN(commands); i++)
        kn_nearest_try(&nearest, commands[i]->name);
    bool near = nearest.found;
    server_complain("there is no command \"%s\"%s%s%s%s", name, near ? "; is " : "",
                    near ? nearest.found : "", near ? " meant?" : "", help);
    return SERVER_EXIT_USAGE;
}

static void write_options(const struct server_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        (void) snprintf(left, sizeof left, "--%s%s%s", options[i].name,
                        options[i].argument ? " " : "",
                        options[i].argument ? options[i].argument : "");
        (void) printf("  %-28s %s\n", left, options[i].help);
    }
}

static void write_help(FILE *out)
{
    (void) fprintf(out,
                   "Kinema %s: video in, kept, and played back, over the Kinesis protocols.\n"
                   "\n"
                   "Usage: kinema COMMAND [OPTIONS]\n\nCommands:\n",
                   KINEMA_VERSION);
    for (size_t i = 0; i < KN_ARRAY_LEN(commands); i++)
        (void) fprintf(out, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    (void) fprintf(out,
                   "\nkinema COMMAND --help says more; kinema config lists every setting.\n"
                   "Settings come from flags, then the environment (KINEMA_…), then the file.\n"
                   "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 data folder in use "
                   "or unusable, 4 address in use.\n");
}

static bool is_read(const struct server_command *command, size_t table, const char *name)
{
    if (!command->reads)
        return table == 0; /* its own; kinema config lists the modules' too */
    for (const char *const *read = command->reads; *read; read++)
        if (kn_str_eq(kn_str_from(*read), kn_str_from(name)))
            return true;
    return false;
}

static void write_command_help(const struct server_command *command,
                               const struct server_config *config)
{
    bool options = command->option_count > 0 || command->settings;
    (void) printf("Usage: kinema %s%s%s%s\n  %s\n", command->name, *command->words ? " " : "",
                  command->words, options ? " [OPTIONS]" : "", command->summary);
    if (*command->about)
        (void) printf("\n%s\n", command->about);
    if (options)
        (void) printf("\nOptions:\n");
    write_options(command->options, command->option_count);
    if (!command->settings)
        return;
    write_options(common, KN_ARRAY_LEN(common));
    struct kn_buf lines;
    kn_buf_init(&lines, MIB(1));
    (void) printf("\nSettings (each is also a line of kinema.conf and an environment variable; "
                  "kinema config says more):\n");
    for (size_t t = 0; t < SERVER_CONFIG_TABLES; t++)
        for (size_t k = 0; k < config->tables[t].count; k++)
            if (is_read(command, t, config->tables[t].keys[k].name))
                (void) kn_conf_write_flag(&config->tables[t].keys[k], &lines);
    (void) printf(KN_STR_FMT, KN_STR_ARG(kn_buf_str(&lines)));
    kn_buf_done(&lines);
}

static enum server_exit run_version(struct server_config *config, const struct server_args *args)
{
    (void) config;
    (void) args;
    (void) printf("kinema %s\n", KINEMA_VERSION);
    return SERVER_EXIT_OK;
}

static enum server_exit run_help(struct server_config *config, const struct server_args *args)
{
    if (args->word_count == 0) {
        write_help(stdout);
        return SERVER_EXIT_OK;
    }
    const struct server_command *command = command_find(args->words[0]);
    if (!command)
        return complain_of_command(args->words[0], "");
    write_command_help(command, config);
    return SERVER_EXIT_OK;
}

static enum server_exit run_command(const struct server_command *command,
                                    struct server_config *config, int argc, char *const *argv)
{
    struct kn_err err = {0};
    struct server_args args;
    struct server_option options[32];
    size_t count = 0;
    kn_assert(command->option_count + KN_ARRAY_LEN(common) <= KN_ARRAY_LEN(options));
    for (size_t i = 0; i < command->option_count; i++)
        options[count++] = command->options[i];
    for (size_t i = 0; command->settings && i < KN_ARRAY_LEN(common); i++)
        options[count++] = common[i];

    const struct server_args_spec spec = {options, count, config->tables,
                                          command->settings ? SERVER_CONFIG_TABLES : 0};
    if (server_args_parse(&spec, argc, argv, &args, &err) < 0) {
        server_complain("%s (see kinema %s --help)", err.text, command->name);
        return SERVER_EXIT_USAGE;
    }
    if (args.help) {
        write_command_help(command, config);
        return SERVER_EXIT_OK;
    }
    if (!*command->words && args.word_count > 0) {
        server_complain("what is \"%s\"? (see kinema %s --help)", args.words[0], command->name);
        return SERVER_EXIT_USAGE;
    }
    if (command->settings && server_config_load(config, &args, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_USAGE;
    }
    if (command->settings) {
        kn_log_setup(STDERR_FILENO, (enum kn_log_level) config->server.log_level,
                     (enum kn_log_format) config->server.log_format);
        server_config_warn(config);
    }
    return command->run(config, &args);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!*name || kn_str_eq(kn_str_from(name), KN_STR("--help")) ||
        kn_str_eq(kn_str_from(name), KN_STR("-h"))) {
        write_help(*name ? stdout : stderr);
        return *name ? SERVER_EXIT_OK : SERVER_EXIT_USAGE;
    }
    if (kn_str_eq(kn_str_from(name), KN_STR("--version")))
        name = "version";
    const struct server_command *command = command_find(name);
    if (!command)
        return (int) complain_of_command(name, " (see kinema --help)");
    struct server_config config;
    if (server_config_init(&config) < 0) {
        server_complain("out of memory");
        return SERVER_EXIT_FAILED;
    }
    enum server_exit code = run_command(command, &config, argc - 2, argv + 2);
    server_config_done(&config);
    return (int) code;
}
