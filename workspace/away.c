/* SPDX-License-Identifier: MIT */
/*
 * Puts a copy away in steps, each of which may be the last before a crash: the
 * commit is written and its objects are in the project before the ref names
 * it; the ref is there before the folder goes, and the folder goes by one
 * rename. So there is a whole copy, or a commit that is one.
 *
 * Objects reach the project in a pack that git makes of all that the checked
 * out commit does not have, whatever the private repository borrows.
 *
 * Must never know: records, watches. Read on in workspace/make.c.
 */
#include "workspace/away.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/say.h"
#include "workspace/take.h"

static struct take
take_of(const struct make *m)
{
	return (struct take){ .folder = m->place.worktree,
		.repository = m->place.repository, .index = m->place.index,
		.stale_file = m->place.stale_file };
}

/* The repository that has the ref. */
static struct git
keeper_of(const struct make *m, const struct project *p)
{
	return p->is_git ? (struct git){ .folder = p->path } :
	    (struct git){ .repository = m->place.repository };
}

static char *
ref_of(const struct make *m)
{
	return xasprintf("refs/hearth/saved/%s", m->session);
}

char *
away_find(const struct make *m, const struct project *p)
{
	struct git g = keeper_of(m, p);
	char *ref = ref_of(m), *what = xasprintf("%s^{commit}", ref);
	char *commit = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    what), NULL, NULL);

	free(ref);
	free(what);
	return commit;
}

/* value NULL: it goes. */
static int
set_ref(const struct make *m, const struct project *p, const char *value,
    const char *was, struct err *e)
{
	struct git g = keeper_of(m, p);
	char *ref = ref_of(m);
	int rc = value ? git_run(&g, GIT_ARGS("update-ref", ref, value,
	    was ? was : ""), NULL, NULL, e) :
	    git_run(&g, GIT_ARGS("update-ref", "-d", ref, was), NULL, NULL, e);

	free(ref);
	return rc;
}

/* As the project has it: the worktree's own .git is not asked. */
char *
away_head(const struct place *p, const char *project)
{
	char *folder = realpath(project, NULL);
	struct git g = { .folder = folder };
	struct buf out = { 0 };
	char *path = realpath(p->worktree, NULL);
	char *line = xasprintf("worktree %s", path ? path : "");
	char *head = NULL, *rest, *one;
	bool is_it = false;

	if (folder)
		git_run(&g, GIT_ARGS("worktree", "list", "--porcelain"), NULL,
		    &out, NULL);
	rest = out.data;
	while (!head && (one = strsep(&rest, "\n")) != NULL) {
		if (strncmp(one, "worktree ", 9) == 0)
			is_it = strcmp(one, line) == 0;
		else if (is_it && strncmp(one, "HEAD ", 5) == 0 &&
		    one[5 + strspn(one + 5, "0")] != '\0')
			head = xstrdup(one + 5);
	}
	buf_free(&out);
	free(line);
	free(path);
	free(folder);
	return head;
}

static char *
tree_of(const struct make *m, const char *commit, struct err *e)
{
	struct git g = { .repository = m->place.repository };
	char *what = xasprintf("%s^{tree}", commit);
	char *tree = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    what), NULL, e);

	free(what);
	return tree;
}

/* ---- to the project */

/* Into a pipe that does not block. */
static void
pass_on(void *ctx, const char *p, size_t n)
{
	struct git_process *to = ctx;
	struct pollfd fd = { to->in, POLLOUT, 0 };

	while (n > 0 && to->in >= 0) {
		ssize_t done = write(to->in, p, n);

		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN || errno == EINTR) {
			poll(&fd, 1, -1);
		} else {
			/* it has ended, and git_finish() will say why */
			return;
		}
	}
}

/* All that commit has and head does not, with nothing missing in the end. */
static int
give_objects(const struct make *m, const struct project *p,
    const char *commit, const char *head, struct err *e)
{
	struct git from = { .repository = m->place.repository };
	struct git to = { .folder = p->path };
	struct git_process pack, index;
	struct buf revisions = { 0 };
	struct err why = { "" };
	int rc;

	buf_printf(&revisions, "%s\n^%s\n", commit, head);
	if (git_start(&to, GIT_ARGS("index-pack", "--stdin", "--fix-thin"),
	    &index, e) < 0)
		return -1;
	if (git_start(&from, GIT_ARGS("pack-objects", "--revs", "--stdout",
	    "-q"), &pack, e) < 0) {
		git_finish(&index, NULL, NULL, NULL, NULL);
		return -1;
	}
	rc = git_finish(&pack, &revisions, pass_on, &index, e);
	if (git_finish(&index, NULL, NULL, NULL, &why) < 0 && rc == 0)
		rc = fail(e, "%s", why.text);
	if (rc == 0)
		rc = git_run(&to, GIT_ARGS("rev-list", "--objects", "--quiet",
		    "--stdin"), &revisions, NULL, e);
	buf_free(&revisions);
	return rc;
}

/* ---- saving */

static char *
commit_tree(const struct make *m, const char *tree, const char *head,
    const char *before, struct err *e)
{
	struct git g = { .repository = m->place.repository };
	char *message = xasprintf("Saved: the working copy of session %s",
	    m->session);
	char *commit = before ? git_line(&g, GIT_ARGS("commit-tree", "-m",
	    message, "-p", head, "-p", before, tree), NULL, e) :
	    git_line(&g, GIT_ARGS("commit-tree", "-m", message, "-p", head,
	    tree), NULL, e);

	free(message);
	return commit;
}

static int
save_tree(const struct make *m, const struct project *p, const char *tree,
    const char *head, const char *before, char **commit, struct err *e)
{
	int rc = -1;

	*commit = commit_tree(m, tree, head, before, e);
	if (*commit)
		rc = p->is_git ? give_objects(m, p, *commit, head, e) : 0;
	return rc == 0 ? set_ref(m, p, *commit, before, e) : -1;
}

