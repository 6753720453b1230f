/* SPDX-License-Identifier: MIT */
/*
 * hearthd's options, all from the one table in base/options.def: struct,
 * parser, --help, sample file and the manual page's section come from it.
 *
 * Values: text; integers; durations with a unit (ms, s, min, h; a bare
 * number is refused); sizes in bytes (KiB … TiB, or a percentage of the
 * machine's memory); "N in DURATION" for crash_limit; a word of a list; a
 * colon-separated list of absolute folders.
 */
#ifndef HEARTH_OPTIONS_H
#define HEARTH_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

struct options {
	char *database;          /* "" embedded */
	char *state_dir;         /* absolute, never empty after options_finish */
	char *node_name;
	char **project_roots;    /* absolute folders */
	int64_t max_agents;
	int64_t idle_timeout;    /* this and all below: milliseconds */
	int64_t start_timeout;
	int64_t turn_timeout;
	int64_t silence_timeout; /* 0: never */
	int64_t cancel_timeout;
	int64_t permission_timeout;
	int64_t setup_timeout;
	int64_t snapshot_interval;
	int64_t drain_timeout;
	int64_t crash_limit;     /* crashes … */
	int64_t crash_window;    /* … in this many milliseconds */
	int64_t flush_interval;
	enum log_level log_level;
	enum log_format log_format;
	int64_t max_memory;      /* bytes; 0: no limit */
	int64_t archive_grace;   /* milliseconds */
	int64_t worktree_budget; /* bytes on disk; 0: no limit */
};

void options_init(struct options *o);  /* defaults */
/* One key = value; where is "hearthd.conf:12" or "-o". */
int options_set(struct options *o, const char *key, const char *value,
    const char *where, struct err *e);
/* "key=value" as on the command line. */
int options_set_arg(struct options *o, const char *arg, struct err *e);
/* Reads a file; the error names file, line, key and what would be right. */
int options_load(struct options *o, const char *path, struct err *e);
/* Fills what depends on the machine (state_dir, node_name); checks the whole. */
int options_finish(struct options *o, struct err *e);
void options_free(struct options *o);

/* The table as text, for people and for generated files. */
void options_print_help(FILE *f);      /* --help */
void options_print_sample(FILE *f);    /* contrib/hearthd.conf */
void options_print_manual(FILE *f);    /* roff for doc/hearthd.conf.5 */

/* The state_dir that options_finish() would choose; the caller frees. */
char *options_default_state_dir(void);
/*
 * The folder of the embedded cluster's unix socket: state_dir/run, or a short
 * folder under /tmp named after a hash of state_dir when that path is too long
 * for a socket address. The caller frees.
 */
char *options_socket_dir(const char *state_dir);
/* "250 ms", "15 min": a duration for people. Static storage of 4 results. */
const char *duration_text(int64_t ms);

#endif
