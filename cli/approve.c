/* SPDX-License-Identifier: MIT */
/*
 * `hearth approve`: answers what an agent asks, or without arguments lists
 * what is asked, with the options that an answer can be.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/db.h"
#include "cli/render.h"
#include "cli/table.h"

static int
list_questions(PGconn *conn)
{
	static const char *const headers[] = { ">request", "age", "agent",
		"asks", "options" };
	PGresult *res = db_query(conn, "select v.request, v.age, v.agent, "
	    "v.asks, p.options from hearth.pending_permissions v "
	    "join hearth.permission_requests p on p.id = v.request",
	    NO_PARAMS);
	struct table *t;

	if (res == NULL)
		return CLI_FAILED;
	t = table_new(5, headers);
	for (int i = 0; i < PQntuples(res); i++) {
		json_t *options = json_loads(PQgetvalue(res, i, 4), 0, NULL);
		char *list = render_options(options, true);

		for (int j = 0; j < 4; j++)
			table_add(t, PQgetvalue(res, i, j));
		table_add(t, list);
		free(list);
		json_decref(options);
	}
	if (PQntuples(res) > 0)
		table_print(t, stdout, 0);
	else
		puts("nothing is asked");
	table_free(&t);
	PQclear(res);
	return 0;
}

static int
answer(PGconn *conn, const char *request, const char *option)
{
	char *first = db_value(conn, "select hearth.answer_permission($1, $2, "
	    "'hearth approve')", PARAMS(request, option));
	int status;

	if (first == NULL)
		return CLI_FAILED;
	status = *first == 't' ? 0 : cli_fail("request %s was answered before, "
	    "or its turn has ended", request);
	if (status == 0)
		printf("request %s: %s\n", request, option);
	free(first);
	return status;
}

int
cli_approve(struct cli *cli, int argc, char **argv)
{
	char **rest;
	struct err e;
	PGconn *conn;
	int status;

	if (cli_plain(cli, argc, argv, 0, 2, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	if (rest[0] != NULL && rest[1] == NULL)
		return cli_usage("approve: which option? hearth approve alone "
		    "lists them");
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = rest[0] == NULL ? list_questions(conn) :
	    answer(conn, rest[0], rest[1]);
	PQfinish(conn);
	return status;
}
