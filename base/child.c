/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of a keeper: watches its control socket and its pidfd, and
 * turns what they say into started, exited, gone.
 *
 * A child lives until its keeper was waited for, its control socket has been
 * read to the end, and what a keeper may have left behind is dead; the owner's
 * child_free() may come before that, and then the rest happens unseen.
 *
 * Should a keeper die of anything but its own will, its tree falls to the
 * daemon, which is a subreaper for that reason. It then ends every child of
 * its own that is no keeper: so the daemon may start processes in no other
 * way than this one.
 *
 * Must never know: ACP, git, PostgreSQL. Read next: base/child_start.c,
 * base/keeper.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child_private.h"
#include "base/delegation.h"
#include "base/keeper.h"
#include "base/log.h"
#include "base/tree.h"

/* Longer than a keeper tries by itself. */
#define KILL_LIMIT 15.0
#define SWEEP_PAUSE 0.02
#define SWEEP_LIMIT 250

static struct list keepers = { &keepers, &keepers };
/* A sweep gave up: what it left dies later, and is reaped by chance. */
static bool has_strays;

void
child_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool
is_keeper(pid_t pid)
{
	LIST_EACH(pos, tmp, &keepers) {
		if (LIST_ITEM(pos, struct child, node)->keeper == pid)
			return true;
	}
	return false;
}

static bool
end_stray(pid_t pid, pid_t parent, void *ctx)
{
	int *found = ctx;

	if (parent == getpid() && is_keeper(pid))
		return false;
	++*found;
	tree_signal(pid, parent, SIGKILL);
	if (parent == getpid())
		waitpid(pid, NULL, WNOHANG);
	return true;
}

/*
 * Kills and reaps once; returns how many there were. Even one that is reaped
 * here counts, as what was below it has only now become ours.
 */
static int
sweep(void)
{
	int found = 0;

	tree_walk(getpid(), end_stray, &found);
	return found;
}

void
child_destroy(struct child *c)
{
	for (int i = 0; i < 3; i++)
		child_close_fd(&c->fd[i]);
	free(c->label);
	free(c);
}

static void
become_gone(struct child *c)
{
	c->is_gone = true;
	if (c->is_forgotten)
		child_destroy(c);
	else if (c->cb.gone)
		c->cb.gone(c, c->ctx);
}

static void
start_overdue(struct child *c)
{
	ev_now_update(c->loop);
	ev_timer_again(c->loop, &c->overdue);
}

static void
deliver_exited(struct child *c, struct child_exit *x)
{
	c->has_exited = true;
	start_overdue(c);
	x->was_asked = c->was_asked;
	if (!c->is_forgotten && c->cb.exited)
		c->cb.exited(c, c->ctx, x);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *t, int events)
{
	struct child *c = t->data;
	int found = sweep();

	(void)events;
	c->quiet_sweeps = found ? 0 : c->quiet_sweeps + 1;
	/* a list that changes while it is read may come out too short */
	if (c->quiet_sweeps < 2 && ++c->sweeps < SWEEP_LIMIT)
		return;
	if (found) {
		has_strays = true;
		log_warning(c->label, "%d processes of a dead keeper could "
		    "not be ended", found);
	}
	ev_timer_stop(loop, t);
	delegation_end_tree(c->keeper);
	become_gone(c);
}

/* Both sources of news have ended: the end of this child's story, or nearly. */
static void
settle(struct child *c)
{
	if (c->control >= 0 || c->pidfd >= 0)
		return;
	if (!c->has_exited) {
		struct child_exit x = { .exit_code = -1,
			.term_signal = SIGKILL };

		deliver_exited(c, &x);
	}
	ev_timer_stop(c->loop, &c->overdue);
	if (c->is_clean) {
		if (has_strays)
			has_strays = sweep() > 0;
		become_gone(c);
		return;
	}
	ev_timer_set(&c->sweeper, 0., SWEEP_PAUSE);
	ev_timer_start(c->loop, &c->sweeper);
}

static void
on_keeper(struct ev_loop *loop, ev_io *io, int events)
{
	struct child *c = io->data;
	siginfo_t info = { 0 };

	(void)events;
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == 0)
		return;
	ev_io_stop(loop, io);
	child_close_fd(&c->pidfd);
	list_remove(&c->node);
	c->is_clean = info.si_code == CLD_EXITED && info.si_status == 0;
	if (info.si_code != CLD_EXITED)
		log_warning(c->label, "keeper %d died by signal %d: ending "
		    "what it kept", (int)c->keeper, info.si_status);
	settle(c);
}

static const char *
step_name(int step)
{
#define STEP_NAME(name, text) [KEEPER_STEP_##name] = text,
	static const char *const names[] = { KEEPER_STEPS(STEP_NAME) };
#undef STEP_NAME

	return step >= 0 && step < KEEPER_STEP_COUNT ? names[step] : "?";
}

