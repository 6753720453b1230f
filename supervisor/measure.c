/* SPDX-License-Identifier: MIT */
/*
 * Measuring working copies: after turns, in the background, one at a time. It
 * only reads, so nobody waits for it; what it finds is as of the beginning.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/private.h"

struct measuring {
	struct supervisor *sup;
	char *session;
	int64_t began;
	struct survey *survey;
};

static void
end(struct measuring *m)
{
	m->sup->measuring = NULL;
	survey_free(&m->survey);
	free(m->session);
	free(m);
}

/* The next one is looked for when this one counts as measured. */
static void
on_durable(void *ctx)
{
	struct measuring *m = ctx;
	struct supervisor *sup = m->sup;

	end(m);
	measure_look(sup);
}

static void
on_measured(void *ctx, const struct err *e, const struct survey_result *r)
{
	static const struct survey_result unknown = { -1, -1, -1, -1 };
	struct measuring *m = ctx;

	if (e)
		log_debug("hearthd", "session %s: its working copy could not "
		    "be measured: %s", m->session, e->text);
	r = e ? &unknown : r;
	record_measured(m->sup->recorder, m->session, &(struct measure_row){
		.at = m->began,
		.behind = r->behind,
		.ahead = r->ahead,
		.changed_files = r->changed_files,
		.size_kb = r->size_kb,
	});
	record_barrier(m->sup->recorder, on_durable, m);
}

static void
on_unmeasured(void *ctx, const struct claimed_turn *c)
{
	struct supervisor *sup = ctx;
	struct measuring *m;

	sup->is_asking_unmeasured = false;
	if (!c || sup->is_draining)
		return;
	m = sup->measuring = xcalloc(1, sizeof *m);
	m->sup = sup;
	m->session = xstrdup(c->session);
	m->began = clock_ms();
	m->survey = survey_start(sup->loop, sup->state_dir,
	    &(struct working_copy_spec){
		.session = c->session,
		.project_id = c->project_id,
		.project_path = c->project_path,
		.default_branch = c->default_branch,
		.path = c->worktree_path,
		.base_commit = c->base_commit,
	    }, false, on_measured, m);
}

void
measure_look(struct supervisor *sup)
{
	if (sup->measuring || sup->is_asking_unmeasured || !sup->is_up ||
	    sup->is_draining)
		return;
	sup->is_measuring_due = false;
	sup->is_asking_unmeasured = true;
	db_unmeasured(sup->db, on_unmeasured, sup);
}

void
measure_end(struct supervisor *sup)
{
	if (sup->measuring)
		end(sup->measuring);
}
