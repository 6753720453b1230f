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
		return fail(e, "project \"%s\": its path has a line break",
		    path);
	p->path = realpath(path, NULL);
	if (!p->path || stat(p->path, &st) < 0)
		return fail(e, "project %s: %s", path, errno == ENOENT ?
		    "there is no such folder on hearthd's machine; make it, "
		    "or correct projects.path" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(e, "project %s: it is not a folder; correct "
		    "projects.path", path);
	if (access(p->path, R_OK | X_OK) < 0)
		return fail(e, "project %s: hearthd's user may not read it",
		    path);
	return 0;
}

static bool
is_no_repository(const struct err *e)
{
	return strstr(e->text, "not a git repository") != NULL;
}

int
project_look(const char *path, struct project *p, struct err *e)
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
		p->format = xstrdup("sha1");
		return is_no_repository(&why) ? 0 :
		    fail(e, "project %s: %s", path, why.text);
	}
	rest = out.data;
	bare = strsep(&rest, "\n");
	p->is_bare = strcmp(bare, "true") == 0;
	p->format = xstrdup(strsep(&rest, "\n"));
	p->objects = xstrdup(strsep(&rest, "\n"));
	buf_free(&out);
	p->head = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
	    "HEAD^{commit}"), NULL, &why);
	p->is_git = p->head != NULL;
	if (!p->head && p->is_bare)
		return fail(e, "project %s: the repository is bare and has no "
		    "commit", path);
	return 0;
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
	struct git g = { .folder = p->path };
	char *commit = NULL;

	if (!branch || !*branch)
		return xstrdup(p->head);
	for (int i = 0; i < 2 && !commit; i++) {
		char *name = xasprintf("%s%s^{commit}",
		    i ? "" : "refs/heads/", branch);

		commit = git_line(&g, GIT_ARGS("rev-parse", "-q", "--verify",
		    "--end-of-options", name), NULL, NULL);
		free(name);
	}
	if (!commit)
		fail(e, "project %s: it has no branch \"%s\"", p->path, branch);
	return commit;
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
