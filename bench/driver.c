/* SPDX-License-Identifier: MIT */
/*
 * Drives Hearth, or a peer, as an application would, and measures it from
 * outside: what the application sees, and what /proc says.
 *
 *   driver TARGET DAEMON_PID POSTGRES_PID WHAT ARGUMENT...
 *
 *   latency NAME TURNS           turns of one chunk, one after the other
 *   stream NAME TURNS CHATS WORDS  TURNS turns in all, submitted at once
 *   storm NAME TURNS CHATS       turns of one chunk, one in flight per chat
 *   memory NAME CHATS            after one turn in each chat and a rest
 *   rest NAME SECONDS            memory now and after so many idle seconds
 *   first NAME TURNS             latency to each turn's first event
 *   waiting NAME QUEUED TURNS    latency while QUEUED others wait, paused
 *   backlog NAME QUEUED TURNS    from each turn's end to the next one's end
 *   cold NAME TURNS              new chats of one session: a child each
 *   files NAME TURNS FILES       turns that change FILES files of the project
 *                                "files" each
 *   kill NAME CHATS              SIGKILL of a child, and the turn after it
 *   lag NAME CHATS WORDS         from a chunk to the news that it is stored
 *   bigline NAME CHATS BYTES WORDS  the same while one agent sends a huge line
 *
 * TARGET is hearth or peer (which knows the first five). $BENCH_DATABASE says
 * where PostgreSQL is, $BENCH_OWNER the same for who owns it. NAME begins the
 * name of every figure, see stats.h. What begins
 * with "first" is in driver_hearth.c and driver_lag.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/driver.h"
#include "bench/proc.h"
#include "bench/stats.h"
#include "bench/talk.h"

enum { WARM_UP = 20 };
static const double TURN_LIMIT = 30, RUN_LIMIT = 90; /* seconds */

void
driver_wait(struct driver *d, int64_t turn, struct moments *m)
{
	double deadline = now() + TURN_LIMIT;

	for (;;) {
		PGnotify *n = talk_wait(d->pg, deadline, "the end of a turn");
		int64_t id = 0;
		enum happening h = d->target->read(n, &id);

		PQfreemem(n);
		if (h == HAPPENED_OTHER || id != turn)
			continue;
		if (h == HAPPENED_RUNNING) {
			m->running = now();
		} else {
			m->ended = now();
			return;
		}
	}
}

int64_t
driver_turn(struct driver *d, long chat, const char *words, struct moments *m)
{
	int64_t turn;

	*m = (struct moments){ .called = now() };
	turn = d->target->submit(d->pg, chat, words);
	m->submitted = now();
	driver_wait(d, turn, m);
	return turn;
}

void
driver_latency(struct driver *d, const char *name, long chat, long turns)
{
	struct samples end = { 0 }, whole = { 0 }, running = { 0 };
	struct script s;
	struct moments m;
	struct cpu c;
	int64_t first = 0, last = 0;
	char full[128];

	for (long i = -WARM_UP; i < turns; i++) {
		if (i == 0)
			c = proc_cpu(d->daemon, d->postgres);
		last = driver_turn(d, chat, DRIVER_ONE_CHUNK, &m);
		if (i < 0)
			continue;
		first = first ? first : last;
		sample(&end, m.ended - m.submitted);
		sample(&whole, m.ended - m.called);
		if (m.running > 0)
			sample(&running, m.running - m.submitted);
	}
	c = cpu_since(&c, d->daemon, d->postgres);
	script_read(&s, DRIVER_ONE_CHUNK, strlen(DRIVER_ONE_CHUNK));
	d->target->check(d->pg, first, last, turns, &s);
	figure_latency(name, &end);
	snprintf(full, sizeof full, "%s.with_submit", name);
	figure_latency(full, &whole);
	snprintf(full, sizeof full, "%s.to_running", name);
	if (running.n > 0)
		figure_latency(full, &running);
	snprintf(full, sizeof full, "%s.cpu.daemon", name);
	figure(full, "us", c.daemon / (double)turns * 1e6);
	snprintf(full, sizeof full, "%s.cpu.postgres", name);
	figure(full, "us", c.postgres / (double)turns * 1e6);
}

