/* SPDX-License-Identifier: MIT */
/*
 * Looks at a project's folder and prepares its private repository.
 *
 * The private repository's info/attributes switches every conversion off, so
 * a blob is the file, byte by byte, and no attribute in a tree can name a
 * filter. It is made beside its place and renamed, so two helpers may race.
 *
 * Must never know: sessions. Read on in workspace/make.c.
 */
#include "workspace/project.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/place.h"

static const char attributes[] =
	"* !filter -text !eol !ident !working-tree-encoding !crlf";

static int
look_at_folder(const char *path, struct project *p, struct err *e)
{
	struct stat st;

	if (strchr(path, '\n'))
		return fail(e, "the project's path has a line break, which git "
		    "cannot do with: rename the folder and correct "
		    "projects.path");
	p->path = realpath(path, NULL);
	if (!p->path || stat(p->path, &st) < 0)
		return fail(e, "project %s: %s", path, errno == ENOENT ?
		    "there is no such folder on hearthd's machine; make it, "
		    "or correct projects.path" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(e, "project %s: it is not a folder; correct "
		    "projects.path", path);
	if (access(p->path, R_OK | X_OK) < 0)
		return fail(e, "project %s: hearthd's user may not read it: "
		    "give it the right to", path);
	return 0;
}

static bool
is_no_repository(const struct err *e)
{
	return strstr(e->text, "not a git repository") != NULL;
}

/* A plain folder, or one whose repository cannot be found any more. */
static int
look_at_plain(const char *path, struct project *p, struct err *e)
{
	char *git = xasprintf("%s/.git", p->path);
	struct stat st;
	int rc = 0;

	p->format = xstrdup("sha1");
	if (lstat(git, &st) == 0 && access(git, R_OK) < 0)
		rc = fail(e, "project %s: hearthd's user may not read its "
		    ".git: give it the right to", path);
	else if (lstat(git, &st) == 0)
		rc = fail(e, "project %s: it has a .git, but git finds no "
		    "repository there: repair it, or move the .git away to "
		    "work on the folder without it", path);
	free(git);
	return rc;
}

/* The commit that a name stands for, or NULL. */
static char *
resolve(const struct project *p, const char *prefix, const char *name,
    struct err *e)
{
	struct git g = { .folder = p->path };
	char *what = xasprintf("%s%s^{commit}", prefix, name);
	char *commit = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    "--end-of-options", what), NULL, e);

	free(what);
	return commit;
}

static char *
branch_commit(const struct project *p, const char *branch)
{
	char *commit = resolve(p, "refs/heads/", branch, NULL);

	return commit ? commit : resolve(p, "", branch, NULL);
}

/*
 * HEAD's commit, or that of the branch where HEAD has none yet: a repository
 * without either is as good as a plain folder, unless it is bare.
 */
static int
look_at_head(const char *path, const char *branch, struct project *p,
    struct err *e)
{
	struct git g = { .folder = p->path };
	char *named = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    "HEAD"), NULL, NULL);
	bool is_named = named != NULL;
	struct err why = { "" };

	free(named);
	p->head = resolve(p, "", "HEAD", &why);
	if (!p->head && *why.text)
		return fail(e, "project %s: %.900s", path, why.text);
	if (!p->head && is_named)
		return fail(e, "project %s: the commit that its HEAD names "
		    "cannot be read: look at it with git fsck", path);
	if (!p->head && branch && *branch)
		p->head = branch_commit(p, branch);
	p->is_git = p->head != NULL;
	if (!p->head && p->is_bare)
		return fail(e, "project %s: the repository is bare and its "
		    "HEAD has no commit: push one, or set "
		    "projects.default_branch to a branch that has", path);
	return 0;
}

int
project_look(const char *path, const char *branch, struct project *p,
    struct err *e)
{
	struct git g;
	struct buf out = { 0 };
	struct err why;
	char *rest, *bare;

