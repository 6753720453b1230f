/* SPDX-License-Identifier: MIT */
/*
 * Decisions below the daemon: hunks that are chosen, and hearth-worktree killed
 * before each of its steps, and at many moments between, for every kind of
 * decision. After a kill a file is as it was or as it is to be, never anything
 * between; the next run finds out which, and ends it.
 *
 * The helper is run as the daemon runs it, in a process group that is killed as
 * a whole. A step is a system call of it that changes files, or that starts a
 * git; it is traced, so that none is left out. Everything lies in a folder
 * below the temporary folder.
 */
#include <check.h>
#undef fail /* check's old name for ck_abort_msg(), and ours in base/err.h */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "workspace/hunks.h"
#include "workspace/record.h"

#define SESSION "4c1e2f3a-1111-4222-8333-444455556666"

/* ---- hunks */

#define OLD "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
#define DIFF "diff --git a/x b/x\n--- a/x\n+++ b/x\n" \
	"@@ -1,2 +1,3 @@\n+0\n 1\n 2\n" \
	"@@ -4,3 +5,2 @@ 3\n 4\n-5\n 6\n" \
	"@@ -8,2 +8,2 @@\n 8\n-9\n+nine\n\\ No newline at end of file\n"

static const struct {
	const char *old, *diff, *numbers, *expected; /* NULL: refused */
} hunk_cases[] = {
	{ OLD, DIFF, "1", "0\n" OLD },
	{ OLD, DIFF, "2", "1\n2\n3\n4\n6\n7\n8\n9\n" },
	{ OLD, DIFF, "3", "1\n2\n3\n4\n5\n6\n7\n8\nnine" },
	{ OLD, DIFF, "1,3", "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine" },
	{ OLD, DIFF, "3,1", "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine" },
	{ OLD, DIFF, "1,2,3", "0\n1\n2\n3\n4\n6\n7\n8\nnine" },
	{ OLD, DIFF, "4", NULL },
	{ OLD, DIFF, "1,40", NULL },
	{ "1\nother\n", DIFF, "1", NULL },
	{ "1\n", DIFF, "2", NULL },
	/* a last line without a newline stays so */
	{ "a\nb\nc", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n", "1", "A\nb\nc" },
	{ "a\nb", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n"
	    "\\ No newline at end of file\n", "1", "A\nb" },
	/* and one that gets one */
	{ "a", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n", "1",
	    "a\n" },
	/* lines that look like a diff's own */
	{ "@@ x\n--- y\n", "@@ -1,2 +1,3 @@\n @@ x\n+@@ -9 +9 @@\n --- y\n",
	    "1", "@@ x\n@@ -9 +9 @@\n--- y\n" },
	/* only added, only taken away */
	{ "a\nb\n", "@@ -1,0 +2 @@ a\n+x\n", "1", "a\nx\nb\n" },
	{ "a\nb\n", "@@ -2 +1,0 @@ a\n-b\n", "1", "a\n" },
};

START_TEST(chosen_hunks_are_applied_and_others_left_out)
{
	struct buf old = { 0 }, diff = { 0 }, out = { 0 };
	struct err e;
	int rc;

	buf_adds(&old, hunk_cases[_i].old);
	buf_adds(&diff, hunk_cases[_i].diff);
	rc = hunks_apply(&old, &diff, hunk_cases[_i].numbers, &out, &e);
	if (hunk_cases[_i].expected) {
		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(out.data, hunk_cases[_i].expected);
	} else {
		ck_assert_int_eq(rc, -1);
		ck_assert(*e.text);
	}
	buf_free(&old);
	buf_free(&diff);
	buf_free(&out);
}
END_TEST

START_TEST(hunks_of_bytes_are_bytes)
{
	struct buf old = { 0 }, diff = { 0 }, out = { 0 };

	buf_add(&old, "a\0b\nc\n", 6);
	buf_add(&diff, "@@ -1,2 +1,2 @@\n a\0b\n-c\n+\0\n", 27);
	ck_assert_uint_eq(hunks_count(diff.data, diff.len), 1);
	ck_assert_int_eq(hunks_apply(&old, &diff, "1", &out, NULL), 0);
	ck_assert_uint_eq(out.len, 6);
	ck_assert_int_eq(memcmp(out.data, "a\0b\n\0\n", 6), 0);
	buf_free(&old);
	buf_free(&diff);
	buf_free(&out);
}
END_TEST

/* ---- hearth-worktree, killed */

static char here[PATH_MAX];

static int __attribute__((format(printf, 1, 2)))
sh(const char *fmt, ...)
{
	char command[8192], whole[sizeof command + PATH_MAX + 64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "cd '%s' && { %s\n} </dev/null "
	    ">>log 2>&1", here, command);
	return system(whole);
}

#define must_sh(...) ck_assert_int_eq(sh(__VA_ARGS__), 0)

static const char *
line_of(const char *command)
{
	static char line[8][256];
	static int i;
	char whole[PATH_MAX + 512];
	FILE *f;

	i = (i + 1) % 8;
	snprintf(whole, sizeof whole, "cd '%s' && %s", here, command);
	f = popen(whole, "r");
	ck_assert_ptr_nonnull(f);
	line[i][0] = '\0';
	if (fgets(line[i], sizeof line[i], f))
		line[i][strcspn(line[i], "\n")] = '\0';
	pclose(f);
	return line[i];
}

static void
set_up(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(here, sizeof here, "%s/hearth-test-XXXXXX",
	    tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(here));
	must_sh("mkdir state p && cd p && git init -q && seq 20 >a && "
	    "echo b >b && git add -A && GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t "
	    "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t git commit -qm b");
}

static void
tear_down(void)
{
	sh("rm -rf '%s'", here);
}

/* The helper stops at its system calls. Nobody else may look at it then: no
 * sanitizer at its end. */
static bool is_traced;

static void
be_traced(void)
{
	const char *options = getenv("ASAN_OPTIONS");
	char *whole = xasprintf("%s%sdetect_leaks=0", options ? options : "",
	    options ? ":" : "");

	setenv("ASAN_OPTIONS", whole, 1);
	free(whole);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(125);
}

/* Starts the helper with this on its stdin; its output goes to "out". */
static pid_t
start(const char *verb, const struct buf *input)
{
	char *program = child_helper_path("hearth-worktree");
	char *state = xasprintf("%s/state", here);
	char *project = xasprintf("%s/p", here);
	char *tree = xstrdup(line_of("head -1 state/snapshots/*.tree "
	    "2>/dev/null"));
	char *base = xstrdup(line_of("git -C p rev-parse HEAD"));
	FILE *in = tmpfile();
	pid_t pid;

	ck_assert_ptr_nonnull(program);
	if (input)
		fwrite(input->data, 1, input->len, in);
	fflush(in);
	rewind(in);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		dup2(fileno(in), 0);
		if (chdir(here) < 0 || !freopen("out", "w", stdout) ||
		    !freopen("log", "a", stderr))
			_exit(126);
		if (is_traced)
			be_traced();
		execl(program, program, verb, "--state", state, "--session",
		    SESSION, "--project-id", "1", "--project", project,
		    "--base", base, *tree ? "--tree" : NULL, tree, NULL);
		_exit(127);
	}
	setpgid(pid, pid);
	fclose(in);
	free(program);
	free(state);
	free(project);
	free(tree);
	free(base);
	return pid;
}

