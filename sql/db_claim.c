/* SPDX-License-Identifier: MIT */
/*
 * What may take a new child: the full claim, which looks for a session's next
 * turn, and what starting an agent ahead of any turn takes.
 *
 * A claim is one transaction. When its answer is lost nobody knows whether it
 * was committed; so the execution ids that it can have put into a turn are
 * known beforehand (those of the warm seats, and one reserved id), and after
 * the reconnection such a turn goes back to the queue: it was never delivered.
 *
 * Read next: sql/db_claim_short.c, for a turn that is known and a warm seat
 * that waits for it.
 */
#include "sql/db_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "sql/statement.h"

enum { RESERVE = 64 }; /* execution ids at a time */

static void reserve(struct db *db);

/* What went wrong first is the cause. */
static void
keep_failure(struct question *a, const struct sql_error *e)
{
	if (e && e->state[0] && !a->failure.state[0])
		a->failure = *e;
}

static void
on_claim(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	keep_failure(a, e);
	if (!e)
		a->more = result_bool(res, 0, "more");
}

static void
on_details(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	keep_failure(a, e);
	if (!e)
		a->details = PQcopyResult(res, PG_COPYRES_ATTRS |
		    PG_COPYRES_TUPLES);
}

void
claim_lose(struct question *a)
{
	struct db *db = a->db;

	strv_add(&db->lost_sessions, a->session);
	for (size_t i = 0; i < a->n_executions; i++) {
		char *execution = xasprintf("%lld",
		    (long long)a->executions[i]);

		strv_add(&db->lost_executions, execution);
		free(execution);
	}
}

/* The transaction has ended. */
static void
on_ended(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	(void)res;
	keep_failure(a, e);
	if (e && strncmp(e->state, "08", 2) == 0 && a->n_executions > 0)
		claim_lose(a);
	if (e || a->failure.state[0])
		question_fail(a, &a->failure);
	else
		question_answer(a, a->details);
}

static void
answer_claim(struct question *a, const PGresult *res, const struct err *e)
{
	bool found = res && PQntuples(res) > 0;
	struct claimed_turn t = { 0 };

	if (found) {
		claimed_turn_begin(&t, res, 0);
		claimed_turn_add_copy(&t, res, 0);
		claimed_turn_add_setup(&t, res, 0);
		claimed_turn_add_agent(&t, res, 0);
		t.unread = result_text(res, 0, "unread");
	}
	a->tell.claimed(a->ctx, a->session, found ? &t : NULL, !e && a->more,
	    e);
	claimed_turn_free(&t);
}

static void
send_claim(struct question *a)
{
	struct db *db = a->db;
	int claim = statement_find("claim");
	int details = statement_find("claim_details");
	int tell = statement_find("claim_notify");
	struct params p = { 0 };

	a->executions[a->n_executions++] = db->reserved[--db->n_reserved];
	conn_need(db->asker, claim);
	conn_need(db->asker, details);
	conn_need(db->asker, tell);
	params_int8(&p, ++db->claims);
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, a->session);
	for (int i = 0; i < 4; i++)
		params_array(&p, &a->seats[i]);
	params_int8(&p, a->executions[a->n_executions - 1]);
	conn_send(db->asker, claim, &p, on_claim, a);
	p.n = 2;
	conn_send(db->asker, details, &p, on_details, a);
	conn_sync(db->asker, on_ended, a);
	p.n = 1;
	conn_send(db->asker, tell, &p, NULL, NULL);
	conn_sync(db->asker, NULL, NULL);
}

