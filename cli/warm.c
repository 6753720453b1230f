/* SPDX-License-Identifier: MIT */
/*
 * `hearth warm`: has an agent started in a chat before it is prompted, and
 * waits until it is ready.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"

#define POLL_MS 1000

static int
show_end(const char *chat, const char *agent, PGresult *res)
{
	const char *error = db_field(res, 0, "error");

	if (strcmp(db_field(res, 0, "status"), "done") != 0)
		return cli_fail("agent %s in chat %s is not warm: %s", agent,
		    chat, error != NULL ? error : "nobody knows why");
	printf("agent %s in chat %s is warm\n", agent, chat);
	return 0;
}

/* Until the command has ended; or nobody is there to carry it out. */
static int
wait_for(PGconn *conn, const char *chat, const char *agent,
    const char *command)
{
	for (;;) {
		PGresult *res = db_query(conn, "select status, error, "
		    "ended_at is not null as ended, exists (select "
		    "from hearth.nodes n where hearth.is_alive(n.heartbeat_at)) "
		    "as has_node from hearth.commands where id = $1",
		    PARAMS(command));
		int status = CLI_FAILED;
		bool again = false;

		if (res == NULL)
			return CLI_FAILED;
		if (*db_field(res, 0, "ended") == 't')
			status = show_end(chat, agent, res);
		else if (*db_field(res, 0, "has_node") == 't')
			again = follow_wait(conn, false, POLL_MS);
		else
			status = cli_fail("no hearthd is up; agent %s is "
			    "started when one is", agent);
		PQclear(res);
		if (!again)
			return status;
	}
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