/* Its status; -1: it was killed. */
static int
finish(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
run(const char *verb, const struct buf *input)
{
	ck_assert_int_eq(finish(start(verb, input)), 0);
}

/* With all that it has started. */
static void
end(pid_t pid)
{
	kill(-pid, SIGKILL);
	finish(pid);
	/* as its keeper sees to it, nothing of it is left */
	while (waitpid(-pid, NULL, 0) > 0)
		;
}

static void
kill_after(pid_t pid, long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	nanosleep(&t, NULL);
	end(pid);
}

static bool
is_step(const struct __ptrace_syscall_info *call)
{
	const __typeof__(call->entry.args[0]) *args = call->entry.args;

	switch (call->entry.nr) {
	case SYS_openat:
		return (args[2] & (O_CREAT | O_TRUNC)) != 0;
	case SYS_write: case SYS_writev: case SYS_pwrite64:
	case SYS_sendfile:
		return args[0] > 2;
	case SYS_renameat: case SYS_renameat2: case SYS_unlinkat:
	case SYS_mkdirat: case SYS_symlinkat: case SYS_linkat:
	case SYS_fchmod: case SYS_fchmodat: case SYS_fchown:
	case SYS_fchownat: case SYS_ftruncate:
	case SYS_clone: case SYS_clone3:
#ifdef SYS_rename
	case SYS_rename: case SYS_unlink: case SYS_mkdir: case SYS_rmdir:
	case SYS_symlink: case SYS_chmod: case SYS_fork: case SYS_vfork:
#endif
		return true;
	default:
		return false;
	}
}

/* Where nobody may trace, the other kills are what is left. */
static bool
may_trace(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(125);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return false;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return true;
}

/* True when it was killed before its nth step; else it has ended well. */
static bool
killed_before(int n, const struct buf *orders)
{
	struct __ptrace_syscall_info call;
	int status, signal = 0;
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	is_traced = true;
	pid = start("decide", orders);
	is_traced = false;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD |
	    PTRACE_O_EXITKILL));
	for (;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status)) {
			ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
			return false;
		}
		signal = WSTOPSIG(status);
		if (signal != (SIGTRAP | 0x80))
			continue;
		signal = 0;
		ck_assert_int_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid,
		    (void *)sizeof call, &call), 0);
		if (call.op == PTRACE_SYSCALL_INFO_ENTRY && is_step(&call) &&
		    --n == 0) {
			end(pid);
			return true;
		}
	}
}

