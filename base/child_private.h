/* SPDX-License-Identifier: MIT */
/*
 * What the files of a child share: child_start.c (its beginning) and child.c
 * (its life and end). Nobody else includes this.
 */
#ifndef HEARTH_CHILD_PRIVATE_H
#define HEARTH_CHILD_PRIVATE_H

#include <ev.h>

#include "base/child.h"
#include "base/list.h"

struct child {
	struct ev_loop *loop;
	struct child_callbacks cb;
	void *ctx;
	char *label;
	struct list node;        /* in keepers, until the keeper is reaped */
	int fd[3];               /* our ends of stdin, stdout, stderr */
	int control;             /* -1 when closed */
	int pidfd;               /* of the keeper; -1 when reaped */
	pid_t keeper, pid;
	ev_io control_io, keeper_io;
	ev_timer overdue;        /* runs since the kill or the child's end */
	ev_timer sweeper;
	int sweeps, quiet_sweeps;
	bool was_asked, was_stopped, was_killed;
	bool has_exited, is_gone;
	bool is_clean;           /* the keeper says that nothing is left */
	bool is_forgotten;       /* freed by its owner */
};

/* Takes -1 as closed, and leaves it. */
void child_close_fd(int *fd);
/* From here on the loop knows it: its keeper runs. */
void child_watch(struct child *c);
/* Frees what child_watch() has not seen yet, or is done with. */
void child_destroy(struct child *c);

#endif
