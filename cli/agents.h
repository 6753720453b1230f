/* SPDX-License-Identifier: MIT */
/* Parts of `hearth agents`, for cli/agents.c and its test. */
#ifndef HEARTH_AGENTS_H
#define HEARTH_AGENTS_H

#include <jansson.h>
#include <libpq-fe.h>

#include "cli/cli.h"
#include "cli/launcher.h"

struct agent_arguments {
	const char *name;
	const char *title;       /* or NULL */
	const char *permission;  /* ask, allow or deny */
	json_t *env;             /* object; the holder decrefs */
	char **command;          /* NULL-terminated, a part of argv */
	struct launcher_choice launcher; /* the holder clears */
};

/* The arguments of `hearth agents add`; argv[0] is "agents add". */
int agents_parse_add(struct cli *cli, int argc, char **argv,
    struct agent_arguments *a, struct err *e);

/* `hearth agents test NAME`: cli/agents_test.c. Returns an exit status. */
int agents_test(PGconn *conn, const char *name);

/* `hearth agents import FILE`; argv[0] is replaced. Returns an exit status. */
int agents_import(struct cli *cli, int argc, char **argv);

#endif
