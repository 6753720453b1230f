/* SPDX-License-Identifier: MIT */
/*
 * One question: which projects want snapshots of this node.
 *
 * Must never know: what becomes of them. Read on in sql/db_ask.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/db_private.h"

static void
on_wishes(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct snapshot_wish *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = (struct snapshot_wish){
			.project_id = result_int8(res, i, "project_id"),
			.project_path = result_text(res, i, "project_path"),
			.default_branch = result_text(res, i,
			    "default_branch"),
			.include = result_array(res, i, "include"),
			.setup_command = result_array(res, i,
			    "setup_command"),
			.count = result_int8(res, i, "snapshots"),
		};
	a->wishes(a->ctx, list, (size_t)n);
	for (int i = 0; i < n; i++) {
		strv_free((char ***)&list[i].include);
		strv_free((char ***)&list[i].setup_command);
	}
	free(list);
	question_free(a);
}

void
db_snapshot_wishes(struct db *db, db_wishes_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->wishes = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	conn_ask(db->asker, "snapshot_wishes", &p, on_wishes, a);
}
