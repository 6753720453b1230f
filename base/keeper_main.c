/* SPDX-License-Identifier: MIT */
/*
 * hearth-keeper: starts one child and answers for everything below it.
 *
 * It is the subreaper of the tree, so whatever the child starts and abandons
 * becomes the keeper's own child and is found again, whatever session or
 * group it went to. The keeper ends when nothing of the tree is left: after
 * the child's own end, after the daemon's order, or when the control socket
 * closes because the daemon died. Its environment is the child's.
 *
 * With --remote there is no daemon on this machine: ssh or the like started
 * it, and its stdin's other end takes the place of the control socket. Nothing
 * is read from it, a hang-up is seen without; so stdin, too, is the child's
 * alone.
 *
 * There is one keeper per child, hundreds on a node: libc alone, no threads,
 * hardly any memory. It must never know what its child is.
 *
 * Read next: base/keeper.h (the messages), base/keeper.c, base/child.c (the
 * daemon's side).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/keeper_private.h"

#define REMOTE_LADDER "wait:500 TERM:1500"
#define EXIT_NOT_RUN 127
#define EXIT_USAGE 64

static bool
parse_args(int argc, char **argv, struct spec *s)
{
	static const struct option longs[] = {
		{ "remote", no_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+L:C:G:u:g:l:n:p", longs,
	    NULL)) != -1) {
		switch (opt) {
		case 'r': s->is_remote = true; break;
		case 'L': s->label = optarg; break;
		case 'C': s->cwd = optarg; break;
		case 'G': s->cgroup = optarg; break;
		case 'l': s->ladder = optarg; break;
		case 'p': s->has_pass_fd = true; break;
		case 'g': s->gid = (gid_t)strtoul(optarg, NULL, 10); break;
		case 'u':
			s->has_user = true;
			s->uid = (uid_t)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			s->has_nofile = true;
			s->nofile = strtoul(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	}
	s->argv = argv + optind;
	if (s->is_remote && !s->ladder)
		s->ladder = REMOTE_LADDER;
	return optind < argc && !(s->is_remote && s->has_pass_fd);
}

/*
 * The terminal's ^C and a service manager's SIGTERM are for the daemon: all
 * is blocked here, and nothing but SIGCHLD is looked at.
 */
static bool
set_up(struct keeper *k, const struct spec *s)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signals < 0 || (!s->is_remote &&
	    fcntl(k->control, F_SETFD, FD_CLOEXEC) != 0) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
		keeper_report_failed(k, KEEPER_STEP_PRCTL, errno);
		return false;
	}
	if (s->ladder && !ladder_parse(&k->ladder, s->ladder)) {
		keeper_report_failed(k, KEEPER_STEP_LADDER, EINVAL);
		return false;
	}
	return true;
}

/* The child's pipes must close when the child's side closes them. */
static void
let_go(const struct spec *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* a remote one still has to say why it could not */
	for (int fd = 0; fd < (s->is_remote ? 2 : 3); fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	if (null > 2)
		close(null);
	if (s->has_pass_fd)
		close(KEEPER_PASS_FD);
	if (chdir("/") != 0)
		return; /* only keeps a file system busy */
}

/* Nobody's descriptors but the first three; and the two whose numbers the
 * child's start makes free are taken. */
static void
set_up_remote(struct keeper *k)
{
	closefrom(3);
	k->is_remote = true;
	k->control = -1;
	if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0 ||
	    open("/dev/null", O_RDWR | O_CLOEXEC) < 0 ||
	    (k->hangup = fcntl(0, F_DUPFD_CLOEXEC, 5)) < 0) {
		fprintf(stderr, "hearth-keeper: stdin: %s\n", strerror(errno));
		_exit(EXIT_NOT_RUN);
	}
}

/* What a shell would exit with. */
static int
remote_status(const struct keeper *k)
{
	if (k->has_failed)
		return EXIT_NOT_RUN;
	return WIFEXITED(k->status) ? WEXITSTATUS(k->status) :
	    128 + WTERMSIG(k->status);
}

int
main(int argc, char **argv)
{
	struct spec s = { 0 };
	struct keeper k = { .control = KEEPER_CONTROL_FD, .exec_pipe = -1,
		.hangup = -1 };
	int left;

	if (!parse_args(argc, argv, &s)) {
		fprintf(stderr, "hearth-keeper is started by hearthd, or as "
		    "hearth-keeper --remote [-C DIR] -- PROGRAM [ARG...]\n");
		_exit(EXIT_USAGE);
	}
	if (s.is_remote)
		set_up_remote(&k);
	if (!set_up(&k, &s) || !keeper_start_child(&k, &s))
		_exit(s.is_remote ? EXIT_NOT_RUN : 0);
	let_go(&s);
	keeper_mind(&k);
	left = keeper_end_tree(&k);
	_exit(s.is_remote && !left ? remote_status(&k) : left);
}
