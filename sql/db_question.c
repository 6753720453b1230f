/* SPDX-License-Identifier: MIT */
/*
 * What all questions have in common: each runs on the asking connection and is
 * answered once, from the loop, with an error when there is no connection or
 * it is lost. Must never know: what is asked. Read next: sql/db_ask.c.
 */
#include "sql/db_private.h"

#include <stdlib.h>

#include "base/alloc.h"

static void
question_free(struct question *a)
{
	ev_timer_stop(a->db->loop, &a->refuse);
	list_remove(&a->node);
	for (int i = 0; i < 4; i++)
		array_free(&a->seats[i]);
	PQclear(a->details);
	free(a->chat);
	free(a->agent);
	free(a->config_hash);
	free(a->executions);
	free(a->session);
	free(a);
}

static void
free_all(struct list *questions)
{
	LIST_EACH(pos, tmp, questions)
		question_free(LIST_ITEM(pos, struct question, node));
}

void
questions_free(struct db *db)
{
	free_all(&db->asks);
	free_all(&db->claims_waiting);
	free_all(&db->warm_waiting);
	free_all(&db->warm_asked);
}

void
question_answer(struct question *a, const PGresult *res)
{
	a->answer(a, res, NULL);
	question_free(a);
}

void
question_fail(struct question *a, const struct sql_error *e)
{
	struct err words;

	fail(&words, "%s%s%s%s", e->text, e->state[0] ? " (SQLSTATE " : "",
	    e->state, e->state[0] ? ")" : "");
	a->answer(a, NULL, &words);
	question_free(a);
}

static void
on_answer(void *ctx, const PGresult *res, const struct sql_error *e)
{
	if (e)
		question_fail(ctx, e);
	else
		question_answer(ctx, res);
}

static void
on_refuse(struct ev_loop *loop, struct ev_timer *w, int events)
{
	static const struct sql_error e = {
		"08003", "there is no connection to PostgreSQL", ""
	};

	(void)loop, (void)events;
	question_fail(w->data, &e);
}

struct question *
question_new(struct db *db, const char *session, answer_fn *answer, void *ctx)
{
	struct question *a = xcalloc(1, sizeof *a);

	a->db = db;
	a->session = xstrdup(session);
	a->answer = answer;
	a->ctx = ctx;
	ev_timer_init(&a->refuse, on_refuse, 0, 0);
	a->refuse.data = a;
	list_append(&db->asks, &a->node);
	return a;
}

bool
question_can(struct question *a)
{
	struct db *db = a->db;

	if (db->asker_ready && db->node && conn_is_up(db->asker) &&
	    !db->is_closing)
		return true;
	ev_timer_start(db->loop, &a->refuse);
	return false;
}

void
question_ask(struct question *a, const char *statement,
    const struct params *p)
{
	if (question_can(a))
		conn_ask(a->db->asker, statement, p, on_answer, a);
}