static void
per_million(const char *name, const char *who, double seconds, double updates)
{
	char full[128];

	snprintf(full, sizeof full, "%s.cpu.%s", name, who);
	figure(full, "s/million", seconds / updates * 1e6);
}

static void
wait_for_all(struct driver *d, long turns)
{
	double deadline = now() + RUN_LIMIT;

	while (turns > 0) {
		PGnotify *n = talk_wait(d->pg, deadline, "the end of all turns");
		int64_t id;

		if (d->target->read(n, &id) == HAPPENED_END)
			turns--;
		PQfreemem(n);
	}
}

void
driver_warm(struct driver *d, long chats)
{
	d->target->open(d->pg, chats);
	for (long i = 1; i <= chats; i++)
		d->target->submit(d->pg, i, DRIVER_ONE_CHUNK);
	wait_for_all(d, chats);
}

static void
stream(struct driver *d, const char *name, long turns, long chats,
    const char *words)
{
	struct script s;
	struct cpu c;
	int64_t first = 0, last = 0;
	double begin, took, updates;
	char full[128];

	script_read(&s, words, strlen(words));
	updates = (double)(turns * script_updates(&s));
	driver_warm(d, chats);
	c = proc_cpu(d->daemon, d->postgres);
	begin = now();
	talk_do(d->pg, "begin");
	for (long i = 0; i < turns; i++) {
		last = d->target->submit(d->pg, 1 + i % chats, words);
		first = first ? first : last;
	}
	talk_do(d->pg, "commit");
	wait_for_all(d, turns);
	took = now() - begin;
	c = cpu_since(&c, d->daemon, d->postgres);
	d->target->check(d->pg, first, last, turns, &s);
	snprintf(full, sizeof full, "%s.updates", name);
	figure(full, "updates/s", updates / took);
	snprintf(full, sizeof full, "%s.rows", name);
	figure(full, "rows/update", d->target->rows(d->pg, first, last) /
	    updates);
	per_million(name, "daemon", c.daemon, updates);
	per_million(name, "postgres", c.postgres, updates);
	per_million(name, "agents", c.children, updates);
}

struct flight {
	int64_t turn;
	double submitted;
};

/* The chat whose turn has ended. */
static long
land(struct driver *d, struct flight *flights, long n, double deadline)
{
	for (;;) {
		PGnotify *note = talk_wait(d->pg, deadline, "a turn's end");
		int64_t id = 0;
		enum happening h = d->target->read(note, &id);

		PQfreemem(note);
		for (long i = 0; h == HAPPENED_END && i < n; i++) {
			if (flights[i].turn == id) {
				flights[i].turn = 0;
				return i;
			}
		}
	}
}

static void
launch(struct driver *d, struct flight *f, long chat)
{
	f->turn = d->target->submit(d->pg, chat, DRIVER_ONE_CHUNK);
	f->submitted = now();
}

static void
storm(struct driver *d, const char *name, long turns, long chats)
{
	struct samples end = { 0 };
	struct flight *flights = calloc((size_t)chats, sizeof *flights);
	struct cpu c;
	double begin, took;
	long ended = 0, begun = 0;
	char full[128];

	if (!flights)
		abort();
	driver_warm(d, chats);
	c = proc_cpu(d->daemon, d->postgres);
	begin = now();
	for (; begun < chats && begun < turns; begun++)
		launch(d, &flights[begun], begun + 1);
	while (ended < turns) {
		long i = land(d, flights, chats, begin + RUN_LIMIT);

		ended++;
		sample(&end, now() - flights[i].submitted);
		if (begun++ < turns)
			launch(d, &flights[i], i + 1);
	}
	took = now() - begin;
	c = cpu_since(&c, d->daemon, d->postgres);
	snprintf(full, sizeof full, "%s.turns", name);
	figure(full, "turns/s", (double)turns / took);
	figure_latency(name, &end);
	snprintf(full, sizeof full, "%s.cpu.daemon", name);
	figure(full, "us", c.daemon / (double)turns * 1e6);
	snprintf(full, sizeof full, "%s.cpu.postgres", name);
	figure(full, "us", c.postgres / (double)turns * 1e6);
	free(flights);
}

