/* SPDX-License-Identifier: MIT */
/*
 * The life of a connection on libev: an attempt, up, lost, and after a while
 * the next attempt. While PQflush() has bytes left both directions are watched,
 * because the server may stop reading until we read. A failure found while
 * sending is told from the loop, never from within the call.
 *
 * Must never know: statements. What is sent and how it is answered is in
 * sql/conn_pipeline.c; its two owners are sql/flush.c and sql/db.c.
 */
#include "sql/conn_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "sql/target.h"

enum {
	BACKOFF_FIRST = 100, BACKOFF_LAST = 10000,   /* milliseconds */
};
static const double CONNECT_LIMIT = 10;  /* seconds */
static const double ANSWER_LIMIT = 60;   /* without any sign of life */

static void
watch(struct conn *c, int events)
{
	int fd = PQsocket(c->pg);

	if (ev_is_active(&c->io) && c->io.fd == fd &&
	    (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, fd, events);
	ev_io_start(c->loop, &c->io);
}

void
conn_limit_answer(struct conn *c)
{
	c->limit.repeat = list_empty(&c->pending) ? 0 : ANSWER_LIMIT;
	ev_timer_again(c->loop, &c->limit);
}

/* One line of libpq's words. */
void
conn_keep_words(char *to, size_t size, const char *words)
{
	size_t n = 0;

	for (; *words && n + 1 < size; words++) {
		if (*words == '\n' && (words[1] == '\0' || words[1] == '\n'))
			continue;
		to[n++] = *words == '\n' || *words == '\t' ? ' ' : *words;
	}
	to[n] = '\0';
}

void
conn_fail_later(struct conn *c, const char *why)
{
	if (c->why_failed[0])
		return;
	conn_keep_words(c->why_failed, sizeof c->why_failed,
	    *why ? why : "connection lost");
	ev_timer_start(c->loop, &c->failed);
}

static void
hang_up(struct conn *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->limit);
	ev_timer_stop(c->loop, &c->failed);
	target_cancel(c->target);
	if (c->pg)
		PQfinish(c->pg);
	c->pg = NULL;
	c->is_up = false;
	c->has_open = false;
	c->why_failed[0] = '\0';
	c->attempt++;
}

static void
retry_later(struct conn *c)
{
	double jitter = 0.75 + erand48(c->seed) / 2;

	ev_timer_stop(c->loop, &c->retry);
	ev_timer_set(&c->retry, c->backoff * jitter / 1000, 0);
	ev_timer_start(c->loop, &c->retry);
	c->backoff = c->backoff * 2 > BACKOFF_LAST ? BACKOFF_LAST :
	    c->backoff * 2;
}

/* Ends this life of the connection; from the loop only. */
static void
lose(struct conn *c, const char *why)
{
	struct sql_error e = { .state = "08006" };
	bool was_up = c->is_up;

	conn_keep_words(e.text, sizeof e.text, why);
	hang_up(c);
	retry_later(c);
	pipeline_end(c, &e);
	c->cb->lost(c->ctx, e.text, was_up);
}

static void
on_failed(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct conn *c = w->data;
	char why[sizeof c->why_failed];

	(void)loop, (void)events;
	memcpy(why, c->why_failed, sizeof why);
	lose(c, why);
}

static void
on_limit(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct conn *c = w->data;

	(void)loop, (void)events;
	ev_timer_stop(c->loop, w);
	lose(c, c->is_up ? "no answer from PostgreSQL within 60 s" :
	    "no connection to PostgreSQL within 10 s");
}

void
conn_push(struct conn *c)
{
	int rc = PQflush(c->pg);

	if (rc < 0)
		conn_fail_later(c, PQerrorMessage(c->pg));
	else
		watch(c, rc == 1 ? EV_READ | EV_WRITE : EV_READ);
}

static void
take_notifications(struct conn *c)
{
	unsigned attempt = c->attempt;
	PGnotify *n;

	while (c->attempt == attempt && (n = PQnotifies(c->pg))) {
		if (c->cb->notified)
			c->cb->notified(c->ctx, n->relname, n->extra);
		PQfreemem(n);
	}
}

static void
talk(struct conn *c, int events)
{
	unsigned attempt = c->attempt;

	if (events & EV_READ) {
		bool is_open = PQconsumeInput(c->pg);

		/* A dying server says why before it hangs up. */
		pipeline_read(c);
		if (c->attempt != attempt)
			return;
		if (!is_open || PQstatus(c->pg) == CONNECTION_BAD) {
			conn_fail_later(c, PQerrorMessage(c->pg));
			ev_io_stop(c->loop, &c->io);
			return;
		}
		take_notifications(c);
		if (c->attempt != attempt)
			return;
		conn_limit_answer(c);
	}
	if (!c->why_failed[0])
		conn_push(c);
}