static void
order(struct buf *out, const char *id, const char *verb, const char *path,
    const char *from, const char *to)
{
	struct record r = { .type = 'X', .n = 10, .field = { id, verb, from,
		to, *from ? "100644" : "", *to ? "100644" : "", "", path, "",
		"" } };

	record_add(out, &r);
}

/* Whether the answer has an outcome of this id without a code. */
static bool
is_done(const char *id)
{
	char *path = xasprintf("%s/out", here);
	FILE *f = fopen(path, "r");
	static char text[1 << 20];
	size_t n = fread(text, 1, sizeof text, f), at = 0;
	struct record r;
	bool done = false;
	long len;

	fclose(f);
	free(path);
	while ((len = record_next(text + at, n - at, &r)) > 0) {
		if (r.type == 'O' && strcmp(r.field[0], id) == 0)
			done = !*r.field[1];
		at += (size_t)len;
	}
	return done;
}

/* The blob that a file is; "" for none. */
static const char *
blob(const char *file)
{
	char command[256];

	snprintf(command, sizeof command, "test -e %s && git hash-object "
	    "--no-filters %s", file, file);
	return line_of(command);
}

#define STATE "state/snapshots/" SESSION ".tree"
#define PRIVATE "git --git-dir state/snapshots/1.git "

/* What the n-th line's tree has for a path. */
static const char *
tree_has(int n, const char *path)
{
	char command[512];

	snprintf(command, sizeof command, PRIVATE "rev-parse -q --verify "
	    "$(sed -n %dp " STATE "):%s 2>/dev/null || true", n, path);
	return line_of(command);
}

static void
check_tidy(void)
{
	must_sh("! find p state/worktrees -name '.hearth-*' | grep . && "
	    "! ls state/snapshots | grep -E 'journal$|edit|ours|theirs|base'");
}

/* Decisions on the files "a" and "new/n" of a folder. */
struct decision {
	const char *folder;
	bool is_one;                      /* on one of them, else on both */
	struct buf orders;
	void (*undo)(struct decision *d); /* as if it had not been made */
	struct buf back;                  /* for that */
	char before[2][72], after[2][72]; /* blobs */
};

static void
look(const char *folder, char blobs[2][72])
{
	char name[64];

	snprintf(name, sizeof name, "%s/a", folder);
	snprintf(blobs[0], 72, "%s", blob(name));
	snprintf(name, sizeof name, "%s/new/n", folder);
	snprintf(blobs[1], 72, "%s", blob(name));
}

static void
check_files(const struct decision *d, const char expected[2][72])
{
	char now[2][72];

	look(d->folder, now);
	ck_assert_str_eq(now[0], expected[0]);
	ck_assert_str_eq(now[1], expected[1]);
}

static void
check_old_or_new(const struct decision *d)
{
	char now[2][72];

	look(d->folder, now);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strcmp(now[i], d->before[i]) == 0 ||
		    strcmp(now[i], d->after[i]) == 0, "file %d: %s", i,
		    now[i]);
}

static long
microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/*
 * Killed after ever more microseconds, until it gets through; each time the
 * next run ends it, and says that it is done.
 */
