/* SPDX-License-Identifier: MIT */
/*
 * How often may an agent crash? Pure.
 *
 * A crash costs nothing at first: the next turn starts a new child at once.
 * crash_limit crashes within crash_window mean that something is wrong with
 * the agent, not with a turn: from then on each further crash makes the
 * agent session wait, 1 s at first and twice as long each time up to 5 min,
 * plus up to a quarter of that at random so that many chats do not come back
 * in step. One turn that ends well, or a window without a crash, resets it; a
 * window begins when the wait is over.
 */
#ifndef HEARTH_RESTART_POLICY_H
#define HEARTH_RESTART_POLICY_H

#include <stdint.h>

struct restart_policy {
	int64_t limit;   /* crashes … */
	int64_t window;  /* … in this many milliseconds */
};

struct crash_history {
	int64_t first;   /* when the run of crashes began */
	int64_t quiet;   /* since when none happened that could have: since the
	                  * newest, or since the wait after it ended */
	int count;       /* crashes in this run */
};

/*
 * Notes a crash at now (milliseconds). Returns for how long no new child may
 * be started: 0 at once. random is 0..1.
 */
int64_t restart_policy_crash(const struct restart_policy *p,
    struct crash_history *h, int64_t now, double random);
/* A turn ended well, or the agent session was reset. */
void restart_policy_success(struct crash_history *h);

#endif
