/* SPDX-License-Identifier: MIT */
/*
 * The question what a command decides on, which notes the decisions in their
 * rows. Must never know: how one is carried out.
 */
#include "sql/db_private.h"

#include <stdlib.h>

static void
fill_decision(const PGresult *res, int i, void *to)
{
	*(struct decision_row *)to = (struct decision_row){
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
answer_decide(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct decision_row *list = result_rows(res, sizeof *list,
	    fill_decision, &n);

	a->tell.decide(a->ctx, list, n, e);
	free(list);
}

void
db_decide(struct db *db, int64_t command, db_decide_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_decide, ctx);
	struct params p = { 0 };

	a->tell.decide = done;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_int8(&p, command);
	question_ask(a, "decide", &p);
}
