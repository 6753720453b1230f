/* SPDX-License-Identifier: MIT */
/*
 * The two connections of a node and what its owner is told of them: up when
 * both are set up, down when one is lost, fatal when trying makes no sense.
 *
 * The writer comes first: only when it has the node's lock and the node is
 * registered does the other connection start (db_start.c). Questions are in
 * db_ask.c, everything about writing in recorder.c.
 */
#include "sql/db_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

void
db_fatal(struct db *db, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	if (db->is_fatal)
		return;
	db->is_fatal = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	db->cb->fatal(db->ctx, why);
}

static void
tell_up(struct db *db)
{
	bool first = !db->was_up;

	if (db->is_up || !db->writer_ready || !db->asker_ready)
		return;
	db->is_up = db->was_up = true;
	conn_settled(db->writer);
	conn_settled(db->asker);
	if (!db->is_closing)
		db->cb->up(db->ctx, first);
}

static void
tell_down(struct db *db, const char *why)
{
	if (!db->is_up)
		return;
	db->is_up = false;
	if (!db->is_closing)
		db->cb->down(db->ctx, why);
}

void
db_writer_ready(struct db *db)
{
	db->writer_ready = true;
	recorder_attach(db->recorder, db->writer, db->node, db->epoch);
	if (!db->asker_started) {
		db->asker_started = true;
		conn_start(db->asker);
	}
	tell_up(db);
}

void
db_asker_ready(struct db *db)
{
	db->asker_ready = true;
	tell_up(db);
}

/*
 * At the first start a refusal that will not pass by itself is told at once,
 * so that a mistake in the configuration is one clear line.
 */
static bool
is_hopeless(const char *why)
{
	static const char *const words[] = { "does not exist",
	    "authentication failed", "no pg_hba.conf entry",
	    "no password supplied", "is not permitted to log in" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strstr(why, words[i]))
			return true;
	return false;
}

static void
on_lost(struct db *db, const char *why, bool was_connected)
{
	if (!db->was_up && !was_connected && is_hopeless(why))
		db_fatal(db, "%s; check `database`, and that `hearth init` "
		    "was run there", why);
	else if (!was_connected && !db->is_closing)
		log_warning("database", "%s", why);
	tell_down(db, why);
}

static void
on_writer_connected(void *ctx)
{
	start_writer(ctx);
}

static void
on_writer_lost(void *ctx, const char *why, bool was_connected)
{
	struct db *db = ctx;

	ev_timer_stop(db->loop, &db->lock_again);
	db->writer_ready = false;
	recorder_detach(db->recorder);
	on_lost(db, why, was_connected);
}

static void
on_asker_connected(void *ctx)
{
	start_asker(ctx);
}

static void
on_asker_lost(void *ctx, const char *why, bool was_connected)
{
	struct db *db = ctx;

	db->asker_ready = false;
	db->is_reserving = false;
	questions_refuse_waiting(db);
	on_lost(db, why, was_connected);
}

static void
on_fenced(void *ctx, const char *session)
{
	struct db *db = ctx;

	db->cb->fenced(db->ctx, session);
}

static void
on_pressure(void *ctx, bool full)
{
	struct db *db = ctx;

	db->cb->pressure(db->ctx, full);
}

static void
on_chat_pressure(void *ctx, const char *session, const char *chat, bool full)
{
	struct db *db = ctx;

	db->cb->chat_pressure(db->ctx, session, chat, full);
}

static void
on_recorder_fatal(void *ctx, const char *why)
{
	db_fatal(ctx, "%s; the schema or its grants are not as they should be: "
	    "run `hearth init`", why);
}

static void
on_complain(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct db *db = w->data;

	(void)loop, (void)events;
	db_fatal(db, "%s", db->bad_conninfo);
}

static void
connect_both(struct db *db)
{
	static const struct conn_callbacks writer = {
		.connected = on_writer_connected, .lost = on_writer_lost,
	};
	static const struct conn_callbacks asker = {
		.connected = on_asker_connected, .lost = on_asker_lost,
		.notified = on_work,
	};
	char *name = xasprintf("hearthd %s", db->node_name);
	struct err e;

	db->writer = conn_new(db->loop, "writer", db->conninfo, name, &writer,
	    db, &e);
	if (db->writer)
		db->asker = conn_new(db->loop, "asker", db->conninfo, name,
		    &asker, db, &e);
	free(name);
	if (!db->writer) {
		snprintf(db->bad_conninfo, sizeof db->bad_conninfo, "%s",
		    e.text);
		ev_timer_start(db->loop, &db->complain);
		return;
	}
	conn_start(db->writer);
}

