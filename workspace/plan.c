/* SPDX-License-Identifier: MIT */
/*
 * Each decision, by what is there now. What is done already needs no write and
 * changes no tree; whether it is, the trees say, since they change with the
 * files (workspace/write.c).
 *
 * Without a copy (it was removed) there are no trees: then a change is what its
 * row says, accepted and reverted by that alone.
 *
 * Must never know: how files are written. Read on in workspace/merge.c.
 */
#include "workspace/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/git.h"
#include "workspace/hunks.h"
#include "workspace/merge.h"

static void __attribute__((format(printf, 3, 4)))
refuse(struct write *w, const char *code, const char *fmt, ...)
{
	va_list ap;

	w->code = code;
	va_start(ap, fmt);
	vsnprintf(w->why.text, sizeof w->why.text, fmt, ap);
	va_end(ap);
}

/* The reason is in w->why. */
static void
give_up(struct write *w)
{
	w->code = "failed";
}

static struct git
git_of(const struct planner *k)
{
	return (struct git){ .repository = k->place->repository };
}

/* What the file is now, into before; false when there is a code. */
static bool
look(const struct planner *k, const struct order *o, struct write *w,
    struct buf *bytes)
{
	struct git g = git_of(k);
	struct spot s = { .folder = -1 };
	int root, rc;

	if (!k->roots.path[w->root]) {
		refuse(w, "no_checkout", "%s", k->no_project.text);
		return false;
	}
	root = open(k->roots.path[w->root], O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = root < 0 ? fail(&w->why, "%s: %s", k->roots.path[w->root],
	    strerror(errno)) : spot_open(root, o->path, false, &s, &w->why);
	if (rc == 0)
		rc = spot_read(&s, &w->was, bytes, &w->why);
	if (rc == 0 && *w->was.mode)
		rc = value_store(&g, w->was.mode, bytes, &w->before, &w->why);
	if (rc < 0)
		give_up(w);
	spot_close(&s);
	if (root >= 0)
		close(root);
	return rc == 0;
}

/* It is not there because a sparse checkout leaves it out. */
static bool
is_sparse(const struct planner *k, const char *path)
{
	struct git g = { .folder = k->roots.path[IN_PROJECT] };
	struct buf said = { 0 };
	bool is = git_run(&g, GIT_ARGS("ls-files", "-t", "--", path), NULL,
	    &said, NULL) == 0 && said.len > 0 && said.data[0] == 'S';

	buf_free(&said);
	return is;
}

/* The project's file with what makes to of from. */
static void
merge_into_project(const struct planner *k, const struct order *o,
    const struct value *from, const struct value *to, struct write *w)
{
	struct buf bytes = { 0 };
	struct err why = { "" };
	int rc;

	w->root = IN_PROJECT;
	if (!look(k, o, w, &bytes)) {
		;
	} else if (value_is_none(&w->before) && !value_is_none(from) &&
	    is_sparse(k, o->path)) {
		refuse(w, "left_out", "%s is not in the sparse checkout of %s; "
		    "widen it (git sparse-checkout add) and decide again",
		    o->path, k->roots.path[IN_PROJECT]);
	} else {
		rc = merge_values(k->place, from, &w->before, to, &w->after,
		    &why);
		if (rc > 0)
			refuse(w, "conflict", "%s in %s has changed, too, in "
			    "another way: %.500s", o->path,
			    k->roots.path[IN_PROJECT], why.text);
		else if (rc < 0)
			refuse(w, "failed", "%.1000s", why.text);
		w->is_needed = !value_is_same(&w->before, &w->after);
	}
	buf_free(&bytes);
}

/* The tree's value of the path; false when there is a code. */
static bool
find(const struct planner *k, const char *tree, const struct order *o,
    struct value *v, struct write *w)
{
	struct git g = git_of(k);

