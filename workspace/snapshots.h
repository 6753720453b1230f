/* SPDX-License-Identifier: MIT */
/*
 * Prepared worktrees, as the daemon sees them: one run of the helper program
 * that keeps those of a project, or tells which there are. What they are is in
 * workspace/prepared.h.
 *
 * Must never know: agents, PostgreSQL.
 */
#ifndef HEARTH_SNAPSHOTS_H
#define HEARTH_SNAPSHOTS_H

#include <stdint.h>

#include "base/err.h"
#include "workspace/workspace.h"

struct ev_loop;
struct snapshot_work;

/* What is to be kept. */
struct snapshot_spec {
	int64_t project_id;
	const char *project_path;   /* absolute */
	const char *default_branch; /* NULL: the project's HEAD */
	char *const *include, *const *setup_command; /* each may be NULL */
	int64_t setup_timeout;      /* milliseconds */
	int64_t count;              /* 0: all are removed */
};

/* All borrowed for the callback. */
struct snapshot_news {
	const char *id;             /* uuid */
	int64_t project_id;
	const char *path;
	const char *status;         /* as hearth.snapshots has it */
	const char *base_commit, *session, *end_reason; /* each may be NULL */
	int64_t expires_at;         /* seconds; 0: it does not */
};

struct snapshot_callbacks {
	void (*told)(void *ctx, const struct snapshot_news *news);
	/*
	 * Once, at the end, never from within snapshot_work_start(); e is NULL
	 * when all was done. The work may be freed here.
	 */
	void (*end)(void *ctx, const struct err *e);
};

/* spec NULL: tells of all that are there. state_dir is absolute. */
struct snapshot_work *snapshot_work_start(struct ev_loop *loop,
    const char *state_dir, const struct snapshot_spec *spec,
    const struct snapshot_callbacks *cb, void *ctx);
/* The setup command's outcome in one that was prepared; NULL: none ran. */
const struct setup_outcome *snapshot_work_setup(const struct snapshot_work *w);
/* One that still runs is ended. NULL is fine. */
void snapshot_work_free(struct snapshot_work **w);

#endif
