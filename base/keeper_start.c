/* SPDX-License-Identifier: MIT */
/*
 * A keeper's child from fork to exec: what it inherits, and how it is told why
 * it could not. It is born into the tree's cgroup where there is one, so that
 * nothing it ever starts is outside.
 *
 * Part of hearth-keeper: libc alone. Read next: base/keeper.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/keeper_private.h"

static void
give_up(int fd, enum keeper_step step)
{
	int what[2] = { (int)step, errno };

	while (write(fd, what, sizeof what) < 0 && errno == EINTR)
		;
	_exit(127);
}

/*
 * By the system call: signal() refuses the two signals that libc keeps for
 * itself, and posix_spawn() has left those ignored.
 */
static void
default_handlers(void)
{
	unsigned long long zeroes[8] = { 0 };

	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, zeroes, NULL, 8);
}

static void
become_user(const struct spec *s, int fd)
{
	if (setgroups(0, NULL) != 0)
		give_up(fd, KEEPER_STEP_SETGROUPS);
	if (setresgid(s->gid, s->gid, s->gid) != 0)
		give_up(fd, KEEPER_STEP_SETGID);
	if (setresuid(s->uid, s->uid, s->uid) != 0)
		give_up(fd, KEEPER_STEP_SETUID);
}

static void
restore_nofile(const struct spec *s, int fd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		give_up(fd, KEEPER_STEP_SETRLIMIT);
	limit.rlim_cur = s->nofile < limit.rlim_max ? s->nofile :
	    limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		give_up(fd, KEEPER_STEP_SETRLIMIT);
}

/* Leaves 0-2, perhaps 3, and the pipe for errors, which it returns. */
static int
arrange_fds(const struct spec *s, int fd)
{
	if (s->has_pass_fd) {
		if (dup2(KEEPER_PASS_FD, 3) < 0)
			give_up(fd, KEEPER_STEP_DUP);
	} else {
		close(3);
	}
	if (dup3(fd, 4, O_CLOEXEC) < 0)
		give_up(fd, KEEPER_STEP_DUP);
	closefrom(5);
	return 4;
}

static void
run_child(const struct spec *s, pid_t keeper, int fd)
{
	sigset_t none;

	default_handlers();
	if (setsid() < 0)
		give_up(fd, KEEPER_STEP_SETSID);
	if (s->has_user)
		become_user(s, fd);
	/* after the credentials: changing them clears it */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		give_up(fd, KEEPER_STEP_PRCTL);
	if (getppid() != keeper)
		_exit(127);
	if (s->has_nofile)
		restore_nofile(s, fd);
	fd = arrange_fds(s, fd);
	if (s->cwd && chdir(s->cwd) != 0)
		give_up(fd, KEEPER_STEP_CHDIR);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(s->argv[0], s->argv);
	give_up(fd, KEEPER_STEP_EXEC);
}

/*
 * A cgroup for the tree, named after us, so that it is found from our pid. One
 * of that name was another keeper's, which has not ended in order.
 */
static void
make_cgroup(struct keeper *k, const struct spec *s)
{
	int n = snprintf(k->cgroup, sizeof k->cgroup, "%s/%d",
	    s->cgroup ? s->cgroup : "", (int)getpid());

	if (s->cgroup && n < (int)sizeof k->cgroup) {
		cgroup_remove(k->cgroup);
		if (mkdir(k->cgroup, 0755) == 0)
			return;
	}
	k->cgroup[0] = '\0';
}

/*
 * As fork(), but into the cgroup; without one where the kernel or a sandbox has
 * no such call: the tree is kept all the same.
 */
static pid_t
fork_into(struct keeper *k)
{
	struct clone_args how = { .flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD };
	int fd = -1;
	long pid = -1;

	if (*k->cgroup)
		fd = open(k->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		how.cgroup = (unsigned)fd;
		pid = syscall(SYS_clone3, &how, sizeof how);
		close(fd);
	}
	if (pid >= 0)
		return (pid_t)pid;
	if (*k->cgroup)
		cgroup_remove(k->cgroup);
	k->cgroup[0] = '\0';
	return fork();
}

bool
keeper_start_child(struct keeper *k, const struct spec *s)
{
	pid_t keeper = getpid();
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0) {
		keeper_report_failed(k, KEEPER_STEP_FORK, errno);
		return false;
	}
	make_cgroup(k, s);
	k->child = fork_into(k);
	if (k->child == 0)
		run_child(s, keeper, fd[1]);
	if (k->child < 0) {
		keeper_report_failed(k, KEEPER_STEP_FORK, errno);
		return false;
	}
	close(fd[1]);
	k->exec_pipe = fd[0];
	k->is_child_alive = k->has_children = true;
	return true;
}
