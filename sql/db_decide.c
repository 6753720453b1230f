/* SPDX-License-Identifier: MIT */
/*
 * The question what a command decides on, which notes the decisions in their
 * rows. Must never know: how one is carried out.
 */
#include "sql/db_private.h"

#include <stdlib.h>

#include "base/alloc.h"

static struct decision_row
decision_of(const PGresult *res, int i)
{
	return (struct decision_row){
		.id = result_int8(res, i, "id"),
		.verb = result_text(res, i, "verb"),
		.is_fit = result_bool(res, i, "is_fit"),
		.status = result_text(res, i, "status"),
		.path = result_text(res, i, "path"),
		.old_oid = result_text(res, i, "old_oid"),
		.new_oid = result_text(res, i, "new_oid"),
		.old_mode = result_text(res, i, "old_mode"),
		.new_mode = result_text(res, i, "new_mode"),
		.hunks = result_text(res, i, "hunks"),
		.text = result_text(res, i, "text"),
		.other_text = result_text(res, i, "other_text"),
		.has_pending = result_bool(res, i, "has_pending"),
		.turn = result_int8(res, i, "turn"),
		.agent = result_text(res, i, "agent"),
		.other_turns = result_text(res, i, "other_turns"),
		.chat = result_text(res, i, "chat"),
		.chat_last_seq = result_int8(res, i, "chat_last_seq"),
	};
}

static void
on_decide(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct decision_row *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = decision_of(res, i);
	a->decide(a->ctx, list, (size_t)n, NULL);
	free(list);
	question_free(a);
}

void
db_decide(struct db *db, int64_t command, db_decide_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->decide = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_int8(&p, command);
	conn_ask(db->asker, "decide", &p, on_decide, a);
}
