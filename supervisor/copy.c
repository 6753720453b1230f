/* SPDX-License-Identifier: MIT */
/*
 * The session's working copy in the life of a turn: made before the first,
 * read before a turn when somebody may have changed it, read after a turn when
 * the turn may have. One operation at a time; turns and tasks that want one
 * meanwhile are looked at again when it is over.
 *
 * Whose the changes are that a tree shows is supervisor/whose.c's to say.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

void
copy_prepare(struct session *s, const struct claimed_turn *c)
{
	/* one that could not be made is tried as its project is now */
	if (s->copy && (s->is_copy_made || s->copy_work != COPY_IDLE))
		return;
	working_copy_free(&s->copy);
	s->copy = working_copy_new(s->sup->workspace,
	    &(struct working_copy_spec){
		.session = s->id,
		.project_id = c->project_id,
		.project_path = c->project_path,
		.default_branch = c->default_branch,
		.path = c->worktree_path,
		.base_commit = c->base_commit,
		.include = c->include,
		.setup_command = c->setup_command,
		.setup_timeout = s->sup->setup_timeout,
		.snapshots = c->snapshots,
	    });
}

static void
begin_work(struct turn *t, enum copy_work work)
{
	struct session *s = t->session;

	MUST(s->copy_work == COPY_IDLE);
	s->copy_work = work;
	s->copy_turn = t;
	t->waits++;
}

/* The operation is over: the turn that it was for, or NULL if lost. */
static struct turn *
end_work(struct session *s)
{
	struct turn *t = s->copy_turn;

	s->copy_work = COPY_IDLE;
	s->copy_turn = NULL;
	s->sup->is_measuring_due = true;
	t->waits--;
	if (!s->is_lost)
		return t;
	turn_forget(t);
	session_tidy(s);
	return NULL;
}

void
copy_wake(struct session *s)
{
	task_advance(s);
	warm_advance_all(s);
	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);

		if (s->copy_work != COPY_IDLE)
			return;
		if (t->state == TURN_STARTING)
			turn_advance(t);
		else if (t->state == TURN_SETTLING && t->waits == 0)
			copy_tree_after(t);
	}
}

struct change_row
copy_change_row(const struct file_change *change)
{
	return (struct change_row){
		.path = change->path,
		.operation = change->operation,
		.diff = change->diff,
		.old_oid = change->old_oid,
		.new_oid = change->new_oid,
		.old_mode = change->old_mode,
		.new_mode = change->new_mode,
	};
}

void
copy_record_changes(struct chat *chat, int64_t turn, const char *agent,
    const char *other_turns, const struct file_change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct change_row row = copy_change_row(&changes[i]);

		row.other_turns = other_turns;
		record_change(chat->log, turn, agent, &row);
	}
}

/* ---- made */

/* Also of one whose setup command failed: it is there, and says why. */
static void
record_copy(struct session *s, struct turn *t, const char **code, char **why)
{
	if (working_copy_prepared(s->copy))
		snapshot_claimed(s);
	if (*why && !working_copy_setup(s->copy))
		return;
	record_worktree(s->log, working_copy_path(s->copy),
	    working_copy_branch(s->copy), working_copy_base(s->copy));
	setup_note(s, t, code, why);
}

static void
on_made(void *ctx, const struct err *e)
{
	const char *code = "workspace_failed";
	char *why = e ? xstrdup(e->text) : NULL;
	struct session *s = ctx;
	struct turn *t = s->copy_turn;

	if (t && !end_work(s)) {
		free(why);
		return;
	}
	s->copy_work = COPY_IDLE;
	if (s->is_lost) {
		free(why);
		session_tidy(s);
		return;
	}
	record_copy(s, t, &code, &why);
	/* a copy taken up again is not clean: what was done in it meanwhile is
	 * told with the next tree */
	s->is_copy_made = !why;
	if (!why)
		s->sup->is_measuring_due = true;
	if (t && why) {
		turn_fail(t, code, why);
	} else if (why) {
		warm_settle(s, NULL, NULL, code, why);
		task_drop_unmade(s, code, why);
	} else if (t) {
		turn_advance(t);
	}
	free(why);
	copy_wake(s);
	session_tidy(s);
}

void
copy_make(struct session *s)
{
	s->copy_work = COPY_MAKING;
	working_copy_make(s->copy, on_made, s);
}

bool
copy_is_ready_for(struct session *s)
{
	MUST(s->copy != NULL);
	if (s->is_copy_made)
		return true;
	if (s->copy_work == COPY_IDLE)
		copy_make(s);
	return false;
}

bool
copy_is_ready(struct turn *t)
{
	struct session *s = t->session;

	MUST(s->copy != NULL);
	if (s->is_copy_made)
		return true;
	if (s->copy_work != COPY_IDLE)
		return false;
	begin_work(t, COPY_MAKING);
	working_copy_make(s->copy, on_made, s);
	return false;
}

void
copy_leave(struct turn *t)
{
	struct session *s = t->session;

	if (s->copy_work != COPY_MAKING || s->copy_turn != t)
		return;
	s->copy_turn = NULL;
	t->waits--;
}

/* ---- read before */

bool
copy_is_clean(struct session *s)
{
	return s->is_copy_made && s->copy_work == COPY_IDLE &&
	    list_empty(&s->tasks) && working_copy_is_clean(s->copy);
}

static void
on_tree_before(void *ctx, const struct err *e,
    const struct file_change *changes, size_t n)
{
	struct session *s = ctx;
	struct turn *t = end_work(s);

	if (!t)
		return;
	if (e) {
		turn_fail(t, "workspace_failed", e->text);
	} else {
		t->is_tree_taken = true;
		record_begin(s->sup->recorder);
		whose_record(s, t->chat, NULL, changes, n);
		record_end(s->sup->recorder);
		whose_told(s, NULL);
		left_found(s);
		turn_advance(t);
	}
	copy_wake(s);
}

bool
copy_tree_before(struct turn *t)
{
	struct session *s = t->session;

	if (t->is_tree_taken)
		return true;
	/* what was asked for before it is done before it */
	task_advance(s);
	if (s->copy_work != COPY_IDLE || !list_empty(&s->tasks))
		return false;
	if (working_copy_is_clean(s->copy)) {
		t->is_tree_taken = true;
		whose_told(s, NULL);
		return true;
	}
	begin_work(t, COPY_TREE_BEFORE);
	left_look(s);
	working_copy_snapshot(s->copy, on_tree_before, s);
	return false;
}

/* ---- read after */

static void
on_tree_after(void *ctx, const struct err *e,
    const struct file_change *changes, size_t n)
{
	struct session *s = ctx;
	struct turn *t = end_work(s);

	if (!t)
		return;
	if (e)
		log_error(turn_name(t), "the working copy could not be read "
		    "after the turn; its changes are found before the next "
		    "one: %s", e->text);
	turn_finish(t, e ? NULL : changes, e ? 0 : n);
	if (!e) {
		whose_told(s, t);
		left_found(s);
	}
	copy_wake(s);
	session_tidy(s);
}

void
copy_tree_after(struct turn *t)
{
	struct session *s = t->session;

	if (!t->outcome.used_tool && s->copy_work == COPY_IDLE &&
	    working_copy_is_clean(s->copy)) {
		turn_finish(t, NULL, 0);
		whose_told(s, t);
		return;
	}
	if (s->copy_work != COPY_IDLE)
		return;
	begin_work(t, COPY_TREE_AFTER);
	left_look(s);
	working_copy_snapshot(s->copy, on_tree_after, s);
}
