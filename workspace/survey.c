/* SPDX-License-Identifier: MIT */
/*
 * One run of "hearth-worktree measure". Must never know: agents, PostgreSQL.
 */
#include "workspace/survey.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "workspace/helper.h"
#include "workspace/workspace.h"

/* A very large worktree on a slow disk takes minutes. */
#define LIMIT_MS (15 * 60 * 1000)

struct survey {
	char *label;
	struct helper *helper;
	struct survey_result result;
	survey_fn *done;
	void *ctx;
};

static int64_t
read_number(const char *field)
{
	return *field ? strtoll(field, NULL, 10) : -1;
}

static void
on_record(void *ctx, const struct record *r)
{
	struct survey *s = ctx;

	if (r->type == 'N')
		log_debug(s->label, "%s", r->field[0]);
	if (r->type != 'M')
		return;
	s->result = (struct survey_result){
		.behind = read_number(r->field[0]),
		.ahead = read_number(r->field[1]),
		.changed_files = read_number(r->field[2]),
		.size_kb = read_number(r->field[3]),
	};
}

static void
on_end(void *ctx, const struct err *e)
{
	struct survey *s = ctx;

	s->done(s->ctx, e, e ? NULL : &s->result);
}

static char **
make_args(const char *state_dir, const struct working_copy_spec *spec,
    bool is_fresh)
{
	char *id = xasprintf("%lld", (long long)spec->project_id);
	const char *const options[][2] = {
		{ "--state", state_dir },
		{ "--session", spec->session },
		{ "--project-id", id },
		{ "--project", spec->project_path },
		{ "--branch", spec->default_branch },
		{ "--path", spec->path },
		{ "--base", spec->base_commit },
	};
	char **args = NULL;

	strv_add(&args, "measure");
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i][1] && *options[i][1]) {
			strv_add(&args, options[i][0]);
			strv_add(&args, options[i][1]);
		}
	if (is_fresh)
		strv_add(&args, "--fresh");
	free(id);
	return args;
}

struct survey *
survey_start(struct ev_loop *loop, const char *state_dir,
    const struct working_copy_spec *spec, bool is_fresh, survey_fn *done,
    void *ctx)
{
	static const struct helper_callbacks cb = {
		.record = on_record, .end = on_end,
	};
	struct survey *s = xcalloc(1, sizeof *s);
	char **args = make_args(state_dir, spec, is_fresh);

	s->label = xasprintf("session %.8s", spec->session);
	s->result = (struct survey_result){ -1, -1, -1, -1 };
	s->done = done;
	s->ctx = ctx;
	s->helper = helper_start(loop, s->label, args, NULL, -1, LIMIT_MS,
	    &cb, s);
	strv_free(&args);
	return s;
}

void
survey_free(struct survey **sp)
{
	struct survey *s = *sp;

	if (!s)
		return;
	helper_free(&s->helper);
	free(s->label);
	free(s);
	*sp = NULL;
}
