/* SPDX-License-Identifier: MIT */
/*
 * A peer: any program that takes rows of a table of turns (chat_id, input,
 * state) announced on turn_new as "id:chat", and says turn_done with the id
 * when what it recorded is durable. In its durable mode it stores one row of
 * events for each update.
 */
#include "bench/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats.h"
#include "bench/talk.h"

static void
open_chats(PGconn *pg, long n)
{
	(void)n;
	talk_do(pg, "listen turn_done");
	talk_prepare(pg, "submit", "with t as (insert into turns"
	    " (chat_id, input) values ($1, $2) returning id, chat_id)"
	    " select id, pg_notify('turn_new', id || ':' || chat_id) from t");
}

static int64_t
submit(PGconn *pg, long chat, const char *words)
{
	char number[24];
	const char *values[] = { number, words };
	PGresult *res;
	int64_t turn;

	snprintf(number, sizeof number, "%ld", chat);
	res = talk_run(pg, "submit", 2, values);
	turn = atoll(PQgetvalue(res, 0, 0));
	PQclear(res);
	return turn;
}

static enum happening
read_note(const PGnotify *n, int64_t *turn)
{
	if (strcmp(n->relname, "turn_done") != 0)
		return HAPPENED_OTHER;
	*turn = atoll(n->extra);
	return HAPPENED_END;
}

static void
check(PGconn *pg, int64_t first, int64_t last, long turns,
    const struct script *s)
{
	char sql[256];

	snprintf(sql, sizeof sql, "select count(*) from turns where id between"
	    " %lld and %lld and state = 'completed'", (long long)first,
	    (long long)last);
	if (talk_number(pg, sql) != turns)
		die("the peer did not complete all turns");
	snprintf(sql, sizeof sql, "select coalesce(sum(n_updates), 0) from"
	    " turns where id between %lld and %lld", (long long)first,
	    (long long)last);
	if (talk_number(pg, sql) != (double)(turns * script_updates(s)))
		die("the peer did not see all updates");
}

static double
rows(PGconn *pg, int64_t first, int64_t last)
{
	char sql[128];

	snprintf(sql, sizeof sql, "select count(*) from events where turn_id"
	    " between %lld and %lld", (long long)first, (long long)last);
	return talk_number(pg, sql);
}

const struct target target_peer = {
	.name = "peer",
	.open = open_chats,
	.submit = submit,
	.read = read_note,
	.check = check,
	.rows = rows,
};
