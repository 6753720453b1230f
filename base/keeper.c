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
 * Read next: base/keeper.h (the messages), base/tree.c (the walk),
 * base/child.c (the daemon's side).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/keeper.h"
#include "base/tree.h"

#define LADDER_STEPS 16
/* How long a tree may take to die of SIGKILL, and how often a tree of which
 * all is forbidden to us is tried, before the rest is given up. */
#define END_LIMIT_MS 10000
#define DENIED_ROUNDS 20
#define REMOTE_LADDER "wait:500 TERM:1500"
#define EXIT_LEFT 1
#define EXIT_NOT_RUN 127
#define EXIT_USAGE 64

struct spec {
	char **argv;
	const char *label;    /* for ps(1) alone */
	const char *cwd;
	const char *ladder;
	bool has_user, has_pass_fd, has_nofile, is_remote;
	uid_t uid;
	gid_t gid;
	rlim_t nofile;
};

struct rung {
	int signal;           /* 0: only wait */
	int ms;
};

struct keeper {
	int control;          /* -1 once the daemon's end is closed */
	int hangup;           /* remote: stdin, until it hangs up; else -1 */
	bool is_remote;
	int status;           /* the child's, as wait() gives it */
	int signals;          /* signalfd of SIGCHLD */
	int exec_pipe;        /* -1 once it said how the exec went */
	pid_t child;          /* also its process group; kept when dead */
	bool is_child_alive;  /* not waited for yet */
	bool has_failed;      /* it never ran, and the daemon knows */
	bool has_children;    /* ECHILD has not been seen */
	struct rung ladder[LADDER_STEPS];
	int rungs, rung;      /* rung: the next one to take */
	bool is_stopping, must_end, is_frozen;
	int64_t rung_until;   /* while stopping: when the next one is due */
	long peak_rss_kb;
};

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

static void
report(const struct keeper *k, const struct keeper_report *r)
{
	if (k->control >= 0)
		send(k->control, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const char *const step_words[] = {
#define STEP_WORD(name, text) [KEEPER_STEP_##name] = text,
	KEEPER_STEPS(STEP_WORD)
#undef STEP_WORD
};

static void
report_failed(struct keeper *k, int step, int error)
{
	struct keeper_report r = { .kind = KEEPER_FAILED, .step = step,
		.error = error };

	k->has_failed = true;
	report(k, &r);
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
		report_failed(k, what[0], what[1]);
	} else {
		struct keeper_report r = { .kind = KEEPER_STARTED,
			.pid = k->child };

		report(k, &r);
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
	report(k, &r);
}

static void
reap(struct keeper *k)
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

static int
signal_number(const char *name, size_t n)
{
	for (int sig = 1; sig < NSIG; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && strlen(known) == n && !strncmp(known, name, n))
			return sig;
	}
	return -1;
}

/* "wait:500 TERM:1500"; false when it is not that. */
static bool
parse_ladder(struct keeper *k, const char *s)
{
	for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, ":");
		struct rung *r = &k->ladder[k->rungs];
		char *end;
		long ms;

		if (s[n] != ':' || s[n + 1] < '0' || s[n + 1] > '9' ||
		    k->rungs == LADDER_STEPS)
			return false;
		ms = strtol(s + n + 1, &end, 10);
		if (ms > 3600 * 1000 || (*end && *end != ' '))
			return false;
		r->ms = (int)ms;
		r->signal = n == 4 && !strncmp(s, "wait", 4) ? 0 :
		    signal_number(s, n);
		if (r->signal < 0)
			return false;
		k->rungs++;
		s = end;
	}
	return true;
}

static void
take_rung(struct keeper *k)
{
	const struct rung *r;

	if (k->rung == k->rungs) {
		k->must_end = true;
		return;
	}
	r = &k->ladder[k->rung++];
	k->rung_until = clock_ms() + r->ms;
	if (r->signal == 0)
		return;
	/* no such group: the child has not come to its setsid() yet */
	if (kill(-k->child, r->signal) != 0 && errno == ESRCH)
		kill(k->child, r->signal);
	kill(-k->child, SIGCONT);
}

