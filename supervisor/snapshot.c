/* SPDX-License-Identifier: MIT */
/*
 * Worktrees that are prepared for new sessions, of the projects that want some.
 * They are in rounds: which projects those are is asked in PostgreSQL, then a
 * helper looks after each of them (workspace/snapshots.h), one at a time and
 * one worktree at a time, so that agents keep the machine. A round begins every
 * snapshot_interval, and when a session has taken one.
 *
 * The disk is the truth and the rows follow it: what the helper tells is
 * recorded, and when hearthd starts, all that there is. A project whose
 * worktrees cannot be prepared is left alone for a while, twice as long after
 * each failure, unless its settings change.
 *
 * Must never know: how one is made or taken.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/private.h"
#include "workspace/snapshots.h"

#define RETRY_MAX_MS (60 * 60 * 1000)
#define DOUBLINGS_MAX 12

enum step { SNAPSHOTS_IDLE, SNAPSHOTS_LISTING, SNAPSHOTS_ASKING,
	SNAPSHOTS_WORKING };

/* A project that wants some, or has some that it does not want. */
struct wanting {
	struct list in_snapshots;
	int64_t project_id, count;
	char *path, *branch, **include, **setup;
	bool is_wanted;             /* in the present round */
	bool is_due;                /* it was not looked after yet */
	int failures;               /* in a row */
	int64_t not_before;         /* clock_ms() */
};

struct snapshots {
	struct supervisor *sup;
	struct ev_timer timer;
	double interval;            /* seconds */
	enum step step;
	bool is_listed;             /* once in hearthd's life */
	bool again;                 /* a round is to follow */
	struct list projects;
	struct wanting *project;    /* that work is for; NULL: it lists */
	struct snapshot_work *work;
	struct buf listed;          /* ids */
	char *preparing, *path;     /* the one that was begun */
	bool has_made;              /* and is ready */
};

static void work_on(struct snapshots *sn);

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	snapshots_look(t->data);
}

struct snapshots *
snapshots_new(struct supervisor *sup, int64_t interval)
{
	struct snapshots *sn = xcalloc(1, sizeof *sn);

	sn->sup = sup;
	list_init(&sn->projects);
	ev_timer_init(&sn->timer, on_timer, 0., 0.);
	sn->timer.data = sn;
	snapshots_configure(sn, interval);
	return sn;
}

void
snapshots_configure(struct snapshots *sn, int64_t interval)
{
	sn->interval = (double)interval / 1e3;
	sn->timer.repeat = sn->interval;
	ev_timer_again(sn->sup->loop, &sn->timer);
}

static void
forget(struct wanting *w)
{
	list_remove(&w->in_snapshots);
	free(w->path);
	free(w->branch);
	strv_free(&w->include);
	strv_free(&w->setup);
	free(w);
}

void
snapshots_free(struct snapshots **snp)
{
	struct snapshots *sn = *snp;

	if (!sn)
		return;
	ev_timer_stop(sn->sup->loop, &sn->timer);
	snapshot_work_free(&sn->work);
	LIST_EACH(pos, tmp, &sn->projects)
		forget(LIST_ITEM(pos, struct wanting, in_snapshots));
	buf_free(&sn->listed);
	free(sn->preparing);
	free(sn->path);
	free(sn);
	*snp = NULL;
}

/* ---- what a helper tells */

static void
note_begun(struct snapshots *sn, const char *id, const char *path)
{
	free(sn->preparing);
	free(sn->path);
	sn->preparing = xstrdup(id);
	sn->path = xstrdup(path);
}

static void
on_told(void *ctx, const struct snapshot_news *n)
{
	struct snapshots *sn = ctx;

	record_snapshot(sn->sup->recorder, &(struct snapshot_row){
		.id = n->id,
		.project_id = n->project_id,
		.path = n->path,
		.status = n->status,
		.base_commit = n->base_commit,
		.session = n->session,
		.expires_at = n->expires_at,
		.end_reason = n->end_reason,
	});
	if (sn->step == SNAPSHOTS_LISTING) {
		buf_printf(&sn->listed, "%s%s", sn->listed.len ? "," : "",
		    n->id);
		return;
	}
	/* of a project that wants none the path is not known */
	log_info("hearthd", "snapshot %.8s%s%s: %s%s%s", n->id,
	    sn->project->count > 0 ? " of " : "",
	    sn->project->count > 0 ? sn->project->path : "", n->status,
	    n->end_reason ? ": " : "",
	    n->end_reason ? n->end_reason : "");
	sn->has_made = sn->has_made || strcmp(n->status, "ready") == 0;
	if (strcmp(n->status, "preparing") == 0)
		note_begun(sn, n->id, n->path);
}

