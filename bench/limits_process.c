/* SPDX-License-Identifier: MIT */
/*
 * What the kernel allows: reading an agent's stream from a pipe, with and
 * without the worker's own line reader and scanner, and starting processes,
 * bare and under a keeper as hearthd starts them. Nothing lies behind the
 * reader or before the child, so what hearthd adds shows beside it.
 *
 * hearth-keeper must lie beside this program or one folder up.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "bench/limits.h"
#include "bench/proc.h"
#include "bench/stats.h"
#include "worker/ndjson.h"
#include "worker/scan.h"

enum { READ_SIZE = 256 << 10 };

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

/* As the worker reads: lines, then the scanner; the text goes nowhere. */
static long
scan_lines(int fd)
{
	struct ndjson in;
	struct buf text = { 0 };
	struct scan_chunk chunk;
	long chunks = 0;
	ssize_t n;

	ndjson_init(&in, NDJSON_CAP);
	while ((n = read(fd, ndjson_room(&in, READ_SIZE), READ_SIZE)) > 0) {
		char *line;
		size_t len;

		ndjson_grew(&in, (size_t)n);
		while (ndjson_line(&in, &line, &len)) {
			if (scan_chunk(line, len, &chunk, &text) != SCAN_OTHER)
				chunks++;
			buf_reset(&text, READ_SIZE);
		}
		ndjson_trim(&in);
	}
	ndjson_free(&in);
	buf_free(&text);
	return chunks;
}

static double
own_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
read_with(long (*reader)(int fd), const char *name, const char *unit,
    const char *agent, long updates)
{
	char prompt[256], full[128];
	int in[2], out[2];
	double begin, took, cpu = own_cpu();
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
	    updates);
	begin = now();
	if (write(in[1], prompt, (size_t)n) != n)
		die("the agent does not read");
	close(in[1]);
	lines = reader(out[0]);
	took = now() - begin;
	cpu = own_cpu() - cpu;
	if (lines < updates)
		die("%ld of %ld updates were read", lines, updates);
	close(out[0]);
	waitpid(pid, NULL, 0);
	snprintf(full, sizeof full, "%s.%.*s", name,
	    (int)(strlen(unit) - 2), unit);
	figure(full, unit, (double)lines / took);
	snprintf(full, sizeof full, "%s.cpu", name);
	figure(full, "s/million", cpu / (double)lines * 1e6);
}

void
limits_pipe(const char *name, const char *agent, long millions)
{
	read_with(count_lines, name, "lines/s", agent, millions * 1000000);
}

void
limits_scan(const char *name, const char *agent, long millions)
{
	read_with(scan_lines, name, "updates/s", agent, millions * 1000000);
}

void
limits_spawn(const char *name, const char *program, long n)
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

/* ---- under a keeper */

static double child_started;

static void
on_started(struct child *c, void *ctx, pid_t pid)
{
	(void)c;
	(void)pid;
	child_started = now();
	ev_break(ctx, EVBREAK_ALL);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	(void)c;
	(void)ctx;
	if (x->exec_errno)
		die("the program does not run: %s", strerror(x->exec_errno));
}

static void
on_gone(struct child *c, void *ctx)
{
	(void)c;
	ev_break(ctx, EVBREAK_ALL);
}

/* Memory that is there, not only promised: what a fork() would have to map. */
static char *
grow_to(long mb)
{
	long kb = mb * 1024 - proc_kb(getpid(), "status", "VmRSS:");
	char *memory;

	if (kb <= 0)
		return NULL;
	memory = malloc((size_t)kb * 1024);
	if (!memory)
		die("there are no %ld MB", mb);
	memset(memory, 1, (size_t)kb * 1024);
	if (proc_kb(getpid(), "status", "VmRSS:") < mb * 1024 * 9 / 10)
		die("%ld MB were taken but are not there", mb);
	return memory;
}

static void
keeper_memory(const char *name)
{
	static const struct {
		const char *suffix, *file, *key;
	} what[] = {
		{ "keeper_pss", "smaps_rollup", "Pss:" },
		{ "keeper_rss", "status", "VmRSS:" },
	};
	char full[128];

	for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
		long kb = proc_kb_below(getpid(), "hearth-keeper",
		    what[i].file, what[i].key);

		snprintf(full, sizeof full, "%s.%s", name, what[i].suffix);
		if (kb > 0)
			figure(full, "kB", (double)kb);
	}
}

void
limits_child(const char *name, const char *program, long n, long mb)
{
	static const struct child_callbacks cb = {
		.started = on_started, .exited = on_exited, .gone = on_gone,
	};
	char *argv[] = { (char *)program, NULL };
	struct child_spec spec = { .label = "bench", .argv = argv,
		.pass_fd = -1, .stdin_fd = -1 };
	struct samples caller = { 0 }, started = { 0 };
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	char *memory = grow_to(mb), **env = child_environment(), full[128];

	spec.envp = env;
	for (long i = 0; i < n; i++) {
		struct child *child = NULL;
		struct err e = { 0 };
		double begin = now();

		if (child_start(loop, &spec, &cb, loop, &child, &e) < 0)
			die("no child: %s", e.text);
		sample(&caller, now() - begin);
		ev_run(loop, 0);
		sample(&started, child_started - begin);
		if (i == n - 1)
			keeper_memory(name);
		child_close_stdin(child);
		ev_run(loop, 0);
		child_free(&child);
	}
	snprintf(full, sizeof full, "%s.caller", name);
	figure_latency(full, &caller);
	snprintf(full, sizeof full, "%s.started", name);
	figure_latency(full, &started);
	strv_free(&env);
	free(memory);
	ev_loop_destroy(loop);
}
