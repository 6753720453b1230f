/* SPDX-License-Identifier: MIT */
/*
 * A pipelined libpq connection on libev.
 *
 * Invariants: what was sent and not answered stands in `pending`, in order;
 * every entry is answered exactly once, by its result or by the loss of the
 * connection. While PQflush() has bytes left both directions are watched,
 * because the server may stop reading until we read. A failure found while
 * sending is told from the loop, never from within the call.
 *
 * A statement is prepared in a transaction of its own ahead of the one that
 * uses it, so that a failing transaction never takes the preparation with it.
 *
 * Must never know: what the statements are for. See sql/flush.c and sql/db.c
 * for the two owners of a connection.
 */
#include "sql/conn.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"
#include "sql/statement.h"
#include "sql/target.h"

enum {
	BACKOFF_FIRST = 100, BACKOFF_LAST = 10000,   /* milliseconds */
};
static const double CONNECT_LIMIT = 10;  /* seconds */
static const double ANSWER_LIMIT = 60;   /* without any sign of life */

enum pending_kind { PENDING_PREPARE, PENDING_EXEC, PENDING_SYNC };

struct pending {
	struct list node;
	enum pending_kind kind;
	int statement;
	bool holds;        /* its result waits for the sync behind it */
	bool is_answered;
	conn_result_fn *done;
	void *ctx;
};

struct conn {
	struct ev_loop *loop;
	char *label;
	struct target *target;
	const struct conn_callbacks *cb;
	void *ctx;
	PGconn *pg;             /* NULL between attempts */
	bool is_up;
	bool has_open;          /* statements were sent, sync was not */
	int backend_pid;
	int backoff;            /* milliseconds */
	unsigned short seed[3];
	struct ev_io io;
	struct ev_timer retry;  /* begins an attempt */
	struct ev_timer limit;  /* of an attempt, or of an answer */
	struct ev_timer failed; /* at once: tells why_failed */
	char why_failed[512];
	unsigned attempt;       /* names one life of pg */
	struct list pending;
	bool is_prepared[STATEMENTS_MAX];
	struct sql_error prepare_error;
	PGresult *held;         /* of the statement that conn_ask() sent */
	struct sql_error held_error;
	struct sql_error sync_error;
	unsigned long syncs;
};

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

static void
limit_answer(struct conn *c)
{
	c->limit.repeat = list_empty(&c->pending) ? 0 : ANSWER_LIMIT;
	ev_timer_again(c->loop, &c->limit);
}

/* One line of libpq's words. */
static void
keep_words(char *to, size_t size, const char *words)
{
	size_t n = 0;

	for (; *words && n + 1 < size; words++) {
		if (*words == '\n' && (words[1] == '\0' || words[1] == '\n'))
			continue;
		to[n++] = *words == '\n' || *words == '\t' ? ' ' : *words;
	}
	to[n] = '\0';
}

