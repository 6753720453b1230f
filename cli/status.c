/* SPDX-License-Identifier: MIT */
/*
 * `hearth status`: the contract's views of what is going on, one after the
 * other, and first of all whether anything can go on. cli/top.c shows the same
 * again and again.
 */
#include "cli/status.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/db.h"
#include "cli/table.h"

static const struct section {
	const char *title, *none, *sql;
} sections[] = {
	{ "nodes", "none", "select * from hearth.node_status" },
	{ "\nagents, warm", "none", "select * from hearth.pool" },
	{ "\nturns, running", "none", "select * from hearth.active_turns" },
	{ "\nturns, queued", "none", "select * from hearth.queue" },
	{ "\nquestions (hearth approve)", NULL,
	    "select * from hearth.pending_permissions" },
	{ "\nwarnings", NULL, "select * from hearth.warnings" },
};

static int
say_whether_up(PGconn *conn, FILE *f)
{
	char *up = db_value(conn, "select count(*) from hearth.nodes "
	    "where hearth.is_alive(heartbeat_at)", NO_PARAMS);

	if (up == NULL)
		return CLI_FAILED;
	if (atoi(up) == 0)
		fputs("No hearthd is up: turns wait until one is started.\n\n",
		    f);
	free(up);
	return 0;
}

int
status_show(PGconn *conn, const struct show *to)
{
	int status = say_whether_up(conn, to->f);

	for (size_t i = 0; status == 0 &&
	    i < sizeof(sections) / sizeof(sections[0]); i++)
		status = show_query_to(to, conn, sections[i].title,
		    sections[i].none, sections[i].sql);
	return status;
}

int
cli_status(struct cli *cli, int argc, char **argv)
{
	struct show to = { stdout, table_terminal_width(), 0 };
	char **rest;
	struct err e;
	PGconn *conn;
	int status;

	if (cli_plain(cli, argc, argv, 0, 0, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = status_show(conn, &to);
	PQfinish(conn);
	return status;
}