/* The row says what the setup command said. */
static void
note_failure(struct snapshots *sn, const struct err *e)
{
	struct wanting *w = sn->project;
	const struct setup_outcome *o = snapshot_work_setup(sn->work);
	char *words = o ? setup_words(o, w->setup, sn->sup->setup_timeout) :
	    NULL;
	int64_t wait = (int64_t)(sn->interval * 1e3);

	for (int i = 0; i < w->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	w->failures += w->failures < DOUBLINGS_MAX;
	w->not_before = clock_ms() + (wait < RETRY_MAX_MS ? wait :
	    RETRY_MAX_MS);
	log_warning("hearthd", "snapshots of %s: %s", w->path,
	    words ? words : e->text);
	if (sn->preparing)
		record_snapshot(sn->sup->recorder, &(struct snapshot_row){
			.id = sn->preparing,
			.project_id = w->project_id,
			.path = sn->path,
			.status = "failed",
			.end_reason = words ? words : e->text,
		});
	free(words);
}

static void
on_worked(void *ctx, const struct err *e)
{
	struct snapshots *sn = ctx;
	struct wanting *w = sn->project;

	if (e)
		note_failure(sn, e);
	else
		w->failures = 0;
	/* it makes one at a time */
	w->is_due = !e && sn->has_made;
	snapshot_work_free(&sn->work);
	note_begun(sn, NULL, NULL);
	sn->project = NULL;
	work_on(sn);
}

/* ---- a round */

static void
end_round(struct snapshots *sn)
{
	sn->step = SNAPSHOTS_IDLE;
	LIST_EACH(pos, tmp, &sn->projects) {
		struct wanting *w = LIST_ITEM(pos, struct wanting,
		    in_snapshots);

		if (!w->is_wanted)
			forget(w);
	}
	if (sn->again)
		snapshots_look(sn);
}

static struct wanting *
next_due(struct snapshots *sn)
{
	LIST_EACH(pos, tmp, &sn->projects) {
		struct wanting *w = LIST_ITEM(pos, struct wanting,
		    in_snapshots);

		if (w->is_due && clock_ms() >= w->not_before)
			return w;
	}
	return NULL;
}

static void
work_on(struct snapshots *sn)
{
	static const struct snapshot_callbacks cb = {
		.told = on_told, .end = on_worked,
	};
	struct supervisor *sup = sn->sup;
	struct wanting *w = sup->is_draining ? NULL : next_due(sn);

	if (!w) {
		end_round(sn);
		return;
	}
	sn->step = SNAPSHOTS_WORKING;
	sn->project = w;
	sn->has_made = false;
	sn->work = snapshot_work_start(sup->loop, sup->state_dir,
	    &(struct snapshot_spec){
		.project_id = w->project_id,
		.project_path = w->path,
		.default_branch = w->branch,
		.include = w->include,
		.setup_command = w->setup,
		.setup_timeout = sup->setup_timeout,
		.count = w->count,
	    }, &cb, sn);
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
is_same_list(char *const *a, char *const *b)
{
	size_t n = strv_len(a);

	if (n != strv_len(b))
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static struct wanting *
find(struct snapshots *sn, int64_t project)
{
	struct wanting *w;

	LIST_EACH(pos, tmp, &sn->projects) {
		w = LIST_ITEM(pos, struct wanting, in_snapshots);
		if (w->project_id == project)
			return w;
	}
	w = xcalloc(1, sizeof *w);
	w->project_id = project;
	list_append(&sn->projects, &w->in_snapshots);
	return w;
}

static void
want(struct snapshots *sn, const struct snapshot_wish *wish)
{
	struct wanting *w = find(sn, wish->project_id);

	w->is_wanted = w->is_due = true;
	if (w->count == wish->count && w->path &&
	    strcmp(w->path, wish->project_path) == 0 &&
	    is_same_text(w->branch, wish->default_branch) &&
	    is_same_list(w->include, wish->include) &&
	    is_same_list(w->setup, wish->setup_command))
		return;
	w->failures = 0;
	w->not_before = 0;
	w->count = wish->count;
	free(w->path);
	free(w->branch);
	strv_free(&w->include);
	strv_free(&w->setup);
	w->path = xstrdup(wish->project_path);
	w->branch = xstrdup(wish->default_branch);
	w->include = strv_copy(wish->include);
	w->setup = strv_copy(wish->setup_command);
}

static void
on_wishes(void *ctx, const struct snapshot_wish *wishes, size_t n)
{
	struct snapshots *sn = ctx;

	if (!wishes) {
		end_round(sn);
		return;
	}
	LIST_EACH(pos, tmp, &sn->projects) {
		struct wanting *w = LIST_ITEM(pos, struct wanting,
		    in_snapshots);

		w->is_wanted = w->is_due = false;
	}
	for (size_t i = 0; i < n; i++)
		want(sn, &wishes[i]);
	work_on(sn);
}

static void
ask(void *ctx)
{
	struct snapshots *sn = ctx;

	sn->step = SNAPSHOTS_ASKING;
	db_snapshot_wishes(sn->sup->db, on_wishes, sn);
}

/* ---- the first round: what is there */

static void
on_listed(void *ctx, const struct err *e)
{
	struct snapshots *sn = ctx;
	struct recorder *r = sn->sup->recorder;

	snapshot_work_free(&sn->work);
	if (e) {
		log_warning("hearthd", "snapshots: %s", e->text);
		end_round(sn);
		return;
	}
	sn->is_listed = true;
	record_snapshots_lost(r, sn->listed.len ? sn->listed.data : "");
	buf_free(&sn->listed);
	/* the question is about rows */
	record_barrier(r, ask, sn);
}

static void
begin(struct snapshots *sn)
{
	static const struct snapshot_callbacks cb = {
		.told = on_told, .end = on_listed,
	};
	struct supervisor *sup = sn->sup;

	if (sn->is_listed) {
		ask(sn);
		return;
	}
	sn->step = SNAPSHOTS_LISTING;
	sn->work = snapshot_work_start(sup->loop, sup->state_dir, NULL, &cb,
	    sn);
}

void
snapshots_look(struct snapshots *sn)
{
	sn->again = sn->step != SNAPSHOTS_IDLE;
	if (!sn->again && sn->sup->is_up && !sn->sup->is_draining)
		begin(sn);
}

void
snapshot_claimed(struct session *s)
{
	struct supervisor *sup = s->sup;
	const char *id = working_copy_prepared(s->copy);
	char *path = xasprintf("%s/worktrees/%s", sup->state_dir, id);

	record_snapshot(sup->recorder, &(struct snapshot_row){
		.id = id,
		.project_id = working_copy_project(s->copy),
		.path = path,
		.status = "claimed",
		.session = s->id,
	});
	free(path);
	snapshots_look(sup->snapshots);
}
