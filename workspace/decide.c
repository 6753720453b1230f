/* SPDX-License-Identifier: MIT */
/*
 * From decisions to writes: each is planned by what is there now, in the trees
 * and in the files, and the plans are carried out by workspace/write.c.
 *
 * Removals come before what may need their place, and what gives a place back
 * before what was removed from it: two steps, each as a whole.
 *
 * Must never know: rows, agents. Read on in workspace/plan.c.
 */
#include "workspace/decide.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/away.h"
#include "workspace/changes.h"
#include "workspace/name.h"
#include "workspace/plan.h"
#include "workspace/project.h"
#include "workspace/record.h"
#include "workspace/say.h"

struct orders {
	struct buf text;       /* the fields are in it */
	struct order *all;
	size_t n;
};

static const char *const verbs[] = {
	[ACCEPT] = "accept", [REJECT] = "reject", [REVERT] = "revert",
	[CREATE] = "create", [EDIT] = "edit", [DELETE] = "delete",
};

static bool
makes_change(const struct order *o)
{
	return o->verb == CREATE || o->verb == EDIT || o->verb == DELETE;
}

static int
parse_order(const struct record *r, struct order *o)
{
	const char *const *f = r->field;

	*o = (struct order){ .id = atoll(f[0]), .verb = VERBS, .hunks = f[6],
		.path = f[7], .text = f[8], .other_text = f[9] };
	for (int i = 0; i < VERBS; i++)
		if (strcmp(f[1], verbs[i]) == 0)
			o->verb = (enum verb)i;
	/* a row has it as it is shown; a person writes it as it is */
	if (!makes_change(o))
		o->name = name_read(f[7]);
	if (o->name)
		o->path = o->name;
	/* must not keep the others of the command from being decided on */
	o->is_strange = value_set(&o->old, f[4], f[2]) < 0;
	if (value_set(&o->new, f[5], f[3]) < 0)
		o->is_strange = true;
	return o->verb < VERBS ? 0 : -1;
}

static int
read_orders(struct orders *list, struct err *e)
{
	size_t at = 0, room = 0;
	struct record r;
	ssize_t n;
	long len;

	while ((n = read(STDIN_FILENO, buf_room(&list->text, 65536),
	    65536)) > 0)
		buf_grew(&list->text, (size_t)n);
	while (at < list->text.len && (len = record_next(list->text.data + at,
	    list->text.len - at, &r)) > 0) {
		if (list->n == room) {
			room = room ? 2 * room : 16;
			list->all = xrealloc(list->all,
			    room * sizeof *list->all);
		}
		if (r.type != 'X' || parse_order(&r, &list->all[list->n]) < 0)
			break;
		list->n++;
		at += (size_t)len;
	}
	return list->n && at == list->text.len ? 0 :
	    fail(e, "what is to be decided cannot be read");
}

static bool
is_of_worktree(const struct order *o)
{
	return o->verb != ACCEPT && o->verb != REVERT;
}

/* What changed in the worktree before it is touched is not our doing. */
static int
tell_found(const struct decide *d, struct review *r, struct err *e)
{
	char *now, *head;
	int rc;

	if (access(d->place->worktree, F_OK) < 0)
		return fail(e, "the session's worktree is not there: "
		    "restore_session(), or its next turn, brings it back");
	/* what is committed behind the tree is not in it */
	head = away_head(d->place, d->project);
	now = take_tree(&d->take, d->base, e);
	rc = now ? 0 : -1;

	if (rc == 0 && strcmp(now, r->told) != 0) {
		rc = changes_say(d->place->repository, r->reviewed, r->told,
		    NULL, now, e);
		review_tell(r, now, head);
		now = head = NULL;
		if (rc == 0)
			rc = review_write(d->place, r, e);
	}
	free(now);
	free(head);
	return rc;
}

/* In which of the two steps. */
static int
step_of(const struct order *o)
{
	if (o->verb == ACCEPT)
		return value_is_none(&o->new) ? 0 : 1;
	return value_is_none(&o->old) ? 0 : 1;
}

