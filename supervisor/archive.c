/* SPDX-License-Identifier: MIT */
/*
 * The commands about a session as a whole. Archiving is done when it is known
 * what is at risk in the working copy; restoring, when that is there. Deleting
 * ends the agents; the rest is supervisor/retire.c's, which ends the command.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

struct errand {
	struct task task;
	int64_t command;
	struct survey *survey;
};

static void
free_errand(struct errand *r)
{
	survey_free(&r->survey);
	free(r);
}

static struct errand *
errand_of(struct task *t)
{
	return (struct errand *)(void *)((char *)t -
	    offsetof(struct errand, task));
}

static void
end(struct errand *r)
{
	task_end(&r->task);
	free_errand(r);
}

/* ---- archive_session */

static void
on_surveyed(void *ctx, const struct err *e, const struct survey_result *r)
{
	struct errand *it = ctx;
	struct session *s = it->task.session;

	if (e)
		log_debug("hearthd", "session %s: nothing is known of its "
		    "working copy: %s", s->id, e->text);
	record_archived(s->sup->recorder, it->command, e ? -1 : r->ahead,
	    e ? -1 : r->changed_files);
	end(it);
}

static void
begin_survey(struct task *t)
{
	struct errand *r = errand_of(t);

	r->survey = working_copy_survey(t->session->copy, on_surveyed, r);
}

/* It is archived all the same. */
static void
drop_survey(struct task *t, const char *code, const char *why)
{
	struct errand *r = errand_of(t);

	(void)why;
	if (code)
		record_archived(t->session->sup->recorder, r->command, -1, -1);
	free_errand(r);
}

void
archive_take(struct supervisor *sup, const struct command *c)
{
	struct errand *r = xcalloc(1, sizeof *r);

	close_all(sup, c, 0);
	r->command = c->id;
	r->task.begin = begin_survey;
	r->task.drop = drop_survey;
	task_add(session_get(sup, c->session), &r->task);
}

/* ---- restore_session */

static void
on_answered(void *ctx)
{
	end(ctx);
}

/* That it may begin is all that was wanted: the copy is there. */
static void
begin_restored(struct task *t)
{
	struct recorder *recorder = t->session->sup->recorder;
	struct errand *r = errand_of(t);

	record_command(recorder, t->session->log, r->command, "done", NULL,
	    NULL);
	record_barrier(recorder, on_answered, r);
}

static void
drop_restored(struct task *t, const char *code, const char *why)
{
	struct errand *r = errand_of(t);

	if (code)
		record_command(t->session->sup->recorder, t->session->log,
		    r->command, "failed", code, why);
	free_errand(r);
}

void
archive_restore(struct supervisor *sup, const struct command *c)
{
	struct errand *r = xcalloc(1, sizeof *r);

	r->command = c->id;
	r->task.needs_made = true;
	r->task.begin = begin_restored;
	r->task.drop = drop_restored;
	task_add(session_get(sup, c->session), &r->task);
}

/* ---- delete_session, delete_chat */

void
archive_delete(struct supervisor *sup, const struct command *c)
{
	close_all(sup, c, 0);
	retire_sweep(sup);
}
