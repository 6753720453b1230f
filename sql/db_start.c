/* SPDX-License-Identifier: MIT */
/*
 * From a connection to a node at work.
 *
 * The writer: server version; the node's advisory lock, which only one process
 * may have; the role hearth_daemon; the schema's version; then, the first
 * time, the node is registered with a new epoch and what its earlier life left
 * open is settled, in one transaction; after a reconnection the epoch must
 * still be ours. The lock comes before anything is read, so that an old
 * connection of ours cannot commit behind our back: it is ended first.
 *
 * The asker: the role, then LISTEN.
 */
#include "sql/db_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sql/migrate.h"
#include "sql/statement.h"

enum { OLDEST_SERVER = 150000 };
enum { LOCK_WAIT = 5000 };             /* milliseconds, at the first start */
static const double LOCK_RETRY = 0.2;  /* seconds */

/*
 * A question of the start that has no answer. True when it was dealt with:
 * lost connections are tried again by themselves, everything else is tried
 * again after a fresh connection.
 */
static bool
has_failed(struct db *db, struct conn *c, const struct sql_error *e)
{
	if (!e)
		return false;
	if (strncmp(e->state, "08", 2) == 0)
		return true;
	if (strcmp(e->state, "42501") == 0)
		db_fatal(db, "%s (SQLSTATE 42501); the daemon needs the role "
		    "hearth_daemon: run `hearth init`", e->text);
	else
		log_warning("database", "%s (SQLSTATE %s)", e->text, e->state);
	conn_drop(c, e->text);
	return true;
}

static void
on_registered(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	if (e)
		return; /* the sync behind it says so too */
	db->node = result_int8(res, 0, "id");
	db->epoch = result_int8(res, 0, "epoch");
}

static void
on_reconciled_turns(void *ctx, const PGresult *res,
    const struct sql_error *e)
{
	(void)ctx;
	if (!e && result_int8(res, 0, "turns") > 0)
		log_warning("database", "turns that were running when the "
		    "node ended, and are interrupted: %s", result_text(res, 0, "turns"));
}

static void
on_start_error(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	(void)res;
	/* "" only means that another one of the transaction failed. */
	if (e && e->state[0]) {
		db->node = db->epoch = 0;
		has_failed(db, db->writer, e);
	}
}

static void
on_registered_all(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	on_start_error(ctx, res, e);
	if (!db->node || e)
		return;
	log_info("database", "node %s is number %lld, epoch %lld",
	    db->node_name, (long long)db->node, (long long)db->epoch);
	db_writer_ready(db);
}

static void
on_register_result(void *ctx, const PGresult *res, const struct sql_error *e)
{
	on_registered(ctx, res, e);
	on_start_error(ctx, res, e);
}

/* A new life: one transaction, and its notifications behind it. */
static void
register_node(struct db *db)
{
	static const char *const steps[] = { "reconcile_turns",
	    "reconcile_starting", "reconcile_rest" };
	enum { STEPS = sizeof steps / sizeof *steps };
	int enroll = statement_find("node_register");
	int tell = statement_find("reconcile_notify");
	struct params p = { 0 }, name = { 0 }, none = { 0 };
	char host[256] = "";

	gethostname(host, sizeof host - 1);
	params_text(&p, db->node_name);
	params_text(&p, host);
	params_int8(&p, getpid());
	params_text(&p, db->version);
	params_text(&p, db->project_roots);
	params_text(&name, db->node_name);
	conn_need(db->writer, enroll);
	conn_need(db->writer, tell);
	for (int i = 0; i < STEPS; i++)
		conn_need(db->writer, statement_find(steps[i]));
	conn_send(db->writer, enroll, &p, on_register_result, db);
	for (int i = 0; i < STEPS; i++)
		conn_send(db->writer, statement_find(steps[i]), &name,
		    i == 0 ? on_reconciled_turns : on_start_error, db);
	conn_sync(db->writer, on_registered_all, db);
	conn_send(db->writer, tell, &none, NULL, NULL);
	conn_sync(db->writer, NULL, NULL);
}

static void
on_epoch(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	if (has_failed(db, db->writer, e))
		return;
	if (!result_bool(res, 0, "is_ours")) {
		const char *pid = result_text(res, 0, "pid");
		const char *host = result_text(res, 0, "hostname");

		db_fatal(db, "node name %s was taken by pid %s on %s while "
		    "PostgreSQL was away; two live nodes may not share a name: "
		    "set node_name", db->node_name, pid ? pid : "-",
		    host ? host : "-");
		conn_drop(db->writer, "the node name was taken");
		return;
	}
	if (db->holder_pid) {
		/* Ours by epoch, but an older connection still has the lock. */
		conn_drop(db->writer, "the writer's lock is still held");
		return;
	}
	db_writer_ready(db);
}

static void
on_holder_node(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	const char *host, *pid;

	if (has_failed(db, db->writer, e))
		return;
	host = result_text(res, 0, "hostname");
	pid = result_text(res, 0, "pid");
	db_fatal(db, "node name %s is in use by pid %s on %s; two live nodes "
	    "may not share a name: stop that one or set node_name",
	    db->node_name, pid ? pid : "-", host ? host : "-");
}

