/* SPDX-License-Identifier: MIT */
/*
 * Children under their keepers: what a child is given, how its end is told,
 * and that nothing of its tree survives it, its stop, its owner's child_free(),
 * the daemon, or the keeper.
 *
 * The children are this program again with a role as its first argument (see
 * roles[]). Every process of a role "tree" names its pid and keeps the fd that
 * it did so on open: end of file there means that all of them are dead.
 *
 * hearth-keeper must lie beside this program or one folder up.
 */
#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"

#include <check.h> /* last: it has a macro fail() */

#define LIMIT_MS 20000
#define NOBODY 65534

static void
wait_for_ever(void)
{
	for (;;)
		pause();
}

/* A new process that names itself on fd, then does nothing. */
static void
grow(int fd, bool leaves, bool ignores, bool stops)
{
	if (fork() != 0)
		return;
	if (leaves && (setsid() < 0 || fork() != 0))
		_exit(0);
	if (ignores) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGINT, SIG_IGN);
	}
	dprintf(fd, "%d\n", (int)getpid());
	if (stops)
		raise(SIGSTOP);
	wait_for_ever();
}

static void
grow_chain(int fd, int length)
{
	if (length == 0 || fork() != 0)
		return;
	setsid();
	signal(SIGTERM, SIG_IGN);
	dprintf(fd, "%d\n", (int)getpid());
	grow_chain(fd, length - 1);
	wait_for_ever();
}

#define TREE_SIZE 16 /* all kinds of grow(), and the chain */

/* FD [exit N | ignore] */
static int
role_tree(char **arg)
{
	int fd = atoi(arg[0]);
	char c;

	for (int kind = 0; kind < 8; kind++)
		grow(fd, kind & 1, kind & 2, kind & 4);
	grow_chain(fd, TREE_SIZE - 8);
	if (arg[1] && !strcmp(arg[1], "exit")) {
		/* when told so on stdin */
		if (read(0, &c, 1) != 1)
			return 99;
		return atoi(arg[2]);
	}
	if (arg[1] && !strcmp(arg[1], "ignore"))
		signal(SIGTERM, SIG_IGN);
	wait_for_ever();
	return 0;
}

static volatile pid_t victim;

static void
on_continue(int sig)
{
	(void)sig;
	kill(victim, SIGKILL);
}

/*
 * Names all and stands for what happens while a tree is gone through to set it
 * going: the first child, once it goes on, ends the last one, far behind it;
 * whose own child comes to the root, which is done with, and whose list of
 * children becomes so much shorter that the new one is not seen there.
 */
#define PATIENT 100
static int
role_orphan(char **arg)
{
	int fd = atoi(arg[0]), order[2];
	pid_t last;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGCHLD, SIG_IGN);
	if (pipe(order) != 0)
		return 1;
	if (fork() == 0) {
		if (read(order[0], &last, sizeof last) != sizeof last)
			_exit(1);
		victim = last;
		signal(SIGCONT, on_continue);
		dprintf(fd, "%d\n", (int)getpid());
		wait_for_ever();
	}
	for (int i = 0; i < PATIENT; i++)
		grow(fd, false, false, false);
	last = fork();
	if (last == 0) {
		if (fork() == 0)
			dprintf(fd, "%d\n", (int)getpid());
		wait_for_ever();
	}
	if (write(order[1], &last, sizeof last) != sizeof last)
		return 1;
	wait_for_ever();
	return 0;
}

/* Copies stdin to stdout and says so on stderr. */
static int
role_copy(char **arg)
{
	char text[512];
	ssize_t n;

	(void)arg;
	while ((n = read(0, text, sizeof text)) > 0)
		if (write(1, text, (size_t)n) != n)
			return 1;
	dprintf(2, "copied\n");
	return 0;
}

static int
role_exit(char **arg)
{
	return atoi(arg[0]);
}

static int
role_signal(char **arg)
{
	raise(atoi(arg[0]));
	return 0;
}

/* Everything that a child may have inherited. */
static int
role_show(char **arg)
{
	struct rlimit limit;
	char *cwd = get_current_dir_name();
	char line[256];
	int deathsig = 0;
	FILE *status = fopen("/proc/self/status", "r");

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &limit);
	prctl(PR_GET_PDEATHSIG, &deathsig);
	printf("cwd %s\nnofile %llu\ndeathsig %d\nleader %d\n", cwd,
	    (unsigned long long)limit.rlim_cur, deathsig,
	    getsid(0) == getpid() && getpgid(0) == getpid());
	for (int fd = 0; fd < 100; fd++)
		if (fd != fileno(status) && fcntl(fd, F_GETFD) >= 0)
			printf("fd %d\n", fd);
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	while (fgets(line, sizeof line, status))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6))
			printf("%s", line);
	fflush(stdout);
	fclose(status);
	free(cwd);
	return 0;
}

