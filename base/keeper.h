/* SPDX-License-Identifier: MIT */
/*
 * What the daemon (base/child.c) and a keeper (base/keeper.c) say to each
 * other over their SOCK_SEQPACKET pair: one struct, one message. Both come
 * from the same build, so there is no version and no byte order.
 *
 * hearth-keeper [-L LABEL] [-C DIR] [-G CGROUP] [-u UID -g GID] [-l LADDER]
 *     [-n SOFT_NOFILE] [-p] -- PROGRAM [ARG...]
 *
 * Its fds 0, 1 and 2 and its environment are the child's. With -G the child and
 * all below it live in a cgroup v2 of their own, the folder CGROUP/PID with the
 * keeper's pid, which it makes and removes; without one where that fails.
 *
 * hearth-keeper --remote [-C DIR] [-l LADDER] -- PROGRAM [ARG...]
 *
 * The same without a daemon, at the far end of ssh or the like: no control
 * socket; the tree is ended when the other end of stdin is closed, and the
 * exit status is the program's as a shell has it (127: it could not be run).
 */
#ifndef HEARTH_KEEPER_H
#define HEARTH_KEEPER_H

#include <stdint.h>

#define KEEPER_CONTROL_FD 3
#define KEEPER_PASS_FD 4      /* with -p: becomes fd 3 of the child */

enum keeper_report_kind {
	KEEPER_STARTED,       /* pid */
	KEEPER_FAILED,        /* step, error: the child never ran */
	KEEPER_EXITED,        /* status, peak_rss_kb */
	KEEPER_LEFT           /* left: what could not be ended */
};

/* What came before exec() and may fail. */
#define KEEPER_STEPS(STEP) \
	STEP(LADDER, "ladder") STEP(FORK, "fork") STEP(SETSID, "setsid") \
	STEP(SETGROUPS, "setgroups") STEP(SETGID, "setgid") \
	STEP(SETUID, "setuid") STEP(PRCTL, "prctl") \
	STEP(SETRLIMIT, "setrlimit") STEP(DUP, "dup") \
	STEP(CHDIR, "chdir") STEP(EXEC, "exec")

#define KEEPER_STEP_ENUM(name, text) KEEPER_STEP_##name,
enum keeper_step { KEEPER_STEPS(KEEPER_STEP_ENUM) KEEPER_STEP_COUNT };
#undef KEEPER_STEP_ENUM

struct keeper_report {
	int32_t kind;
	int32_t pid;
	int32_t status;       /* as wait() gives it */
	int32_t step;
	int32_t error;        /* errno */
	int64_t peak_rss_kb;
	char left[256];
};

enum keeper_order_kind {
	KEEPER_STOP, KEEPER_KILL,
	KEEPER_SIGNAL,
	KEEPER_FREEZE,        /* the whole tree stands still … */
	KEEPER_THAW           /* … and goes on */
};

struct keeper_order {
	int32_t kind;
	int32_t signal;       /* KEEPER_SIGNAL: to the child alone */
};

#endif