static void
on_schema(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	struct params p = { 0 };
	int64_t version;

	if (e && (strcmp(e->state, "3F000") == 0 ||
	    strcmp(e->state, "42883") == 0 || strcmp(e->state, "42P01") == 0)) {
		db_fatal(db, "the database has no schema hearth: "
		    "run `hearth init`");
		return;
	}
	if (has_failed(db, db->writer, e))
		return;
	version = result_int8(res, 0, "version");
	if (version != migrate_known_version()) {
		db_fatal(db, "the schema is version %lld, this hearthd needs "
		    "version %d: %s", (long long)version,
		    migrate_known_version(),
		    version > migrate_known_version() ? "install a newer "
		    "hearthd" : "run `hearth init`");
		return;
	}
	params_text(&p, db->node_name);
	if (db->was_up || db->node) {
		p.n = 0;
		params_int8(&p, db->node);
		params_int8(&p, db->epoch);
		conn_ask(db->writer, "node_epoch", &p, on_epoch, db);
	} else if (db->holder_pid) {
		conn_ask(db->writer, "node_holder", &p, on_holder_node, db);
	} else {
		register_node(db);
	}
}

static void
on_writer_setup(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	struct params none = { 0 };

	(void)res;
	if (!has_failed(db, db->writer, e))
		conn_ask(db->writer, "schema_version", &none, on_schema, db);
}

static void
set_up_writer(struct db *db)
{
	struct params none = { 0 };

	conn_ask(db->writer, "session_setup", &none, on_writer_setup, db);
}

static void try_lock(struct db *db);

static void
on_lock_again(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)events;
	try_lock(w->data);
}

static void
on_holder(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	int64_t now = clock_ms();

	if (has_failed(db, db->writer, e))
		return;
	db->holder_pid = (int)result_int8(res, 0, "pid");
	if (!db->lock_since)
		db->lock_since = now;
	if (now - db->lock_since >= LOCK_WAIT) {
		set_up_writer(db);
		return;
	}
	ev_timer_stop(db->loop, &db->lock_again);
	ev_timer_init(&db->lock_again, on_lock_again, LOCK_RETRY, 0);
	ev_timer_start(db->loop, &db->lock_again);
}

static void
on_lock(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	struct params p = { 0 };

	if (has_failed(db, db->writer, e))
		return;
	if (result_bool(res, 0, "held")) {
		db->lock_pid = conn_backend_pid(db->writer);
		db->holder_pid = 0;
		db->lock_since = 0;
		set_up_writer(db);
		return;
	}
	params_text(&p, db->node_name);
	params_int8(&p, db->lock_pid);
	conn_ask(db->writer, "writer_lock_holder", &p, on_holder, db);
}

static void
try_lock(struct db *db)
{
	struct params p = { 0 };

	params_text(&p, db->node_name);
	conn_ask(db->writer, "writer_lock", &p, on_lock, db);
}

void
start_writer(struct db *db)
{
	int version = conn_server_version(db->writer);

	if (db->is_fatal)
		return;
	if (version < OLDEST_SERVER) {
		db_fatal(db, "PostgreSQL %d is too old: Hearth needs 15 or "
		    "newer", version / 10000);
		return;
	}
	db->lock_since = 0;
	try_lock(db);
}

static void
on_listening(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	(void)res;
	if (!has_failed(db, db->asker, e))
		db_asker_ready(db);
}

static void
listen_for_work(struct db *db)
{
	struct params none = { 0 };

	conn_ask(db->asker, "listen", &none, on_listening, db);
}

static void
on_claims_undone(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	if (has_failed(db, db->asker, e))
		return;
	if (*PQcmdTuples((PGresult *)res) != '0')
		log_info("database", "%s turns back in the queue: the answers "
		    "to their claims were lost", PQcmdTuples((PGresult *)res));
	strv_free(&db->lost_sessions);
	strv_free(&db->lost_executions);
	listen_for_work(db);
}

static void
undo_claims(struct db *db)
{
	struct sql_array sessions = { 0 }, executions = { 0 };
	struct params p = { 0 };

	array_begin(&sessions, SQL_UUID);
	array_begin(&executions, SQL_INT8);
	for (char **s = db->lost_sessions; *s; s++)
		array_uuid(&sessions, *s);
	for (char **s = db->lost_executions; *s; s++)
		array_int8(&executions, atoll(*s));
	params_array(&p, &sessions);
	params_array(&p, &executions);
	conn_ask(db->asker, "undo_claims", &p, on_claims_undone, db);
	array_free(&sessions);
	array_free(&executions);
}

static void
on_asker_setup(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	(void)res;
	if (has_failed(db, db->asker, e))
		return;
	if (db->lost_sessions)
		undo_claims(db);
	else
		listen_for_work(db);
}

static void
set_up_asker(struct db *db)
{
	struct params none = { 0 };

	db->asker_pid = conn_backend_pid(db->asker);
	conn_ask(db->asker, "session_setup", &none, on_asker_setup, db);
}

static void
on_old_asker_ended(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	(void)res;
	if (!has_failed(db, db->asker, e))
		set_up_asker(db);
}

void
start_asker(struct db *db)
{
	struct params p = { 0 };

	if (db->is_fatal)
		return;
	if (!db->lost_sessions) {
		set_up_asker(db);
		return;
	}
	/* A claim of the old connection must not commit after it was undone. */
	params_int8(&p, db->asker_pid);
	conn_ask(db->asker, "end_backend", &p, on_old_asker_ended, db);
}
