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
#include <string.h>

#include "base/alloc.h"
#include "workspace/review.h"
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

/*
 * A copy that is taken up again: whether all that was told has been recorded
 * nobody knows, so all that differs from what was reviewed will be told once
 * more. is_base: what is there now is what changes are told against.
 */
static int
say_first_tree(const struct ready *r, bool is_base, struct err *e)
{
	struct take t = ready_take(r->place);
	char *now = take_tree(&t, r->base, e);
	struct review v;
	int rc = now ? 0 : -1;

	review_read(r->place, r->base, &v);
	if (now && v.told && !is_base) {
		/* the same tree twice: nothing is to be told */
		SAY('T', strcmp(v.reviewed, now) == 0 ? v.told : v.reviewed,
		    now);
	} else if (now) {
		if (is_base) {
			free(v.reviewed);
			v.reviewed = xstrdup(now);
		}
		/* a copy that has not been told yet stands on its base */
		review_tell(&v, xstrdup(now), xstrdup(r->base));
		rc = review_write(r->place, &v, e);
		if (rc == 0)
			SAY('T', now, now);
	}
	review_free(&v);
	free(now);
	return rc;
}

int
ready_copy(const struct ready *r, struct err *e)
{
	struct setup o;
	enum setup_state state = setup_state(r->place, &o);
	bool is_due = state == SETUP_DUE || state == SETUP_RESTORED;
	bool runs = state == SETUP_DUE && *r->setup;
	int rc = 0;

	if (state == SETUP_DONE)
		say_setup(&o, false);
	if (runs)
		rc = run_setup(r, &o, e);
	if (rc == 0 && r->inotify >= 0)
		walk_watch(r->inotify, r->place->worktree);
	if (rc == 0)
		rc = say_first_tree(r, runs, e);
	if (rc == 0 && is_due)
		rc = setup_settle(r->place, runs ? &o : NULL, e);
	free(o.output);
	return rc;
}