static void
take_report(struct child *c, const struct keeper_report *r)
{
	struct child_exit x = { .exit_code = -1 };

	switch (r->kind) {
	case KEEPER_STARTED:
		c->pid = r->pid;
		if (c->cb.started)
			c->cb.started(c, c->ctx, c->pid);
		break;
	case KEEPER_FAILED:
		x.exec_errno = r->error ? r->error : EINVAL;
		x.exec_step = step_name(r->step);
		deliver_exited(c, &x);
		break;
	case KEEPER_EXITED:
		if (WIFEXITED(r->status))
			x.exit_code = WEXITSTATUS(r->status);
		else
			x.term_signal = WTERMSIG(r->status);
		x.peak_rss_kb = (long)r->peak_rss_kb;
		deliver_exited(c, &x);
		break;
	case KEEPER_LEFT:
		log_warning(c->label, "processes that could not be ended: %s",
		    r->left);
		break;
	}
}

/*
 * One message per wake-up, so that nothing touches the child after a callback
 * that may have freed it.
 */
static void
on_control(struct ev_loop *loop, ev_io *io, int events)
{
	struct child *c = io->data;
	struct keeper_report r;
	ssize_t n = recv(c->control, &r, sizeof r, MSG_DONTWAIT);

	(void)events;
	/* ECONNRESET: the keeper exited without having read all our orders;
	 * what it reported is still to come */
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
		return;
	if (n == (ssize_t)sizeof r) {
		r.left[sizeof r.left - 1] = '\0';
		take_report(c, &r);
		return;
	}
	ev_io_stop(loop, io);
	child_close_fd(&c->control);
	settle(c);
}

/* The keeper of a killed child should be gone by now; a stopped one is not. */
static void
on_overdue(struct ev_loop *loop, ev_timer *t, int events)
{
	struct child *c = t->data;

	(void)events;
	ev_timer_stop(loop, t);
	if (c->pidfd < 0)
		return;
	log_warning(c->label, "keeper %d is not done after %.0f s: killing it",
	    (int)c->keeper, KILL_LIMIT);
	pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
}

void
child_watch(struct child *c)
{
	list_append(&keepers, &c->node);
	ev_io_init(&c->control_io, on_control, c->control, EV_READ);
	ev_io_init(&c->keeper_io, on_keeper, c->pidfd, EV_READ);
	ev_init(&c->overdue, on_overdue);
	c->overdue.repeat = KILL_LIMIT;
	ev_init(&c->sweeper, on_sweep);
	c->control_io.data = c->keeper_io.data = c;
	c->overdue.data = c->sweeper.data = c;
	ev_io_start(c->loop, &c->control_io);
	ev_io_start(c->loop, &c->keeper_io);
}

int
child_stdin(const struct child *c)
{
	return c->fd[0];
}

int
child_stdout(const struct child *c)
{
	return c->fd[1];
}

int
child_stderr(const struct child *c)
{
	return c->fd[2];
}

void
child_close_stdin(struct child *c)
{
	child_close_fd(&c->fd[0]);
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

pid_t
child_keeper(const struct child *c)
{
	return c->pidfd >= 0 ? c->keeper : 0;
}

bool
child_has_exited(const struct child *c)
{
	return c->has_exited;
}

/* False, with errno, when the keeper could not be told. */
static bool
order(struct child *c, enum keeper_order_kind kind, int sig)
{
	struct keeper_order o = { .kind = (int32_t)kind, .signal = sig };

	errno = EPIPE;
	return c->control >= 0 && send(c->control, &o, sizeof o,
	    MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof o;
}

void
child_stop(struct child *c)
{
	if (c->was_stopped || c->was_killed || c->is_gone)
		return;
	c->was_stopped = c->was_asked = true;
	order(c, KEEPER_STOP, 0);
	/* should the child have stopped its keeper */
	if (c->pidfd >= 0)
		pidfd_send_signal(c->pidfd, SIGCONT, NULL, 0);
}

void
child_kill(struct child *c)
{
	if (c->was_killed || c->pidfd < 0)
		return;
	c->was_killed = c->was_asked = true;
	/* a keeper that does not read is killed; one that has closed its end
	 * is about to exit */
	if (order(c, KEEPER_KILL, 0) || errno != EAGAIN)
		pidfd_send_signal(c->pidfd, SIGCONT, NULL, 0);
	else
		pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
	start_overdue(c);
}

void
child_signal(struct child *c, int sig)
{
	order(c, KEEPER_SIGNAL, sig);
}

void
child_freeze(struct child *c)
{
	order(c, KEEPER_FREEZE, 0);
}

void
child_thaw(struct child *c)
{
	order(c, KEEPER_THAW, 0);
}

void
child_free(struct child **cp)
{
	struct child *c = *cp;
	bool ends_now;

	*cp = NULL;
	if (!c)
		return;
	if (c->is_gone) {
		child_destroy(c);
		return;
	}
	/* only the end of the control socket was still to come */
	ends_now = c->control >= 0 && c->pidfd < 0;
	c->is_forgotten = true;
	child_kill(c);
	for (int i = 0; i < 3; i++)
		child_close_fd(&c->fd[i]);
	ev_io_stop(c->loop, &c->control_io);
	child_close_fd(&c->control);
	if (ends_now)
		settle(c);
}
