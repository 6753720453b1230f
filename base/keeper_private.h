/* SPDX-License-Identifier: MIT */
/*
 * What the files of hearth-keeper share: keeper_main.c (what it is asked to
 * do), keeper_start.c (the child, from fork to exec), keeper.c (minds it),
 * keeper_freeze.c (the tree stands still, and goes on) and keeper_end.c (the
 * tree's end). Nobody else includes this.
 */
#ifndef HEARTH_KEEPER_PRIVATE_H
#define HEARTH_KEEPER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/keeper.h"
#include "base/ladder.h"

struct spec {
	char **argv;
	const char *label;    /* for ps(1) alone */
	const char *cwd;
	const char *ladder;
	const char *cgroup;   /* the folder to make the tree's own in */
	bool has_user, has_pass_fd, has_nofile, is_remote;
	uid_t uid;
	gid_t gid;
	rlim_t nofile;
};

struct keeper {
	int control;          /* -1 once the daemon's end is closed */
	int hangup;           /* remote: stdin, until it hangs up; else -1 */
	bool is_remote;
	int status;           /* the child's, as wait() gives it */
	int signals;          /* signalfd of SIGCHLD */
	int exec_pipe;        /* -1 once it said how the exec went */
	pid_t child;          /* also its process group; kept when dead */
	bool is_child_alive;  /* not waited for yet */
	bool has_failed;      /* it never ran, and the daemon knows */
	bool has_children;    /* ECHILD has not been seen */
	struct ladder ladder;
	int rung;             /* the next one to take */
	bool is_stopping, must_end, is_frozen;
	int64_t rung_until;   /* while stopping: when the next one is due */
	long peak_rss_kb;
	char cgroup[256];     /* the tree's own, without the keeper; "": none */
};

/* keeper.c */
void keeper_report(const struct keeper *k, const struct keeper_report *r);
/* The child never ran. */
void keeper_report_failed(struct keeper *k, int step, int error);
/* Waits for what has ended, without waiting for it. */
void keeper_reap(struct keeper *k);
void keeper_drain_signals(const struct keeper *k);
/* Until the child has ended, or has to. */
void keeper_mind(struct keeper *k);

/* keeper_start.c */
/* False, once it is reported, when there is no child. */
bool keeper_start_child(struct keeper *k, const struct spec *s);

/* keeper_freeze.c */
void keeper_freeze(struct keeper *k);
void keeper_thaw(struct keeper *k);     /* nothing when it is not frozen */

/* keeper_end.c */
/* SIGKILLs all that is below us until nothing is; returns the exit status. */
int keeper_end_tree(struct keeper *k);

#endif