	if (value_in_tree(&g, tree, o->path, v, &w->why) == 0)
		return true;
	give_up(w);
	return false;
}

static int
choose(const struct planner *k, const struct order *o, struct value *v,
    struct err *e)
{
	struct git g = git_of(k);
	struct buf old = { 0 }, diff = { 0 }, part = { 0 };
	int rc;

	if (!value_is_file(&o->old) || !value_is_file(&o->new))
		return fail(e, "%s: a file that is made or deleted has no "
		    "parts", o->path);
	rc = value_load(&g, &o->old, &old, e);
	if (rc == 0)
		rc = git_run(&g, GIT_ARGS("-c", "core.bigFileThreshold=16m",
		    "diff", "--no-ext-diff", "--no-textconv", "--no-color",
		    "--no-renames", o->old.oid, o->new.oid), NULL, &diff, e);
	buf_adds(&diff, "");
	if (rc == 0)
		rc = hunks_apply(&old, &diff, o->hunks, &part, e);
	if (rc == 0)
		rc = value_store(&g, o->old.mode, &part, v, e);
	buf_free(&old);
	buf_free(&diff);
	buf_free(&part);
	return rc;
}

static void
plan_accept(const struct planner *k, const struct order *o, struct write *w)
{
	struct value reviewed;

	w->reviewed = o->new;
	if (*o->hunks && choose(k, o, &w->reviewed, &w->why) < 0) {
		give_up(w);
		return;
	}
	if (k->review->told) {
		if (!find(k, k->review->reviewed, o, &reviewed, w) ||
		    value_is_same(&reviewed, &w->reviewed))
			return;
		w->reviews = true;
	}
	merge_into_project(k, o, &o->old, &w->reviewed, w);
}

/* Other changes of the file may have been accepted after this one. */
static bool
plan_reviewed_back(const struct planner *k, const struct order *o,
    const struct value *reviewed, struct write *w)
{
	struct err why = { "" };
	int rc = merge_values(k->place, &o->new, reviewed, &o->old,
	    &w->reviewed, &why);

	w->reviews = true;
	if (rc != 0)
		refuse(w, rc > 0 ? "conflict" : "failed", "%s: a later change "
		    "of it was accepted, which builds on this one; revert that "
		    "first (%.500s)", o->path, why.text);
	return rc == 0;
}

static void
plan_revert(const struct planner *k, const struct order *o, struct write *w)
{
	struct value reviewed;

	if (k->review->told) {
		if (!find(k, k->review->reviewed, o, &reviewed, w) ||
		    value_is_same(&reviewed, &o->old) ||
		    !plan_reviewed_back(k, o, &reviewed, w))
			return;
	}
	merge_into_project(k, o, &o->new, &o->old, w);
	w->prunes = value_is_none(&o->old);
}

static void
plan_reject(const struct planner *k, const struct order *o, struct write *w)
{
	struct buf bytes = { 0 };
	struct value told, reviewed;

	w->root = IN_WORKTREE;
	if (!k->review->told ||
	    !find(k, k->review->told, o, &told, w) ||
	    !find(k, k->review->reviewed, o, &reviewed, w) ||
	    value_is_same(&told, &o->old))
		return;
	w->after = w->told = o->old;
	w->tells = true;
	w->prunes = value_is_none(&o->old);
	if (!value_is_same(&told, &o->new) ||
	    !value_is_same(&reviewed, &o->old))
		refuse(w, "changed", "%s has changed since; decide on its "
		    "newest change", o->path);
	else if (look(k, o, w, &bytes) && !value_is_same(&w->before, &o->new))
		refuse(w, "changed", "%s is not what the change made of it",
		    o->path);
	w->is_needed = !w->code;
	buf_free(&bytes);
}

/* ---- changes that are asked for */

static bool
is_ignored(const struct planner *k, const char *path)
{
	struct git g = { .folder = k->place->worktree,
		.repository = k->place->repository,
		.work_tree = k->place->worktree, .index = k->place->index };
	/* it knows no literal paths; this one cannot be taken for magic */
	char *below = xasprintf("./%s", path);
	bool is = git_run(&g, GIT_ARGS("--no-literal-pathspecs",
	    "check-ignore", "-q", "--", below), NULL, NULL, NULL) == 0;

	free(below);
	return is;
}

/* The tree, which was taken just now, has what no .gitignore leaves out. */
static bool
is_left_out(const struct planner *k, const struct order *o, struct write *w)
{
	struct value told;

	return find(k, k->review->told, o, &told, w) && value_is_none(&told);
}

/* Overlapping ones count, too: each could be the one that was meant. */
static size_t
count(const struct buf *bytes, const char *text, const char **first)
{
	const char *at = bytes->data, *end = at + bytes->len, *hit;
	size_t n = 0;

	while ((hit = memmem(at, (size_t)(end - at), text, strlen(text)))) {
		if (n++ == 0)
			*first = hit;
		at = hit + 1;
	}
	return n;
}

static void
edit_text(const struct order *o, const struct buf *bytes, struct buf *out,
    struct write *w)
{
	const char *first = NULL;
	size_t n = count(bytes, o->text, &first), before;