static int
role_eat(char **arg)
{
	size_t size = (size_t)atoi(arg[0]) << 20;
	char *p;

	if (arg[1] && fork() != 0) {
		/* the eater is below the child, and outlives it */
		char c;

		return read(0, &c, 1) == 1 ? 0 : 99;
	}
	p = malloc(size);
	memset(p, 1, size);
	printf("%c", p[size - 1] ? 'y' : 'n');
	fflush(stdout);
	if (arg[1])
		wait_for_ever();
	free(p);
	return 0;
}

static void
tell_signal(int sig)
{
	const char *name = sig == SIGINT ? "INT\n" : sig == SIGTERM ?
	    "TERM\n" : "other\n";

	if (write(1, name, strlen(name)) < 0)
		_exit(98);
}

/* Names the signals that it gets, and obeys none. */
static int
role_stubborn(char **arg)
{
	(void)arg;
	signal(SIGINT, tell_signal);
	signal(SIGTERM, tell_signal);
	signal(SIGHUP, tell_signal);
	if (write(1, "up\n", 3) != 3)
		return 98;
	wait_for_ever();
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **arg);
} roles[] = {
	{ "tree", role_tree }, { "copy", role_copy }, { "exit", role_exit },
	{ "signal", role_signal }, { "show", role_show }, { "eat", role_eat },
	{ "stubborn", role_stubborn }, { "orphan", role_orphan },
};

struct run {
	struct ev_loop *loop;
	struct child *child;
	ev_io io[2];
	struct buf out, err;
	bool is_out_open;
	char log[16];             /* callbacks so far: s, x, g */
	struct child_exit x;
	pid_t pid;
	int64_t exited_at;
	bool is_calling;          /* a child_*() call is on the stack */
	bool frees_when_started;
};

static char self[4096];
static const char *const no_env[] = { "PATH=/usr/bin:/bin", NULL };

static void
note(struct run *r, char c)
{
	size_t n = strlen(r->log);

	ck_assert_msg(!r->is_calling, "callback within a child call");
	ck_assert(n < sizeof r->log - 1);
	r->log[n] = c;
}

static void
on_started(struct child *c, void *ctx, pid_t pid)
{
	struct run *r = ctx;

	note(r, 's');
	r->pid = pid;
	ck_assert_int_eq(child_pid(c), pid);
	if (r->frees_when_started)
		child_free(&r->child);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct run *r = ctx;

	note(r, 'x');
	ck_assert(child_has_exited(c));
	r->x = *x;
	r->exited_at = clock_ms();
}

static void
on_gone(struct child *c, void *ctx)
{
	(void)c;
	note(ctx, 'g');
}

