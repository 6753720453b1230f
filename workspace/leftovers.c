/* SPDX-License-Identifier: MIT */
/*
 * "git worktree add" makes the entry's folder first and writes the file
 * commondir into it last; without that every "git worktree" of the project
 * fails. An entry is ours when it leads below our folder of worktrees, or, if
 * it does not say yet where it leads, when its name is that of a copy of ours.
 *
 * Must never know: sessions.
 */
#include "workspace/leftovers.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

/* The first line of a file; "" when there is none. */
static char *
line_of(const char *folder, const char *name)
{
	char *path = xasprintf("%s/%s", folder, name), *line;

	place_read(path, &line, 1);
	free(path);
	return line ? line : xstrdup("");
}

static bool
has_lock(const struct place *place, const char *name)
{
	const char *slash = strrchr(place->repository, '/');
	char *path = xasprintf("%.*s/%s.lock",
	    (int)(slash - place->repository), place->repository, name);
	bool has = access(path, F_OK) == 0;

	free(path);
	return has;
}

static bool
is_half(const struct place *place, const char *entry, const char *name)
{
	char *common = line_of(entry, "commondir");
	char *leads_to = line_of(entry, "gitdir");
	char *trees = realpath(place->trees, NULL); /* as git writes it */
	size_t n = trees ? strlen(trees) : 0;
	bool is = !*common && (*leads_to ?
	    n && strncmp(leads_to, trees, n) == 0 && leads_to[n] == '/' :
	    has_lock(place, name));

	free(trees);
	free(common);
	free(leads_to);
	return is;
}

/* The repository's folder, without the name of its objects. */
static int
common_length(const struct project *p)
{
	return (int)(strrchr(p->objects, '/') - p->objects);
}

void
leftovers_of_list(const struct place *place, const struct project *p)
{
	char *folder = xasprintf("%.*s/worktrees", common_length(p),
	    p->objects);
	DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir && (d = readdir(dir)) != NULL) {
		char *entry = xasprintf("%s/%s", folder, d->d_name);

		if (d->d_name[0] != '.' && is_half(place, entry, d->d_name))
			place_remove(entry, NULL);
		free(entry);
	}
	if (dir)
		closedir(dir);
	free(folder);
}

void
leftovers_of_branch(const struct place *place, const struct project *p)
{
	char *branch, *lock;

	place_read(place->making_file, &branch, 1);
	if (branch && *branch) {
		lock = xasprintf("%.*s/refs/heads/%s.lock", common_length(p),
		    p->objects, branch);
		unlink(lock);
		free(lock);
	}
	free(branch);
}