static void
fail_later(struct conn *c, const char *why)
{
	if (c->why_failed[0])
		return;
	keep_words(c->why_failed, sizeof c->why_failed,
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
	PQclear(c->held);
	c->held = NULL;
	memset(c->is_prepared, 0, sizeof c->is_prepared);
}

static void
take_pending(struct conn *c, struct list *to)
{
	list_init(to);
	LIST_EACH(pos, tmp, &c->pending) {
		list_remove(pos);
		list_append(to, pos);
	}
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
	struct list lost;

	keep_words(e.text, sizeof e.text, why);
	hang_up(c);
	take_pending(c, &lost);
	retry_later(c);
	LIST_EACH(pos, tmp, &lost) {
		struct pending *p = LIST_ITEM(pos, struct pending, node);

		if (p->done && !p->is_answered)
			p->done(p->ctx, NULL, &e);
		free(p);
	}
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

static void
push(struct conn *c)
{
	int rc = PQflush(c->pg);

	if (rc < 0)
		fail_later(c, PQerrorMessage(c->pg));
	else
		watch(c, rc == 1 ? EV_READ | EV_WRITE : EV_READ);
}

static void
keep_error(struct sql_error *e, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

	*e = (struct sql_error){ 0 };
	if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED)
		return;
	keep_words(e->state, sizeof e->state, state ? state : "08006");
	keep_words(e->text, sizeof e->text,
	    text ? text : PQresultErrorMessage(res));
	keep_words(e->detail, sizeof e->detail, detail ? detail : "");
}

static bool
has_failed(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
}

static void
on_prepared(struct conn *c, struct pending *p, const PGresult *res)
{
	if (!has_failed(res))
		return;
	c->is_prepared[p->statement] = false;
	keep_error(&c->prepare_error, res);
}

static void
on_executed(struct conn *c, struct pending *p, PGresult *res)
{
	struct sql_error e, *to = p->holds ? &c->held_error : &e;
	bool failed = has_failed(res);

	if (failed)
		keep_error(to, res);
	/* It was never prepared: the reason stands there. */
	if (failed && strcmp(to->state, "26000") == 0 &&
	    c->prepare_error.state[0]) {
		*to = c->prepare_error;
		c->prepare_error.state[0] = '\0';
	}
	if (p->holds) {
		PQclear(c->held);
		c->held = failed ? NULL : res;
		if (failed)
			PQclear(res);
		return;
	}
	if (p->done)
		p->done(p->ctx, failed ? NULL : res, failed ? &e : NULL);
	PQclear(res);
}

static void
on_synced(struct conn *c)
{
	struct pending *p = LIST_ITEM(c->pending.next, struct pending, node);
	struct sql_error e = c->sync_error;
	PGresult *res = c->held;

	MUST(p->kind == PENDING_SYNC);
	list_remove(&p->node);
	c->held = NULL;
	c->sync_error.state[0] = '\0';
	if (p->holds && !res && !e.state[0])
		e = c->held_error;
	if (p->done)
		p->done(p->ctx, e.state[0] ? NULL : res,
		    e.state[0] ? &e : NULL);
	PQclear(res);
	free(p);
}

/* NULL from libpq: the statement at the head has no more results. */
static bool
end_statement(struct conn *c)
{
	struct pending *p;

	if (list_empty(&c->pending))
		return false;
	p = LIST_ITEM(c->pending.next, struct pending, node);
	if (!p->is_answered)
		return false;
	list_remove(&p->node);
	free(p);
	return true;
}

static void
take_result(struct conn *c, PGresult *res)
{
	struct pending *p;

	MUST(!list_empty(&c->pending));
	p = LIST_ITEM(c->pending.next, struct pending, node);
	if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
		PQclear(res);
		on_synced(c);
	} else if (p->kind == PENDING_SYNC) {
		keep_error(&c->sync_error, res); /* the commit itself failed */
		PQclear(res);
	} else if (p->kind == PENDING_PREPARE) {
		p->is_answered = true;
		on_prepared(c, p, res);
		PQclear(res);
	} else {
		p->is_answered = true;
		on_executed(c, p, res);
	}
}

static void
take_results(struct conn *c)
{
	unsigned attempt = c->attempt;

	while (c->attempt == attempt && !PQisBusy(c->pg)) {
		PGresult *res = PQgetResult(c->pg);

		if (!res && !end_statement(c))
			break;
		if (res && PQstatus(c->pg) == CONNECTION_BAD) {
			fail_later(c, PQresultErrorMessage(res));
			PQclear(res);
			break;
		}
		if (res && list_empty(&c->pending)) {
			fail_later(c, PQresultErrorMessage(res));
			PQclear(res);
			break;
		}
		if (res)
			take_result(c, res);
	}
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
		take_results(c);
		if (c->attempt != attempt)
			return;
		if (!is_open || PQstatus(c->pg) == CONNECTION_BAD) {
			fail_later(c, PQerrorMessage(c->pg));
			ev_io_stop(c->loop, &c->io);
			return;
		}
		take_notifications(c);
		if (c->attempt != attempt)
			return;
		limit_answer(c);
	}
	if (!c->why_failed[0])
		push(c);
}