static void
on_output(struct ev_loop *loop, ev_io *io, int events)
{
	struct run *r = io->data;
	struct buf *b = io == &r->io[0] ? &r->out : &r->err;
	ssize_t n = read(io->fd, buf_room(b, 4096), 4096);

	(void)events;
	if (n > 0) {
		buf_grew(b, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		ev_io_stop(loop, io);
		if (io == &r->io[0])
			r->is_out_open = false;
	}
}

static const struct child_callbacks callbacks = {
	on_started, on_exited, on_gone
};

static struct child_spec
spec_of(const char *const *argv)
{
	return (struct child_spec){ .label = "test",
		.argv = (char *const *)argv, .envp = (char *const *)no_env,
		.pass_fd = -1, .stdin_fd = -1 };
}

#define ROLE(...) ((const char *const []){ self, __VA_ARGS__, NULL })

static void
start(struct run *r, struct ev_loop *loop, const struct child_spec *spec)
{
	struct err e;

	*r = (struct run){ .loop = loop, .is_out_open = true,
		.is_calling = true };
	ck_assert_msg(child_start(loop, spec, &callbacks, r, &r->child, &e)
	    == 0, "%s", e.text);
	r->is_calling = false;
	ev_io_init(&r->io[0], on_output, child_stdout(r->child), EV_READ);
	ev_io_init(&r->io[1], on_output, child_stderr(r->child), EV_READ);
	r->io[0].data = r->io[1].data = r;
	ev_io_start(loop, &r->io[0]);
	ev_io_start(loop, &r->io[1]);
}

static void
on_tick(struct ev_loop *loop, ev_timer *t, int events)
{
	(void)loop;
	(void)t;
	(void)events;
}

static bool
has_started(const struct run *r)
{
	return strchr(r->log, 's') != NULL;
}

static bool
has_exited(const struct run *r)
{
	return strchr(r->log, 'x') != NULL;
}

static bool
is_gone(const struct run *r)
{
	return strchr(r->log, 'g') != NULL;
}

static bool
is_over(const struct run *r)
{
	return is_gone(r) && !r->is_out_open;
}

static int
lines(const struct buf *b)
{
	int n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

static bool
is_tree_up(const struct run *r)
{
	return has_started(r) && lines(&r->out) == TREE_SIZE;
}

static bool
has_no_processes(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0;
}

/* Runs the loop until the fact; fails the test when it takes too long. */
static void
until(struct run *r, bool (*fact)(const struct run *r), const char *name)
{
	int64_t limit = clock_ms() + LIMIT_MS;
	ev_timer tick;

	ev_timer_init(&tick, on_tick, 0.01, 0.01);
	ev_timer_start(r->loop, &tick);
	while (!fact(r)) {
		ck_assert_msg(clock_ms() < limit, "%s: not in time; log %s, "
		    "out %s, err %s", name, r->log, r->out.data, r->err.data);
		ev_run(r->loop, EVRUN_ONCE);
	}
	ev_timer_stop(r->loop, &tick);
}
#define UNTIL(r, fact) until(r, fact, #fact)

static void
finish(struct run *r)
{
	ev_io_stop(r->loop, &r->io[0]);
	ev_io_stop(r->loop, &r->io[1]);
	r->is_calling = true;
	child_free(&r->child);
	r->is_calling = false;
	buf_free(&r->out);
	buf_free(&r->err);
}

static bool
exists(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

static void
assert_all_dead(const char *pids)
{
	int n = 0;

	for (const char *p = pids; *p; p = strchr(p, '\n') + 1, n++)
		ck_assert_msg(!exists(atoi(p)), "%d lives", atoi(p));
	ck_assert_int_eq(n, TREE_SIZE);
}

static char
state_of(pid_t pid, pid_t *parent)
{
	char path[64], text[512] = "", state = '?';
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert(fread(text, 1, sizeof text - 1, f) > 0);
	fclose(f);
	ck_assert_int_eq(sscanf(strrchr(text, ')'), ") %c %d", &state,
	    parent), 2);
	return state;
}

static pid_t
parent_of(pid_t pid)
{
	pid_t parent;

	state_of(pid, &parent);
	return parent;
}

static void
wait_for_state(pid_t pid, char state)
{
	int64_t limit = clock_ms() + LIMIT_MS;
	pid_t parent;

	while (state_of(pid, &parent) != state) {
		ck_assert_int_lt(clock_ms(), limit);
		poll(NULL, 0, 1);
	}
}

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(exit_code_is_reported)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("exit", "42"));
	struct run r;

	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, 42);
	ck_assert_int_eq(r.x.term_signal, 0);
	ck_assert_int_eq(r.x.exec_errno, 0);
	ck_assert(!r.x.was_asked);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(death_by_signal_is_reported)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("signal", "9"));
	struct run r;

	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, -1);
	ck_assert_int_eq(r.x.term_signal, SIGKILL);
	ck_assert(!r.x.was_asked);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static const struct {
	const char *program, *cwd, *ladder, *step;
	int error;
} exec_cases[] = {
	{ "no-such-program", NULL, NULL, "exec", ENOENT },
	{ "/no/such/program", NULL, NULL, "exec", ENOENT },
	{ "/etc/passwd", NULL, NULL, "exec", EACCES },
	{ "true", "/no/such/folder", NULL, "chdir", ENOENT },
	{ "true", "/etc/passwd", NULL, "chdir", ENOTDIR },
	{ "true", NULL, "TERM", "ladder", EINVAL },
	{ "true", NULL, "NONSENSE:5", "ladder", EINVAL },
	{ "true", NULL, "TERM:5x", "ladder", EINVAL },
	{ "true", NULL, "TERM:-5", "ladder", EINVAL },
};

