/* SPDX-License-Identifier: MIT */
/*
 * Starts the helper and hands over what its records say.
 *
 * Read on in workspace/prepared.c.
 */
#include "workspace/snapshots.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "workspace/helper.h"
#include "workspace/setup_record.h"

/* A checkout of a very large project takes minutes. */
#define LIMIT_MS (15 * 60 * 1000)

struct snapshot_work {
	char *label;              /* "snapshots of /srv/shop", for the log */
	char *state_dir;
	struct snapshot_callbacks cb;
	void *ctx;
	struct helper *helper;
	struct setup_outcome setup;
	bool has_setup;           /* that is known */
};

static const char *
or_null(const char *s)
{
	return *s ? s : NULL;
}

static void
tell(struct snapshot_work *w, const struct record *r)
{
	char *path = xasprintf("%s/worktrees/%s", w->state_dir, r->field[0]);

	w->cb.told(w->ctx, &(struct snapshot_news){
		.id = r->field[0],
		.project_id = atoll(r->field[1]),
		.path = path,
		.status = r->field[2],
		.base_commit = or_null(r->field[3]),
		.session = or_null(r->field[4]),
		.expires_at = atoll(r->field[5]),
		.end_reason = or_null(r->field[6]),
	});
	free(path);
}

static void
on_record(void *ctx, const struct record *r)
{
	struct snapshot_work *w = ctx;

	if (r->type == 'K') {
		tell(w, r);
	} else if (r->type == 'S') {
		free(w->setup.output);
		w->has_setup = true;
		setup_read(r, &w->setup);
	} else if (r->type == 'N') {
		log_debug(w->label, "%s", r->field[0]);
	}
}

static void
on_end(void *ctx, const struct err *e)
{
	struct snapshot_work *w = ctx;

	w->cb.end(w->ctx, e);
}

static void
add_option(char ***args, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	strv_add(args, name);
	strv_add(args, value);
}

static void
add_number(char ***args, const char *name, int64_t n)
{
	char *number = xasprintf("%lld", (long long)n);

	add_option(args, name, number);
	free(number);
}

static void
add_spec(char ***args, const struct snapshot_spec *spec)
{
	add_number(args, "--project-id", spec->project_id);
	add_number(args, "--count", spec->count);
	add_number(args, "--setup-limit", spec->setup_timeout);
	add_option(args, "--project", spec->project_path);
	add_option(args, "--branch", spec->default_branch);
	for (char *const *p = spec->include; p && *p; p++)
		add_option(args, "--include", *p);
	strv_add(args, "--");
	for (char *const *p = spec->setup_command; p && *p; p++)
		strv_add(args, *p);
}

struct snapshot_work *
snapshot_work_start(struct ev_loop *loop, const char *state_dir,
    const struct snapshot_spec *spec, const struct snapshot_callbacks *cb,
    void *ctx)
{
	static const struct helper_callbacks calls = {
		.record = on_record, .end = on_end,
	};
	struct snapshot_work *w = xcalloc(1, sizeof *w);
	char **args = NULL;

	w->label = spec ? xasprintf("snapshots of %s", spec->project_path) :
	    xstrdup("snapshots");
	w->state_dir = xstrdup(state_dir);
	w->cb = *cb;
	w->ctx = ctx;
	strv_add(&args, spec ? "prepare" : "prepared");
	add_option(&args, "--state", state_dir);
	if (spec)
		add_spec(&args, spec);
	w->helper = helper_start(loop, w->label, args, NULL, -1,
	    LIMIT_MS + (spec ? spec->setup_timeout : 0), &calls, w);
	strv_free(&args);
	return w;
}

const struct setup_outcome *
snapshot_work_setup(const struct snapshot_work *w)
{
	return w->has_setup ? &w->setup : NULL;
}

void
snapshot_work_free(struct snapshot_work **wp)
{
	struct snapshot_work *w = *wp;

	if (!w)
		return;
	helper_free(&w->helper);
	free(w->setup.output);
	free(w->state_dir);
	free(w->label);
	free(w);
	*wp = NULL;
}
