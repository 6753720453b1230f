/* SPDX-License-Identifier: MIT */
/*
 * A keeper while its child lives: says how the exec went and how the child
 * ended, takes the daemon's orders, climbs down the ladder of a stop.
 *
 * Read next: base/keeper.h (the messages), base/tree.c (the walk),
 * base/child.c (the daemon's side).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keeper_private.h"
#include "base/tree.h"

void
keeper_report(const struct keeper *k, const struct keeper_report *r)
{
	if (k->control >= 0)
		send(k->control, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const char *const step_words[] = {
#define STEP_WORD(name, text) [KEEPER_STEP_##name] = text,
	KEEPER_STEPS(STEP_WORD)
#undef STEP_WORD
};

void
keeper_report_failed(struct keeper *k, int step, int error)
{
	struct keeper_report r = { .kind = KEEPER_FAILED, .step = step,
		.error = error };

	k->has_failed = true;
	keeper_report(k, &r);
	if (k->is_remote)
		fprintf(stderr, "hearth-keeper: %s: %s\n", step_words[step],
		    strerror(error));
}

static void
check_exec(struct keeper *k)
{
	int what[2];
	ssize_t n;

	if (k->exec_pipe < 0)
		return;
	n = read(k->exec_pipe, what, sizeof what);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(k->exec_pipe);
	k->exec_pipe = -1;
	if (n == (ssize_t)sizeof what) {
		keeper_report_failed(k, what[0], what[1]);
	} else {
		struct keeper_report r = { .kind = KEEPER_STARTED,
			.pid = k->child };

		keeper_report(k, &r);
	}
}

static bool
add_peak(pid_t pid, pid_t parent, void *ctx)
{
	long *peak = ctx, kb = tree_peak_rss_kb(pid);

	(void)parent;
	if (kb > *peak)
		*peak = kb;
	return true;
}

/* The tree may outlive the child for now, and be most of the memory. */
static void
report_exited(struct keeper *k, int status)
{
	struct keeper_report r = { .kind = KEEPER_EXITED, .status = status };

	tree_walk(getpid(), add_peak, &k->peak_rss_kb);
	r.peak_rss_kb = k->peak_rss_kb;
	keeper_report(k, &r);
}

void
keeper_reap(struct keeper *k)
{
	struct rusage use;
	pid_t pid;
	int status;

	while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0) {
		if (use.ru_maxrss > k->peak_rss_kb)
			k->peak_rss_kb = use.ru_maxrss;
		if (pid != k->child || !k->is_child_alive)
			continue;
		k->is_child_alive = false;
		k->status = status;
		check_exec(k);
		if (!k->has_failed)
			report_exited(k, status);
	}
	if (pid < 0 && errno == ECHILD)
		k->has_children = false;
}

static void
take_rung(struct keeper *k)
{
	const struct rung *r;

	if (k->rung == k->ladder.n) {
		k->must_end = true;
		return;
	}
	r = &k->ladder.rungs[k->rung++];
	k->rung_until = clock_ms() + r->ms;
	if (r->signal == 0)
		return;
	/* no such group: the child has not come to its setsid() yet */
	if (kill(-k->child, r->signal) != 0 && errno == ESRCH)
		kill(k->child, r->signal);
	kill(-k->child, SIGCONT);
}

static void
begin_stop(struct keeper *k)
{
	if (k->is_stopping)
		return;
	k->is_stopping = true;
	/* or it would hear of its end only when it is killed */
	keeper_thaw(k);
	take_rung(k);
}

static void
take_order(struct keeper *k)
{
	struct keeper_order o;
	ssize_t n = recv(k->control, &o, sizeof o, MSG_DONTWAIT);

	/* ECONNRESET: the daemon closed its end without having read all; what
	 * it sent before is still to come */
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
		return;
	if (n != (ssize_t)sizeof o) {
		/* the daemon is dead, or has forgotten this child */
		close(k->control);
		k->control = -1;
		begin_stop(k);
	} else if (o.kind == KEEPER_STOP) {
		begin_stop(k);
	} else if (o.kind == KEEPER_KILL) {
		k->must_end = true;
	} else if (o.kind == KEEPER_SIGNAL) {
		kill(k->child, o.signal);
	} else if (o.kind == KEEPER_FREEZE && !k->is_stopping) {
		keeper_freeze(k);
	} else if (o.kind == KEEPER_THAW) {
		keeper_thaw(k);
	}
}

static int
until_next_rung(const struct keeper *k)
{
	int64_t left;

	if (!k->is_stopping)
		return -1;
	left = k->rung_until - clock_ms();
	return left > 0 ? (int)left : 0;
}

void
keeper_drain_signals(const struct keeper *k)
{
	struct signalfd_siginfo info[4];

	while (read(k->signals, info, sizeof info) > 0)
		;
}

void
keeper_mind(struct keeper *k)
{
	while (k->is_child_alive && !k->must_end) {
		struct pollfd p[4] = {
			{ .fd = k->signals, .events = POLLIN },
			{ .fd = k->control, .events = POLLIN },
			{ .fd = k->exec_pipe, .events = POLLIN },
			{ .fd = k->hangup, .events = POLLRDHUP },
		};

		poll(p, 4, until_next_rung(k));
		keeper_drain_signals(k);
		check_exec(k);
		keeper_reap(k);
		if (k->is_child_alive && k->control >= 0 && p[1].revents)
			take_order(k);
		if (p[3].revents) {
			k->hangup = -1;
			begin_stop(k);
		}
		if (k->is_child_alive && k->is_stopping && !k->must_end &&
		    until_next_rung(k) == 0)
			take_rung(k);
	}
}
