/* SPDX-License-Identifier: MIT */
/*
 * The session's trees, kept by their ids in one small file that is replaced at
 * once, and trees that differ from others in a few paths.
 *
 * Must never know: folders, decisions. Read on in workspace/decide.c.
 */
#include "workspace/review.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/git.h"
#include "workspace/say.h"

static char *
tree_of(const struct place *p, const char *commit)
{
	struct git g = { .repository = p->repository };
	char *what = xasprintf("%s^{tree}", commit);
	char *tree = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    "--end-of-options", what), NULL, NULL);

	free(what);
	return tree ? tree : xstrdup(commit);
}

static bool
is_there(const struct place *p, const char *tree)
{
	struct git g = { .repository = p->repository };

	return git_run(&g, GIT_ARGS("cat-file", "-e", tree), NULL, NULL,
	    NULL) == 0;
}

void
review_read(const struct place *p, const char *base, struct review *r)
{
	char *line[4];

	place_read(p->tree_file, line, 4);
	*r = (struct review){ line[0], line[1], line[2], line[3] };
	if (r->reviewed && !is_there(p, r->reviewed)) {
		say_note("the tree of what was accepted, %s, is gone; changes "
		    "are told against the base again", r->reviewed);
		free(r->reviewed);
		r->reviewed = NULL;
	}
	if (!r->reviewed && base)
		r->reviewed = tree_of(p, base);
	if (!r->last)
		r->last = xstrdup("0");
}

void
review_tell(struct review *r, char *tree, char *head)
{
	free(r->told);
	free(r->head);
	r->told = tree;
	r->head = head;
}

int
review_write(const struct place *p, const struct review *r, struct err *e)
{
	return place_write(p->tree_file, GIT_ARGS(r->told, r->reviewed,
	    r->last, r->head), e);
}

void
review_free(struct review *r)
{
	free(r->told);
	free(r->reviewed);
	free(r->last);
	free(r->head);
	*r = (struct review){ 0 };
}

/* For update-index --index-info: mode 0 takes the path out. */
static void
add_line(struct buf *lines, const struct edit *x, size_t oid_len)
{
	if (value_is_none(&x->value))
		buf_printf(lines, "0 %0*d\t%s", (int)oid_len, 0, x->path);
	else
		buf_printf(lines, "%s %s\t%s", x->value.mode, x->value.oid,
		    x->path);
	buf_addc(lines, '\0');
}

char *
review_edit(const struct place *p, const char *tree, const struct edit *edits,
    size_t n, struct err *e)
{
	char *index = xasprintf("%s.edit", p->index), *made = NULL;
	char *lock = xasprintf("%s.lock", index);
	struct git g = { .repository = p->repository, .index = index };
	struct buf lines = { 0 };

	for (size_t i = 0; i < n; i++)
		add_line(&lines, &edits[i], strlen(tree));
	/* of one that was killed: the session's lock is ours */
	unlink(lock);
	unlink(index);
	if (git_run(&g, GIT_ARGS("read-tree", tree), NULL, NULL, e) == 0 &&
	    git_run(&g, GIT_ARGS("update-index", "-z", "--index-info"),
	    &lines, NULL, e) == 0)
		made = git_line(&g, GIT_ARGS("-c", "core.fsync=loose-object",
		    "write-tree", "--missing-ok"), NULL, e);
	unlink(index);
	free(lock);
	free(index);
	buf_free(&lines);
	return made;
}