	*p = (struct project){ 0 };
	if (look_at_folder(path, p, e) < 0)
		return -1;
	g = (struct git){ .folder = p->path };
	if (git_run(&g, GIT_ARGS("rev-parse", "--path-format=absolute",
	    "--is-bare-repository", "--show-object-format", "--git-path",
	    "objects"), NULL, &out, &why) < 0) {
		buf_free(&out);
		return is_no_repository(&why) ? look_at_plain(path, p, e) :
		    fail(e, "project %s: %s", path, why.text);
	}
	rest = out.data;
	bare = strsep(&rest, "\n");
	p->is_bare = strcmp(bare, "true") == 0;
	p->format = xstrdup(strsep(&rest, "\n"));
	p->objects = xstrdup(strsep(&rest, "\n"));
	buf_free(&out);
	return look_at_head(path, branch, p, e);
}

void
project_free(struct project *p)
{
	free(p->path);
	free(p->objects);
	free(p->format);
	free(p->head);
	*p = (struct project){ 0 };
}

char *
project_commit(const struct project *p, const char *branch, struct err *e)
{
	char *commit;

	if (!branch || !*branch)
		return xstrdup(p->head);
	commit = branch_commit(p, branch);
	if (!commit)
		fail(e, "it has no branch \"%s\": correct "
		    "projects.default_branch (NULL: what is checked out)",
		    branch);
	return commit;
}

bool
project_has(const struct project *p, const char *commit)
{
	char *found = resolve(p, "", commit, NULL);

	free(found);
	return found != NULL;
}

int
project_is_writable(const struct project *p, struct err *e)
{
	static const char *const below[] = { "worktrees", "refs/heads",
		"refs/heads/hearth", "" };
	const char *slash = strrchr(p->objects, '/');
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof below / sizeof *below; i++) {
		char *path = xasprintf("%.*s%s%s", (int)(slash - p->objects),
		    p->objects, *below[i] ? "/" : "", below[i]);

		if (access(path, W_OK | X_OK) < 0 && errno != ENOENT)
			rc = fail(e, "hearthd cannot write in %s (%s), where "
			    "git keeps worktrees and branches: make it "
			    "writable for hearthd's user, or take a clone as "
			    "the project", path, strerror(errno));
		free(path);
	}
	return rc;
}

static int
fill_repository(const struct project *p, const char *path, struct err *e)
{
	struct git nowhere = { 0 }, g = { .repository = path };
	char *format = xasprintf("--object-format=%s", p->format);
	char *info = xasprintf("%s/info", path);
	char *file = xasprintf("%s/attributes", info);
	int rc;

	rc = git_run(&nowhere, GIT_ARGS("init", "-q", "--bare", "--template=",
	    format, path), NULL, NULL, e);
	if (rc == 0)
		rc = git_run(&g, GIT_ARGS("config", "gc.auto", "0"), NULL,
		    NULL, e);
	if (rc == 0)
		rc = git_run(&g, GIT_ARGS("config", "gc.pruneExpire", "never"),
		    NULL, NULL, e);
	if (rc == 0 && mkdir(info, 0755) < 0 && errno != EEXIST)
		rc = fail(e, "mkdir %s: %s", info, strerror(errno));
	if (rc == 0)
		rc = place_write(file, GIT_ARGS(attributes), e);
	free(format);
	free(info);
	free(file);
	return rc;
}

static int
make_repository(const struct project *p, const char *repository, struct err *e)
{
	char *tmp = xasprintf("%s.%d", repository, (int)getpid());
	int rc;

	rc = place_remove(tmp, e);
	if (rc == 0)
		rc = fill_repository(p, tmp, e);
	if (rc == 0 && rename(tmp, repository) < 0 &&
	    errno != ENOTEMPTY && errno != EEXIST)
		rc = fail(e, "cannot make %s: %s", repository,
		    strerror(errno));
	place_remove(tmp, NULL);
	free(tmp);
	return rc;
}

static int
borrow_objects(const struct project *p, const char *repository, struct err *e)
{
	char *path = xasprintf("%s/objects/info/alternates", repository);
	char *line;
	int rc = 0;

	if (!place_read(path, &line, 1) || !line ||
	    strcmp(line, p->objects) != 0)
		rc = place_write(path, GIT_ARGS(p->objects), e);
	free(line);
	free(path);
	return rc;
}

int
project_open_repository(const struct project *p, const char *repository,
    struct err *e)
{
	struct stat st;

	if (stat(repository, &st) < 0 &&
	    make_repository(p, repository, e) < 0)
		return -1;
	return p->is_git ? borrow_objects(p, repository, e) : 0;
}
