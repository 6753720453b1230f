/* SPDX-License-Identifier: MIT */
/*
 * Makes a session's copy of a project, so that a crash at any point leaves
 * either a complete copy or one that the next attempt makes anew.
 *
 * A git project gets a worktree without files ("worktree add --no-checkout");
 * the files come through the private repository, whose configuration no agent
 * can write, and the worktree's own index is a copy of the private one. After
 * that nothing here reads the worktree's .git again. A folder that is no
 * repository, or has no commit, becomes a commit in the private repository.
 *
 * Must never know: records, inotify. Read on in workspace/take.c.
 */
#include "workspace/make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/away.h"
#include "workspace/catch_up.h"
#include "workspace/git.h"
#include "workspace/include.h"
#include "workspace/leftovers.h"
#include "workspace/project.h"
#include "workspace/say.h"
#include "workspace/setup.h"
#include "workspace/take.h"

#define NAMES_MAX 99

static bool
is_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static struct take
take_of(const struct make *m)
{
	return (struct take){ .folder = m->place.worktree,
		.repository = m->place.repository, .index = m->place.index,
		.stale_file = m->place.stale_file };
}

static int
copy_file(const char *from, const char *to, struct err *e)
{
	char *tmp = xasprintf("%s.hearth", to);
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
	    O_NOFOLLOW, 0644);
	ssize_t n = in < 0 || out < 0 ? -1 : 1;

	while (n > 0)
		n = sendfile(out, in, NULL, 1 << 20);
	if (n == 0 && rename(tmp, to) < 0)
		n = -1;
	if (n < 0) {
		fail(e, "cannot write %s: %s", to, strerror(errno));
		unlink(tmp);
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	free(tmp);
	return n < 0 ? -1 : 0;
}

/*
 * The worktree's own index, from the private one. The worktree's .git is read
 * here, just after git has written it and before any agent has been there.
 */
static int
give_index(const struct make *m, struct copy *c, struct err *e)
{
	char *link = xasprintf("%s/.git", m->place.worktree), *line, *to;
	int rc;

	place_read(link, &line, 1);
	if (line && strncmp(line, "gitdir: ", 8) == 0) {
		free(c->git_dir);
		c->git_dir = xstrdup(line + 8);
		to = xasprintf("%s/index", c->git_dir);
		rc = copy_file(m->place.index, to, e);
		free(to);
	} else {
		rc = fail(e, "git wrote no gitdir into %s", link);
	}
	free(line);
	free(link);
	return rc;
}

/* The commit at a branch's tip, NULL: no such branch. */
static char *
tip_of(const struct project *p, const char *branch)
{
	struct git g = { .folder = p->path };
	char *ref = xasprintf("refs/heads/%s", branch);
	char *tip = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify", ref),
	    NULL, NULL);

	free(ref);
	return tip;
}

/*
 * One change at a time to a project's list of worktrees: git reads the entries
 * of all others on the way, and fails on one that is only half written.
 */
static int
change_list(const struct make *m, const struct project *p,
    const char *const *args, struct err *e)
{
	struct git g = { .folder = p->path };
	char *path = xasprintf("%s.lock", m->place.repository);
	int lock = place_lock(path, e), rc = -1;

	if (lock >= 0) {
		leftovers_of_list(&m->place, p);
		rc = git_run(&g, args, NULL, NULL, e);
		close(lock);
	}
	free(path);
	return rc;
}

/* Git forgets a worktree whose folder is gone, if it knows it at all. */
void
make_unregister(const struct make *m, const struct project *p)
{
	change_list(m, p, GIT_ARGS("worktree", "remove", "-f", "-f",
	    m->place.worktree), NULL);
}

/* Twice forced: over what a half-made worktree left registered or locked. */
static int
add_worktree(const struct make *m, const struct project *p, const char *how,
    const char *branch, const char *commit, struct err *e)
{
	if (project_is_writable(p, e) < 0)
		return -1;
	if (!branch)
		return change_list(m, p, GIT_ARGS("worktree", "add", "-f",
		    "-f", "--no-checkout", "--detach", m->place.worktree,
		    commit), e);
	if (!how)
		return change_list(m, p, GIT_ARGS("worktree", "add", "-f",
		    "-f", "--no-checkout", m->place.worktree, branch), e);
	return change_list(m, p, GIT_ARGS("worktree", "add", "-f", "-f",
	    "--no-checkout", "--no-track", how, branch, m->place.worktree,
	    commit), e);
}