static void
kill_at_every_moment(struct decision *d)
{
	long whole = microseconds(), step;

	look(d->folder, d->before);
	run("decide", &d->orders);
	whole = microseconds() - whole;
	look(d->folder, d->after);
	ck_assert_str_ne(d->before[0], d->after[0]);
	ck_assert_str_ne(d->before[1], d->after[1]);
	step = whole / 12 + 1;
	for (long at = step; at < whole + 3 * step; at += step) {
		d->undo(d);
		check_files(d, d->before);
		kill_after(start("decide", &d->orders), at);
		check_old_or_new(d);
		run("decide", &d->orders);
		ck_assert(is_done("1") && is_done("2"));
		check_files(d, d->after);
		check_tidy();
	}
}

/* ---- before each step */

#define COPY "state/worktrees/" SESSION
#define STEPS_MAX 300

static void
keep_all(void)
{
	must_sh("rm -rf kept && mkdir kept && cp " STATE " kept/tree && "
	    "tar -C p --exclude=./.git -cf kept/p.tar . && "
	    "tar -C " COPY " --exclude=./.git -cf kept/w.tar .");
}

static void
give_all_back(struct decision *d)
{
	(void)d;
	must_sh("find p " COPY " -mindepth 1 -maxdepth 1 ! -name .git -exec "
	    "rm -rf {} + && tar -C p -xf kept/p.tar && "
	    "tar -C " COPY " -xf kept/w.tar && cp kept/tree " STATE);
}

static bool
is_all_done(const struct decision *d)
{
	return is_done("1") && (d->is_one || is_done("2"));
}

static void
kill_before_every_step(struct decision *d)
{
	bool was_killed = true;
	int n = 0;

	keep_all();
	look(d->folder, d->before);
	run("decide", &d->orders);
	ck_assert(is_all_done(d));
	look(d->folder, d->after);
	ck_assert(strcmp(d->before[0], d->after[0]) != 0 ||
	    strcmp(d->before[1], d->after[1]) != 0);
	while (was_killed) {
		ck_assert_int_lt(++n, STEPS_MAX);
		give_all_back(d);
		was_killed = killed_before(n, &d->orders);
		check_old_or_new(d);
		run("decide", &d->orders);
		ck_assert(is_all_done(d));
		check_files(d, d->after);
		check_tidy();
	}
	/* it has steps: the journal, the file, the trees */
	ck_assert_int_gt(n, 10);
}

static void
make_changes(void)
{
	must_sh("cd state/worktrees/* && sed -i s/^18$/new/ a && mkdir new && "
	    "echo n >new/n");
	run("snapshot", NULL);
}

/* The worktree's two changes; the project has moved on meanwhile. */
static void
begin(char old[72], char new[2][72])
{
	run("create", NULL);
	snprintf(old, 72, "%s", blob("p/a"));
	make_changes();
	look("state/worktrees/*", new);
	must_sh("sed -i s/^2$/two/ p/a");
}

static void
both(struct buf *orders, const char *verb, const char *old,
    const char new[2][72])
{
	order(orders, "1", verb, "a", old, new[0]);
	order(orders, "2", verb, "new/n", "", new[1]);
}

static void
decide_back(struct decision *d)
{
	run("decide", &d->back);
	ck_assert(is_done("1") && is_done("2"));
}

START_TEST(a_kill_leaves_the_project_old_or_new)
{
	struct decision d = { .folder = "p", .undo = decide_back };
	char old[72], new[2][72];
	struct buf orders;

	begin(old, new);
	both(&d.orders, "accept", old, new);
	both(&d.back, "revert", old, new);
	kill_at_every_moment(&d);
	ck_assert_str_eq(tree_has(2, "a"), new[0]);
	ck_assert_str_eq(tree_has(2, "new/n"), new[1]);
	/* and the other way */
	orders = d.orders;
	d.orders = d.back;
	d.back = orders;
	kill_at_every_moment(&d);
	ck_assert_str_eq(tree_has(2, "a"), old);
	ck_assert_str_eq(tree_has(2, "new/n"), "");
	buf_free(&d.orders);
	buf_free(&d.back);
}
END_TEST

static void
change_again(struct decision *d)
{
	(void)d;
	make_changes();
}

