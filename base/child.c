/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of a keeper: starts hearth-keeper, watches its control
 * socket and its pidfd, and turns what they say into started, exited, gone.
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
 * Must never know: ACP, git, PostgreSQL. Read next: base/keeper.c.
 */
#include "base/child.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/keeper.h"
#include "base/list.h"
#include "base/log.h"
#include "base/tree.h"

/* Longer than a keeper tries by itself. */
#define KILL_LIMIT 15.0
#define SWEEP_PAUSE 0.02
#define SWEEP_LIMIT 250
/* The child's ends of the pipes are moved up, out of the way of the numbers
 * that they become in the keeper. */
#define HIGH_FD 10

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

/* The child's ends, while it is being started. */
struct ends {
	int fd[5];               /* as the keeper will number them */
};

static struct list keepers = { &keepers, &keepers };
/* A sweep gave up: what it left dies later, and is reaped by chance. */
static bool has_strays;
/* The soft limit on file descriptors that children get; 0: the daemon's. */
static rlim_t original_nofile;

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void
child_raise_fd_limit(void)
{
	struct rlimit limit;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	soft = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (soft != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		original_nofile = soft;
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

static void
destroy(struct child *c)
{
	for (int i = 0; i < 3; i++)
		close_fd(&c->fd[i]);
	free(c->label);
	free(c);
}

static void
become_gone(struct child *c)
{
	c->is_gone = true;
	if (c->is_forgotten)
		destroy(c);
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
	close_fd(&c->pidfd);
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
	close_fd(&c->control);
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

/* Moves fd above HIGH_FD, or copies it there when it stays the caller's. */
static int
lift(int fd, bool is_ours, struct err *e)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	int error = errno;

	if (is_ours)
		close(fd);
	return high < 0 ? fail(e, "fcntl: %s", strerror(error)) : high;
}

/* Keeps one end of the pipe as the child's fd number i. */
static int
open_pipe(struct child *c, struct ends *ends, int i, struct err *e)
{
	int fd[2], ours = i == 0 ? 1 : 0;

	if (pipe2(fd, O_CLOEXEC) != 0)
		return fail(e, "pipe2: %s", strerror(errno));
	c->fd[i] = fd[ours];
	ends->fd[i] = lift(fd[!ours], true, e);
	if (ends->fd[i] < 0)
		return -1;
	if (fcntl(c->fd[i], F_SETFL, O_NONBLOCK) != 0)
		return fail(e, "fcntl: %s", strerror(errno));
	return 0;
}

static int
open_all(struct child *c, const struct child_spec *spec, struct ends *ends,
    struct err *e)
{
	int fd[2];

	for (int i = 0; i < 3; i++) {
		if (i == 0 && spec->stdin_fd >= 0) {
			ends->fd[0] = lift(spec->stdin_fd, false, e);
			if (ends->fd[0] < 0)
				return -1;
		} else if (i == 2 && spec->joins_output) {
			ends->fd[2] = lift(ends->fd[1], false, e);
			if (ends->fd[2] < 0)
				return -1;
		} else if (open_pipe(c, ends, i, e) != 0) {
			return -1;
		}
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) != 0)
		return fail(e, "socketpair: %s", strerror(errno));
	c->control = fd[0];
	ends->fd[KEEPER_CONTROL_FD] = lift(fd[1], true, e);
	if (ends->fd[KEEPER_CONTROL_FD] < 0)
		return -1;
	if (spec->pass_fd >= 0) {
		ends->fd[KEEPER_PASS_FD] = lift(spec->pass_fd, false, e);
		if (ends->fd[KEEPER_PASS_FD] < 0)
			return -1;
	}
	return 0;
}

static void
add_option(char ***argv, const char *option, const char *value)
{
	if (!value)
		return;
	strv_add(argv, option);
	strv_add(argv, value);
}

static void
add_number(char ***argv, const char *option, unsigned long long value)
{
	char *text = xasprintf("%llu", value);

	add_option(argv, option, text);
	free(text);
}

static char **
keeper_argv(const char *keeper, const struct child_spec *spec)
{
	char **argv = NULL;

	strv_add(&argv, keeper);
	add_option(&argv, "-L", spec->label);
	add_option(&argv, "-C", spec->cwd);
	add_option(&argv, "-l", spec->ladder);
	if (spec->as_user) {
		add_number(&argv, "-u", spec->uid);
		add_number(&argv, "-g", spec->gid);
	}
	if (original_nofile)
		add_number(&argv, "-n", original_nofile);
	if (spec->pass_fd >= 0)
		strv_add(&argv, "-p");
	strv_add(&argv, "--");
	for (char *const *arg = spec->argv; *arg; arg++)
		strv_add(&argv, *arg);
	return argv;
}

/* Returns 0 or an errno. All signals are blocked in the keeper from birth. */
static int
spawn(struct child *c, char *const *argv, char *const *envp,
    const struct ends *ends)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all;
	int error, highest = KEEPER_CONTROL_FD;

	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF |
	    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	for (int i = 0; i < 5; i++) {
		if (ends->fd[i] < 0)
			continue;
		posix_spawn_file_actions_adddup2(&actions, ends->fd[i], i);
		highest = i > highest ? i : highest;
	}
	posix_spawn_file_actions_addclosefrom_np(&actions, highest + 1);
	error = posix_spawn(&c->keeper, argv[0], &actions, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return error;
}

static int
start_keeper(struct child *c, const struct child_spec *spec,
    const struct ends *ends, struct err *e)
{
	char *keeper = child_helper_path("hearth-keeper");
	char **argv;
	int error;

	if (!keeper)
		return fail(e, "hearth-keeper is missing: it must lie beside "
		    "this program or in " PKGLIBEXECDIR
		    " (install Hearth again)");
	argv = keeper_argv(keeper, spec);
	error = spawn(c, argv, spec->envp, ends);
	strv_free(&argv);
	if (error)
		fail(e, "%s: %s", keeper, strerror(error));
	free(keeper);
	if (error)
		return -1;
	c->pidfd = pidfd_open(c->keeper, 0);
	if (c->pidfd < 0) {
		fail(e, "pidfd_open: %s", strerror(errno));
		kill(c->keeper, SIGKILL);
		waitpid(c->keeper, NULL, 0);
		return -1;
	}
	return 0;
}

static void
watch(struct child *c)
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
child_start(struct ev_loop *loop, const struct child_spec *spec,
    const struct child_callbacks *cb, void *ctx, struct child **out,
    struct err *e)
{
	struct ends ends = { { -1, -1, -1, -1, -1 } };
	struct child *c = xcalloc(1, sizeof *c);
	int result;

	MUST(spec->argv && spec->argv[0] && spec->envp);
	c->loop = loop;
	c->cb = *cb;
	c->ctx = ctx;
	c->label = xstrdup(spec->label ? spec->label : "child");
	c->fd[0] = c->fd[1] = c->fd[2] = c->control = c->pidfd = -1;
	/* not inherited by a fork of the daemon, hence each time */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	result = open_all(c, spec, &ends, e);
	if (result == 0)
		result = start_keeper(c, spec, &ends, e);
	for (int i = 0; i < 5; i++)
		close_fd(&ends.fd[i]);
	if (result != 0) {
		close_fd(&c->control);
		destroy(c);
		return -1;
	}
	watch(c);
	*out = c;
	return 0;
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
	close_fd(&c->fd[0]);
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
		destroy(c);
		return;
	}
	/* only the end of the control socket was still to come */
	ends_now = c->control >= 0 && c->pidfd < 0;
	c->is_forgotten = true;
	child_kill(c);
	for (int i = 0; i < 3; i++)
		close_fd(&c->fd[i]);
	ev_io_stop(c->loop, &c->control_io);
	close_fd(&c->control);
	if (ends_now)
		settle(c);
}
