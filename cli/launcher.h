/* SPDX-License-Identifier: MIT */
/*
 * The launchers that the client knows how to write: a bubblewrap sandbox, ssh
 * to another host, any words. hearthd expands their placeholders
 * (hearthd(8), LAUNCHERS).
 */
#ifndef HEARTH_LAUNCHER_CHOICE_H
#define HEARTH_LAUNCHER_CHOICE_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/cli.h"

struct launcher_choice {
	bool is_sandbox;
	const char *host;    /* for ssh, or NULL */
	json_t *words;       /* array or NULL */
	json_t *writable;    /* array or NULL: for the sandbox */
};

#define LAUNCHER_OPTIONS \
	{ "sandbox", no_argument, NULL, 'S' }, \
	{ "writable", required_argument, NULL, 'W' }, \
	{ "ssh", required_argument, NULL, 'H' }, \
	{ "launcher", required_argument, NULL, 'L' }

/* 1: c is none of these options. 0, or -1 with the reason. */
int launcher_option(struct launcher_choice *l, int c, const char *value,
    struct err *e);
/* After the last option: whether they go together. */
int launcher_check(const struct launcher_choice *l, struct err *e);
/* The words, an array that the caller decrefs; program: the command's first
 * word, whose own folders in $HOME a sandbox leaves writable. */
json_t *launcher_make(const struct launcher_choice *l, const char *program);
void launcher_clear(struct launcher_choice *l);

/* `hearth agents launcher NAME [OPTION...]`; argv[0] is "agents launcher". */
int agents_launcher(struct cli *cli, int argc, char **argv);

#endif
