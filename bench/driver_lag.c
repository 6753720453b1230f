/* SPDX-License-Identifier: MIT */
/*
 * How late a reader is. Each chunk carries the moment when its agent wrote it;
 * the driver notes each announcement as it comes and reads no row meanwhile.
 * Afterwards it reads the rows once: a chunk's lag lasts from its moment to
 * the first announcement that covers the row it became part of. Agents,
 * hearthd and this driver share one machine, so one clock.
 *
 * Only chunks of the time count in which all chats were streaming.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/driver.h"
#include "bench/heard.h"
#include "bench/proc.h"
#include "bench/stats.h"
#include "bench/talk.h"

static const double LIMIT = 80, QUIET = 0.5; /* seconds */

struct chunk {
	double written, lag;
	long chat;  /* counted from 0, in no order that matters */
};

struct chunks {
	struct chunk *at;
	size_t n, room;
	long chats;
};

static void
add_chunk(struct chunks *c, double written, double lag, long chat)
{
	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 4096;
		c->at = realloc(c->at, c->room * sizeof *c->at);
		if (!c->at)
			abort();
	}
	c->at[c->n++] = (struct chunk){ written, lag, chat };
}

/* One row's text; returns the number of the chunk that must come next. */
static long
read_row(struct chunks *c, const char *text, long size, long next, double seen,
    long chat)
{
	size_t len = strlen(text);

	if (len % (size_t)size != 0)
		die("a row does not hold whole chunks");
	for (; *text; text += size) {
		double written = script_stamp_of(text);

		if (atol(text) != next++)
			die("chunk %ld is not what was sent", next - 1);
		add_chunk(c, written, seen - written, chat);
	}
	return next;
}

/* All chunks of the turns from first to last. */
static void
read_chunks(struct driver *d, struct chunks *c, const struct heard *h,
    int64_t first, int64_t last, const struct script *s)
{
	char sql[256], chat[40] = "";
	PGresult *res;
	long next = s->chunks;

	snprintf(sql, sizeof sql, "select chat_id, seq, payload ->> 'text' from"
	    " hearth.events where kind = 'text' and turn_id between %lld and"
	    " %lld order by chat_id, seq", (long long)first, (long long)last);
	res = talk_ask(d->pg, sql, 0, NULL);
	*c = (struct chunks){ 0 };
	for (int i = 0; i < PQntuples(res); i++) {
		double seen;

		if (strcmp(chat, PQgetvalue(res, i, 0)) != 0) {
			if (next != s->chunks)
				die("chunks are missing");
			next = 0;
			c->chats++;
			snprintf(chat, sizeof chat, "%s",
			    PQgetvalue(res, i, 0));
		}
		seen = heard_of(h, chat, atoll(PQgetvalue(res, i, 1)));
		if (seen == 0)
			die("a row was never announced");
		next = read_row(c, PQgetvalue(res, i, 2), s->size, next, seen,
		    c->chats - 1);
	}
	PQclear(res);
	if (next != s->chunks)
		die("chunks are missing");
}

/* When the last chat has begun, and when the first one has ended. */
static void
find_common(const struct chunks *c, double *begin, double *end)
{
	*begin = 0;
	*end = 1e18;
	for (size_t i = 0; i < c->n; i++) {
		const struct chunk *k = &c->at[i];

		if ((i == 0 || k[-1].chat != k->chat) && k->written > *begin)
			*begin = k->written;
		if ((i + 1 == c->n || k[1].chat != k->chat) &&
		    k->written < *end)
			*end = k->written;
	}
	if (*end <= *begin)
		die("there was no time when all chats were streaming");
}

struct lag {
	struct samples medians;  /* one for each chat */
	struct samples all;
};

static void
take_lags(struct lag *l, const struct chunks *c, double begin, double end)
{
	struct samples one = { 0 };

	*l = (struct lag){ 0 };
	for (size_t i = 0; i < c->n; i++) {
		const struct chunk *k = &c->at[i];

		if (k->written >= begin && k->written <= end) {
			sample(&one, k->lag);
			sample(&l->all, k->lag);
		}
		if (one.n > 0 && (i + 1 == c->n || k[1].chat != k->chat)) {
			sample(&l->medians, quantile(&one, .5));
			one.n = 0;
		}
	}
	free(one.at);
}

static void
figure_lag(const char *name, struct lag *l)
{
	char full[128];

	snprintf(full, sizeof full, "%s.median", name);
	figure(full, "us", quantile(&l->medians, .5) * 1e6);
	snprintf(full, sizeof full, "%s.slowest", name);
	figure(full, "us", quantile(&l->medians, 1) * 1e6);
	snprintf(full, sizeof full, "%s.p99", name);
	figure(full, "us", quantile(&l->all, .99) * 1e6);
	snprintf(full, sizeof full, "%s.worst", name);
	figure(full, "us", quantile(&l->all, 1) * 1e6);
	free(l->medians.at);
	free(l->all.at);
}

/* One child after the other is started, so this comes before any load. */
static void
prepare(struct driver *d, long chats)
{
	driver_warm(d, chats);
	talk_do(d->pg, "listen hearth_events");
}

