/* SPDX-License-Identifier: MIT */
/*
 * The beginning of a child: its pipes, its keeper's arguments, and the spawn,
 * whose cost does not depend on how large the daemon is.
 *
 * Read next: base/keeper_main.c (what is started), base/child.c (what follows).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child_private.h"
#include "base/delegation.h"
#include "base/keeper.h"
#include "base/log.h"

/* The child's ends of the pipes are moved up, out of the way of the numbers
 * that they become in the keeper. */
#define HIGH_FD 10

/* The child's ends, while it is being started. */
struct ends {
	int fd[5];               /* as the keeper will number them */
};

/* The soft limit on file descriptors that children get; 0: the daemon's. */
static rlim_t original_nofile;

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
	if (spec->has_cgroup)
		add_option(&argv, "-G", delegation_dir());
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
		child_close_fd(&ends.fd[i]);
	if (result != 0) {
		child_close_fd(&c->control);
		child_destroy(c);
		return -1;
	}
	child_watch(c);
	*out = c;
	return 0;
}
