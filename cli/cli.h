/* SPDX-License-Identifier: MIT */
/*
 * What the commands of the `hearth` client share: how a command is called, its
 * options, and how it says that something went wrong.
 */
#ifndef HEARTH_CLI_H
#define HEARTH_CLI_H

#include <getopt.h>

#include "base/err.h"

#define CLI_FAILED 1
#define CLI_USAGE 64 /* EX_USAGE */
#define CLI_INTERRUPTED 130

/* What was given for every command alike. */
struct cli {
	const char *database; /* -d; NULL: not given */
};

/* Runs with argv[0] the command's name; returns the exit status. */
typedef int cli_command(struct cli *cli, int argc, char **argv);

cli_command cli_init, cli_run, cli_status, cli_agents, cli_turns, cli_events,
    cli_cancel, cli_approve, cli_changes, cli_doctor, cli_warm, cli_chat,
    cli_top, cli_close, cli_projects, cli_sessions;

/* "hearth: …" on stderr, one line; returns CLI_FAILED or CLI_USAGE. */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The next option as getopt_long() gives it, -1 after the last, '?' with the
 * reason in e. Takes -d/--database itself (also shorts must not have it).
 * argv is reordered: the rest begins at optind. cli_begin() before the first.
 */
void cli_begin(void);
int cli_option(struct cli *cli, int argc, char **argv, const char *shorts,
    const struct option *longs, struct err *e);
/*
 * For commands without options of their own: takes what is common and checks
 * that between least and most arguments (most < 0: any number) are left, which
 * *rest then points at. 0, or -1 with the reason.
 */
int cli_plain(struct cli *cli, int argc, char **argv, int least, int most,
    char ***rest, struct err *e);

#endif
