/* SPDX-License-Identifier: MIT */
/*
 * What a setup command did in a new copy is nobody's change: the tree that it
 * left becomes the base of changes. Its file says "done" only after that is
 * written, so that it is run again if this is cut off.
 *
 * Watching comes before the tree: what changes while the tree is taken is seen
 * by the watch, so nothing falls between.
 *
 * Must never know: agents. Read on in workspace/setup.c, workspace/take.c.
 */
#include "workspace/ready.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "workspace/say.h"
#include "workspace/setup.h"
#include "workspace/walk.h"

struct take
ready_take(const struct place *p)
{
	return (struct take){ .folder = p->worktree,
		.repository = p->repository, .index = p->index,
		.stale_file = p->stale_file };
}

char *
ready_base(const struct place *p, const char *commit)
{
	char *tree;

	place_read(p->base_file, &tree, 1);
	return tree ? tree : xstrdup(commit);
}

static void
say_setup(const struct setup *o, bool is_now)
{
	char *code = xasprintf("%d", o->exit_code);
	char *ms = xasprintf("%lld", (long long)o->ms);

	SAY('S', is_now ? "1" : "0", o->is_late ? "1" : "0", code, ms,
	    o->output);
	free(code);
	free(ms);
}

static int
run_setup(const struct ready *r, struct setup *o, struct err *e)
{
	if (setup_run(r->place, r->setup, r->setup_limit, o, e) < 0)
		return -1;
	say_setup(o, true);
	return !o->is_late && o->exit_code == 0 ? 0 :
	    fail(e, "the setup command failed");
}

static int
write_tree(const char *file, const char *tree, struct err *e)
{
	return place_write(file, (const char *const[]){ tree, NULL }, e);
}

/* The tree whose changes were told last counts, whatever is there now. */
static int
say_first_tree(const struct ready *r, bool is_base, struct err *e)
{
	const struct place *p = r->place;
	struct take t = ready_take(p);
	char *now = take_tree(&t, r->base, e), *before;
	int rc = now ? 0 : -1;

	place_read(p->tree_file, &before, 1);
	if (now && (!before || is_base)) {
		free(before);
		before = NULL;
		rc = is_base ? write_tree(p->base_file, now, e) : 0;
		rc = rc == 0 ? write_tree(p->tree_file, now, e) : -1;
	}
	if (rc == 0)
		SAY('T', before ? before : now, now);
	free(before);
	free(now);
	return rc;
}

int
ready_copy(const struct ready *r, struct err *e)
{
	struct setup o;
	enum setup_state state = setup_state(r->place, &o);
	bool is_due = state == SETUP_DUE || state == SETUP_DUE_AGAIN;
	bool runs = is_due && *r->setup;
	int rc = 0;

	if (state == SETUP_DONE)
		say_setup(&o, false);
	if (runs)
		rc = run_setup(r, &o, e);
	if (rc == 0 && r->inotify >= 0)
		walk_watch(r->inotify, r->place->worktree);
	if (rc == 0)
		rc = say_first_tree(r, runs && state == SETUP_DUE, e);
	if (rc == 0 && is_due)
		rc = setup_settle(r->place, runs ? &o : NULL, e);
	free(o.output);
	return rc;
}
