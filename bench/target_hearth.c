/* SPDX-License-Identifier: MIT */
/*
 * Hearth as an application sees it: open_session(), open_chat(), submit(), and
 * the channel hearth_status. Each chat has a session, thus a worktree, of its
 * own; it is found again by its title in the next run of the driver.
 */
#include "bench/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats.h"
#include "bench/talk.h"

static char (*chats)[40];
static long n_chats;

/* The chats that there are, in order of their number. */
static void
read_chats(PGconn *pg)
{
	PGresult *res = talk_ask(pg, "select id from hearth.chats"
	    " where title like 'bench %' order by substr(title, 7)::bigint", 0,
	    NULL);

	n_chats = PQntuples(res);
	chats = realloc(chats, (size_t)(n_chats + 1) * sizeof *chats);
	if (!chats)
		abort();
	for (int i = 0; i < n_chats; i++)
		snprintf(chats[i], sizeof chats[i], "%s",
		    PQgetvalue(res, i, 0));
	PQclear(res);
}

static void
open_chats(PGconn *pg, long n)
{
	char words[256];

	talk_prepare(pg, "submit", "select hearth.submit($1, $2, $3)");
	talk_do(pg, "listen hearth_status");
	read_chats(pg);
	for (long i = n_chats + 1; i <= n; i++) {
		snprintf(words, sizeof words, "select hearth.open_chat("
		    "hearth.open_session('bench'), 'bench %ld')", i);
		talk_do(pg, words);
	}
	read_chats(pg);
}

const char *
target_hearth_chat(long chat)
{
	return chats[chat - 1];
}

static int64_t
submit(PGconn *pg, long chat, const char *words)
{
	const char *values[] = { chats[chat - 1], "load", words };
	PGresult *res = talk_run(pg, "submit", 3, values);
	int64_t turn = atoll(PQgetvalue(res, 0, 0));

	PQclear(res);
	return turn;
}

static bool
says(const char *json, const char *word)
{
	return strstr(json, word) != NULL;
}

static enum happening
read_note(const PGnotify *n, int64_t *turn)
{
	const char *id = strstr(n->extra, "\"id\"");

	if (strcmp(n->relname, "hearth_status") != 0 || !id ||
	    !says(n->extra, "\"turn\""))
		return HAPPENED_OTHER;
	*turn = atoll(id + 4 + strspn(id + 4, ": "));
	if (says(n->extra, "\"running\""))
		return HAPPENED_RUNNING;
	if (says(n->extra, "\"completed\""))
		return HAPPENED_END;
	if (says(n->extra, "\"failed\"") || says(n->extra, "\"interrupted\""))
		die("a turn went wrong: %s", n->extra);
	return HAPPENED_OTHER;
}

static double
between(PGconn *pg, const char *sql, int64_t first, int64_t last)
{
	char a[24], b[24];
	const char *values[] = { a, b };
	PGresult *res;
	double value;

	snprintf(a, sizeof a, "%lld", (long long)first);
	snprintf(b, sizeof b, "%lld", (long long)last);
	res = talk_ask(pg, sql, 2, values);
	value = atof(PQgetvalue(res, 0, 0));
	PQclear(res);
	return value;
}

static void
check_content(PGconn *pg, int64_t turn, const struct script *s)
{
	char id[24], *chunk = malloc((size_t)s->size * 2 + 64);
	const char *values[] = { id }, *content;
	PGresult *res;

	if (!chunk)
		abort();
	snprintf(id, sizeof id, "%lld", (long long)turn);
	res = talk_ask(pg, "select content from hearth.messages"
	    " where turn_id = $1 and role = 'assistant'", 1, values);
	content = PQntuples(res) ? PQgetvalue(res, 0, 0) : "";
	for (long i = 0; i < s->chunks; i++) {
		size_t n = script_text(s, i, false, chunk);

		if (strncmp(content, chunk, n) != 0)
			die("turn %s: chunk %ld is not what was sent", id, i);
		content += n;
	}
	if (*content)
		die("turn %s: more text than was sent", id);
	free(chunk);
	PQclear(res);
}

static void
check(PGconn *pg, int64_t first, int64_t last, long turns,
    const struct script *s)
{
	double bytes = (double)turns * (double)(s->chunks * s->size);

	if (between(pg, "select count(*) from hearth.turns where id between $1"
	    " and $2 and status = 'completed'", first, last) != turns)
		die("not all turns completed");
	if (between(pg, "select coalesce(sum(octet_length(payload ->> 'text')),"
	    " 0) from hearth.events where kind = 'text'"
	    " and turn_id between $1 and $2", first, last) != bytes)
		die("the events do not hold all text");
	if (between(pg, "select count(*) from hearth.chats c where id in"
	    " (select chat_id from hearth.turns where id between $1 and $2)"
	    " and c.last_seq <> (select count(*) from hearth.events e"
	    " where e.chat_id = c.id)", first, last) != 0)
		die("the numbers of a chat's events have gaps");
	check_content(pg, first, s);
	check_content(pg, last, s);
}

static double
rows(PGconn *pg, int64_t first, int64_t last)
{
	return between(pg, "select count(*) from hearth.events where turn_id"
	    " between $1 and $2", first, last);
}

const struct target target_hearth = {
	.name = "hearth",
	.open = open_chats,
	.submit = submit,
	.read = read_note,
	.check = check,
	.rows = rows,
};