static void
become_up(struct conn *c)
{
	if (PQsetnonblocking(c->pg, 1) < 0 || !PQenterPipelineMode(c->pg)) {
		fail_later(c, PQerrorMessage(c->pg));
		return;
	}
	c->is_up = true;
	c->backend_pid = PQbackendPID(c->pg);
	watch(c, EV_READ);
	limit_answer(c);
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
		fail_later(c, PQerrorMessage(c->pg));
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

	keep_words(line, sizeof line, words);
	log_debug(c->label, "%s", line);
}

static void
connect_now(struct conn *c)
{
	c->pg = PQconnectStartParams(target_keywords(c->target),
	    target_values(c->target), 0);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		fail_later(c, c->pg ? PQerrorMessage(c->pg) : "out of memory");
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
		fail_later(c, e->text);
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
		fail_later(c, e.text);
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
	struct list lost;

	if (!*c)
		return;
	ev_timer_stop((*c)->loop, &(*c)->retry);
	hang_up(*c);
	take_pending(*c, &lost);
	LIST_EACH(pos, tmp, &lost)
		free(LIST_ITEM(pos, struct pending, node));
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
		fail_later(c, why);
}

unsigned long
conn_syncs(const struct conn *c)
{
	return c->syncs;
}

static struct pending *
expect(struct conn *c, enum pending_kind kind, conn_result_fn *done, void *ctx)
{
	struct pending *p = xcalloc(1, sizeof *p);
	bool was_idle = list_empty(&c->pending);

	p->kind = kind;
	p->done = done;
	p->ctx = ctx;
	list_append(&c->pending, &p->node);
	if (was_idle)
		limit_answer(c);
	return p;
}

/* A call of libpq that failed: the connection is of no use any more. */
static void
check(struct conn *c, int ok)
{
	if (!ok)
		fail_later(c, PQerrorMessage(c->pg));
}

void
conn_need(struct conn *c, int statement)
{
	MUST(c->is_up && !c->has_open);
	if (c->is_prepared[statement])
		return;
	c->is_prepared[statement] = true;
	expect(c, PENDING_PREPARE, NULL, NULL)->statement = statement;
	check(c, PQsendPrepare(c->pg, statement_name(statement),
	    statement_text(statement), 0, NULL));
	expect(c, PENDING_SYNC, NULL, NULL);
	check(c, PQpipelineSync(c->pg));
}

static struct pending *
send(struct conn *c, int statement, const struct params *p,
    conn_result_fn *done, void *ctx)
{
	struct pending *entry;

	MUST(c->is_up);
	c->has_open = true;
	entry = expect(c, PENDING_EXEC, done, ctx);
	entry->statement = statement;
	check(c, PQsendQueryPrepared(c->pg, statement_name(statement), p->n,
	    p->value, p->length, p->format, 0));
	return entry;
}

void
conn_send(struct conn *c, int statement, const struct params *p,
    conn_result_fn *done, void *ctx)
{
	send(c, statement, p, done, ctx);
}

static struct pending *
send_sync(struct conn *c, conn_result_fn *done, void *ctx)
{
	struct pending *entry = expect(c, PENDING_SYNC, done, ctx);

	c->has_open = false;
	c->syncs++;
	check(c, PQpipelineSync(c->pg));
	if (!c->why_failed[0])
		push(c);
	return entry;
}

void
conn_sync(struct conn *c, conn_result_fn *done, void *ctx)
{
	send_sync(c, done, ctx);
}

void
conn_ask(struct conn *c, const char *statement, const struct params *p,
    conn_result_fn *done, void *ctx)
{
	int number = statement_find(statement);

	conn_need(c, number);
	send(c, number, p, NULL, NULL)->holds = true;
	send_sync(c, done, ctx)->holds = true;
}

const char *
result_text(const PGresult *res, int row, const char *column)
{
	int i = PQfnumber(res, column);

	MUST(i >= 0);
	if (row >= PQntuples(res) || PQgetisnull(res, row, i))
		return NULL;
	return PQgetvalue(res, row, i);
}

int64_t
result_int8(const PGresult *res, int row, const char *column)
{
	const char *s = result_text(res, row, column);

	return s ? strtoll(s, NULL, 10) : 0;
}

bool
result_bool(const PGresult *res, int row, const char *column)
{
	const char *s = result_text(res, row, column);

	return s && *s == 't';
}
