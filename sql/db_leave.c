/* SPDX-License-Identifier: MIT */
/*
 * Questions about what is taken away: which sessions are leaving, what became
 * of them, and which working copies are to be measured. Like those in db_ask.c,
 * each is answered once.
 *
 * Must never know: how a working copy is removed.
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
on_leaving(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct leaving_session *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = (struct leaving_session){
			.why = why_of(result_text(res, i, "why")),
			.chat = result_text(res, i, "chat"),
			.copy = question_copy(res, i),
		};
	a->leaving(a->ctx, list, (size_t)n);
	free(list);
	question_free(a);
}

void
db_leaving_sessions(struct db *db, const struct leaving_limits *limits,
    int limit, db_leaving_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->leaving = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_int8(&p, limit);
	params_int8(&p, limits->archive_grace);
	params_int8(&p, limits->worktree_budget / 1024);
	conn_ask(db->asker, "leaving_sessions", &p, on_leaving, a);
}

static void
on_left(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	bool more;

	if (e) {
		question_fail(a, e);
		return;
	}
	more = a->more && PQntuples(res) > 0 && result_bool(res, 0, "more");
	a->left(a->ctx, a->session, more);
	question_free(a);
}

static bool
is_erased(const struct left_session *left)
{
	return left->why == LEAVING_CHAT ||
	    (left->why == LEAVING_DELETED && left->is_removed);
}

void
db_session_left(struct db *db, const struct left_session *left,
    db_left_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, left->session);
	struct params p = { 0 };

	a->left = done;
	a->more = is_erased(left);
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, left->session);
	if (is_erased(left)) {
		params_text(&p, left->chat);
		params_int8(&p, ERASED_AT_ONCE);
		conn_ask(db->asker, "erase_session", &p, on_left, a);
	} else if (left->why == LEAVING_ENDED) {
		params_bool(&p, left->is_removed);
		conn_ask(db->asker, "retire_session", &p, on_left, a);
	} else {
		params_bool(&p, left->is_removed);
		params_text(&p, left->saved);
		params_text(&p, left->reason);
		conn_ask(db->asker, "session_away", &p, on_left, a);
	}
}

static void
on_unmeasured(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct claimed_turn copy;

	if (e) {
		question_fail(a, e);
		return;
	}
	copy = question_copy(res, 0);
	a->unmeasured(a->ctx, copy.session ? &copy : NULL);
	question_free(a);
}

void
db_unmeasured(struct db *db, db_unmeasured_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->unmeasured = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	conn_ask(db->asker, "unmeasured", &p, on_unmeasured, a);
}