static void
become_up(struct conn *c)
{
	if (PQsetnonblocking(c->pg, 1) < 0 || !PQenterPipelineMode(c->pg)) {
		conn_fail_later(c, PQerrorMessage(c->pg));
		return;
	}
	c->is_up = true;
	c->backend_pid = PQbackendPID(c->pg);
	watch(c, EV_READ);
	conn_limit_answer(c);
	c->cb->connected(c->ctx);
}

static void
go_on_connecting(struct conn *c)
{
	/* libpq may close this socket and open another. */
	ev_io_stop(c->loop, &c->io);
	switch (PQconnectPoll(c->pg)) {
	case PGRES_POLLING_READING:
		watch(c, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		watch(c, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		become_up(c);
		break;
	default:
		conn_fail_later(c, PQerrorMessage(c->pg));
	}
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	if (c->is_up)
		talk(c, events);
	else
		go_on_connecting(c);
}

static void
on_notice(void *ctx, const char *words)
{
	struct conn *c = ctx;
	char line[512];

	conn_keep_words(line, sizeof line, words);
	log_debug(c->label, "%s", line);
}

static void
connect_now(struct conn *c)
{
	c->pg = PQconnectStartParams(target_keywords(c->target),
	    target_values(c->target), 0);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		conn_fail_later(c, c->pg ? PQerrorMessage(c->pg) :
		    "out of memory");
		return;
	}
	PQsetNoticeProcessor(c->pg, on_notice, c);
	watch(c, EV_WRITE);
}

static void
on_looked_up(void *ctx, const struct err *e)
{
	struct conn *c = ctx;

	if (e)
		conn_fail_later(c, e->text);
	else
		connect_now(c);
}

static void
on_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct conn *c = w->data;
	struct err e;
	int rc;

	(void)loop, (void)events;
	ev_timer_stop(c->loop, &c->limit);
	ev_timer_set(&c->limit, CONNECT_LIMIT, CONNECT_LIMIT);
	ev_timer_start(c->loop, &c->limit);
	rc = target_lookup(c->target, on_looked_up, c, &e);
	if (rc < 0)
		conn_fail_later(c, e.text);
	else if (rc == 0)
		connect_now(c);
}

struct conn *
conn_new(struct ev_loop *loop, const char *label, const char *conninfo,
    const char *application_name, const struct conn_callbacks *cb, void *ctx,
    struct err *e)
{
	struct target *t = target_new(loop, conninfo, application_name, e);
	struct conn *c;

	if (!t)
		return NULL;
	c = xcalloc(1, sizeof *c);
	c->loop = loop;
	c->label = xstrdup(label);
	c->target = t;
	c->cb = cb;
	c->ctx = ctx;
	c->backoff = BACKOFF_FIRST;
	c->seed[0] = (unsigned short)getpid();
	c->seed[1] = (unsigned short)((uintptr_t)c >> 4);
	list_init(&c->pending);
	ev_io_init(&c->io, on_io, -1, EV_READ);
	ev_timer_init(&c->retry, on_retry, 0, 0);
	ev_timer_init(&c->limit, on_limit, 0, 0);
	ev_timer_init(&c->failed, on_failed, 0, 0);
	c->io.data = c->retry.data = c->limit.data = c->failed.data = c;
	return c;
}

void
conn_start(struct conn *c)
{
	ev_timer_start(c->loop, &c->retry);
}

void
conn_free(struct conn **c)
{
	if (!*c)
		return;
	ev_timer_stop((*c)->loop, &(*c)->retry);
	hang_up(*c);
	pipeline_end(*c, NULL);
	target_free(&(*c)->target);
	free((*c)->label);
	free(*c);
	*c = NULL;
}

bool
conn_is_up(const struct conn *c)
{
	return c->is_up && !c->why_failed[0];
}

int
conn_backend_pid(const struct conn *c)
{
	return c->backend_pid;
}

int
conn_server_version(const struct conn *c)
{
	return c->pg ? PQserverVersion(c->pg) : 0;
}

void
conn_settled(struct conn *c)
{
	c->backoff = BACKOFF_FIRST;
}

void
conn_drop(struct conn *c, const char *why)
{
	if (c->pg)
		conn_fail_later(c, why);
}