START_TEST(what_cannot_run_says_why)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { exec_cases[_i].program, NULL };
	struct child_spec spec = spec_of(argv);
	struct run r;

	spec.cwd = exec_cases[_i].cwd;
	spec.ladder = exec_cases[_i].ladder;
	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "xg");
	ck_assert_int_eq(r.x.exec_errno, exec_cases[_i].error);
	ck_assert_str_eq(r.x.exec_step, exec_cases[_i].step);
	ck_assert_int_eq(r.x.exit_code, -1);
	ck_assert_int_eq(r.x.term_signal, 0);
	ck_assert_int_eq(child_pid(r.child), 0);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(program_is_searched_in_the_childs_path)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { "true", NULL };
	const char *env[] = { "PATH=/no/such/folder", NULL };
	struct child_spec spec = spec_of(argv);
	struct run r;

	spec.envp = (char *const *)env;
	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "xg");
	ck_assert_int_eq(r.x.exec_errno, ENOENT);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(child_has_what_the_spec_says_and_no_more)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *env[] = { "PATH=/usr/bin:/bin", "ONE=a b", "TWO=", NULL };
	struct child_spec spec = spec_of(ROLE("show"));
	struct run r;
	int pass = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int inheritable = open("/dev/null", O_RDONLY);
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	spec.envp = (char *const *)env;
	spec.cwd = "/usr";
	if (_i)
		spec.pass_fd = pass;
	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, 0);
	ck_assert_ptr_nonnull(strstr(r.out.data, "cwd /usr\n"));
	ck_assert_ptr_nonnull(strstr(r.out.data, "deathsig 9\nleader 1\n"));
	ck_assert_ptr_nonnull(strstr(r.out.data, _i ?
	    "fd 0\nfd 1\nfd 2\nfd 3\nenv " : "fd 0\nfd 1\nfd 2\nenv "));
	ck_assert_ptr_nonnull(strstr(r.out.data, "env PATH=/usr/bin:/bin\n"
	    "env ONE=a b\nenv TWO=\nSig"));
	ck_assert_msg(strstr(r.out.data, "SigBlk:\t0000000000000000\n"
	    "SigIgn:\t0000000000000000\n"), "%s", r.out.data);
	finish(&r);
	close(pass);
	close(inheritable);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(raised_fd_limit_is_not_passed_on)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("show"));
	struct rlimit limit;
	struct run r;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 123;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	child_raise_fd_limit();
	getrlimit(RLIMIT_NOFILE, &limit);
	ck_assert(limit.rlim_cur == limit.rlim_max);
	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	ck_assert_ptr_nonnull(strstr(r.out.data, "nofile 123\n"));
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stdio_goes_through_pipes)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct run r;

	start(&r, loop, &spec);
	ck_assert(fcntl(child_stdin(r.child), F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(child_stdout(r.child), F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(write(child_stdin(r.child), "hello", 5), 5);
	child_close_stdin(r.child);
	ck_assert_int_eq(child_stdin(r.child), -1);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.out.data, "hello");
	ck_assert_str_eq(r.err.data, "copied\n");
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static bool
is_out_closed(const struct run *r)
{
	return !r->is_out_open;
}

START_TEST(keeper_does_not_hold_the_childs_pipes_open)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { "sh", "-c", "exec >&-; read x", NULL };
	struct child_spec spec = spec_of(argv);
	struct run r;

	start(&r, loop, &spec);
	UNTIL(&r, is_out_closed);
	ck_assert(!has_exited(&r));
	child_close_stdin(r.child);
	UNTIL(&r, is_over);
	ck_assert_int_eq(r.x.exit_code, 1);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stdin_may_be_a_file_of_the_caller)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct run r;
	FILE *f = tmpfile();

	fputs("from a file", f);
	rewind(f);
	spec.stdin_fd = fileno(f);
	start(&r, loop, &spec);
	ck_assert_int_eq(child_stdin(r.child), -1);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.out.data, "from a file");
	finish(&r);
	ck_assert_int_eq(fclose(f), 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(peak_memory_is_that_of_the_largest_process)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(_i ? ROLE("eat", "50", "below") :
	    ROLE("eat", "50"));
	struct run r;

	start(&r, loop, &spec);
	/* below: the child itself is small, and ends first */
	while (_i && r.out.len == 0)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(write(child_stdin(r.child), "x", 1), 1);
	UNTIL(&r, is_over);
	ck_assert_int_eq(r.x.exit_code, 0);
	ck_assert_int_ge(r.x.peak_rss_kb, 50 * 1024);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(child_runs_as_another_user)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { "sh", "-c", "id -u; id -g; id -G", NULL };
	struct child_spec spec = spec_of(argv);
	struct run r;

	spec.as_user = true;
	spec.uid = spec.gid = NOBODY;
	spec.cwd = "/";
	start(&r, loop, &spec);
	UNTIL(&r, is_over);
	if (geteuid() == 0) {
		ck_assert_str_eq(r.out.data, "65534\n65534\n65534\n");
	} else {
		ck_assert_str_eq(r.log, "xg");
		ck_assert_str_eq(r.x.exec_step, "setgroups");
		ck_assert_int_eq(r.x.exec_errno, EPERM);
	}
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static void
start_tree(struct run *r, struct ev_loop *loop, const char *what,
    const char *ladder)
{
	struct child_spec spec = spec_of(ROLE("tree", "1", what, "5"));

	spec.ladder = ladder;
	start(r, loop, &spec);
	UNTIL(r, is_tree_up);
}

START_TEST(tree_dies_with_the_child)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;

	start_tree(&r, loop, "exit", NULL);
	ck_assert_int_eq(write(child_stdin(r.child), "x", 1), 1);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, 5);
	assert_all_dead(r.out.data);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(tree_dies_with_the_stop)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;

	start_tree(&r, loop, _i ? "ignore" : "stay", "TERM:100");
	child_stop(r.child);
	child_stop(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.term_signal, _i ? SIGKILL : SIGTERM);
	ck_assert(r.x.was_asked);
	assert_all_dead(r.out.data);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(tree_dies_with_the_kill_although_the_ladder_is_long)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;

	start_tree(&r, loop, "ignore", "TERM:600000");
	child_stop(r.child);
	child_kill(r.child);
	child_kill(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.term_signal, SIGKILL);
	ck_assert(r.x.was_asked);
	assert_all_dead(r.out.data);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(tree_dies_when_its_owner_forgets_it)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;
	char *pids;

	start_tree(&r, loop, "ignore", "TERM:600000");
	pids = xstrdup(r.out.data);
	finish(&r);
	ck_assert_ptr_null(r.child);
	ev_run(loop, 0);
	ck_assert(has_no_processes());
	ck_assert_str_eq(r.log, "s");
	assert_all_dead(pids);
	free(pids);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(forgetting_within_started_is_allowed)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("stubborn"));
	struct run r;

	start(&r, loop, &spec);
	r.frees_when_started = true;
	ev_io_stop(loop, &r.io[0]);
	ev_io_stop(loop, &r.io[1]);
	ev_run(loop, 0);
	ck_assert(has_no_processes());
	ck_assert_str_eq(r.log, "s");
	ck_assert_ptr_null(r.child);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(killing_at_once_after_the_start_works)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("stubborn"));
	struct run r;

	spec.ladder = _i ? "TERM:600000" : NULL;
	start(&r, loop, &spec);
	if (_i)
		child_stop(r.child);
	child_kill(r.child);
	UNTIL(&r, is_gone);
	ck_assert(has_exited(&r));
	ck_assert_int_ne(r.x.term_signal, 0);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * A socket that is closed with something unread in it says so to the other
 * end before it hands out what was sent: no message may be lost by that.
 */
