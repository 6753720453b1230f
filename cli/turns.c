/* SPDX-License-Identifier: MIT */
/*
 * `hearth turns`, `hearth events` and `hearth cancel`: what was asked of
 * agents, what happened then, and how to end it.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/ids.h"
#include "cli/render.h"
#include "cli/show.h"

static bool
is_number(const char *s)
{
	return *s != '\0' && strlen(s) <= 18 &&
	    strspn(s, "0123456789") == strlen(s);
}

int
cli_turns(struct cli *cli, int argc, char **argv)
{
	const char *count = "20";
	char *chat;
	struct err e;
	PGconn *conn;
	int c, status;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "n:", NULL, &e)) != -1) {
		if (c == '?')
			return cli_usage("%s", e.text);
		count = optarg;
	}
	if (!is_number(count))
		return cli_usage("turns: -n takes a number, not \"%s\"", count);
	if (argc - optind > 1)
		return cli_usage("turns: unexpected argument \"%s\"",
		    argv[optind + 1]);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	chat = argv[optind] != NULL ? ids_chat(conn, argv[optind]) : NULL;
	status = argv[optind] != NULL && chat == NULL ? CLI_FAILED :
	    show_query(conn, NULL, "no turns",
	    "select * from (select id as turn, chat_id, agent, status, "
	    "hearth.brief(now() - queued_at) as ago, "
	    "hearth.brief(ended_at - started_at) as took, "
	    "left(coalesce(case when status = 'completed' then stop_reason "
	    "else coalesce(error, end_reason) end, ''), 80) as how "
	    "from hearth.turns where $1::uuid is null or chat_id = $1 "
	    "order by id desc limit $2) t order by turn",
	    PARAMS(chat, count));
	free(chat);
	PQfinish(conn);
	return status;
}

/* How many were shown, -1 after a complaint. */
static int
show_events(PGconn *conn, const char *chat, char **since)
{
	PGresult *res = db_query(conn, "select seq, "
	    "to_char(created_at, 'HH24:MI:SS.MS'), kind, coalesce(agent, ''), "
	    "payload, coalesce(turn_id::text, '') "
	    "from hearth.events_since($1, $2, 500)",
	    PARAMS(chat, *since));
	int n = res != NULL ? PQntuples(res) : -1;

	for (int i = 0; i < n; i++) {
		json_t *payload = json_loads(PQgetvalue(res, i, 4),
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		char *line = render_event(PQgetvalue(res, i, 2), payload);

		printf("%6s  %s  %5s  %-10s  %-17s  %s\n",
		    PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
		    PQgetvalue(res, i, 5), PQgetvalue(res, i, 3),
		    PQgetvalue(res, i, 2), line);
		free(line);
		json_decref(payload);
	}
	if (n > 0) {
		free(*since);
		*since = xstrdup(PQgetvalue(res, n - 1, 0));
	}
	fflush(stdout);
	PQclear(res);
	return n;
}

/* Everything since; where the log begins when none was given. */
static int
print_events(PGconn *conn, const char *chat, const char *since, bool follows)
{
	char *seq = since != NULL ? xstrdup(since) : db_value(conn,
	    "select coalesce((select first_seq - 1 from hearth.chats "
	    "where id = $1), 0)", PARAMS(chat));
	int n = seq != NULL ? 0 : -1;

	if (n == 0 && follows)
		n = follow_listen(conn);
	while (n != -1) {
		n = show_events(conn, chat, &seq);
		if (n == 0 && !follows)
			break;
		if (n == 0 && !follow_wait(conn, false, 1000))
			n = -1;
	}
	free(seq);
	return n == 0 ? 0 : CLI_FAILED;
}

int
cli_events(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },
		{ "since", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *since = NULL;
	char *chat;
	bool follows = false;
	struct err e;
	PGconn *conn;
	int c, status;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "fs:", options, &e)) != -1) {
		if (c == '?')
			return cli_usage("%s", e.text);
		if (c == 'f')
			follows = true;
		else
			since = optarg;
	}
	if (since != NULL && !is_number(since))
		return cli_usage("events: --since takes a seq, not \"%s\"",
		    since);
	if (argc - optind != 1)
		return cli_usage("events: which chat? See hearth events "
		    "--help");
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	chat = ids_chat(conn, argv[optind]);
	status = chat == NULL ? CLI_FAILED :
	    print_events(conn, chat, since, follows);
	free(chat);
	PQfinish(conn);
	return status;
}

int
cli_cancel(struct cli *cli, int argc, char **argv)
{
	char **rest, *asked;
	struct err e;
	PGconn *conn;

	if (cli_plain(cli, argc, argv, 1, 1, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	asked = db_value(conn, "select hearth.cancel($1, 'hearth cancel')",
	    PARAMS(rest[0]));
	PQfinish(conn);
	if (asked == NULL)
		return CLI_FAILED;
	printf("turn %s %s\n", rest[0], *asked == 't' ? "is being cancelled" :
	    "had ended already");
	free(asked);
	return 0;
}