static void
memory_figure(const char *name, const char *what, long kb)
{
	char full[128];

	snprintf(full, sizeof full, "%s.%s", name, what);
	if (kb > 0)
		figure(full, "MB", (double)kb / 1024);
}

static void
memory(struct driver *d, const char *name, long chats)
{
	driver_warm(d, chats);
	sleep(2);  /* whatever is given back at leisure, is now */
	memory_figure(name, "rss", proc_kb(d->daemon, "status", "VmRSS:"));
	memory_figure(name, "pss", proc_kb(d->daemon, "smaps_rollup", "Pss:"));
	memory_figure(name, "peak", proc_kb(d->daemon, "status", "VmHWM:"));
	memory_figure(name, "keepers_pss", proc_kb_below(d->daemon,
	    "hearth-keeper", "smaps_rollup", "Pss:"));
}

void
driver_rest(struct driver *d, const char *name, long seconds)
{
	memory_figure(name, "rss", proc_kb(d->daemon, "status", "VmRSS:"));
	memory_figure(name, "peak", proc_kb(d->daemon, "status", "VmHWM:"));
	sleep((unsigned)seconds);
	memory_figure(name, "rested", proc_kb(d->daemon, "status", "VmRSS:"));
}

static long
number(char **v, int c, int i)
{
	long n = i < c ? atol(v[i]) : 0;

	if (n < 1)
		die("argument %d is missing or not a number", i);
	return n;
}

int
main(int c, char **v)
{
	struct driver d = { 0 };
	const char *what, *name;

	if (c < 7)
		die("usage: driver hearth|peer DAEMON_PID POSTGRES_PID WHAT "
		    "NAME NUMBER...");
	d.target = strcmp(v[1], "peer") == 0 ? &target_peer : &target_hearth;
	d.daemon = (pid_t)number(v, c, 2);
	d.postgres = (pid_t)number(v, c, 3);
	what = v[4];
	name = v[5];
	d.pg = talk_open(getenv("BENCH_DATABASE") ?
	    getenv("BENCH_DATABASE") : "");
	if (strcmp(what, "latency") == 0) {
		d.target->open(d.pg, 1);
		driver_latency(&d, name, 1, number(v, c, 6));
	} else if (strcmp(what, "stream") == 0 && c > 8) {
		stream(&d, name, number(v, c, 6), number(v, c, 7), v[8]);
	} else if (strcmp(what, "storm") == 0) {
		storm(&d, name, number(v, c, 6), number(v, c, 7));
	} else if (strcmp(what, "memory") == 0) {
		memory(&d, name, number(v, c, 6));
	} else if (strcmp(what, "rest") == 0) {
		driver_rest(&d, name, number(v, c, 6));
	} else if (strcmp(what, "lag") == 0 && c > 7) {
		driver_lag(&d, name, number(v, c, 6), v[7]);
	} else if (strcmp(what, "bigline") == 0 && c > 8) {
		driver_bigline(&d, name, number(v, c, 6), number(v, c, 7),
		    v[8]);
	} else if (d.target != &target_hearth ||
	    driver_hearth(&d, what, name, number(v, c, 6),
	    c > 7 ? number(v, c, 7) : 0) < 0) {
		die("the driver does not know \"%s\" for this target", what);
	}
	PQfinish(d.pg);
	return 0;
}
