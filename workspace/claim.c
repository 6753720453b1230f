/* SPDX-License-Identifier: MIT */
/*
 * A new session takes a prepared worktree: its file says "taken" first, then
 * the difference to the branch's present commit is checked out, ignored files
 * that were changed meanwhile are copied again, the private files become the
 * session's, its branch is made, and last the session's copy file names the
 * folder. Before that last step nothing of it is the session's, and whatever
 * was cut off is removed by prepared_keep(); after it the copy is complete but
 * for what prepared_settle() does, which may be done twice.
 *
 * Must never know: records but K. Read on in workspace/prepared.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/git.h"
#include "workspace/include.h"
#include "workspace/leftovers.h"
#include "workspace/prepared.h"
#include "workspace/project.h"
#include "workspace/review.h"
#include "workspace/say.h"

#define NAMES_MAX 99

struct claim {
	const struct prepared_order *order;
	struct make *make;           /* the session's */
	const struct project *project;
	const char *commit;          /* that the session is to begin with */
	struct place own;            /* of the prepared one */
	struct prepared prepared;
	char *branch;                /* the session's, once it is made */
};

/* ---- what others ask */

/* Lines of the copy file of the session that has taken it. */
static bool
copy_of_taker(const char *state_dir, const struct prepared *p, char *line[3])
{
	char *path = xasprintf("%s/snapshots/%s.copy", state_dir, p->session);
	bool is_there = *p->session && place_read(path, line, 3) && line[2] &&
	    strcmp(line[2], p->id) == 0;

	free(path);
	return is_there;
}

char *
prepared_branch(const char *state_dir, const struct prepared *p)
{
	char *line[3] = { NULL }, *branch = NULL;

	if (copy_of_taker(state_dir, p, line))
		branch = xstrdup(line[1]);
	for (int i = 0; i < 3; i++)
		free(line[i]);
	return branch;
}

bool
prepared_is_claimed(const char *state_dir, const struct prepared *p)
{
	char *branch = prepared_branch(state_dir, p);

	free(branch);
	return branch != NULL;
}

void
prepared_settle(const char *state_dir, const struct place *own,
    const struct prepared *p, const char *branch)
{
	struct git g = { .repository = p->git_dir };
	char *ref = xasprintf("refs/heads/%s", branch);
	char *head = xasprintf("%s/HEAD.lock", p->git_dir);
	char *lock = xasprintf("%s/snapshots/%s.lock", state_dir, p->id);
	char *file = prepared_path(state_dir, p->id);

	/* of a git that was killed at this: nobody works there yet */
	unlink(head);
	if (git_run(&g, GIT_ARGS("symbolic-ref", "HEAD", ref), NULL, NULL,
	    NULL) == 0 || access(p->git_dir, F_OK) < 0) {
		unlink(own->copy_file);
		unlink(own->tree_file);
			unlink(own->stale_file);
		unlink(own->making_file);
		unlink(lock);
		unlink(file);
	}
	free(ref);
	free(head);
	free(lock);
	free(file);
}

/* ---- the files */

/*
 * Checks out what differs between the two commits, and nothing else. Git
 * refuses where the setup command has changed a file that the branch has
 * changed, too.
 */
static int
check_out_difference(const struct claim *c, struct err *e)
{
	struct git g = { .folder = c->own.worktree,
		.repository = c->own.repository,
		.work_tree = c->own.worktree, .index = c->own.index };

	return git_run(&g, GIT_ARGS("read-tree", "-m", "-u",
	    c->prepared.base, c->commit), NULL, NULL, e);
}

/*
 * The worktree's own index, which knows of the commit only what is in it, gets
 * the new commit, with the times of the files that are as before.
 */
static int
renew_own_index(const struct claim *c, struct err *e)
{
	char *index = xasprintf("%s/index", c->prepared.git_dir);
	struct git g = { .repository = c->own.repository, .index = index };
	int rc = git_run(&g, GIT_ARGS("read-tree", "-m", "-i", c->commit),
	    NULL, NULL, e);

	free(index);
	return rc;
}

static int
hand_over(const char *from, const char *to, struct err *e)
{
	if (access(from, F_OK) < 0) {
		unlink(to);
		return 0;
	}
	return rename(from, to) == 0 ? 0 :
	    fail(e, "cannot rename %s", from);
}

/* The private files; the tree that is there now is the base of changes. */
static int
hand_over_files(const struct claim *c, struct err *e)
{
	const struct place *to = &c->make->place;
	struct git g = { .repository = c->own.repository,
		.index = c->own.index };
	char *tree = git_line(&g, GIT_ARGS("write-tree", "--missing-ok"),
	    NULL, e);
	struct review r = { .told = tree, .reviewed = tree, .last = "0",
		.head = xstrdup(c->commit) };
	int rc = tree ? review_write(to, &r, e) : -1;

	if (rc == 0)
		rc = hand_over(c->own.stale_file, to->stale_file, e);
	if (rc == 0)
		rc = hand_over(c->own.setup_file, to->setup_file, e);
	if (rc == 0)
		rc = hand_over(c->own.index, to->index, e);
	free(r.head);
	free(tree);
	return rc;
}

/* ---- the branch */

static bool
has_branch(const struct claim *c, const char *ref)
{
	struct git g = { .folder = c->project->path };

	return git_run(&g, GIT_ARGS("rev-parse", "-q", "--verify", ref), NULL,
	    NULL, NULL) == 0;
}