START_TEST(a_kill_leaves_the_worktree_old_or_new)
{
	struct decision d = { .folder = "state/worktrees/*",
		.undo = change_again };
	char old[72], new[2][72];

	begin(old, new);
	both(&d.orders, "reject", old, new);
	kill_at_every_moment(&d);
	ck_assert_str_eq(tree_has(1, "a"), old);
	ck_assert_str_eq(tree_has(1, "new/n"), "");
	must_sh("! test -e state/worktrees/*/new");
	buf_free(&d.orders);
}
END_TEST

/* Twice the same edit would not find its text. */
START_TEST(a_kill_never_makes_an_edit_twice)
{
	struct buf orders = { 0 };
	struct record edit = { .type = 'X', .n = 10, .field = { "1", "edit",
		"", "", "", "", "", "a", "18\n", "18\n18\n" }, .last_len = 6 };

	run("create", NULL);
	record_add(&orders, &edit);
	for (int i = 0; i < 25; i++) {
		kill_after(start("decide", &orders), 1500 * i);
		run("decide", &orders);
		ck_assert(is_done("1"));
		ck_assert_str_eq(line_of("grep -c 18 state/worktrees/*/a"),
		    "2");
		check_tidy();
		/* once more it is another command */
		must_sh("cd state/worktrees/* && git checkout -q a && cd - && "
		    "sed -i 3s/.*/0/ " STATE);
		run("snapshot", NULL);
	}
	buf_free(&orders);
}
END_TEST

static void
one(struct buf *orders, const char *verb, const char *path, const char *hunks,
    const char *old, const char *new)
{
	struct record r = { .type = 'X', .n = 10, .field = { "1", verb, old,
		new, "100644", "100644", hunks, path, "", "" } };

	record_add(orders, &r);
}

static void
ask_for(struct buf *orders, const char *verb, const char *path,
    const char *text, const char *other)
{
	struct record r = { .type = 'X', .n = 10, .field = { "1", verb, "", "",
		"", "", "", path, text, other }, .last_len = strlen(other) };

	record_add(orders, &r);
}

static const char *const every_decision[] = { "accept", "revert", "reject",
	"hunks", "create", "edit", "delete" };

START_TEST(a_kill_before_any_step_leaves_old_or_new)
{
	const char *what = every_decision[_i];
	struct decision d = { .folder = _i < 2 || _i == 3 ? "p" : COPY,
		.is_one = _i > 2 };
	char old[72], new[2][72];

	if (!may_trace()) {
		printf("not killed before each step of %s: nothing may be "
		    "traced here\n", what);
		return;
	}
	begin(old, new);
	if (strcmp(what, "hunks") == 0) {
		must_sh("sed -i s/^10$/ten/ " COPY "/a");
		run("snapshot", NULL);
		one(&d.orders, "accept", "a", "2", old, blob(COPY "/a"));
	} else if (strcmp(what, "create") == 0) {
		must_sh("rm -r " COPY "/new");
		run("snapshot", NULL);
		ask_for(&d.orders, what, "new/n", "text\n", "");
	} else if (strcmp(what, "edit") == 0) {
		ask_for(&d.orders, what, "a", "new\n", "new\nnew\n");
	} else if (strcmp(what, "delete") == 0) {
		ask_for(&d.orders, what, "a", "", "");
	} else {
		if (strcmp(what, "revert") == 0) {
			both(&d.back, "accept", old, new);
			run("decide", &d.back);
		}
		both(&d.orders, what, old, new);
	}
	kill_before_every_step(&d);
	buf_free(&d.orders);
	buf_free(&d.back);
}
END_TEST

START_TEST(a_submodule_does_not_hold_up_the_others)
{
	struct buf orders = { 0 };
	char old[72], new[2][72];
	struct record gone = { .type = 'X', .n = 10, .field = { "3", "accept",
		old, "", "160000", "", "", "sub", "", "" } };

	begin(old, new);
	record_add(&orders, &gone);
	both(&orders, "accept", old, new);
	run("decide", &orders);
	ck_assert(is_done("1") && is_done("2") && !is_done("3"));
	ck_assert_str_eq(blob("p/new/n"), new[1]);
	buf_free(&orders);
}
END_TEST

