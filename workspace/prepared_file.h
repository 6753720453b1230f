/* SPDX-License-Identifier: MIT */
/*
 * The files that say which prepared worktrees there are: one for each, in
 * state_dir/prepared, named by a uuid as the worktree and its other files are.
 * It is written before anything of the worktree is made, and unlinked last, so
 * whatever is cut off, the next look at it knows what to do.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_PREPARED_FILE_H
#define HEARTH_PREPARED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define PREPARED_SECONDS (24 * 60 * 60) /* it is kept for */

enum prepared_state {
	PREPARED_BEGUN,  /* it is being made */
	PREPARED_READY,
	PREPARED_TAKEN,  /* by a session, whose copy it is as soon as that has a
	                  * copy file which names it */
};

struct prepared {
	char *id;            /* uuid */
	long long project_id;
	char *project;       /* its folder, as configured */
	char *key;           /* of all that it was made with */
	enum prepared_state state;
	char *base;          /* commit; "" not known */
	char *git_dir;       /* the worktree's; "" not known */
	char *session;       /* that has taken it; "" none */
	int64_t since;       /* ready, taken: when its making began, seconds */
};

struct prepared_list {
	struct prepared *all;
	size_t n;
	char **halves;       /* ids whose file is, or was, being written */
};

/* The file's path, which the caller frees. */
char *prepared_path(const char *state_dir, const char *id);
/* -1: there is none. Fills p, which prepared_free() empties. */
int prepared_read(const char *state_dir, const char *id, struct prepared *p);
int prepared_write(const char *state_dir, const struct prepared *p,
    struct err *e);
void prepared_free(struct prepared *p);
/* All of them; the folder is made when it is missing. */
int prepared_list(const char *state_dir, struct prepared_list *list,
    struct err *e);
void prepared_list_free(struct prepared_list *list);

#endif
