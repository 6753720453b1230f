/* SPDX-License-Identifier: MIT */
/*
 * The end of a keeper's tree: all that is below it is killed until nothing is,
 * by its cgroup, too, where it has one: that reaches also what runs as another
 * user.
 *
 * Part of hearth-keeper: libc alone.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/keeper_private.h"
#include "base/tree.h"

/* How long a tree may take to die of SIGKILL, and how often a tree of which
 * all is forbidden to us is tried, before the rest is given up. */
#define END_LIMIT_MS 10000
#define DENIED_ROUNDS 20
#define EXIT_LEFT 1

struct round {
	int killed, denied;
};

static bool
end_one(pid_t pid, pid_t parent, void *ctx)
{
	struct round *r = ctx;
	int error = tree_signal(pid, parent, SIGKILL);

	if (error == 0)
		r->killed++;
	else if (error != ESRCH)
		r->denied++;
	return true;
}

static bool
name_one(pid_t pid, pid_t parent, void *ctx)
{
	struct keeper_report *r = ctx;
	size_t n = strlen(r->left);

	(void)parent;
	snprintf(r->left + n, sizeof r->left - n, "%s%d", n ? " " : "",
	    (int)pid);
	return true;
}

static int
report_left(const struct keeper *k)
{
	struct keeper_report r = { .kind = KEEPER_LEFT };

	tree_walk(getpid(), name_one, &r);
	keeper_report(k, &r);
	return EXIT_LEFT;
}

int
keeper_end_tree(struct keeper *k)
{
	int64_t limit = clock_ms() + END_LIMIT_MS;
	int rounds = 0;

	for (keeper_reap(k); k->has_children; keeper_reap(k)) {
		struct pollfd p = { .fd = k->signals, .events = POLLIN };
		struct round r = { 0 };

		if (*k->cgroup)
			cgroup_write(k->cgroup, "cgroup.kill", "1");
		tree_walk(getpid(), end_one, &r);
		if (r.killed > 0 || r.denied == 0)
			rounds = 0;
		else if (++rounds > DENIED_ROUNDS)
			return report_left(k);
		if (clock_ms() > limit)
			return report_left(k);
		poll(&p, 1, 20);
		keeper_drain_signals(k);
	}
	if (*k->cgroup)
		cgroup_remove(k->cgroup);
	return 0;
}