START_TEST(kill_arrives_although_reports_were_not_read)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { "sh", "-c", "echo $PPID; sleep 1000", NULL };
	struct child_spec spec = spec_of(argv);
	struct pollfd p = { .events = POLLIN };
	int64_t begin = clock_ms();
	char keeper[20] = "";
	struct run r;

	spec.ladder = "wait:600000";
	start(&r, loop, &spec);
	p.fd = child_stdout(r.child);
	ck_assert_int_eq(poll(&p, 1, LIMIT_MS), 1);
	ck_assert_int_gt(read(p.fd, keeper, sizeof keeper - 1), 0);
	/* awakened by the exec, it sleeps again once it has reported that */
	wait_for_state(atoi(keeper), 'S');
	finish(&r);
	ev_run(loop, 0);
	ck_assert(has_no_processes());
	ck_assert_int_lt(clock_ms() - begin, LIMIT_MS / 2);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(end_is_reported_although_an_order_was_not_read)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct run r;
	pid_t keeper;

	start(&r, loop, &spec);
	UNTIL(&r, has_started);
	keeper = parent_of(r.pid);
	kill(keeper, SIGSTOP);
	wait_for_state(keeper, 'T');
	child_close_stdin(r.child);
	wait_for_state(r.pid, 'Z');
	child_stop(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, 0);
	ck_assert_int_eq(r.x.term_signal, 0);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

/* Runs in a process of its own: a daemon that is about to be killed. */
static void
be_daemon(int pass_fd, const char *ladder)
{
	struct child_spec spec = spec_of(ROLE("tree", "3"));
	struct ev_loop *loop = ev_loop_new(0);
	struct run r = { .loop = loop };
	struct child *c;

	spec.pass_fd = pass_fd;
	spec.ladder = ladder;
	if (child_start(loop, &spec, &callbacks, &r, &c, NULL) != 0)
		_exit(1);
	close(pass_fd);
	ev_run(loop, 0);
	_exit(2);
}

/* Reads until n lines (0: end of file) have come, or fails. */
static void
read_lines(int fd, struct buf *b, int n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (n == 0 || lines(b) < n) {
		ssize_t got;

		ck_assert_msg(poll(&p, 1, LIMIT_MS) == 1, "after %s", b->data);
		got = read(fd, buf_room(b, 512), 512);
		ck_assert_int_ge(got, 0);
		if (got == 0)
			break;
		buf_grew(b, (size_t)got);
	}
}

START_TEST(tree_dies_when_the_daemon_is_killed)
{
	struct buf pids = { 0 };
	int fd[2], status;
	pid_t daemon;

	/* the orphaned keeper becomes ours, so we see it end */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	daemon = fork();
	if (daemon == 0) {
		close(fd[0]);
		be_daemon(fd[1], _i ? "wait:50 TERM:50" : NULL);
	}
	close(fd[1]);
	read_lines(fd[0], &pids, TREE_SIZE);
	kill(daemon, SIGKILL);
	ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
	ck_assert(WIFSIGNALED(status));
	read_lines(fd[0], &pids, 0);
	while (waitpid(-1, &status, 0) > 0)
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_all_dead(pids.data);
	close(fd[0]);
	buf_free(&pids);
}
END_TEST

