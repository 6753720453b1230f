/* SPDX-License-Identifier: MIT */
/*
 * Where a session's things lie below state_dir, and small files there.
 *
 * All names are made of the session's uuid and the project's number, so two
 * sessions never share one but the project's private repository.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_PLACE_H
#define HEARTH_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct place {
	char *worktree;
	char *own_worktree; /* where it would be made now */
	char *trees;        /* the folder of all worktrees */
	char *repository;   /* the project's private bare repository */
	char *index;        /* private index */
	char *copy_file;    /* written last: the copy is complete */
	char *making_file;  /* written first: what a half-made one began with */
	char *setup_file;   /* workspace/setup.h */
	char *include_file; /* workspace/include.h, for a moment */
	char *tree_file;    /* see workspace/review.h */
	char *journal_file; /* see workspace/write.h */
	char *restoring_file; /* while a copy that was away comes back */
	char *stale_file;   /* the index knows times too fresh to be trusted */
	int lock;           /* held while this process works on the session */
};

/*
 * Makes the folders and waits for another helper of this session to end.
 * worktree is NULL or where an earlier copy lies; what the session's files say
 * of that is read. place_close() in any case.
 */
int place_open(struct place *p, const char *state_dir, const char *session,
    long long project, const char *worktree, struct err *e);
void place_close(struct place *p);
/* Others may work on the session from here on. */
void place_unlock(struct place *p);
/* The copy lies, and would be made, in another folder below the worktrees. */
void place_adopt(struct place *p, const char *folder);
/* Waits for the lock; returns its descriptor, which is closed to give it up. */
int place_lock(const char *path, struct err *e);

/*
 * A small file of lines: fills at most n of them, each to be freed, the rest
 * NULL; false when there is no such file.
 */
bool place_read(const char *path, char *lines[], int n);
/* Replaces it at once or not at all; lines end with NULL. One writer at a
 * time: who has the lock. */
int place_write(const char *path, const char *const *lines, struct err *e);
/* The same with any bytes. */
int place_write_bytes(const char *path, const void *bytes, size_t n,
    struct err *e);

/* The worktree lies where hearthd puts them, and has the session's name. */
bool place_is_own(const struct place *p);

/* Removes a folder and all below it, following no link. */
int place_remove(const char *path, struct err *e);

#endif
