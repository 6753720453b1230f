/* SPDX-License-Identifier: MIT */
/*
 * Measures a copy, also while its agents work: it only reads. Sizes are those
 * of blocks on disk, of all that lies in the worktree, ignored files included;
 * what has several names counts for each.
 *
 * Must never know: who asks. Read on in workspace/away.c.
 */
#include "workspace/measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/away.h"
#include "workspace/git.h"
#include "workspace/project.h"
#include "workspace/say.h"
#include "workspace/take.h"

/* Deeper trees than this are not ours to walk. */
#define DEPTH_MAX 200

static long long size_of(int fd, int depth);

static long long
size_of_entry(int folder, const char *name, int depth)
{
	struct stat st;
	long long bytes;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	bytes = (long long)st.st_blocks * 512;
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		bytes += size_of(openat(folder, name, O_RDONLY | O_DIRECTORY |
		    O_NOFOLLOW | O_CLOEXEC), depth + 1);
	return bytes;
}

/* Of what an open folder, which it closes, holds. */
static long long
size_of(int fd, int depth)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	long long bytes = 0;
	struct dirent *d;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			bytes += size_of_entry(dirfd(dir), d->d_name, depth);
	closedir(dir);
	return bytes;
}

/* "behind<tab>ahead" as git counts; both "" where there is no branch. */
static void
count_commits(const struct make *m, const struct project *p,
    const char *head, char **behind, char **ahead)
{
	struct git g = { .folder = p->path };
	char *branch = project_commit(p, m->branch, NULL), *range, *line, *tab;

	*behind = *ahead = NULL;
	if (!branch)
		return;
	range = xasprintf("%s...%s", branch, head);
	line = git_line(&g, GIT_ARGS("rev-list", "--left-right", "--count",
	    range), NULL, NULL);
	tab = line ? strchr(line, '\t') : NULL;
	if (tab) {
		*behind = xmemdupz(line, (size_t)(tab - line));
		*ahead = xstrdup(tab + 1);
	}
	free(branch);
	free(range);
	free(line);
}

static void
count_names(void *ctx, const char *p, size_t n)
{
	long *count = ctx;

	for (size_t i = 0; i < n; i++)
		*count += p[i] == '\0';
}

/* NULL: not known. */
static char *
count_changes(const struct make *m, const char *head, const char *tree)
{
	struct git g = { .repository = m->place.repository };
	struct git_process p;
	long count = 0;

	if (!tree || git_start(&g, GIT_ARGS("diff-tree", "-r", "-z",
	    "--name-only", "--no-renames", head, tree), &p, NULL) < 0 ||
	    git_finish(&p, NULL, count_names, &count, NULL) < 0)
		return NULL;
	return xasprintf("%ld", count);
}

static char *
tree_now(const struct make *m, bool is_fresh, const char *base)
{
	struct take t = { .folder = m->place.worktree,
		.repository = m->place.repository, .index = m->place.index,
		.stale_file = m->place.stale_file };
	char *told;

	if (is_fresh)
		return take_tree(&t, base, NULL);
	place_read(m->place.tree_file, &told, 1);
	return told;
}

static const char *
or_empty(const char *s)
{
	return s ? s : "";
}

static void
say_of(const struct make *m, const struct project *p, const struct copy *c,
    bool is_fresh)
{
	struct project view = make_view(p, c);
	char *head = view.is_git ? away_head(&m->place, p->path) : NULL;
	char *behind = NULL, *ahead = NULL;
	char *tree = tree_now(m, is_fresh, c->base);
	char *changed = count_changes(m, head ? head : c->base, tree);
	char *kb = xasprintf("%lld", size_of_entry(AT_FDCWD,
	    m->place.worktree, 0) / 1024);

	if (head)
		count_commits(m, p, head, &behind, &ahead);
	SAY('M', or_empty(behind), or_empty(ahead), or_empty(changed), kb);
	free(head);
	free(behind);
	free(ahead);
	free(tree);
	free(changed);
	free(kb);
}

int
measure_say(const struct make *m, bool is_fresh, struct err *e)
{
	struct copy c = { 0 };
	struct project p;
	int rc = project_look(m->project, m->branch, &p, e);

	if (rc == 0 && !make_recall(m, &c))
		rc = fail(e, "there is no copy");
	if (rc == 0)
		say_of(m, &p, &c, is_fresh);
	copy_free(&c);
	project_free(&p);
	return rc;
}
