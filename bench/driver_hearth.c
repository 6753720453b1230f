/* SPDX-License-Identifier: MIT */
/*
 * What only Hearth can be asked: when a turn shows first, a long queue, cold
 * starts, a killed child.
 * The registry has a second entry of the same agent, "load-paused", whose
 * turns wait for ever.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/driver.h"
#include "bench/heard.h"
#include "bench/stats.h"
#include "bench/talk.h"

static const double LIMIT = 60; /* seconds */

/* Turns that wait, `count` of them, over the chats from..to in turn. */
static void
queue_turns(PGconn *pg, const char *agent, long count, long from, long to)
{
	char words[400];

	snprintf(words, sizeof words, "select hearth.submit((c.ids)[1 + g %% "
	    "cardinality(c.ids)], '%s', '%s') from (select array_agg(id) as ids"
	    " from hearth.chats where title like 'bench %%' and"
	    " substr(title, 7)::bigint between %ld and %ld) c,"
	    " generate_series(1, %ld) g", agent, DRIVER_ONE_CHUNK, from, to,
	    count);
	talk_do(pg, words);
}

static void
do_as_owner(const char *sql)
{
	const char *conninfo = getenv("BENCH_OWNER");
	PGconn *pg = talk_open(conninfo ? conninfo : "");

	talk_do(pg, sql);
	PQfinish(pg);
}

/* No user may delete a turn, and cancelling thousands takes its time. */
static void
forget_queue(void)
{
	do_as_owner("delete from hearth.turns where status = 'queued'");
}

static void
waiting(struct driver *d, const char *name, long queued, long turns)
{
	long chats = queued < 50 ? queued : 50;

	d->target->open(d->pg, chats + 1);
	queue_turns(d->pg, "load-paused", queued, 1, chats + 1);
	do_as_owner("analyze hearth.turns");
	driver_latency(d, name, 1, turns);
	forget_queue();
}

/* All in one chat: from the end of each to the end of the next. */
static void
backlog(struct driver *d, const char *name, long queued, long turns)
{
	struct samples steps = { 0 };
	struct moments m;
	double ended = 0, deadline = now() + LIMIT;

	d->target->open(d->pg, 1);
	driver_turn(d, 1, DRIVER_ONE_CHUNK, &m);
	if (turns > queued)
		turns = queued;
	queue_turns(d->pg, "load", queued, 1, 1);
	for (long n = 0; n < turns;) {
		PGnotify *note = talk_wait(d->pg, deadline, "a queued turn");
		int64_t id;
		enum happening h = d->target->read(note, &id);

		PQfreemem(note);
		if (h != HAPPENED_END)
			continue;
		if (n++ > 0)
			sample(&steps, now() - ended);
		ended = now();
	}
	forget_queue();
	if (steps.n > 0)
		figure_latency(name, &steps);
	talk_do(d->pg, "select pg_sleep(0.2)");  /* the live one ends */
}

/* A turn in a chat that the target does not know of; its id. */
static int64_t
turn_in(struct driver *d, const char *chat, const char *words,
    struct moments *m)
{
	const char *args[] = { chat, "load", words };
	PGresult *res;
	int64_t turn;

	*m = (struct moments){ .called = now() };
	res = talk_run(d->pg, "submit", 3, args);
	m->submitted = now();
	turn = atoll(PQgetvalue(res, 0, 0));
	driver_wait(d, turn, m);
	PQclear(res);
	return turn;
}

static void
cold_turn(struct driver *d, const char *session, struct moments *m)
{
	const char *values[] = { session };
	PGresult *chat = talk_ask(d->pg, "select hearth.open_chat($1)", 1,
	    values);

	turn_in(d, PQgetvalue(chat, 0, 0), DRIVER_ONE_CHUNK, m);
	PQclear(chat);
}

static void
cold(struct driver *d, const char *name, long turns)
{
	struct samples end = { 0 }, running = { 0 };
	PGresult *session;
	struct moments m;
	char full[128];

	d->target->open(d->pg, 1);
	session = talk_ask(d->pg, "select hearth.open_session('bench')", 0,
	    NULL);
	cold_turn(d, PQgetvalue(session, 0, 0), &m); /* makes the worktree */
	figure("cold.first_in_session", "us", (m.ended - m.submitted) * 1e6);
	for (long i = 0; i < turns; i++) {
		cold_turn(d, PQgetvalue(session, 0, 0), &m);
		sample(&end, m.ended - m.submitted);
		sample(&running, m.running - m.submitted);
	}
	PQclear(session);
	figure_latency(name, &end);
	snprintf(full, sizeof full, "%s.to_running", name);
	figure_latency(full, &running);
}

