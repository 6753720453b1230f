/* SPDX-License-Identifier: MIT */
/* The arguments of `hearth run` and `hearth chat`, and their reading. */
#ifndef HEARTH_RUN_H
#define HEARTH_RUN_H

#include "cli/cli.h"

struct run_arguments {
	const char *agent;    /* NULL: the chat's last agent */
	const char *project;  /* "." unless given */
	const char *chat;     /* NULL: a new one */
	const char *model, *mode_id, *title; /* or NULL */
	const char *prompt;   /* "-": on stdin; NULL: chat */
};

int run_parse(struct cli *cli, int argc, char **argv,
    struct run_arguments *a, struct err *e);
int chat_parse(struct cli *cli, int argc, char **argv,
    struct run_arguments *a, struct err *e);

#endif
