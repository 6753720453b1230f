/* SPDX-License-Identifier: MIT */
/*
 * `hearth warm`: has an agent started in a chat before it is prompted, and
 * waits until it is ready.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/ids.h"

static int
show_end(PGconn *conn, const char *chat, const char *agent,
    const char *command)
{
	char *why;
	int status = CLI_FAILED;

	switch (command_wait(conn, command, &why)) {
	case COMMAND_DONE:
		printf("agent %s in chat %s is warm\n", agent, chat);
		status = 0;
		break;
	case COMMAND_FAILED:
		cli_fail("agent %s in chat %s is not warm: %s", agent, chat,
		    why);
		break;
	case COMMAND_WAITS:
		cli_fail("no hearthd is up; agent %s is started when one is",
		    agent);
		break;
	case COMMAND_LOST:
		break;
	}
	free(why);
	return status;
}

int
cli_warm(struct cli *cli, int argc, char **argv)
{
	char **rest, *chat, *command = NULL;
	struct err e;
	PGconn *conn;
	int status = CLI_FAILED;

	if (cli_plain(cli, argc, argv, 2, 2, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	chat = follow_listen(conn) == 0 ? ids_chat(conn, rest[0]) : NULL;
	if (chat != NULL)
		command = db_value(conn, "select hearth.warm($1, $2, "
		    "'hearth warm')", PARAMS(chat, rest[1]));
	if (command != NULL)
		status = show_end(conn, chat, rest[1], command);
	free(command);
	free(chat);
	PQfinish(conn);
	return status;
}
