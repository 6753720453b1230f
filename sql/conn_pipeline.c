/* SPDX-License-Identifier: MIT */
/*
 * The pipeline of a connection.
 *
 * Invariants: what was sent and not answered stands in `pending`, in order;
 * every entry is answered exactly once, by its result or by the loss of the
 * connection.
 *
 * A statement is prepared in a transaction of its own ahead of the one that
 * uses it, so that a failing transaction never takes the preparation with it.
 *
 * Must never know: what the statements are for, and how a connection comes
 * back. Read next: sql/conn.c.
 */
#include "sql/conn_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

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

static void
keep_error(struct sql_error *e, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

	*e = (struct sql_error){ 0 };
	if (PQresultStatus(res) == PGRES_PIPELINE_ABORTED)
		return;
	conn_keep_words(e->state, sizeof e->state, state ? state : "08006");
	conn_keep_words(e->text, sizeof e->text,
	    text ? text : PQresultErrorMessage(res));
	conn_keep_words(e->detail, sizeof e->detail, detail ? detail : "");
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

void
pipeline_read(struct conn *c)
{
	unsigned attempt = c->attempt;

	while (c->attempt == attempt && !PQisBusy(c->pg)) {
		PGresult *res = PQgetResult(c->pg);

		if (!res && !end_statement(c))
			break;
		if (res && PQstatus(c->pg) == CONNECTION_BAD) {
			conn_fail_later(c, PQresultErrorMessage(res));
			PQclear(res);
			break;
		}
		if (res && list_empty(&c->pending)) {
			conn_fail_later(c, PQresultErrorMessage(res));
			PQclear(res);
			break;
		}
		if (res)
			take_result(c, res);
	}
}

void
pipeline_end(struct conn *c, const struct sql_error *e)
{
	struct list lost;

	/* Nobody who is called finds anything of it. */
	list_init(&lost);
	LIST_EACH(pos, tmp, &c->pending) {
		list_remove(pos);
		list_append(&lost, pos);
	}
	PQclear(c->held);
	c->held = NULL;
	memset(c->is_prepared, 0, sizeof c->is_prepared);
	LIST_EACH(pos, tmp, &lost) {
		struct pending *p = LIST_ITEM(pos, struct pending, node);

		if (e && p->done && !p->is_answered)
			p->done(p->ctx, NULL, e);
		free(p);
	}
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
		conn_limit_answer(c);
	return p;
}

/* A call of libpq that failed: the connection is of no use any more. */
static void
check(struct conn *c, int ok)
{
	if (!ok)
		conn_fail_later(c, PQerrorMessage(c->pg));
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
		conn_push(c);
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

unsigned long
conn_syncs(const struct conn *c)
{
	return c->syncs;
}
