/* SPDX-License-Identifier: MIT */
/*
 * What this machine and this PostgreSQL allow, with nothing of Hearth in it:
 * the least that anybody could need who does the same.
 *
 *   limits floor NAME TURNS      a turn as three commits and its wake-ups
 *   limits commit NAME N         one row inserted, waiting for the disk or not
 *   limits notify NAME N         the same with a NOTIFY instead of a row
 *   limits insert NAME ROWS BATCH  rows of events, as arrays, BATCH a commit
 *   limits copy NAME ROWS BATCH  the same rows through COPY
 *   limits pipe NAME AGENT MILLIONS  reading the agent's stream, line by line
 *   limits scan NAME AGENT MILLIONS  the same through the worker's scanner
 *   limits spawn NAME PROGRAM N  vfork, exec, exit, wait
 *   limits child NAME PROGRAM N MB  under a keeper, as hearthd does it
 *
 * The floor of a turn: a client inserts a row and notifies; another process
 * hears it, updates the row in one commit (claimed), again in a second one
 * (ended) that notifies; the client hears that. Each side has one connection.
 * Tables are made in schema bench of $BENCH_DATABASE. The other limits are in
 * limits_rows.c and limits_process.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/limits.h"
#include "bench/stats.h"
#include "bench/talk.h"

static const double LIMIT = 60;

PGconn *
limits_open(void)
{
	const char *conninfo = getenv("BENCH_DATABASE");
	PGconn *pg = talk_open(conninfo ? conninfo : "");

	talk_do(pg, "set client_min_messages = warning;"
	    " create schema if not exists bench; set search_path = bench");
	return pg;
}

static void
serve_floor(void)
{
	PGconn *pg = limits_open();

	talk_prepare(pg, "claim", "update floor set status = 'running',"
	    " started_at = now() where id = $1::text::bigint returning prompt");
	talk_prepare(pg, "end", "with t as (update floor set"
	    " status = 'completed', ended_at = now() where id = $1::text::bigint)"
	    " select pg_notify('floor_end', $1::text)");
	talk_do(pg, "listen floor_new");
	talk_do(pg, "notify floor_end, 'ready'");
	for (;;) {
		PGnotify *n = talk_wait(pg, now() + LIMIT, "the client");
		const char *values[] = { n->extra };

		PQclear(talk_run(pg, "claim", 1, values));
		PQclear(talk_run(pg, "end", 1, values));
		PQfreemem(n);
	}
}

static pid_t
start_server(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	serve_floor();
	_exit(0);
}

static void
floor_(const char *name, long turns)
{
	static const char *const prompt[] = {
		"[{\"type\": \"text\", \"text\": \"chunks=1 size=64\"}]",
	};
	struct samples end = { 0 }, whole = { 0 };
	PGconn *pg = limits_open();
	char full[128];
	pid_t server;

	talk_do(pg, "drop table if exists floor; create table floor (id bigint"
	    " generated always as identity primary key, prompt jsonb,"
	    " status text default 'queued', queued_at timestamptz default"
	    " now(), started_at timestamptz, ended_at timestamptz)"
	    " with (fillfactor = 80); listen floor_end");
	talk_prepare(pg, "submit", "with t as (insert into floor (prompt)"
	    " values ($1) returning id) select pg_notify('floor_new', id::text)"
	    " from t");
	server = start_server();
	PQfreemem(talk_wait(pg, now() + LIMIT, "the other side"));
	for (long i = -LIMITS_WARM_UP; i < turns; i++) {
		double called = now(), submitted;

		PQclear(talk_run(pg, "submit", 1, prompt));
		submitted = now();
		PQfreemem(talk_wait(pg, now() + LIMIT, "the end of a turn"));
		if (i < 0)
			continue;
		sample(&end, now() - submitted);
		sample(&whole, now() - called);
	}
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	figure_latency(name, &end);
	snprintf(full, sizeof full, "%s.with_submit", name);
	figure_latency(full, &whole);
	PQfinish(pg);
}

int
main(int c, char **v)
{
	const char *what = c > 3 ? v[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "floor") == 0)
		floor_(v[2], atol(v[3]));
	else if (strcmp(what, "commit") == 0)
		limits_commit(v[2], atol(v[3]));
	else if (strcmp(what, "notify") == 0)
		limits_notify(v[2], atol(v[3]));
	else if (strcmp(what, "insert") == 0 && c > 4)
		limits_insert(v[2], atol(v[3]), atol(v[4]));
	else if (strcmp(what, "copy") == 0 && c > 4)
		limits_copy(v[2], atol(v[3]), atol(v[4]));
	else if (strcmp(what, "pipe") == 0 && c > 4)
		limits_pipe(v[2], v[3], atol(v[4]));
	else if (strcmp(what, "scan") == 0 && c > 4)
		limits_scan(v[2], v[3], atol(v[4]));
	else if (strcmp(what, "spawn") == 0 && c > 4)
		limits_spawn(v[2], v[3], atol(v[4]));
	else if (strcmp(what, "child") == 0 && c > 5)
		limits_child(v[2], v[3], atol(v[4]), atol(v[5]));
	else
		die("usage: limits floor|commit|notify|insert|copy|pipe|scan|"
		    "spawn|child NAME ...");
	return 0;
}
