/* SPDX-License-Identifier: MIT */
/*
 * `hearth init` as a child. The connection string goes through the
 * environment, not the command line, where other users could read it.
 */
#include "supervisor/schema.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "base/log.h"

#ifndef BINDIR
#define BINDIR "/usr/local/bin"
#endif
#define RETRY_FIRST .5
#define RETRY_MOST 10.
#define WORDS_MOST 4096

struct schema_check {
	struct ev_loop *loop;
	char *conninfo;
	void (*done)(void *ctx, const struct err *e);
	void *ctx;
	struct child *child;
	struct ev_io err_io;
	struct ev_timer retry;
	double wait;
	struct buf words;          /* what it said */
	int exit_code;
};

static void run(struct schema_check *k);

static void
read_words(struct schema_check *k, int fd)
{
	char room[1024];
	ssize_t n;

	while ((n = read(fd, room, sizeof room)) > 0)
		if (k->words.len < WORDS_MOST)
			buf_add(&k->words, room, (size_t)n);
	if (n == 0)
		ev_io_stop(k->loop, &k->err_io);
}

static void
on_err_io(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	read_words(io->data, io->fd);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct schema_check *k = ctx;

	(void)c;
	read_words(k, child_stderr(k->child));
	if (x->exit_code == 0)
		read_words(k, child_stdout(k->child));
	ev_io_stop(k->loop, &k->err_io);
	k->exit_code = x->exit_code;
	if (x->exec_errno)
		buf_printf(&k->words, "hearth init: %s",
		    strerror(x->exec_errno));
}

/* Its words without its name, which would stand behind ours. */
static const char *
said(const struct schema_check *k)
{
	static const char name[] = "hearth: ";
	const char *words = k->words.len ? k->words.data :
	    "hearth init failed without a word";

	return strncmp(words, name, strlen(name)) == 0 ?
	    words + strlen(name) : words;
}

static void
on_gone(struct child *c, void *ctx)
{
	struct schema_check *k = ctx;
	struct err e;

	(void)c;
	child_free(&k->child);
	while (k->words.len > 0 && k->words.data[k->words.len - 1] == '\n')
		k->words.data[--k->words.len] = '\0';
	if (k->exit_code == 0) {
		if (k->words.len)
			log_info("hearthd", "%s", k->words.data);
		k->done(k->ctx, NULL);
	} else if (k->exit_code == EX_TEMPFAIL) {
		log_warning("hearthd", "%s; trying again in %.1f s", said(k),
		    k->wait);
		ev_timer_set(&k->retry, k->wait, 0.);
		ev_timer_start(k->loop, &k->retry);
		k->wait = k->wait * 2 > RETRY_MOST ? RETRY_MOST : k->wait * 2;
	} else {
		fail(&e, "%s", said(k));
		k->done(k->ctx, &e);
	}
}

static void
on_retry(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	run(t->data);
}

/* Beside this program (build tree), else where it is installed. */
static char *
find_hearth(void)
{
	char *program = child_helper_path("hearth");

	return program ? program : xstrdup(BINDIR "/hearth");
}

static void
run(struct schema_check *k)
{
	static const struct child_callbacks cb = {
		.exited = on_exited, .gone = on_gone,
	};
	char *program = find_hearth();
	char **env = child_environment();
	char *database = xasprintf("HEARTH_DATABASE=%s", k->conninfo);
	char *argv[] = { program, "init", NULL };
	struct child_spec spec = {
		.label = "hearth init", .argv = argv, .pass_fd = -1,
		.stdin_fd = -1, .ladder = NULL,
	};
	struct err e;

	buf_reset(&k->words, WORDS_MOST);
	/* what libpq reads here, it reads there */
	for (char **entry = environ; entry && *entry; entry++)
		if (strncmp(*entry, "PG", 2) == 0)
			child_setenv(&env, *entry);
	child_setenv(&env, database);
	spec.envp = env;
	if (child_start(k->loop, &spec, &cb, k, &k->child, &e) != 0) {
		log_warning("hearthd", "cannot run hearth init: %s", e.text);
		ev_timer_set(&k->retry, RETRY_MOST, 0.);
		ev_timer_start(k->loop, &k->retry);
	} else {
		child_close_stdin(k->child);
		ev_io_init(&k->err_io, on_err_io, child_stderr(k->child),
		    EV_READ);
		k->err_io.data = k;
		ev_io_start(k->loop, &k->err_io);
	}
	free(program);
	free(database);
	strv_free(&env);
}

struct schema_check *
schema_check_start(struct ev_loop *loop, const char *conninfo,
    void (*done)(void *ctx, const struct err *e), void *ctx)
{
	struct schema_check *k = xcalloc(1, sizeof *k);

	k->loop = loop;
	k->conninfo = xstrdup(conninfo);
	k->done = done;
	k->ctx = ctx;
	k->wait = RETRY_FIRST;
	ev_timer_init(&k->retry, on_retry, 0., 0.);
	k->retry.data = k;
	run(k);
	return k;
}

void
schema_check_free(struct schema_check **check)
{
	struct schema_check *k = *check;

	if (!k)
		return;
	ev_io_stop(k->loop, &k->err_io);
	ev_timer_stop(k->loop, &k->retry);
	child_free(&k->child);
	buf_free(&k->words);
	free(k->conninfo);
	free(k);
	*check = NULL;
}
