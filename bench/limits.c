/* SPDX-License-Identifier: MIT */
/*
 * What this machine and this PostgreSQL allow, with nothing of Hearth in it:
 * the least that anybody could need who does the same.
 *
 *   limits floor NAME TURNS      a turn as three commits and its wake-ups
 *   limits commit NAME N         one row inserted, waiting for the disk or not
 *   limits insert NAME ROWS BATCH  rows of events, as arrays, BATCH a commit
 *   limits pipe NAME AGENT MILLIONS  reading the agent's stream, line by line
 *   limits spawn NAME PROGRAM N  vfork, exec, exit, wait
 *
 * The floor of a turn: a client inserts a row and notifies; another process
 * hears it, updates the row in one commit (claimed), again in a second one
 * (ended) that notifies; the client hears that. Each side has one connection.
 * Tables are made in schema bench of $BENCH_DATABASE.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/script.h"
#include "bench/stats.h"
#include "bench/talk.h"

enum { WARM_UP = 20 };
static const double LIMIT = 60;

static PGconn *
open_database(void)
{
	const char *conninfo = getenv("BENCH_DATABASE");
	PGconn *pg = talk_open(conninfo ? conninfo : "");

	talk_do(pg, "set client_min_messages = warning;"
	    " create schema if not exists bench; set search_path = bench");
	return pg;
}

/* ---- the floor */

static void
serve_floor(void)
{
	PGconn *pg = open_database();

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
	PGconn *pg = open_database();
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
	for (long i = -WARM_UP; i < turns; i++) {
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

/* ---- commits and rows */

static void
commit(const char *name, long n)
{
	static const char *const modes[] = { "on", "off" };
	PGconn *pg = open_database();

	talk_do(pg, "create table if not exists commits (id bigint generated"
	    " always as identity primary key, at timestamptz default now())");
	talk_prepare(pg, "commit", "insert into commits default values");
	for (int mode = 0; mode < 2; mode++) {
		struct samples s = { 0 };
		char words[128];

		snprintf(words, sizeof words, "set synchronous_commit = %s",
		    modes[mode]);
		talk_do(pg, words);
		for (long i = -WARM_UP; i < n; i++) {
			double begin = now();

			PQclear(talk_run(pg, "commit", 0, NULL));
			if (i >= 0)
				sample(&s, now() - begin);
		}
		snprintf(words, sizeof words, "%s.%s", name,
		    mode == 0 ? "durable" : "not_durable");
		figure_latency(words, &s);
	}
	PQfinish(pg);
}

static void
insert(const char *name, long rows, long batch)
{
	PGconn *pg = open_database();
	char words[128], number[24], first[24];
	const char *values[] = { first, number };
	double begin;

	talk_do(pg, "drop table if exists events; create table events (chat"
	    " uuid, seq bigint, turn bigint, agent text, kind text, payload"
	    " jsonb, created_at timestamptz default now(),"
	    " primary key (chat, seq))");
	talk_prepare(pg, "insert", "insert into events (chat, seq, turn, agent,"
	    " kind, payload) select '00000000-0000-0000-0000-000000000001',"
	    " $1::bigint + g, 1, 'load', 'text', jsonb_build_object('text',"
	    " 'the quick brown fox jumps over it, the quick brown fox jumps"
	    " over') from generate_series(1, $2::bigint) g");
	snprintf(number, sizeof number, "%ld", batch);
	begin = now();
	for (long i = 0; i < rows; i += batch) {
		snprintf(first, sizeof first, "%ld", i);
		PQclear(talk_run(pg, "insert", 2, values));
	}
	snprintf(words, sizeof words, "%s.rows", name);
	figure(words, "rows/s", (double)rows / (now() - begin));
	PQfinish(pg);
}

/* ---- processes */

extern char **environ;

static pid_t
start(const char *program, int in, int out)
{
	char *argv[] = { (char *)program, NULL };
	posix_spawn_file_actions_t fa;
	pid_t pid;
	int rc;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
	rc = posix_spawn(&pid, program, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (rc != 0)
		die("%s: %s", program, strerror(rc));
	return pid;
}

static void
make_pipe(int fd[2])
{
	if (pipe2(fd, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
}

static long
count_lines(int fd)
{
	static char block[64 << 10];
	long lines = 0;
	ssize_t n;

	while ((n = read(fd, block, sizeof block)) > 0)
		for (char *p = block; (p = memchr(p, '\n',
		    (size_t)(block + n - p))); p++)
			lines++;
	return lines;
}

static void
read_stream(const char *name, const char *agent, long millions)
{
	char prompt[256], full[128];
	int in[2], out[2];
	double begin;
	long lines;
	pid_t pid;
	int n;

	make_pipe(in);
	make_pipe(out);
	pid = start(agent, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	n = snprintf(prompt, sizeof prompt, "{\"jsonrpc\":\"2.0\",\"id\":1,"
	    "\"method\":\"session/prompt\",\"params\":{\"sessionId\":\"load-1\""
	    ",\"prompt\":[{\"type\":\"text\",\"text\":\"chunks=%ld\"}]}}\n",
	    millions * 1000000);
	begin = now();
	if (write(in[1], prompt, (size_t)n) != n)
		die("the agent does not read");
	close(in[1]);
	lines = count_lines(out[0]);
	snprintf(full, sizeof full, "%s.lines", name);
	figure(full, "lines/s", (double)lines / (now() - begin));
	close(out[0]);
	waitpid(pid, NULL, 0);
}

static void
spawn(const char *name, const char *program, long n)
{
	struct samples s = { 0 };
	int in[2], out[2];

	for (long i = 0; i < n; i++) {
		double begin = now();
		pid_t pid;

		make_pipe(in);
		make_pipe(out);
		pid = start(program, in[0], out[1]);
		close(in[0]);
		close(in[1]);  /* end of input: it exits */
		close(out[1]);
		waitpid(pid, NULL, 0);
		close(out[0]);
		sample(&s, now() - begin);
	}
	figure_latency(name, &s);
}

int
main(int c, char **v)
{
	const char *what = c > 3 ? v[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "floor") == 0)
		floor_(v[2], atol(v[3]));
	else if (strcmp(what, "commit") == 0)
		commit(v[2], atol(v[3]));
	else if (strcmp(what, "insert") == 0 && c > 4)
		insert(v[2], atol(v[3]), atol(v[4]));
	else if (strcmp(what, "pipe") == 0 && c > 4)
		read_stream(v[2], v[3], atol(v[4]));
	else if (strcmp(what, "spawn") == 0 && c > 4)
		spawn(v[2], v[3], atol(v[4]));
	else
		die("usage: limits floor|commit|insert|pipe|spawn NAME ...");
	return 0;
}
