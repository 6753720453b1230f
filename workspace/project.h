/* SPDX-License-Identifier: MIT */
/*
 * What a project's folder is, and the project's private repository: a bare
 * one below state_dir whose configuration nobody else writes, which borrows
 * the project's objects.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_PROJECT_H
#define HEARTH_PROJECT_H

#include <stdbool.h>

#include "base/err.h"

struct project {
	char *path;        /* real path */
	bool is_git;       /* a repository by itself, with a commit */
	bool is_bare;
	char *objects;     /* NULL unless git */
	char *format;      /* "sha1" */
	char *head;        /* commit, NULL unless is_git; of branch where HEAD
	                    * has none */
};

/* branch: the project's default branch, or NULL. Errors speak of the project
 * by its path. */
int project_look(const char *path, const char *branch, struct project *p,
    struct err *e);
void project_free(struct project *p); /* also after a failed look */
/* The commit that branch (NULL: head) stands for; freed by the caller. Errors
 * speak of "it". */
char *project_commit(const struct project *p, const char *branch,
    struct err *e);
/* Whether it has that commit itself. */
bool project_has(const struct project *p, const char *commit);
/* Fails when hearthd may not write where git keeps worktrees and branches. */
int project_is_writable(const struct project *p, struct err *e);
/* Makes the private repository when it is not there. */
int project_open_repository(const struct project *p, const char *repository,
    struct err *e);

#endif