/*
 * Adds it on the first free name of hearth/4c1e2f3a, hearth/4c1e2f3a-2, …; a
 * name that a half-made copy of this session took, and nobody has committed
 * on since, is free.
 */
static int
add_on_free_branch(const struct make *m, const struct project *p,
    struct copy *c, struct err *e)
{
	char *made[2], *name = NULL;
	int rc = -1;

	leftovers_of_branch(&m->place, p);
	place_read(m->place.making_file, made, 2);
	fail(e, "the project has %d branches named hearth/%.8s already",
	    NAMES_MAX, m->session);
	for (int i = 1; rc < 0 && i <= NAMES_MAX; i++) {
		char *tip;
		bool is_ours;

		free(name);
		name = i == 1 ? xasprintf("hearth/%.8s", m->session) :
		    xasprintf("hearth/%.8s-%d", m->session, i);
		tip = tip_of(p, name);
		is_ours = tip && made[1] && strcmp(made[0], name) == 0 &&
		    strcmp(made[1], tip) == 0;
		free(tip);
		if (tip && !is_ours)
			continue;
		if (place_write(m->place.making_file, GIT_ARGS(name, c->base),
		    e) < 0)
			break;
		rc = add_worktree(m, p, is_ours ? "-B" : "-b", name, c->base,
		    e);
		if (rc < 0 && !strstr(e->text, "already exists"))
			break;
	}
	free(made[0]);
	free(made[1]);
	free(c->branch);
	c->branch = rc == 0 ? xstrdup(name) : NULL;
	free(name);
	return rc;
}

static int
make_worktree(const struct make *m, const struct project *p, struct copy *c,
    struct err *e)
{
	struct take t = take_of(m);

	c->base = project_commit(p, m->branch, e);
	if (!c->base || (m->is_detached ?
	    add_worktree(m, p, NULL, NULL, c->base, e) :
	    add_on_free_branch(m, p, c, e)) < 0)
		return -1;
	return take_out(&t, c->base, e) < 0 ? -1 : give_index(m, c, e);
}

static int
make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return fail(e, "cannot make the folder %s: %s", path,
		    strerror(errno));
	return 0;
}

/* The folder's files as a commit that is the same for the same files. */
static char *
import(const struct make *m, const struct project *p, struct err *e)
{
	char *index = xasprintf("%s.import", m->place.index);
	struct take t = { .folder = p->path, .index = index,
		.repository = m->place.repository,
		.stale_file = m->place.stale_file };
	struct git g = { .repository = m->place.repository,
		.date = "1970-01-01T00:00:00+0000" };
	char *tree, *commit = NULL;

	unlink(index);
	tree = take_tree(&t, NULL, e);
	if (tree)
		commit = git_line(&g, GIT_ARGS("commit-tree", "-m",
		    "The folder as it was", tree), NULL, e);
	unlink(index);
	free(index);
	free(tree);
	return commit;
}

static int
make_folder_copy(const struct make *m, const struct project *p,
    struct copy *c, struct err *e)
{
	struct take t = take_of(m);
	size_t n = strlen(p->path);

	if (strncmp(m->place.repository, p->path, n) == 0 &&
	    m->place.repository[n] == '/')
		return fail(e, "hearthd's state_dir lies in it: it cannot be "
		    "copied");
	c->base = import(m, p, e);
	if (!c->base || make_folder(m->place.worktree, e) < 0)
		return -1;
	return take_out(&t, c->base, e);
}

static int
make_anew(const struct make *m, const struct project *p, struct copy *c,
    struct err *e)
{
	unlink(m->place.tree_file);
	unlink(m->place.journal_file);
	unlink(m->place.index);
	if (place_remove(m->place.worktree, e) < 0)
		return -1;
	if (p->is_git && access(m->place.making_file, F_OK) == 0)
		make_unregister(m, p);
	return p->is_git ? make_worktree(m, p, c, e) :
	    make_folder_copy(m, p, c, e);
}