START_TEST(tree_dies_when_its_keeper_is_killed)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r, other;

	start_tree(&r, loop, "stay", "TERM:600000");
	start_tree(&other, loop, "stay", NULL);
	kill(parent_of(r.pid), SIGKILL);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	ck_assert_int_eq(r.x.exit_code, -1);
	ck_assert_int_eq(r.x.term_signal, SIGKILL);
	ck_assert(!r.x.was_asked);
	assert_all_dead(r.out.data);
	/* and nobody else's */
	ck_assert_str_eq(other.log, "s");
	ck_assert(exists(other.pid));
	child_kill(other.child);
	UNTIL(&other, is_over);
	assert_all_dead(other.out.data);
	finish(&r);
	finish(&other);
	ck_assert(has_no_processes());
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(forgotten_tree_dies_when_its_keeper_is_killed)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;
	char *pids;
	pid_t keeper;

	start_tree(&r, loop, "stay", NULL);
	pids = xstrdup(r.out.data);
	keeper = parent_of(r.pid);
	/* it shall not get to read the order */
	kill(keeper, SIGSTOP);
	kill(keeper, SIGKILL);
	finish(&r);
	/* ends when nothing is watched any more */
	ev_run(loop, 0);
	ck_assert(has_no_processes());
	assert_all_dead(pids);
	ck_assert_str_eq(r.log, "s");
	free(pids);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(keeper_heeds_no_signal_of_the_terminal)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct run r;
	pid_t keeper;

	start(&r, loop, &spec);
	UNTIL(&r, has_started);
	keeper = parent_of(r.pid);
	kill(keeper, SIGINT);
	kill(keeper, SIGTERM);
	kill(keeper, SIGHUP);
	kill(keeper, SIGQUIT);
	ck_assert_int_eq(write(child_stdin(r.child), "still here", 10), 10);
	child_close_stdin(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.out.data, "still here");
	ck_assert_int_eq(r.x.exit_code, 0);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(keeper_that_was_stopped_goes_on_when_needed)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;

	start_tree(&r, loop, "stay", NULL);
	kill(parent_of(r.pid), SIGSTOP);
	if (_i)
		child_stop(r.child);
	else
		child_kill(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.log, "sxg");
	assert_all_dead(r.out.data);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static bool
is_up(const struct run *r)
{
	return lines(&r->out) >= 1;
}

static bool
has_two_lines(const struct run *r)
{
	return lines(&r->out) >= 2;
}

static bool
has_three_lines(const struct run *r)
{
	return lines(&r->out) >= 3;
}

START_TEST(ladder_is_climbed_in_order_and_no_faster)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("stubborn"));
	struct run r;
	int64_t begin, at_int, at_term;

	spec.ladder = "wait:150 INT:150 TERM:150";
	start(&r, loop, &spec);
	UNTIL(&r, is_up);
	begin = clock_ms();
	child_stop(r.child);
	UNTIL(&r, has_two_lines);
	at_int = clock_ms();
	UNTIL(&r, has_three_lines);
	at_term = clock_ms();
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.out.data, "up\nINT\nTERM\n");
	ck_assert_int_ge(at_int - begin, 149);
	ck_assert_int_ge(at_term - begin, 299);
	ck_assert_int_ge(r.exited_at - begin, 449);
	ck_assert_int_eq(r.x.term_signal, SIGKILL);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(ladder_ends_as_soon_as_the_child_does)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct run r;
	int64_t begin = clock_ms();

	spec.ladder = "wait:600000 TERM:600000";
	start(&r, loop, &spec);
	child_stop(r.child);
	child_close_stdin(r.child);
	UNTIL(&r, is_over);
	ck_assert_int_lt(clock_ms() - begin, LIMIT_MS);
	ck_assert_int_eq(r.x.exit_code, 0);
	ck_assert(r.x.was_asked);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stopped_child_still_gets_the_ladders_signal)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("stubborn"));
	struct run r;

	spec.ladder = "TERM:600000";
	start(&r, loop, &spec);
	UNTIL(&r, is_up);
	UNTIL(&r, has_started);
	child_signal(r.child, SIGSTOP);
	wait_for_state(r.pid, 'T');
	child_stop(r.child);
	UNTIL(&r, has_two_lines);
	ck_assert_str_eq(r.out.data, "up\nTERM\n");
	child_kill(r.child);
	UNTIL(&r, is_over);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static void
wait_for_states(const char *pids, char state)
{
	for (; *pids; pids += strcspn(pids, "\n") + 1)
		wait_for_state(atoi(pids), state);
}