/* ---- what changed in a large project */

static void
check_changes(struct driver *d, int64_t turn, long files)
{
	char id[24];
	const char *values[] = { id };
	PGresult *res;

	snprintf(id, sizeof id, "%lld", (long long)turn);
	res = talk_ask(d->pg, "select count(*) from hearth.pending_changes"
	    " where turn_id = $1 and status = 'pending'", 1, values);
	if (atol(PQgetvalue(res, 0, 0)) != files)
		die("turn %s changed %ld files, but %s are told", id, files,
		    PQgetvalue(res, 0, 0));
	PQclear(res);
}

static void
files(struct driver *d, const char *name, long turns, long n)
{
	struct samples end = { 0 }, idle = { 0 };
	struct moments m;
	PGresult *chat;
	int64_t last = 0;
	char words[80], full[128];

	d->target->open(d->pg, 0);
	snprintf(words, sizeof words, DRIVER_ONE_CHUNK " tools=1 files=%ld", n);
	chat = talk_ask(d->pg, "select hearth.open_chat("
	    "hearth.open_session('files'))", 0, NULL);
	turn_in(d, PQgetvalue(chat, 0, 0), DRIVER_ONE_CHUNK, &m);
	snprintf(full, sizeof full, "%s.first_in_session", name);
	figure(full, "us", (m.ended - m.submitted) * 1e6);
	sleep(2); /* the index is written anew once its times can be trusted */
	turn_in(d, PQgetvalue(chat, 0, 0), words, &m);
	for (long i = 0; i < turns; i++) {
		turn_in(d, PQgetvalue(chat, 0, 0), DRIVER_ONE_CHUNK, &m);
		sample(&idle, m.ended - m.submitted);
		last = turn_in(d, PQgetvalue(chat, 0, 0), words, &m);
		sample(&end, m.ended - m.submitted);
	}
	check_changes(d, last, n);
	PQclear(chat);
	figure_latency(name, &end);
	snprintf(full, sizeof full, "%s.none", name);
	figure_latency(full, &idle);
}

/* ---- what a reader sees first */

struct shown {
	struct samples event, text;
};

/* Like driver_wait(), and until all that the turn left was announced. */
static void
wait_and_hear(struct driver *d, int64_t turn, struct heard *h)
{
	double deadline = now() + LIMIT;

	for (;;) {
		PGnotify *n = talk_wait(d->pg, deadline, "the end of a turn");
		int64_t id = 0;
		bool is_end;

		heard_add(h, n);
		is_end = d->target->read(n, &id) == HAPPENED_END && id == turn;
		PQfreemem(n);
		if (is_end)
			break;
	}
}

/* The turn's first row, and its first row of text. */
static void
take_first(struct driver *d, struct shown *s, int64_t turn, double since,
    struct heard *h)
{
	char sql[256];
	PGresult *res;
	double event = 0, text = 0, deadline = now() + LIMIT;

	snprintf(sql, sizeof sql, "select chat_id, min(seq), min(seq) filter"
	    " (where kind = 'text') from hearth.events where turn_id = %lld"
	    " group by 1", (long long)turn);
	res = talk_ask(d->pg, sql, 0, NULL);
	if (PQntuples(res) == 0 || PQgetisnull(res, 0, 2))
		die("turn %lld left no text", (long long)turn);
	while (event == 0 || text == 0) {
		const char *chat = PQgetvalue(res, 0, 0);
		PGnotify *n;

		heard_sort(h);
		event = heard_of(h, chat, atoll(PQgetvalue(res, 0, 1)));
		text = heard_of(h, chat, atoll(PQgetvalue(res, 0, 2)));
		if (event > 0 && text > 0)
			break;
		n = talk_wait(d->pg, deadline, "the turn's rows");
		heard_add(h, n);
		PQfreemem(n);
	}
	sample(&s->event, event - since);
	sample(&s->text, text - since);
	PQclear(res);
	heard_clear(h);
}