/*
 * The first free one of hearth/4c1e2f3a, hearth/4c1e2f3a-2, …. It is noted
 * before it is made, so that a copy which is made anew finds it its own.
 */
static int
make_branch(struct claim *c, struct err *e)
{
	struct git g = { .folder = c->project->path };
	int rc = fail(e, "all names of branches are taken");

	leftovers_of_branch(&c->make->place, c->project);
	for (int i = 1; rc < 0 && i <= NAMES_MAX; i++) {
		char *name = i == 1 ?
		    xasprintf("hearth/%.8s", c->make->session) :
		    xasprintf("hearth/%.8s-%d", c->make->session, i);
		char *ref = xasprintf("refs/heads/%s", name);
		bool is_taken = has_branch(c, ref);

		if (!is_taken && place_write(c->make->place.making_file,
		    GIT_ARGS(name, c->commit), e) == 0)
			rc = git_run(&g, GIT_ARGS("update-ref", ref,
			    c->commit, ""), NULL, NULL, e);
		if (rc == 0)
			c->branch = xstrdup(name);
		free(name);
		free(ref);
		if (!is_taken && rc < 0)
			break;
	}
	return rc;
}

/* ---- the claim */

static int
take(struct claim *c, struct err *e)
{
	struct prepared *p = &c->prepared;
	bool has_moved = strcmp(p->base, c->commit) != 0;
	int rc;

	p->state = PREPARED_TAKEN;
	free(p->session);
	p->session = xstrdup(c->make->session);
	rc = prepared_write(c->order->state_dir, p, e);
	if (rc == 0 && has_moved)
		rc = check_out_difference(c, e);
	if (rc == 0 && has_moved)
		rc = renew_own_index(c, e);
	if (rc == 0 && !c->project->is_bare)
		rc = include_copy(&c->own, c->project->path,
		    c->order->include, p->since, e);
	if (rc == 0)
		rc = hand_over_files(c, e);
	if (rc == 0)
		rc = make_branch(c, e);
	if (rc == 0)
		rc = place_write(c->make->place.copy_file,
		    GIT_ARGS(c->commit, c->branch, p->id), e);
	return rc;
}

static bool
is_usable(const struct claim *c, const char *key)
{
	const struct prepared *p = &c->prepared;
	struct stat st;

	return p->state == PREPARED_READY &&
	    p->project_id == c->order->project_id &&
	    strcmp(p->key, key) == 0 &&
	    lstat(c->own.worktree, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool
try_one(struct claim *c, const char *id, const char *key)
{
	const char *state_dir = c->order->state_dir;
	struct err e = { "" };
	bool is_done = false;

	if (place_open(&c->own, state_dir, id, c->order->project_id, NULL,
	    &e) == 0 && prepared_read(state_dir, id, &c->prepared) == 0) {
		if (is_usable(c, key)) {
			is_done = take(c, &e) == 0;
			if (!is_done)
				say_note("snapshot %s cannot be used: %s", id,
				    e.text);
		}
		if (is_done) {
			place_adopt(&c->make->place, id);
			prepared_settle(state_dir, &c->own, &c->prepared,
			    c->branch);
			unlink(c->make->place.making_file);
			prepared_say(&c->prepared, "claimed", NULL);
		}
		prepared_free(&c->prepared);
	}
	place_close(&c->own);
	free(c->branch);
	c->branch = NULL;
	return is_done;
}

/* Those of the present commit first. */
static void
try_all(struct claim *c, const struct prepared_list *list)
{
	char *key = prepared_key(c->order);
	bool is_done = false;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; !is_done && i < list->n; i++) {
			const struct prepared *p = &list->all[i];
			bool is_current = strcmp(p->base, c->commit) == 0;

			if (p->state == PREPARED_READY &&
			    p->project_id == c->order->project_id &&
			    is_current == (pass == 0))
				is_done = try_one(c, p->id, key);
		}
	free(key);
}

/* Its copy was prepared; the last step may be missing. */
static void
settle_own(const struct prepared_order *o, const struct make *m)
{
	const char *id = strrchr(m->place.own_worktree, '/') + 1;
	struct prepared p;
	struct place own;
	char *branch;

	if (strcmp(id, m->session) == 0 ||
	    prepared_read(o->state_dir, id, &p) < 0)
		return;
	branch = prepared_branch(o->state_dir, &p);
	if (place_open(&own, o->state_dir, id, o->project_id, NULL,
	    NULL) == 0 && branch)
		prepared_settle(o->state_dir, &own, &p, branch);
	place_close(&own);
	prepared_free(&p);
	free(branch);
}

void
prepared_claim(const struct prepared_order *o, struct make *m)
{
	struct prepared_list list = { .all = NULL };
	struct project project = { 0 };
	struct claim c = { .order = o, .make = m, .project = &project };
	char *commit = NULL;

	if (access(m->place.copy_file, F_OK) == 0)
		settle_own(o, m);
	/* a half-made one has a folder and a branch, which are used again */
	else if (m->base || o->count == 0 ||
	    access(m->place.making_file, F_OK) == 0)
		return;
	else if (prepared_list(o->state_dir, &list, NULL) == 0 && list.n &&
	    project_look(o->project, o->branch, &project, NULL) == 0 &&
	    project.is_git)
		c.commit = commit = project_commit(&project, o->branch, NULL);
	if (commit)
		try_all(&c, &list);
	free(commit);
	project_free(&project);
	prepared_list_free(&list);
}
