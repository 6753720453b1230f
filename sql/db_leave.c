/* SPDX-License-Identifier: MIT */
/*
 * Questions about what is taken away: which sessions are leaving, and what
 * became of them. Must never know: how a working copy is removed.
 */
#include "sql/db_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Rows that one statement deletes at most, so that claims wait for it no longer
 * than for others. */
#define ERASED_AT_ONCE 5000

static enum leaving
why_of(const char *word)
{
	static const char *const words[] = {
		[LEAVING_ENDED] = "ended", [LEAVING_AWAY] = "away",
		[LEAVING_DELETED] = "deleted", [LEAVING_CHAT] = "chat",
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum leaving)i;
	MUST(!"a reason that leaving_sessions.sql does not have");
	return LEAVING_ENDED;
}

static void
fill_leaving(const PGresult *res, int i, void *to)
{
	struct leaving_session *l = to;

	*l = (struct leaving_session){
		.why = why_of(result_text(res, i, "why")),
		.chat = result_text(res, i, "chat"),
		.copy.session = result_text(res, i, "session"),
	};
	claimed_turn_add_copy(&l->copy, res, i);
}

static void
answer_leaving(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct leaving_session *list = result_rows(res, sizeof *list,
	    fill_leaving, &n);

	(void)e;
	a->tell.leaving(a->ctx, list, n);
	free(list);
}

void
db_leaving_sessions(struct db *db, const struct leaving_limits *limits,
    int limit, db_leaving_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_leaving, ctx);
	struct params p = { 0 };

	a->tell.leaving = done;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_int8(&p, limit);
	params_int8(&p, limits->archive_grace);
	params_int8(&p, limits->worktree_budget / 1024);
	question_ask(a, "leaving_sessions", &p);
}

static bool
is_erased(const struct left_session *left)
{
	return left->why == LEAVING_CHAT ||
	    (left->why == LEAVING_DELETED && left->is_removed);
}

static void
answer_left(struct question *a, const PGresult *res, const struct err *e)
{
	(void)res, (void)e;
	a->tell.left(a->ctx, a->session, false);
}

/* What is left to be erased shows in the answer. */
static void
answer_erased(struct question *a, const PGresult *res, const struct err *e)
{
	(void)e;
	a->tell.left(a->ctx, a->session, res && result_bool(res, 0, "more"));
}

void
db_session_left(struct db *db, const struct left_session *left,
    db_left_fn *done, void *ctx)
{
	bool erase = is_erased(left);
	struct question *a = question_new(db, left->session,
	    erase ? answer_erased : answer_left, ctx);
	struct params p = { 0 };

	a->tell.left = done;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, left->session);
	if (erase) {
		params_text(&p, left->chat);
		params_int8(&p, ERASED_AT_ONCE);
		question_ask(a, "erase_session", &p);
	} else if (left->why == LEAVING_ENDED) {
		params_bool(&p, left->is_removed);
		question_ask(a, "retire_session", &p);
	} else {
		params_bool(&p, left->is_removed);
		params_text(&p, left->saved);
		params_text(&p, left->reason);
		question_ask(a, "session_away", &p);
	}
}