START_TEST(nothing_is_rejected_in_a_copy_that_is_away)
{
	struct buf reject = { 0 }, accept = { 0 };
	char old[72], new[2][72];

	begin(old, new);
	both(&reject, "reject", old, new);
	both(&accept, "accept", old, new);
	run("put-away", NULL);
	ck_assert_int_eq(finish(start("decide", &reject)), 1);
	must_sh("cp log words && grep 'restore_session()' words");
	run("create", NULL);
	run("decide", &reject);
	ck_assert(is_done("1") && is_done("2"));
	must_sh("! test -e state/worktrees/*/new");
	/* what was saved is not needed to accept it */
	make_changes();
	run("put-away", NULL);
	run("decide", &accept);
	ck_assert(is_done("1") && is_done("2"));
	run("create", NULL);
	run("snapshot", NULL);
	must_sh("! grep -aE '[0-9]:F' out");
	buf_free(&reject);
	buf_free(&accept);
}
END_TEST

/* The agent commits right behind the tree that is taken. */
START_TEST(what_is_committed_while_it_is_looked_at_is_no_reversal)
{
	const char *path = getenv("PATH");
	char *whole = xasprintf("%s/bin:%s", here, path), *was = xstrdup(path);
	char old[72], new[2][72];
	struct buf orders = { 0 };

	begin(old, new);
	both(&orders, "reject", old, new);
	must_sh("echo mine >" COPY "/mine && mkdir bin && printf '%%s\\n' "
	    "'#!/bin/sh' \"PATH='$PATH'\" 'git \"$@\" || exit' "
	    "'case \"$*\" in *write-tree*)' \"cd $PWD/" COPY " && "
	    "env -i PATH='$PATH' sh -c 'test -e c || { echo c >c && "
	    "git add c && git -c user.name=t -c user.email=t commit -qm c;"
	    " }' >&2;; esac\" "
	    ">bin/git && chmod +x bin/git");
	setenv("PATH", whole, 1);
	run("decide", &orders);
	setenv("PATH", was, 1);
	ck_assert(is_done("1") && is_done("2"));
	must_sh("git -C p log --all --format=%%s | grep -x c && rm -rf " COPY);
	run("create", NULL);
	must_sh("cd " COPY " && grep -qx c c && grep -qx mine mine && "
	    "! test -e new");
	buf_free(&orders);
	free(whole);
	free(was);
}
END_TEST

/* As after an exchange that could not be taken back. */
START_TEST(what_lies_beside_a_file_is_nobodys_to_remove)
{
	struct buf orders = { 0 };
	char old[72], new[2][72];

	begin(old, new);
	both(&orders, _i ? "revert" : "accept", old, new);
	if (_i) {
		struct buf first = { 0 };

		both(&first, "accept", old, new);
		run("decide", &first);
		ck_assert(is_done("1") && is_done("2"));
		buf_free(&first);
	}
	must_sh("mkdir -p p/new && echo mine | tee p/.hearth-1 "
	    ">p/new/.hearth-2");
	run("decide", &orders);
	ck_assert(!is_done("1") && !is_done("2"));
	must_sh("grep mine p/.hearth-1 p/new/.hearth-2 | wc -l | grep 2 && "
	    "rm p/.hearth-1 p/new/.hearth-2");
	run("decide", &orders);
	ck_assert(is_done("1") && is_done("2"));
	check_tidy();
	buf_free(&orders);
}
END_TEST

static void
add_tests(TCase *t)
{
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_kill_leaves_the_project_old_or_new);
	tcase_add_test(t, a_kill_leaves_the_worktree_old_or_new);
	tcase_add_test(t, a_kill_never_makes_an_edit_twice);
	tcase_add_loop_test(t, a_kill_before_any_step_leaves_old_or_new, 0,
	    sizeof every_decision / sizeof *every_decision);
	tcase_add_test(t, a_submodule_does_not_hold_up_the_others);
	tcase_add_test(t, nothing_is_rejected_in_a_copy_that_is_away);
	tcase_add_test(t,
	    what_is_committed_while_it_is_looked_at_is_no_reversal);
	tcase_add_loop_test(t, what_lies_beside_a_file_is_nobodys_to_remove, 0,
	    2);
}

int
main(void)
{
	Suite *s = suite_create("decide");
	TCase *pure = tcase_create("hunks"), *killed = tcase_create("killed");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(pure, chosen_hunks_are_applied_and_others_left_out,
	    0, sizeof hunk_cases / sizeof *hunk_cases);
	tcase_add_test(pure, hunks_of_bytes_are_bytes);
	suite_add_tcase(s, pure);
	add_tests(killed);
	suite_add_tcase(s, killed);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