START_TEST(frozen_tree_stands_still_and_hears_of_its_stop)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct run r;

	start_tree(&r, loop, "exit", "wait:600000");
	child_freeze(r.child);
	wait_for_states(r.out.data, 'T');
	wait_for_state(r.pid, 'T');
	child_thaw(r.child);
	wait_for_states(r.out.data, 'S');
	wait_for_state(r.pid, 'S');
	child_freeze(r.child);
	wait_for_state(r.pid, 'T');
	child_close_stdin(r.child);
	child_stop(r.child);
	UNTIL(&r, is_over);
	/* it has read the end of its input */
	ck_assert_int_eq(r.x.exit_code, 99);
	assert_all_dead(r.out.data);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

static bool
is_orphan_tree_up(const struct run *r)
{
	return has_started(r) && lines(&r->out) == PATIENT + 2;
}

START_TEST(child_whose_parent_ends_in_the_thaw_goes_on)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("orphan", "1"));
	struct run r;

	start(&r, loop, &spec);
	UNTIL(&r, is_orphan_tree_up);
	child_freeze(r.child);
	wait_for_states(r.out.data, 'T');
	child_thaw(r.child);
	wait_for_states(r.out.data, 'S');
	child_kill(r.child);
	UNTIL(&r, is_over);
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(one_signal_goes_to_the_child_alone)
{
	struct ev_loop *loop = ev_loop_new(0);
	const char *argv[] = { "sh", "-c", "trap 'echo below' HUP; "
	    "(trap 'echo wrong' HUP; echo up; while :; do read x; done) & "
	    "while :; do wait; done", NULL };
	struct child_spec spec = spec_of(argv);
	struct run r;

	start(&r, loop, &spec);
	UNTIL(&r, is_up);
	child_signal(r.child, SIGHUP);
	UNTIL(&r, has_two_lines);
	child_kill(r.child);
	UNTIL(&r, is_over);
	ck_assert_str_eq(r.out.data, "up\nbelow\n");
	finish(&r);
	ev_loop_destroy(loop);
}
END_TEST

#define MANY 50

START_TEST(many_children_leave_no_fd_and_no_process)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec good = spec_of(ROLE("copy"));
	struct child_spec bad = spec_of(ROLE("copy"));
	const char *missing[] = { "no-such-program", NULL };
	struct run *r = xcalloc(MANY, sizeof *r);
	int before, at_end;

	bad.argv = (char *const *)missing;
	/* the loop's own descriptors come with its first run */
	ev_run(loop, EVRUN_NOWAIT);
	before = count_fds();
	for (int i = 0; i < MANY; i++)
		start(&r[i], loop, i % 5 == 4 ? &bad : &good);
	for (int i = 0; i < MANY; i++) {
		if (i % 3 == 0 && i % 5 != 4)
			child_stop(r[i].child);
		else
			child_close_stdin(r[i].child);
	}
	for (int i = 0; i < MANY; i++) {
		UNTIL(&r[i], is_over);
		if (i % 5 == 4)
			ck_assert_str_eq(r[i].log, "xg");
		else if (i % 3)
			ck_assert_int_eq(r[i].x.exit_code, 0);
		finish(&r[i]);
	}
	at_end = count_fds();
	ck_assert_int_eq(at_end, before);
	ck_assert(has_no_processes());
	free(r);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(no_descriptors_left_is_an_error_and_leaks_nothing)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct child_spec spec = spec_of(ROLE("copy"));
	struct rlimit old, limit;
	struct child *c = NULL;
	int before = count_fds(), failures = 0;
	struct err e = { "" };

	getrlimit(RLIMIT_NOFILE, &old);
	for (rlim_t n = 12; n < 24; n++) {
		struct run r = { .loop = loop };

		limit = old;
		limit.rlim_cur = n;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (child_start(loop, &spec, &callbacks, &r, &c, &e) != 0) {
			failures++;
			ck_assert(strlen(e.text) > 0);
		}
		setrlimit(RLIMIT_NOFILE, &old);
		child_free(&c);
		ev_run(loop, 0);
		ck_assert(has_no_processes());
		ck_assert_int_eq(count_fds(), before);
	}
	ck_assert_int_gt(failures, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(environment_is_an_allow_list)
{
	char **env;
	static const struct {
		const char *entry;
		bool passes;
	} cases[] = {
		{ "HOME=/h", true }, { "LC_TIME=C", true },
		{ "XDG_STATE_HOME=/x", true }, { "https_proxy=p", true },
		{ "NODE_EXTRA_CA_CERTS=c", true }, { "PATH=/bin", true },
		{ "NOTIFY_SOCKET=n", false }, { "WATCHDOG_USEC=1", false },
		{ "LISTEN_FDS=1", false }, { "HEARTH_DATABASE=d", false },
		{ "PGPASSWORD=p", false }, { "PATHS=/bin", false },
		{ "HOM=/h", false }, { "LD_PRELOAD=l", false },
	};

	clearenv();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		putenv((char *)cases[i].entry);
	env = child_environment();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool is_there = false;

		for (char **p = env; *p; p++)
			is_there |= strcmp(*p, cases[i].entry) == 0;
		ck_assert_msg(is_there == cases[i].passes, "%s",
		    cases[i].entry);
	}
	ck_assert_uint_eq(strv_len(env), 6);
	strv_free(&env);
	clearenv();
	env = child_environment();
	ck_assert_ptr_nonnull(env);
	ck_assert_uint_eq(strv_len(env), 0);
	strv_free(&env);
}
END_TEST

