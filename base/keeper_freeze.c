/* SPDX-License-Identifier: MIT */
/*
 * The tree stands still, and goes on: by its cgroup, which takes all at once
 * and whatever is born meanwhile, else by SIGSTOP and SIGCONT to one after the
 * other.
 *
 * Part of hearth-keeper: libc alone.
 */
#include <signal.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/keeper_private.h"
#include "base/tree.h"

static bool
signal_one(pid_t pid, pid_t parent, void *ctx)
{
	const int *sig = ctx;

	tree_signal(pid, parent, *sig);
	return true;
}

/*
 * Twice: the second walk finds what was started by one that had not got its
 * signal yet, and a child whose parent ended in between and which the first
 * one has therefore missed.
 */
static void
signal_tree(int sig)
{
	tree_walk(getpid(), signal_one, &sig);
	tree_walk(getpid(), signal_one, &sig);
}

void
keeper_freeze(struct keeper *k)
{
	k->is_frozen = true;
	if (*k->cgroup)
		cgroup_write(k->cgroup, "cgroup.freeze", "1");
	else
		signal_tree(SIGSTOP);
}

void
keeper_thaw(struct keeper *k)
{
	if (!k->is_frozen)
		return;
	k->is_frozen = false;
	if (*k->cgroup)
		cgroup_write(k->cgroup, "cgroup.freeze", "0");
	else
		signal_tree(SIGCONT);
}
