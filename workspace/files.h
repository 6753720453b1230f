/* SPDX-License-Identifier: MIT */
/*
 * Single files of a folder whose contents nobody vouches for: found without
 * following a link anywhere on the way, read, and replaced at once, so that
 * whoever reads finds the old file or the new one.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_FILES_H
#define HEARTH_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

/* A name in an open folder. */
struct spot {
	int folder;        /* -1: there is no such folder */
	const char *name;  /* within the path */
	const char *path;  /* for errors; borrowed */
};

/*
 * path is relative to root, a folder's descriptor. makes: missing folders are
 * made. -1: the path leads out, into .git, or through something that is no
 * folder. spot_close() in any case.
 */
int spot_open(int root, const char *path, bool makes, struct spot *s,
    struct err *e);
void spot_close(struct spot *s);

/* What was there when it was read. */
struct found {
	char mode[8];      /* as a tree has it; "" nothing */
	struct stat st;
};
/* Appends the bytes of a file, or where a link points to. -1: it is a folder,
 * too large, or cannot be read. */
int spot_read(const struct spot *s, struct found *f, struct buf *out,
    struct err *e);

/*
 * Puts bytes there with this mode (as a tree has it; "" takes the file away),
 * unless it is not what was found any more: then 1, and it is as it is. tmp is a
 * name beside it, which nobody else uses; a process that is killed may leave it
 * behind, with what is to be there or with what was.
 */
int spot_put(const struct spot *s, const char *tmp, const struct found *was,
    const char *mode, const struct buf *bytes, struct err *e);

/* Removes the folders above path that are empty, as long as each may go. */
void spot_prune(int root, const char *path,
    bool (*may_go)(void *ctx, const char *folder), void *ctx);

#endif