static int
do_step(const struct planner *k, struct orders *list, int step,
    struct write *writes, struct err *e)
{
	struct write *some = xcalloc(list->n + 1, sizeof *some);
	size_t n = 0, at = 0;
	int rc;

	for (size_t i = 0; i < list->n; i++)
		if (step_of(&list->all[i]) == step)
			plan(k, &list->all[i], &some[n++]);
	rc = write_all_files(k->place, &k->roots, k->review, some, n, e);
	for (size_t i = 0; i < list->n; i++)
		if (step_of(&list->all[i]) == step)
			writes[i] = some[at++];
	free(some);
	return rc;
}

/* What was accepted of a change, against what it was made of. */
static int
say_part(const struct planner *k, const struct order *o,
    const struct write *w, struct err *e)
{
	char *before, *after = NULL, *const paths[] = { (char *)o->path, NULL };
	int rc = -1;

	before = review_edit(k->place, k->review->reviewed,
	    &(struct edit){ o->path, o->old }, 1, e);
	if (before)
		after = review_edit(k->place, before,
		    &(struct edit){ o->path, w->reviewed }, 1, e);
	if (after)
		rc = changes_say_paths(k->place->repository, 'P', before,
		    after, paths, e);
	free(before);
	free(after);
	return rc;
}

static int
say_outcomes(const struct planner *k, const struct orders *list,
    const struct write *writes, struct err *e)
{
	char **paths = NULL, id[32];
	int rc = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct order *o = &list->all[i];

		snprintf(id, sizeof id, "%lld", o->id);
		SAY('O', id, writes[i].code ? writes[i].code : "",
		    writes[i].why.text);
		if (!writes[i].code)
			strv_add(&paths, o->path);
		if (rc == 0 && !writes[i].code && *o->hunks)
			rc = say_part(k, o, &writes[i], e);
	}
	if (rc == 0 && paths && k->review->told)
		rc = changes_say_paths(k->place->repository, 'F',
		    k->review->reviewed, k->review->told, paths, e);
	strv_free(&paths);
	return rc;
}

static int
decide_all(const struct decide *d, struct planner *k, struct orders *list,
    struct err *e)
{
	struct write *writes = xcalloc(list->n + 1, sizeof *writes);
	char *told = xstrdup(k->review->told);
	bool is_inside = false;
	int rc = 0;

	for (size_t i = 0; i < list->n; i++)
		is_inside = is_inside || is_of_worktree(&list->all[i]);
	if (is_inside && k->review->told)
		rc = tell_found(d, k->review, e);
	for (int step = 0; rc == 0 && step < 2; step++)
		rc = do_step(k, list, step, writes, e);
	if (rc == 0)
		rc = say_outcomes(k, list, writes, e);
	if (rc == 0 && told && strcmp(told, k->review->told) != 0)
		SAY('T', told, k->review->told);
	free(told);
	free(writes);
	return rc;
}

/* Of all sessions, one at a time decides on files of the project. */
static int
lock_project(const struct place *p, struct err *e)
{
	char *path = xasprintf("%s.files.lock", p->repository);
	int lock = place_lock(path, e);

	free(path);
	return lock;
}

int
decide(const struct decide *d, struct err *e)
{
	struct orders list = { 0 };
	struct project p;
	struct review r = { 0 };
	struct planner k = { .place = d->place, .review = &r };
	int lock = -1, rc = read_orders(&list, e);

	if (project_look(d->project, d->branch, &p, &k.no_project) == 0 && !p.is_bare)
		k.roots.path[IN_PROJECT] = p.path;
	else if (p.is_bare)
		fail(&k.no_project, "project %s is a bare repository: it has "
		    "no files that a change could go into; merge the "
		    "session's branch instead", d->project);
	k.roots.path[IN_WORKTREE] = d->place->worktree;
	review_read(d->place, d->base, &r);
	if (rc == 0)
		rc = lock = lock_project(d->place, e);
	if (rc >= 0)
		rc = decide_all(d, &k, &list, e);
	if (lock >= 0)
		close(lock);
	review_free(&r);
	project_free(&p);
	for (size_t i = 0; i < list.n; i++)
		free(list.all[i].name);
	free(list.all);
	buf_free(&list.text);
	return rc;
}