static void
on_reserved(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	db->is_reserving = false;
	if (e) {
		log_warning("database", "execution ids: %s", e->text);
		questions_refuse_waiting(db);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		db->reserved[db->n_reserved++] = result_int8(res, i, "id");
	while (!list_empty(&db->claims_waiting) && db->n_reserved > 0) {
		struct question *a = LIST_ITEM(db->claims_waiting.next,
		    struct question, node);

		list_remove(&a->node);
		list_append(&db->asks, &a->node);
		send_claim(a);
	}
	if (!list_empty(&db->claims_waiting))
		reserve(db);
}

static void
reserve(struct db *db)
{
	struct params p = { 0 };

	if (db->is_reserving || db->n_reserved >= RESERVE / 2)
		return;
	db->is_reserving = true;
	params_int8(&p, RESERVE);
	conn_ask(db->asker, "reserve_executions", &p, on_reserved, db);
}

void
questions_refuse_waiting(struct db *db)
{
	LIST_EACH(pos, tmp, &db->claims_waiting) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		list_remove(pos);
		list_append(&db->asks, pos);
		ev_timer_start(db->loop, &a->refuse);
	}
}

static void
copy_seats(struct question *a, const struct warm_seat *warm, size_t n)
{
	a->executions = xcalloc(n + 1, sizeof *a->executions);
	array_begin(&a->seats[0], SQL_UUID);
	array_begin(&a->seats[1], SQL_TEXT);
	array_begin(&a->seats[2], SQL_INT8);
	array_begin(&a->seats[3], SQL_TEXT);
	for (size_t i = 0; i < n; i++) {
		array_uuid(&a->seats[0], warm[i].chat);
		array_string(&a->seats[1], warm[i].agent);
		array_int8(&a->seats[2], warm[i].execution_id);
		array_string(&a->seats[3], warm[i].config_hash);
		a->executions[a->n_executions++] = warm[i].execution_id;
	}
}

void
db_claim(struct db *db, const char *session, const struct warm_seat *warm,
    size_t n_warm, db_claimed_fn *done, void *ctx)
{
	struct question *a = question_new(db, session, answer_claim, ctx);

	a->tell.claimed = done;
	if (!question_can(a))
		return;
	copy_seats(a, warm, n_warm);
	if (db->n_reserved > 0) {
		send_claim(a);
	} else {
		list_remove(&a->node);
		list_append(&db->claims_waiting, &a->node);
	}
	reserve(db);
}

/* ---- ahead of a turn */

static void
tell_ready(struct question *a, const PGresult *res)
{
	struct claimed_turn t = {
		.session = result_text(res, 0, "session"),
		.chat = result_text(res, 0, "chat"),
		.agent = result_text(res, 0, "agent"),
		.execution_id = result_int8(res, 0, "execution_id"),
	};

	claimed_turn_add_copy(&t, res, 0);
	claimed_turn_add_setup(&t, res, 0);
	claimed_turn_add_agent(&t, res, 0);
	a->tell.warm(a->ctx, &t, NULL, NULL);
	claimed_turn_free(&t);
}

static void
answer_warm(struct question *a, const PGresult *res, const struct err *e)
{
	if (e)
		a->tell.warm(a->ctx, NULL, "database", e->text);
	else if (!res || PQntuples(res) == 0)
		a->tell.warm(a->ctx, NULL, "gone", "the chat or the agent is "
		    "gone, or another node has the session");
	else if (result_text(res, 0, "refusal"))
		a->tell.warm(a->ctx, NULL, result_text(res, 0, "refusal"),
		    result_text(res, 0, "refusal_words"));
	else
		tell_ready(a, res);
}

void
db_warm(struct db *db, const char *session, const char *chat,
    const char *agent, db_warm_fn *done, void *ctx)
{
	struct question *a = question_new(db, session, answer_warm, ctx);
	int take = statement_find("warm_take");
	int details = statement_find("warm_details");
	struct params p = { 0 };

	a->tell.warm = done;
	if (!question_can(a))
		return;
	conn_need(db->asker, take);
	conn_need(db->asker, details);
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, session);
	conn_send(db->asker, take, &p, NULL, NULL);
	params_text(&p, chat);
	params_text(&p, agent);
	conn_send(db->asker, details, &p, on_details, a);
	conn_sync(db->asker, on_ended, a);
}
