/* SPDX-License-Identifier: MIT */
/*
 * The short claim, for a turn that is known and a warm seat that waits for it.
 *
 * One is under way at a time; those that come meanwhile are asked together in
 * the next, so that many chats share its commit. Whatever is not as simple is
 * left to the full claim (sql/db_claim.c).
 */
#include "sql/db_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

enum { WARM_AT_ONCE = 64 }; /* so that a claim stays short */

static void send_warm(struct db *db);

static int
row_of(const PGresult *res, int64_t turn)
{
	for (int i = 0; i < PQntuples(res); i++)
		if (result_int8(res, i, "turn") == turn)
			return i;
	return -1;
}

/* res NULL: none of them was as simple, or e. */
static void
answer_short(struct question *a, const PGresult *res, const struct err *e)
{
	int row = res ? row_of(res, a->turn) : -1;
	struct claimed_turn t;

	if (row >= 0)
		claimed_turn_begin(&t, res, row);
	a->tell.claimed(a->ctx, a->session, row >= 0 ? &t : NULL, false, e);
}

static void
on_claimed_warm(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	bool is_lost = e && strncmp(e->state, "08", 2) == 0;

	/* 23505: another live turn is in the way of one of them after all;
	 * 55P03: somebody holds one of their rows. The full claim of each finds
	 * out which. */
	if (e && !is_lost)
		log_debug("database", "short claim: %s", e->text);
	LIST_EACH(pos, tmp, &db->warm_asked) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		if (is_lost) {
			claim_lose(a);
			question_fail(a, e);
		} else {
			question_answer(a, e ? NULL : res);
		}
	}
	send_warm(db);
}

/* What waits, in one statement and one commit. */
static void
send_warm(struct db *db)
{
	struct sql_array arrays[6] = { 0 };
	struct params p = { 0 };
	int n = 0;

	if (!list_empty(&db->warm_asked))
		return;
	array_begin(&arrays[0], SQL_INT8);
	array_begin(&arrays[1], SQL_UUID);
	array_begin(&arrays[2], SQL_UUID);
	array_begin(&arrays[3], SQL_TEXT);
	array_begin(&arrays[4], SQL_INT8);
	array_begin(&arrays[5], SQL_TEXT);
	LIST_EACH(pos, tmp, &db->warm_waiting) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		if (n == WARM_AT_ONCE)
			break;
		list_remove(pos);
		list_append(&db->asks, pos);
		if (!question_can(a))
			continue;
		n++;
		list_remove(pos);
		list_append(&db->warm_asked, pos);
		array_int8(&arrays[0], a->turn);
		array_uuid(&arrays[1], a->session);
		array_uuid(&arrays[2], a->chat);
		array_string(&arrays[3], a->agent);
		array_int8(&arrays[4], a->executions[0]);
		array_string(&arrays[5], a->config_hash);
	}
	if (!list_empty(&db->warm_asked)) {
		params_int8(&p, db->node);
		params_int8(&p, db->epoch);
		for (int i = 0; i < 6; i++)
			params_array(&p, &arrays[i]);
		conn_ask(db->asker, "claim_warm", &p, on_claimed_warm, db);
	}
	for (int i = 0; i < 6; i++)
		array_free(&arrays[i]);
}

void
db_claim_warm(struct db *db, const char *session, int64_t turn,
    const struct warm_seat *seat, db_claimed_fn *done, void *ctx)
{
	struct question *a = question_new(db, session, answer_short, ctx);

	a->tell.claimed = done;
	a->turn = turn;
	a->chat = xstrdup(seat->chat);
	a->agent = xstrdup(seat->agent);
	a->config_hash = xstrdup(seat->config_hash);
	a->executions = xcalloc(1, sizeof *a->executions);
	a->executions[a->n_executions++] = seat->execution_id;
	list_remove(&a->node);
	list_append(&db->warm_waiting, &a->node);
	send_warm(db);
}