static bool
signal_one(pid_t pid, pid_t parent, void *ctx)
{
	const int *sig = ctx;

	tree_signal(pid, parent, *sig);
	return true;
}

/*
 * Twice: what was started meanwhile by one that had not got its signal yet is
 * found by the second walk.
 */
static void
freeze(struct keeper *k)
{
	int sig = SIGSTOP;

	k->is_frozen = true;
	tree_walk(getpid(), signal_one, &sig);
	tree_walk(getpid(), signal_one, &sig);
}

static void
thaw(struct keeper *k)
{
	int sig = SIGCONT;

	if (!k->is_frozen)
		return;
	k->is_frozen = false;
	/* twice: a child whose parent ends in between is found only then */
	tree_walk(getpid(), signal_one, &sig);
	tree_walk(getpid(), signal_one, &sig);
}

static void
begin_stop(struct keeper *k)
{
	if (k->is_stopping)
		return;
	k->is_stopping = true;
	/* or it would hear of its end only when it is killed */
	thaw(k);
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
		freeze(k);
	} else if (o.kind == KEEPER_THAW) {
		thaw(k);
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

static void
drain_signals(const struct keeper *k)
{
	struct signalfd_siginfo info[4];

	while (read(k->signals, info, sizeof info) > 0)
		;
}

/* Until the child has ended, or has to. */
static void
mind_child(struct keeper *k)
{
	while (k->is_child_alive && !k->must_end) {
		struct pollfd p[4] = {
			{ .fd = k->signals, .events = POLLIN },
			{ .fd = k->control, .events = POLLIN },
			{ .fd = k->exec_pipe, .events = POLLIN },
			{ .fd = k->hangup, .events = POLLRDHUP },
		};

		poll(p, 4, until_next_rung(k));
		drain_signals(k);
		check_exec(k);
		reap(k);
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
	report(k, &r);
	return EXIT_LEFT;
}

/* SIGKILLs all that is below us until nothing is; returns the exit status. */
static int
end_tree(struct keeper *k)
{
	int64_t limit = clock_ms() + END_LIMIT_MS;
	int rounds = 0;

	for (reap(k); k->has_children; reap(k)) {
		struct pollfd p = { .fd = k->signals, .events = POLLIN };
		struct round r = { 0 };

		tree_walk(getpid(), end_one, &r);
		if (r.killed > 0 || r.denied == 0)
			rounds = 0;
		else if (++rounds > DENIED_ROUNDS)
			return report_left(k);
		if (clock_ms() > limit)
			return report_left(k);
		poll(&p, 1, 20);
		drain_signals(k);
	}
	return 0;
}

static bool
parse_args(int argc, char **argv, struct spec *s)
{
	static const struct option longs[] = {
		{ "remote", no_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+L:C:u:g:l:n:p", longs,
	    NULL)) != -1) {
		switch (opt) {
		case 'r': s->is_remote = true; break;
		case 'L': s->label = optarg; break;
		case 'C': s->cwd = optarg; break;
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
		report_failed(k, KEEPER_STEP_PRCTL, errno);
		return false;
	}
	if (s->ladder && !parse_ladder(k, s->ladder)) {
		report_failed(k, KEEPER_STEP_LADDER, EINVAL);
		return false;
	}
	return true;
}

static bool
start_child(struct keeper *k, const struct spec *s)
{
	pid_t keeper = getpid();
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) != 0) {
		report_failed(k, KEEPER_STEP_FORK, errno);
		return false;
	}
	k->child = fork();
	if (k->child == 0)
		run_child(s, keeper, fd[1]);
	if (k->child < 0) {
		report_failed(k, KEEPER_STEP_FORK, errno);
		return false;
	}
	close(fd[1]);
	k->exec_pipe = fd[0];
	k->is_child_alive = k->has_children = true;
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
	if (!set_up(&k, &s) || !start_child(&k, &s))
		_exit(s.is_remote ? EXIT_NOT_RUN : 0);
	let_go(&s);
	mind_child(&k);
	left = end_tree(&k);
	_exit(s.is_remote && !left ? remote_status(&k) : left);
}