struct project
make_view(const struct project *p, const struct copy *c)
{
	struct project view = *p;

	view.is_git = p->is_git && (c->branch || project_has(p, c->base));
	return view;
}

/* *start, which the caller frees, is what is checked out. */
static int
restore_worktree(const struct make *m, const struct project *p,
    struct copy *c, const char *saved, char **start, struct err *e)
{
	char *tip = c->branch ? tip_of(p, c->branch) : NULL;

	*start = tip ? tip : saved ? xasprintf("%s^", saved) :
	    xstrdup(c->base);
	if (tip)
		return add_worktree(m, p, NULL, c->branch, NULL, e);
	if (c->branch)
		return add_worktree(m, p, "-b", c->branch, *start, e);
	return add_on_free_branch(m, p, c, e);
}

/*
 * The files that were there last, and the commit that they stood on: as they
 * were put away, or, of a folder that was lost, as they were told. Which commit
 * that was, an earlier edition did not note: then start, so that they are taken
 * whole. false: there are none.
 */
static bool
find_files(const struct make *m, const char *saved, const char *start,
    char **files, char **head)
{
	struct git g = { .repository = m->place.repository };
	char *line[4];

	*files = *head = NULL;
	if (saved) {
		*files = xasprintf("%s^{tree}", saved);
		*head = xasprintf("%s^", saved);
		return true;
	}
	place_read(m->place.tree_file, line, 4);
	/* all that is in it is there, too */
	if (line[0] && git_run(&g, GIT_ARGS("rev-list", "--objects", "--quiet",
	    line[0]), NULL, NULL, NULL) == 0) {
		*files = xstrdup(line[0]);
		*head = xstrdup(line[3] ? line[3] : start);
	} else if (line[0]) {
		say_note("what was last seen of the copy cannot be brought "
		    "back: the tree %s is gone, or not whole", line[0]);
	}
	for (int i = 0; i < 4; i++)
		free(line[i]);
	return *files != NULL;
}

/* start is checked out: its files give way to those that were there last. When
 * that fails, they are where they were, and it can be tried again. */
static int
bring_back(const struct make *m, const char *saved, const char *start,
    struct err *e)
{
	struct take t = take_of(m);
	char *files, *head, *tree;
	int rc;

	if (!find_files(m, saved, start, &files, &head))
		return 0;
	tree = catch_up(&m->place, files, head, start, e);
	rc = tree ? take_over(&t, tree, e) : -1;
	free(files);
	free(head);
	free(tree);
	return rc;
}

static int
restore_files(const struct make *m, const struct project *p, struct copy *c,
    const char *saved, char **start, struct err *e)
{
	struct take t = take_of(m);
	int rc;

	if (p->is_git) {
		rc = restore_worktree(m, p, c, saved, start, e);
	} else {
		*start = xstrdup(c->base);
		rc = make_folder(m->place.worktree, e);
	}
	if (rc == 0)
		rc = take_out(&t, *start, e);
	if (rc == 0 && p->is_git)
		rc = give_index(m, c, e);
	return rc < 0 ? -1 : bring_back(m, saved, *start, e);
}

/* The copy was made and worked in, but its folder is gone, or was put away and
 * came back only half. */
static int
restore(const struct make *m, const struct project *p, struct copy *c,
    struct err *e)
{
	struct project view = make_view(p, c);
	char *saved, *start = NULL;
	int rc = place_write(m->place.restoring_file, GIT_ARGS(c->base), e);

	if (rc < 0 || away_clear(m, e) < 0)
		return -1;
	saved = away_find(m, &view);
	rc = restore_files(m, &view, c, saved, &start, e);
	if (rc == 0 && unlink(m->place.restoring_file) < 0)
		rc = fail(e, "cannot remove %s: %s", m->place.restoring_file,
		    strerror(errno));
	if (rc == 0 && saved)
		away_forget(m, &view, saved, start);
	free(saved);
	free(start);
	return rc;
}

static bool
is_whole(const struct make *m)
{
	return is_folder(m->place.worktree) &&
	    access(m->place.restoring_file, F_OK) < 0;
}