static void
figure_shown(const char *name, struct shown *s)
{
	char full[160];

	snprintf(full, sizeof full, "%s.first_event", name);
	figure_latency(full, &s->event);
	snprintf(full, sizeof full, "%s.first_text", name);
	figure_latency(full, &s->text);
}

static void
first(struct driver *d, const char *name, long turns)
{
	struct shown shown = { 0 };
	struct heard heard = { 0 };

	driver_warm(d, 1);
	talk_do(d->pg, "listen hearth_events");
	for (long i = 0; i < turns; i++) {
		int64_t turn = d->target->submit(d->pg, 1, DRIVER_ONE_CHUNK);
		double submitted = now();

		wait_and_hear(d, turn, &heard);
		take_first(d, &shown, turn, submitted, &heard);
	}
	figure_shown(name, &shown);
}

/* ---- killed children */

static pid_t
child_of(PGconn *pg, const char *chat)
{
	const char *values[] = { chat };
	PGresult *res = talk_ask(pg, "select pid from hearth.agent_sessions"
	    " where chat_id = $1 and agent = 'load'", 1, values);
	pid_t pid = PQntuples(res) ? atoi(PQgetvalue(res, 0, 0)) : 0;

	PQclear(res);
	return pid;
}

/* When the row said so; it was committed before the notification. */
static double
wait_for_crash(PGconn *pg, const char *chat)
{
	double deadline = now() + LIMIT;

	for (;;) {
		PGnotify *n = talk_wait(pg, deadline, "the crash of a child");
		bool is_it = strstr(n->extra, "\"agent\"") &&
		    strstr(n->extra, chat) && strstr(n->extra, "crashed");

		PQfreemem(n);
		if (is_it)
			return now();
	}
}

static double
kill_child(struct driver *d, long chat)
{
	pid_t pid = child_of(d->pg, target_hearth_chat(chat));
	double killed = now();

	if (pid <= 1)
		die("chat %ld has no child to kill", chat);
	if (kill(pid, SIGKILL) < 0)
		die("the child %d can't be killed", (int)pid);
	return killed;
}

/* The next turn is submitted at once, before anybody can know of the end. */
static void
kill_and_go_on(struct driver *d, const char *name, long chats)
{
	struct shown shown = { 0 };
	struct heard heard = { 0 };
	char full[128];

	talk_do(d->pg, "listen hearth_events");
	for (long i = 1; i <= chats; i++) {
		double killed = kill_child(d, i);
		int64_t turn = d->target->submit(d->pg, i, DRIVER_ONE_CHUNK);

		wait_and_hear(d, turn, &heard);
		take_first(d, &shown, turn, killed, &heard);
	}
	snprintf(full, sizeof full, "%s.to_next", name);
	figure_shown(full, &shown);
}

static void
kill_children(struct driver *d, const char *name, long chats)
{
	struct samples row = { 0 }, next = { 0 };
	struct moments m;
	char full[128];

	d->target->open(d->pg, chats);
	for (long i = 1; i <= chats; i++) {
		double killed;

		driver_turn(d, i, DRIVER_ONE_CHUNK, &m);
		killed = kill_child(d, i);
		sample(&row, wait_for_crash(d->pg, target_hearth_chat(i)) -
		    killed);
		driver_turn(d, i, DRIVER_ONE_CHUNK, &m);
		sample(&next, m.ended - m.submitted);
	}
	snprintf(full, sizeof full, "%s.to_row", name);
	figure_latency(full, &row);
	snprintf(full, sizeof full, "%s.next_turn", name);
	figure_latency(full, &next);
	kill_and_go_on(d, name, chats);
}

int
driver_hearth(struct driver *d, const char *what, const char *name, long a,
    long b)
{
	if (strcmp(what, "waiting") == 0)
		waiting(d, name, a, b > 0 ? b : 100);
	else if (strcmp(what, "backlog") == 0)
		backlog(d, name, a, b > 0 ? b : 100);
	else if (strcmp(what, "cold") == 0)
		cold(d, name, a);
	else if (strcmp(what, "files") == 0)
		files(d, name, a, b > 0 ? b : 3);
	else if (strcmp(what, "first") == 0)
		first(d, name, a);
	else if (strcmp(what, "kill") == 0)
		kill_children(d, name, a);
	else
		return -1;
	return 0;
}