START_TEST(setenv_sets_replaces_and_removes)
{
	char **env = NULL;

	child_setenv(&env, "A=1");
	child_setenv(&env, "AB=2");
	child_setenv(&env, "A=3=x");
	ck_assert_uint_eq(strv_len(env), 2);
	ck_assert_str_eq(env[0], "AB=2");
	ck_assert_str_eq(env[1], "A=3=x");
	child_setenv(&env, "AB");
	child_setenv(&env, "NOT_THERE");
	ck_assert_uint_eq(strv_len(env), 1);
	child_setenv(&env, "A=");
	ck_assert_str_eq(env[0], "A=");
	strv_free(&env);
	child_setenv(&env, "A");
	ck_assert_ptr_null(env);
}
END_TEST

START_TEST(helper_that_is_nowhere_is_null)
{
	char *path = child_helper_path("hearth-keeper");

	ck_assert_ptr_nonnull(path);
	ck_assert_int_eq(access(path, X_OK), 0);
	free(path);
	ck_assert_ptr_null(child_helper_path("hearth-no-such-helper"));
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("child");
	TCase *t = tcase_create("given");
	int cases = sizeof exec_cases / sizeof *exec_cases;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, exit_code_is_reported);
	tcase_add_test(t, death_by_signal_is_reported);
	tcase_add_loop_test(t, what_cannot_run_says_why, 0, cases);
	tcase_add_test(t, program_is_searched_in_the_childs_path);
	tcase_add_loop_test(t, child_has_what_the_spec_says_and_no_more, 0, 2);
	tcase_add_test(t, raised_fd_limit_is_not_passed_on);
	tcase_add_test(t, stdio_goes_through_pipes);
	tcase_add_test(t, keeper_does_not_hold_the_childs_pipes_open);
	tcase_add_test(t, stdin_may_be_a_file_of_the_caller);
	tcase_add_loop_test(t, peak_memory_is_that_of_the_largest_process,
	    0, 2);
	tcase_add_test(t, child_runs_as_another_user);
	tcase_add_test(t, environment_is_an_allow_list);
	tcase_add_test(t, setenv_sets_replaces_and_removes);
	tcase_add_test(t, helper_that_is_nowhere_is_null);
	suite_add_tcase(s, t);

	t = tcase_create("nothing survives");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, tree_dies_with_the_child);
	tcase_add_loop_test(t, tree_dies_with_the_stop, 0, 2);
	tcase_add_test(t, tree_dies_with_the_kill_although_the_ladder_is_long);
	tcase_add_test(t, tree_dies_when_its_owner_forgets_it);
	tcase_add_test(t, forgetting_within_started_is_allowed);
	tcase_add_loop_test(t, killing_at_once_after_the_start_works, 0, 2);
	tcase_add_test(t, kill_arrives_although_reports_were_not_read);
	tcase_add_test(t, end_is_reported_although_an_order_was_not_read);
	tcase_add_loop_test(t, tree_dies_when_the_daemon_is_killed, 0, 2);
	tcase_add_test(t, tree_dies_when_its_keeper_is_killed);
	tcase_add_test(t, forgotten_tree_dies_when_its_keeper_is_killed);
	tcase_add_test(t, keeper_heeds_no_signal_of_the_terminal);
	tcase_add_loop_test(t, keeper_that_was_stopped_goes_on_when_needed,
	    0, 2);
	suite_add_tcase(s, t);

	t = tcase_create("ladder and many");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, ladder_is_climbed_in_order_and_no_faster);
	tcase_add_test(t, ladder_ends_as_soon_as_the_child_does);
	tcase_add_test(t, stopped_child_still_gets_the_ladders_signal);
	tcase_add_test(t,
	    frozen_tree_stands_still_and_hears_of_its_stop);
	tcase_add_test(t, child_whose_parent_ends_in_the_thaw_goes_on);
	tcase_add_test(t, one_signal_goes_to_the_child_alone);
	tcase_add_test(t, many_children_leave_no_fd_and_no_process);
	tcase_add_test(t, no_descriptors_left_is_an_error_and_leaks_nothing);
	suite_add_tcase(s, t);
	return s;
}

int
main(int argc, char **argv)
{
	SRunner *runner;
	int failed;

	for (size_t i = 0; argc > 1 && i < sizeof roles / sizeof *roles; i++)
		if (!strcmp(argv[1], roles[i].name))
			_exit(roles[i].run(argv + 2));
	if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
		return 1;
	runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
