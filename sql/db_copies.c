/* SPDX-License-Identifier: MIT */
/*
 * Questions about working copies: what one is made of, which one is to be
 * measured, and which are to be kept prepared. Must never know: how one is
 * made.
 */
#include "sql/db_private.h"

#include <stdlib.h>

#include "base/alloc.h"

static void
answer_copy(struct question *a, const PGresult *res, const struct err *e)
{
	struct claimed_turn t = { 0 };

	if (res) {
		t.session = result_text(res, 0, "session");
		claimed_turn_add_copy(&t, res, 0);
		claimed_turn_add_setup(&t, res, 0);
	}
	a->tell.copy(a->ctx, a->session, t.session ? &t : NULL, e);
	claimed_turn_free(&t);
}

void
db_session_copy(struct db *db, const char *session, db_copy_fn *done,
    void *ctx)
{
	struct question *a = question_new(db, session, answer_copy, ctx);
	struct params p = { 0 };

	a->tell.copy = done;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, session);
	question_ask(a, "session_copy", &p);
}

static void
answer_unmeasured(struct question *a, const PGresult *res,
    const struct err *e)
{
	struct claimed_turn t = { 0 };

	(void)e;
	if (res) {
		t.session = result_text(res, 0, "session");
		claimed_turn_add_copy(&t, res, 0);
	}
	a->tell.unmeasured(a->ctx, t.session ? &t : NULL);
}

void
db_unmeasured(struct db *db, db_unmeasured_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_unmeasured, ctx);
	struct params p = { 0 };

	a->tell.unmeasured = done;
	params_int8(&p, db->node);
	question_ask(a, "unmeasured", &p);
}

static void
fill_wish(const PGresult *res, int i, void *to)
{
	*(struct snapshot_wish *)to = (struct snapshot_wish){
		.project_id = result_int8(res, i, "project_id"),
		.project_path = result_text(res, i, "project_path"),
		.default_branch = result_text(res, i, "default_branch"),
		.include = result_array(res, i, "include"),
		.setup_command = result_array(res, i, "setup_command"),
		.count = result_int8(res, i, "snapshots"),
	};
}

static void
answer_wishes(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct snapshot_wish *list = result_rows(res, sizeof *list, fill_wish,
	    &n);

	(void)e;
	a->tell.wishes(a->ctx, list, n);
	for (size_t i = 0; i < n; i++) {
		strv_free((char ***)&list[i].include);
		strv_free((char ***)&list[i].setup_command);
	}
	free(list);
}

void
db_snapshot_wishes(struct db *db, db_wishes_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_wishes, ctx);
	struct params p = { 0 };

	a->tell.wishes = done;
	params_int8(&p, db->node);
	question_ask(a, "snapshot_wishes", &p);
}
