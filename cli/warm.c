/* SPDX-License-Identifier: MIT */
/*
 * `hearth warm`: has an agent started in a chat before it is prompted, and
 * waits until it is ready.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cli/await.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"

static int
wait_for(PGconn *conn, const char *chat, const char *agent,
    const char *command)
{
	char *what = xasprintf("agent %s in chat %s is not warm", agent, chat);
	int status = await_command(conn, command, what);

	if (status == 0)
		printf("agent %s in chat %s is warm\n", agent, chat);
	free(what);
	return status;
}

int
cli_warm(struct cli *cli, int argc, char **argv)
{
	char **rest, *command = NULL;
	struct err e;
	PGconn *conn;
	int status = CLI_FAILED;

	if (cli_plain(cli, argc, argv, 2, 2, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	if (follow_listen(conn) == 0)
		command = db_value(conn, "select hearth.warm($1, $2, "
		    "'hearth warm')", PARAMS(rest[0], rest[1]));
	if (command != NULL)
		status = wait_for(conn, rest[0], rest[1], command);
	free(command);
	PQfinish(conn);
	return status;
}