/* The last rows are announced after the last end. */
static void
hear_the_rest(struct driver *d, struct heard *h)
{
	double deadline = now() + QUIET;
	PGnotify *n;

	while ((n = talk_try(d->pg, deadline))) {
		heard_add(h, n);
		PQfreemem(n);
	}
	heard_sort(h);
}

void
driver_lag(struct driver *d, const char *name, long chats, const char *words)
{
	struct heard heard = { 0 };
	struct chunks chunks;
	struct script s;
	struct lag lag;
	double begin, end, deadline;
	int64_t first = 0, last = 0;
	char full[128];

	script_read(&s, words, strlen(words));
	prepare(d, chats);
	talk_do(d->pg, "begin");
	for (long i = 1; i <= chats; i++) {
		last = d->target->submit(d->pg, i, words);
		first = first ? first : last;
	}
	talk_do(d->pg, "commit");
	deadline = now() + LIMIT;
	for (long live = chats; live > 0;) {
		PGnotify *n = talk_wait(d->pg, deadline, "the chats' end");
		int64_t id;

		heard_add(&heard, n);
		if (d->target->read(n, &id) == HAPPENED_END)
			live--;
		PQfreemem(n);
	}
	hear_the_rest(d, &heard);
	read_chunks(d, &chunks, &heard, first, last, &s);
	find_common(&chunks, &begin, &end);
	take_lags(&lag, &chunks, begin, end);
	snprintf(full, sizeof full, "%s.together", name);
	figure(full, "s", end - begin);
	figure_lag(name, &lag);
	free(chunks.at);
	heard_clear(&heard);
}

/* ---- one huge line */

#define BIG_WORDS "chunks=1 size=%ld wait=3000 escape=0 stamp=1"

struct big {
	int64_t turn;
	double written, ended;
};

/* Whatever becomes of it, it must end, and hurt nobody else. */
static bool
is_end_of(const struct big *b, const PGnotify *n)
{
	char id[32];

	snprintf(id, sizeof id, "%lld", (long long)b->turn);
	return strcmp(n->relname, "hearth_status") == 0 &&
	    strstr(n->extra, "\"turn\"") && strstr(n->extra, id) &&
	    (strstr(n->extra, "completed") || strstr(n->extra, "failed") ||
	    strstr(n->extra, "interrupted"));
}

static void
watch_big(struct driver *d, struct heard *h, struct big *b, long live)
{
	double deadline = now() + LIMIT;

	while (live > 0 || b->ended == 0) {
		PGnotify *n = talk_wait(d->pg, deadline, "the huge line's end");
		int64_t id;

		heard_add(h, n);
		if (b->ended == 0 && is_end_of(b, n))
			b->ended = now();
		else if (d->target->read(n, &id) == HAPPENED_END)
			live--;
		PQfreemem(n);
	}
}

/* What became of it. */
static void
check_big(struct driver *d, const char *name, struct big *b)
{
	char sql[320], full[128];
	PGresult *res;

	snprintf(sql, sizeof sql, "select t.status, t.error_code, sum("
	    "octet_length(e.payload ->> 'text')), min(left(e.payload ->>"
	    " 'text', 32)) from hearth.turns t left join hearth.events e on"
	    " e.turn_id = t.id and e.kind = 'text' where t.id = %lld"
	    " group by 1, 2", (long long)b->turn);
	res = talk_ask(d->pg, sql, 0, NULL);
	if (strcmp(PQgetvalue(res, 0, 0), "completed") != 0)
		fprintf(stderr, "the turn with the huge line: %s %s\n",
		    PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
	if (PQgetisnull(res, 0, 3))
		die("nothing of the huge line was stored");
	b->written = script_stamp_of(PQgetvalue(res, 0, 3));
	snprintf(full, sizeof full, "%s.stored", name);
	figure(full, "MB", atof(PQgetvalue(res, 0, 2)) / (1 << 20));
	snprintf(full, sizeof full, "%s.took", name);
	figure(full, "s", b->ended - b->written);
	PQclear(res);
}

void
driver_bigline(struct driver *d, const char *name, long others, long size,
    const char *words)
{
	struct heard heard = { 0 };
	struct chunks chunks;
	struct script s;
	struct big big = { 0 };
	struct lag before, during;
	double begin, end;
	int64_t first = 0, last = 0;
	char full[128];

	script_read(&s, words, strlen(words));
	prepare(d, others + 1);
	for (long i = 2; i <= others + 1; i++) {
		last = d->target->submit(d->pg, i, words);
		first = first ? first : last;
	}
	snprintf(full, sizeof full, BIG_WORDS, size);
	big.turn = d->target->submit(d->pg, 1, full);
	watch_big(d, &heard, &big, others);
	hear_the_rest(d, &heard);
	check_big(d, name, &big);
	read_chunks(d, &chunks, &heard, first, last, &s);
	find_common(&chunks, &begin, &end);
	take_lags(&before, &chunks, begin, big.written);
	take_lags(&during, &chunks, big.written, big.ended);
	snprintf(full, sizeof full, "%s.before", name);
	figure_lag(full, &before);
	snprintf(full, sizeof full, "%s.during", name);
	figure_lag(full, &during);
	free(chunks.at);
	heard_clear(&heard);
	driver_rest(d, name, 5);
}