	if (n != 1) {
		refuse(w, n ? "ambiguous" : "not_found",
		    "the old text is in %s %zu times, and must be there "
		    "exactly once", o->path, n);
		return;
	}
	before = (size_t)(first - bytes->data);
	buf_add(out, bytes->data, before);
	buf_adds(out, o->other_text);
	buf_add(out, first + strlen(o->text),
	    bytes->len - before - strlen(o->text));
}

static void
make_text(const struct planner *k, const struct order *o,
    const struct buf *bytes, struct buf *out, struct write *w)
{
	buf_adds(out, "");
	if (o->verb == CREATE && !value_is_none(&w->before))
		refuse(w, "exists", "%s exists already", o->path);
	else if (o->verb == CREATE && is_ignored(k, o->path))
		refuse(w, "ignored", "%s is ignored by the project's "
		    ".gitignore: it would be no change", o->path);
	else if (o->verb != CREATE && value_is_none(&w->before))
		refuse(w, "missing", "there is no file %s", o->path);
	else if (o->verb != CREATE && is_left_out(k, o, w))
		refuse(w, "ignored", "%s is ignored by the project's "
		    ".gitignore: it would be no change", o->path);
	else if (o->verb == CREATE)
		buf_adds(out, o->text);
	else if (o->verb == EDIT && !value_is_file(&w->before))
		refuse(w, "no_file", "%s is a symbolic link", o->path);
	else if (o->verb == EDIT)
		edit_text(o, bytes, out, w);
}

static void
plan_change(const struct planner *k, const struct order *o, struct write *w)
{
	struct git g = git_of(k);
	struct buf bytes = { 0 }, made = { 0 };

	w->root = IN_WORKTREE;
	if (atoll(k->review->last) == o->id)
		return;
	if (look(k, o, w, &bytes))
		make_text(k, o, &bytes, &made, w);
	if (!w->code && o->verb != DELETE && value_store(&g,
	    *w->before.mode ? w->before.mode : "100644", &made, &w->after,
	    &w->why) < 0)
		give_up(w);
	w->told = w->after;
	w->tells = w->is_last = true;
	w->is_needed = !value_is_same(&w->before, &w->after);
	buf_free(&bytes);
	buf_free(&made);
}

void
plan(const struct planner *k, const struct order *o, struct write *w)
{
	*w = (struct write){ .id = o->id, .path = o->path };
	if (o->is_strange) {
		refuse(w, "failed", "%s is a submodule, or was one: only git "
		    "can put that into the project or take it back",
		    o->path);
		return;
	}
	switch (o->verb) {
	case ACCEPT:
		plan_accept(k, o, w);
		break;
	case REVERT:
		plan_revert(k, o, w);
		break;
	case REJECT:
		plan_reject(k, o, w);
		break;
	default:
		plan_change(k, o, w);
	}
}
