/* SPDX-License-Identifier: MIT */
/*
 * Tasks: work on a session's working copy that is no turn's, such as deciding
 * on a change. They are done one by one, in the order in which they were asked
 * for, when nothing else is at work in the copy and no turn lives that has
 * begun with it; turns that have not let them go first.
 *
 * Must never know: what a task does.
 */
#include "base/log.h"
#include "supervisor/private.h"

/* It has read the copy, and whatever changes in it from there is its own. */
static bool
is_in_the_way(const struct turn *t)
{
	return t->state != TURN_STARTING || t->is_tree_taken;
}

/* Draining, what was asked for is still done while turns run. */
static bool
is_stopping(const struct supervisor *sup)
{
	return sup->interrupted || (sup->is_draining && !sup->on_quiet);
}

static bool
can_begin(const struct session *s)
{
	if (s->copy_work != COPY_IDLE || s->is_asking_copy || s->is_lost ||
	    s->is_retiring || !s->sup->is_up || is_stopping(s->sup))
		return false;
	LIST_EACH(pos, tmp, &s->turns)
		if (is_in_the_way(LIST_ITEM(pos, struct turn, in_session)))
			return false;
	return true;
}

static void
on_copy(void *ctx, const char *session, const struct claimed_turn *c,
    const struct err *e)
{
	struct session *s = session_find(ctx, session);

	if (!s)
		return;
	s->is_asking_copy = false;
	if (c && !s->is_lost) {
		copy_prepare(s, c);
		task_advance(s);
	} else if (!e) {
		task_drop_all(s, "lost", "the session is gone, or another "
		    "node has it");
		copy_wake(s);
	} /* else asked again when the database is back */
	session_tidy(s);
}

static void
begin(struct session *s, struct task *t)
{
	s->copy_work = COPY_TASK;
	s->sup->tasks++;
	t->is_begun = true;
	t->begin(t);
}

void
task_advance(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct task *t;

	if (list_empty(&s->tasks) || !can_begin(s))
		return;
	t = LIST_ITEM(s->tasks.next, struct task, in_session);
	if (!s->copy) {
		s->is_asking_copy = true;
		db_session_copy(sup->db, s->id, on_copy, sup);
	} else if (t->needs_made && !s->is_copy_made) {
		copy_make(s);
	} else {
		begin(s, t);
	}
}

void
task_add(struct session *s, struct task *t)
{
	t->session = s;
	t->is_begun = false;
	list_append(&s->tasks, &t->in_session);
	task_advance(s);
}

void
task_end(struct task *t)
{
	struct session *s = t->session;

	MUST(t->is_begun && s->copy_work == COPY_TASK);
	list_remove(&t->in_session);
	s->copy_work = COPY_IDLE;
	s->sup->tasks--;
	copy_wake(s);
	session_tidy(s);
}

void
task_put_off(struct task *t)
{
	struct session *s = t->session;

	t->is_begun = false;
	s->copy_work = COPY_IDLE;
	s->sup->tasks--;
	if (!s->is_lost)
		return;
	task_drop_all(s, "lost", "another node has the session");
	session_tidy(s);
}

static void
drop_some(struct session *s, bool needs_made, const char *code,
    const char *why)
{
	LIST_EACH(pos, tmp, &s->tasks) {
		struct task *t = LIST_ITEM(pos, struct task, in_session);

		if ((t->is_begun && code) || (needs_made && !t->needs_made))
			continue;
		list_remove(&t->in_session);
		s->sup->tasks -= t->is_begun;
		t->drop(t, code, why);
	}
}

void
task_drop_all(struct session *s, const char *code, const char *why)
{
	drop_some(s, false, code, why);
}

void
task_drop_unmade(struct session *s, const char *code, const char *why)
{
	drop_some(s, true, code, why);
}