static void on_limit(struct ev_loop *loop, struct ev_timer *w, int events);

struct db *
db_new(struct ev_loop *loop, const struct db_config *cfg,
    const struct db_callbacks *cb, void *ctx)
{
	static const struct recorder_callbacks callbacks = {
		.fenced = on_fenced, .pressure = on_pressure,
		.chat_pressure = on_chat_pressure,
		.fatal = on_recorder_fatal,
	};
	struct db *db = xcalloc(1, sizeof *db);

	db->loop = loop;
	db->cb = cb;
	db->ctx = ctx;
	db->conninfo = xstrdup(cfg->conninfo);
	db->node_name = xstrdup(cfg->node_name);
	db->version = xstrdup(cfg->version);
	db->project_roots = xstrdup(cfg->project_roots);
	list_init(&db->asks);
	list_init(&db->claims_waiting);
	list_init(&db->warm_waiting);
	list_init(&db->warm_asked);
	ev_timer_init(&db->complain, on_complain, 0, 0);
	ev_timer_init(&db->limit, on_limit, 0, 0);
	ev_timer_init(&db->lock_again, NULL, 0, 0);
	db->complain.data = db->limit.data = db->lock_again.data = db;
	db->recorder = recorder_new(loop, cfg->flush_interval,
	    cfg->buffer_budget, &callbacks, db);
	connect_both(db);
	return db;
}

struct recorder *
db_recorder(struct db *db)
{
	return db->recorder;
}

bool
db_is_up(const struct db *db)
{
	return db->is_up;
}

int64_t
db_node_id(const struct db *db)
{
	return db->node;
}

static void
end(struct db *db)
{
	void (*closed)(void *ctx) = db->closed;

	ev_timer_stop(db->loop, &db->limit);
	db->closed = NULL;
	if (closed)
		closed(db->closed_ctx);
}

static void
on_limit(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct db *db = w->data;

	(void)loop, (void)events;
	/* One of them is the barrier of db_close(). */
	if (!db->writer_ready && db->recorder->queued > 1)
		log_error("database", "PostgreSQL did not take what was left "
		    "in time: %zu items are lost", db->recorder->queued - 1);
	end(db);
}

static void
on_gone(void *ctx, const PGresult *res, const struct sql_error *e)
{
	(void)res, (void)e;
	end(ctx);
}

static void
on_flushed(void *ctx)
{
	struct db *db = ctx;
	struct params p = { 0 };

	if (!db->writer_ready || !conn_is_up(db->writer)) {
		/* Nothing was left to write, and nobody there to tell. */
		ev_timer_stop(db->loop, &db->limit);
		ev_timer_set(&db->limit, 0, 0);
		ev_timer_start(db->loop, &db->limit);
		return;
	}
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	conn_ask(db->writer, "node_gone", &p, on_gone, db);
}

void
db_close(struct db *db, int64_t limit_ms, void (*done)(void *ctx), void *ctx)
{
	MUST(!db->is_closing);
	db->is_closing = true;
	db->closed = done;
	db->closed_ctx = ctx;
	ev_timer_set(&db->limit, (double)limit_ms / 1000, 0);
	ev_timer_start(db->loop, &db->limit);
	record_barrier(db->recorder, on_flushed, db);
}

void
db_free(struct db **dbp)
{
	struct db *db = *dbp;

	if (!db)
		return;
	ev_timer_stop(db->loop, &db->complain);
	ev_timer_stop(db->loop, &db->limit);
	ev_timer_stop(db->loop, &db->lock_again);
	conn_free(&db->asker);
	conn_free(&db->writer);
	questions_free(db);
	strv_free(&db->lost_sessions);
	strv_free(&db->lost_executions);
	recorder_free(&db->recorder);
	free(db->conninfo);
	free(db->node_name);
	free(db->version);
	free(db->project_roots);
	free(db);
	*dbp = NULL;
}
