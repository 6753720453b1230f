/* SPDX-License-Identifier: MIT */
/*
 * The only way to git: the program, with an argv array, an environment of our
 * own and configuration on its command line that beats whatever the project's
 * configuration says. Nothing that an agent can write (configuration, hooks,
 * attributes, the worktree's .git file) makes it run a program.
 *
 * Blocking: for hearth-worktree alone, never for the daemon.
 */
#ifndef HEARTH_GIT_H
#define HEARTH_GIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct git {
	const char *folder;     /* where it runs, real path; NULL: anywhere */
	const char *repository; /* the git folder; NULL: what folder itself is,
	                         * never a repository that folder lies in */
	const char *work_tree;  /* NULL: none */
	const char *index;      /* NULL: the repository's own */
	const char *date;       /* of new commits; NULL: now */
};

typedef void git_sink_fn(void *ctx, const char *p, size_t n);

/* A git that runs; its output is read by git_finish(). */
struct git_process {
	int pid;
	int in, out, err;       /* our ends, -1 closed */
};

int git_start(const struct git *g, const char *const *args,
    struct git_process *p, struct err *e);
/*
 * Writes input (NULL: none), hands the output to sink as it comes, and waits
 * for the end. -1 with git's own words when its exit status is not 0; the
 * words are empty when it said none.
 */
int git_finish(struct git_process *p, const struct buf *input,
    git_sink_fn *sink, void *ctx, struct err *e);

/* Both together, the output appended to output (NULL: thrown away). */
int git_run(const struct git *g, const char *const *args,
    const struct buf *input, struct buf *output, struct err *e);
/* The same, returning the one line of output, which the caller frees. */
char *git_line(const struct git *g, const char *const *args,
    const struct buf *input, struct err *e);

/* An array of arguments in place: GIT_ARGS("write-tree"). */
#define GIT_ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A sink that appends to the struct buf that is its context. */
git_sink_fn git_to_buf;

#endif
