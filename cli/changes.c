/* SPDX-License-Identifier: MIT */
/*
 * `hearth changes`: the files that wait for a decision, and the difference
 * that one of them makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/db.h"
#include "cli/show.h"

static int
list_changes(PGconn *conn, const char *chat)
{
	return show_query(conn, NULL, "no changes wait",
	    "select c.id, c.operation, c.file_path, "
	    "coalesce(c.agent, 'a person') as agent, c.turn_id as turn, "
	    "hearth.brief(now() - c.created_at) as age, c.session_id "
	    "from hearth.pending_changes c where c.status = 'pending' "
	    "and ($1::uuid is null or c.session_id = (select session_id "
	    "from hearth.chats where id = $1)) order by c.session_id, "
	    "c.file_path", PARAMS(chat));
}

static int
show_change(PGconn *conn, const char *id)
{
	PGresult *res = db_query(conn, "select operation, file_path, "
	    "coalesce(agent, 'a person'), status, diff "
	    "from hearth.pending_changes where id = $1", PARAMS(id));
	const char *diff;

	if (res == NULL)
		return CLI_FAILED;
	if (PQntuples(res) == 0) {
		PQclear(res);
		return cli_fail("there is no change %s; hearth changes lists "
		    "them", id);
	}
	printf("%s %s by %s, %s\n", PQgetvalue(res, 0, 0),
	    PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2),
	    PQgetvalue(res, 0, 3));
	diff = PQgetvalue(res, 0, 4);
	fputs(diff, stdout);
	if (*diff != '\0' && diff[strlen(diff) - 1] != '\n')
		putchar('\n');
	PQclear(res);
	return 0;
}

int
cli_changes(struct cli *cli, int argc, char **argv)
{
	const char *verb, *argument;
	char **rest;
	struct err e;
	PGconn *conn;
	int status;

	if (cli_plain(cli, argc, argv, 0, 2, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	verb = rest[0] != NULL ? rest[0] : "list";
	argument = rest[0] != NULL ? rest[1] : NULL;
	if (strcmp(verb, "list") != 0 && strcmp(verb, "show") != 0)
		return cli_usage("changes: no command \"%s\": list or show",
		    verb);
	if (strcmp(verb, "show") == 0 && argument == NULL)
		return cli_usage("changes show: which one? Give its id");
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = strcmp(verb, "list") == 0 ? list_changes(conn, argument) :
	    show_change(conn, argument);
	PQfinish(conn);
	return status;
}