static int
check_base(const struct make *m, const struct copy *c, struct err *e)
{
	struct git g = { .repository = m->place.repository };
	char *what = xasprintf("%s^{tree}", c->base);
	int rc = git_run(&g, GIT_ARGS("cat-file", "-e", what), NULL, NULL,
	    NULL);

	free(what);
	return rc == 0 ? 0 : fail(e, "the commit %s that the copy began with "
	    "is gone from the project", c->base);
}

/* What a checkout does not bring; until the setup command was there, too. */
static int
equip(const struct make *m, const struct project *p, struct err *e)
{
	if (p->is_bare || !setup_is_due(&m->place))
		return 0;
	return include_copy(&m->place, p->path, m->include, 0, e);
}

static int
make_with(const struct make *m, const struct project *p, bool is_known,
    struct copy *c, struct err *e)
{
	struct err why;
	bool is_there = is_known && is_whole(m);
	int rc = project_open_repository(p, m->place.repository, &why);

	if (rc == 0 && is_known)
		rc = check_base(m, c, &why);
	if (rc == 0 && !is_there)
		rc = setup_expect(&m->place, is_known &&
		    access(m->place.tree_file, F_OK) == 0, &why);
	if (rc == 0 && !is_known)
		rc = make_anew(m, p, c, &why);
	else if (rc == 0 && !is_there)
		rc = restore(m, p, c, &why);
	if (rc == 0)
		rc = equip(m, p, &why);
	if (rc == 0)
		rc = place_write(m->place.copy_file, GIT_ARGS(c->base,
		    c->branch ? c->branch : "", c->folder), &why);
	if (rc == 0)
		unlink(m->place.making_file);
	return rc == 0 ? 0 : fail(e, "project %s: %.900s", m->project,
	    why.text);
}

bool
make_recall(const struct make *m, struct copy *c)
{
	char *line[3];

	place_read(m->place.copy_file, line, 3);
	c->base = m->base ? xstrdup(m->base) : xstrdup(line[0]);
	c->branch = line[1] && *line[1] ? xstrdup(line[1]) : NULL;
	c->folder = line[2];
	free(line[0]);
	free(line[1]);
	return c->base != NULL;
}

void
copy_free(struct copy *c)
{
	free(c->branch);
	free(c->base);
	free(c->folder);
	free(c->git_dir);
	*c = (struct copy){ .base = NULL };
}

int
make_copy(const struct make *m, struct copy *c, struct err *e)
{
	bool is_known = make_recall(m, c);
	struct project p;
	int rc;

	rc = project_look(m->project, m->branch, &p, e);
	if (rc == 0)
		rc = make_with(m, &p, is_known, c, e);
	project_free(&p);
	return rc;
}

void
make_drop_branch(const struct project *p, const struct copy *c,
    bool with_commits)
{
	struct git g = { .folder = p->path };
	char *tip = tip_of(p, c->branch);

	if (tip && (with_commits || strcmp(tip, c->base) == 0))
		git_run(&g, GIT_ARGS("branch", "-q", "-D", "--", c->branch),
		    NULL, NULL, NULL);
	free(tip);
}

int
make_remove(const struct make *m, struct err *e)
{
	struct copy c = { 0 };
	struct project p;

	if (!place_is_own(&m->place))
		return fail(e, "%s is not below hearthd's folder of worktrees: "
		    "not removed", m->place.worktree);
	make_recall(m, &c);
	if (away_clear(m, e) < 0) {
		copy_free(&c);
		return -1;
	}
	/* A project that is gone has nothing left to be tidied. */
	if (project_look(m->project, m->branch, &p, NULL) == 0 && p.is_git) {
		make_unregister(m, &p);
		if (c.branch)
			make_drop_branch(&p, &c, false);
	}
	project_free(&p);
	unlink(m->place.index);
	unlink(m->place.tree_file);
	unlink(m->place.journal_file);
	unlink(m->place.stale_file);
	unlink(m->place.setup_file);
	unlink(m->place.making_file);
	unlink(m->place.copy_file);
	copy_free(&c);
	return 0;
}
