/* SPDX-License-Identifier: MIT */
/*
 * Takes a tree: the files of a folder as they are now, written into the
 * private repository through a private index, so that nobody's own index or
 * configuration takes part. The index remembers sizes and times, so a tree
 * after few changes costs little.
 *
 * Not taken, with a note: repositories within the folder, files that cannot
 * be read, files over TAKE_FILE_MAX; nor what lies in submodules. Ignored files
 * (.gitignore) are left out.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_TAKE_H
#define HEARTH_TAKE_H

#include "base/err.h"

#define TAKE_FILE_MAX ((long long)512 << 20)

struct take {
	const char *folder;
	const char *repository;
	const char *index;
	/*
	 * Exists while the index knows files that were changed within the
	 * second in which it was written: git reads those again and again
	 * until the index is written anew.
	 */
	const char *stale_file;
	int *left_out; /* counts what is not taken, but for ignored
	                * files; NULL: nobody asks */
};

/*
 * The tree's id, which the caller frees, or NULL. An index that git refuses
 * is built anew from start (a commit or tree) once.
 */
char *take_tree(const struct take *t, const char *start, struct err *e);
/* Puts a tree into an empty or half-filled folder, and into the index. */
int take_out(const struct take *t, const char *commit, struct err *e);
/* From there to another one. */
int take_over(const struct take *t, const char *commit, struct err *e);

#endif