/* What was told last is another tree, which a lost copy would be made from. */
static bool
was_told_otherwise(const struct make *m, const char *tree)
{
	char *told;
	bool was;

	place_read(m->place.tree_file, &told, 1);
	was = told && strcmp(told, tree) != 0;
	free(told);
	return was;
}

/* The ref always says how the copy was last: one that is there is renewed. */
static int
save(const struct make *m, const struct project *p, const struct copy *c,
    char **commit, struct err *e)
{
	int left_out = 0;
	struct take t = take_of(m);
	char *head = p->is_git ? away_head(&m->place, p->path) : NULL;
	char *base = tree_of(m, c->base, e), *before = away_find(m, p), *tree;
	int rc = 0;

	t.left_out = &left_out;
	tree = base ? take_tree(&t, c->base, e) : NULL;
	if (!tree)
		rc = -1;
	else if (left_out > 0)
		rc = fail(e, "%d of its files or folders cannot be saved (see "
		    "the log)", left_out);
	else if (before || strcmp(tree, base) != 0 ||
	    was_told_otherwise(m, tree) ||
	    (head && strcmp(head, c->base) != 0))
		rc = save_tree(m, p, tree, head ? head : c->base, before,
		    commit, e);
	free(before);
	free(head);
	free(base);
	free(tree);
	return rc;
}

/* ---- putting away */

static bool
is_there(const struct make *m)
{
	struct stat st;

	return lstat(m->place.worktree, &st) == 0;
}

int
away_clear(const struct make *m, struct err *e)
{
	char *gone = xasprintf("%s.gone", m->place.worktree);
	int rc = place_remove(gone, e);

	if (rc == 0 && rename(m->place.worktree, gone) < 0 && errno != ENOENT)
		rc = fail(e, "cannot rename %s: %s", m->place.worktree,
		    strerror(errno));
	if (rc == 0)
		rc = place_remove(gone, e);
	free(gone);
	return rc;
}

/* A branch without commits of its own is made again with the copy. */
static void
unlist(const struct make *m, const struct project *p, const struct copy *c)
{
	if (!p->is_git || !c->branch)
		return;
	make_unregister(m, p);
	make_drop_branch(p, c, false);
}

static int
put_known(const struct make *m, const struct project *p,
    const struct copy *c, char **commit, struct err *e)
{
	int rc = project_open_repository(p, m->place.repository, e);

	/* one that came back half is as it was before */
	if (rc == 0 && is_there(m) &&
	    access(m->place.restoring_file, F_OK) < 0)
		rc = save(m, p, c, commit, e);
	else if (rc == 0)
		*commit = away_find(m, p);
	if (rc == 0)
		rc = away_clear(m, e);
	if (rc < 0)
		return -1;
	unlist(m, p, c);
	unlink(m->place.index);
	unlink(m->place.stale_file);
	unlink(m->place.restoring_file);
	return 0;
}

int
away_put(const struct make *m, char **commit, struct err *e)
{
	struct copy c = { 0 };
	struct project p, view;
	struct err why;
	int rc;

	*commit = NULL;
	if (!place_is_own(&m->place))
		return fail(e, "%s is not below hearthd's folder of worktrees: "
		    "not removed", m->place.worktree);
	rc = project_look(m->project, m->branch, &p, e);
	/* never completed: nobody has worked in it */
	if (rc == 0 && !make_recall(m, &c)) {
		rc = away_clear(m, e);
	} else if (rc == 0) {
		view = make_view(&p, &c);
		if (put_known(m, &view, &c, commit, &why) < 0)
			rc = fail(e, "project %s: %.900s", m->project,
			    why.text);
	}
	copy_free(&c);
	project_free(&p);
	return rc;
}

void
away_forget(const struct make *m, const struct project *p,
    const char *commit, const char *tip)
{
	struct git g = { .folder = p->path };
	char *parent = xasprintf("%s^", commit);

	if (!p->is_git || git_run(&g, GIT_ARGS("merge-base",
	    "--is-ancestor", parent, tip), NULL, NULL, NULL) == 0)
		set_ref(m, p, NULL, commit, NULL);
	else
		say_note("the branch lacks the commit that its files stood "
		    "on: %s stays on its ref", commit);
	free(parent);
}

/* ---- for good */

static void
erase_git(const struct make *m, const struct project *p, const struct copy *c)
{
	char *commit = away_find(m, p);

	if (commit)
		set_ref(m, p, NULL, commit, NULL);
	free(commit);
	if (!p->is_git || !c->branch)
		return;
	make_unregister(m, p);
	make_drop_branch(p, c, true);
}

int
away_erase(const struct make *m, struct err *e)
{
	struct copy c = { 0 };
	struct project p, view;
	struct err why;
	int looked;

	if (!place_is_own(&m->place))
		return fail(e, "%s is not below hearthd's folder of worktrees: "
		    "not removed", m->place.worktree);
	if (away_clear(m, e) < 0)
		return -1;
	looked = project_look(m->project, m->branch, &p, &why);
	/*
	 * A project that is gone has nothing left to be tidied. One that is
	 * there has the branch and what was saved, and nobody would know of
	 * them any more.
	 */
	if (looked < 0 && access(m->project, F_OK) == 0) {
		project_free(&p);
		return fail(e, "%s", why.text);
	}
	if (looked == 0 && make_recall(m, &c)) {
		view = make_view(&p, &c);
		erase_git(m, &view, &c);
	}
	project_free(&p);
	copy_free(&c);
	unlink(m->place.restoring_file);
	return make_remove(m, e);
}
