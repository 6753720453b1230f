/* SPDX-License-Identifier: MIT */
/*
 * The helper program alone, on real repositories: which ignored files a new
 * copy gets, and prepared copies, whose making and taking may be cut off at any
 * point.
 *
 * Everything lies in one folder below the temporary folder, which main()
 * removes; each test has a folder of its own in it.
 */
#include <check.h>
#undef fail /* check's old name for ck_abort_msg(), and ours in base/err.h */
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "workspace/prepared_file.h"

#define SESSION "4c1e2f3a-1111-4222-8333-444455556666"
#define OTHER_SESSION "5d1e2f3a-9999-4222-8333-444455556666"

static char root[PATH_MAX];   /* of all tests */
static char here[PATH_MAX + 32];
static char *helper;          /* its path */

/* Runs a command line in the test's folder; its status. */
static int __attribute__((format(printf, 1, 2)))
sh_status(const char *fmt, ...)
{
	char command[8192], *whole;
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	whole = xasprintf("cd '%s' && { %s\n} </dev/null >>log 2>&1", here,
	    command);
	status = system(whole);
	free(whole);
	return status;
}

/* How the log ends, for who reads of a failure. */
static const char *
log_end(void)
{
	static char end[1000];
	char *path = xasprintf("%s/log", here);
	FILE *f = fopen(path, "r");
	size_t n = 0;

	if (f && fseek(f, -(long)sizeof end + 1, SEEK_END) < 0)
		rewind(f);
	if (f) {
		n = fread(end, 1, sizeof end - 1, f);
		fclose(f);
	}
	end[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (end[i] == '\0')
			end[i] = ' ';
	free(path);
	return end;
}

#define sh(...) ck_assert_msg(sh_status(__VA_ARGS__) == 0, "%s", log_end())

#define COMMIT "git add -A && git -c user.name=a -c user.email=a@a commit -qm x"

/* What hearthd would call it with, for the project in p. */
#define ORDER " --state \"$PWD/state\" --project-id 7 --project \"$PWD/p\" " \
	"--count 1 --setup-limit 20000 "
#define SETUP " -- sh -c 'cat base.txt > made.txt'"

static void
set_up(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(here, sizeof here, "%s/XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(here));
	chmod(here, 0755);
	setenv("helper", helper, 1);
	sh("mkdir state && git -c init.defaultBranch=main init -q p && cd p "
	    "&& echo one > base.txt && echo '*.o' > .gitignore && mkdir d && "
	    "for i in $(seq 60); do echo $i > d/$i; done && " COMMIT);
}

/* ---- ignored files */

/* The file path is copied by these patterns, or is not. */
static void
check_pattern(const char *patterns, const char *path, bool is_copied)
{
	char *file = xasprintf("%s/state/worktrees/" SESSION "/%s", here, path);
	bool is;

	sh("\"$helper\" create --session " SESSION ORDER "%s", patterns);
	is = access(file, F_OK) == 0;
	ck_assert_msg(is == is_copied, "%s: %s is %scopied", patterns, path,
	    is ? "" : "not ");
	sh("\"$helper\" remove --session " SESSION ORDER);
	free(file);
}

START_TEST(patterns_are_those_of_gitignore)
{
	sh("cd p && mkdir -p deep/er && for f in a.o deep/a.o deep/er/b.o "
	    "':(top)x.o' 'sp ace.o' 'n*w.o' -f.o; do echo x > \"$f\"; done");
	check_pattern("--include a.o", "a.o", true);
	check_pattern("--include a.o", "deep/a.o", true);
	check_pattern("--include /a.o", "a.o", true);
	check_pattern("--include /a.o", "deep/a.o", false);
	check_pattern("--include 'deep/**/b.o'", "deep/er/b.o", true);
	check_pattern("--include deep/er/", "deep/er/b.o", true);
	check_pattern("--include '*.o' --include '!b.o'", "deep/er/b.o",
	    false);
	check_pattern("--include '*.o' --include '!b.o'", "deep/a.o", true);
	check_pattern("--include '# a.o'", "a.o", false);
	check_pattern("--include 'sp ace.o'", "sp ace.o", true);
	check_pattern("--include '*'", ":(top)x.o", true);
	check_pattern("--include '*'", "n*w.o", true);
	check_pattern("--include '*'", "-f.o", true);
	check_pattern("--include ../p/a.o", "a.o", false);
	check_pattern("", "a.o", false);
}
END_TEST

START_TEST(only_what_the_copy_ignores_is_copied)
{
	sh("cd p && echo '*.log' > .git/info/exclude && echo l > x.log && "
	    "echo u > untracked && echo t > t.o && git add -f t.o && git "
	    "-c user.name=a -c user.email=a@a commit -qm t && echo more >> "
	    "t.o && mkdir sub && echo '*.tmp' > sub/.gitignore && echo s > "
	    "sub/s.tmp");
	/* by a file that only the project's own git ignores by */
	check_pattern("--include '*'", "x.log", false);
	check_pattern("--include '*'", "untracked", false);
	/* by a .gitignore that is not committed */
	check_pattern("--include '*'", "sub/s.tmp", false);
	/* a tracked one is as it was committed */
	sh("\"$helper\" create --session " SESSION ORDER "--include '*' && "
	    "test \"$(cat state/worktrees/*/t.o)\" = t");
}
END_TEST

START_TEST(too_much_is_refused_in_words)
{
	sh("cd p && truncate -s 2G big.o");
	ck_assert_int_ne(sh_status("\"$helper\" create --session " SESSION
	    ORDER "--include '*.o'"), 0);
	sh("tail -1 log | grep 'make their patterns narrower'");
	sh("\"$helper\" create --session " SESSION ORDER "--include '*.x'");
}
END_TEST

/* ---- prepared copies */

static void
prepare(void)
{
	sh("\"$helper\" prepare" ORDER SETUP);
}

static void
create(const char *session)
{
	sh("\"$helper\" create --session %s" ORDER SETUP, session);
}

/* Begins it with all it starts in a process group; kills that after so many
 * microseconds. True: it had ended well by then. */
static bool
cut_off(const char *order, useconds_t us)
{
	char *command = xasprintf("cd '%s' && exec \"$helper\" %s "
	    ORDER SETUP " >>log 2>&1", here, order);
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setpgid(0, 0);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	setpgid(pid, pid);
	free(command);
	usleep(us);
	kill(-pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* as its keeper sees to it, nothing of it is left */
	while (waitpid(-pid, NULL, 0) > 0)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The session's copy is there as if nothing had happened. */
static void
check_copy(void)
{
	sh("cd state && set -- $(cat snapshots/" SESSION ".copy) && "
	    "cd worktrees/${3:-" SESSION "} && "
	    "test $(git symbolic-ref HEAD) = refs/heads/$2 && "
	    "test $2 = hearth/4c1e2f3a && "
	    "test $(git rev-parse HEAD) = $1 && "
	    "test $1 = $(git -C ../../../p rev-parse main) && "
	    "test \"$(git status -s)\" = '?? made.txt' && "
	    "cmp base.txt ../../../p/base.txt && test -s made.txt && "
	    "test $(ls d | wc -l) = 60");
}

/* One prepared copy and so many sessions' ones, and nothing else. */
static void
check_nothing_else(int sessions)
{
	sh("test $(ls state/worktrees | wc -l) = %d && "
	    "test $(git -C p worktree list | wc -l) = %d && "
	    "test $(ls state/prepared | grep -cv lock) = 1 && "
	    "test $(git -C p branch --list 'hearth/*' | wc -l) = %d && "
	    "grep -qx ready state/prepared/*-*", sessions + 1, sessions + 2,
	    sessions);
}

START_TEST(copy_is_prepared_once_and_taken_once)
{
	prepare();
	prepare();
	check_nothing_else(0);
	sh("ls state/prepared | grep -v lock > id");
	create(SESSION);
	sh("test \"$(tail -1 state/snapshots/" SESSION ".copy)\" = "
	    "$(cat id)");
	/* and what it stands on is known */
	sh("test \"$(sed -n 4p state/snapshots/" SESSION ".tree)\" = "
	    "$(git -C p rev-parse main)");
	check_copy();
	create(OTHER_SESSION);
	sh("test -d state/worktrees/" OTHER_SESSION);
	prepare();
	check_nothing_else(2);
	/* a copy that is there takes no other */
	create(SESSION);
	check_nothing_else(2);
	sh("\"$helper\" remove --session " SESSION ORDER);
	check_nothing_else(1);
	sh("! ls state/snapshots | grep -v lock | grep $(cat id)");
}
END_TEST

/* As a claim leaves it that was cut off before its last step. */
static void
undo_last_step(void)
{
	prepare();
	sh("cp state/prepared/*-* taken && ls state/prepared | grep -v lock > "
	    "id");
	create(SESSION);
	sh("git -C state/worktrees/$(cat id) checkout -q --detach main && "
	    "{ head -3 taken && echo taken && tail -n +5 taken | head -2 && "
	    "echo " SESSION "; } > state/prepared/$(cat id)");
	ck_assert_int_ne(sh_status("git -C state/worktrees/$(cat id) "
	    "symbolic-ref HEAD"), 0);
}

START_TEST(last_step_of_a_claim_is_made_up_for)
{
	undo_last_step();
	create(SESSION);
	check_copy();
	prepare();
	check_nothing_else(1);
	sh("\"$helper\" remove --session " SESSION ORDER);
	/* the other one who may notice it */
	undo_last_step();
	prepare();
	check_copy();
	check_nothing_else(1);
}
END_TEST

START_TEST(what_is_changed_while_it_is_set_up_is_copied_again)
{
#define SLOW_SETUP " --include '*.o' -- sh -c 'echo new >../../../p/x.o && " \
	"sleep 2'"
	sh("echo old >p/x.o && \"$helper\" prepare" ORDER SLOW_SETUP);
	sh("ls state/prepared | grep -v lock >id && "
	    "grep -x old state/worktrees/$(cat id)/x.o");
	sh("\"$helper\" create --session " SESSION ORDER SLOW_SETUP);
	sh("grep -x new state/worktrees/$(cat id)/x.o && "
	    "grep -qx $(cat id) state/snapshots/" SESSION ".copy");
}
END_TEST

/* Its folder and its branch are not left behind. */
START_TEST(half_made_copy_is_not_forgotten_for_a_prepared_one)
{
	sh("\"$helper\" create --session " SESSION ORDER SETUP);
	sh("cd state/snapshots && rm " SESSION ".copy " SESSION ".tree && "
	    "printf '%%s\\n' hearth/4c1e2f3a $(git -C ../../p rev-parse main) "
	    ">" SESSION ".making");
	prepare();
	create(SESSION);
	check_copy();
	check_nothing_else(1);
}
END_TEST

START_TEST(claim_cut_off_at_any_point_leaves_a_usable_copy)
{
	int ended = 0, taken = 0;

	for (useconds_t us = 1000; ended < 2; us += 1500) {
		prepare();
		sh("cd p && echo %u > base.txt && " COMMIT, us);
		ended += cut_off("create --session " SESSION, us);
		create(SESSION);
		check_copy();
		taken += sh_status("test -d state/worktrees/" SESSION) != 0;
		prepare();
		check_nothing_else(1);
		sh("\"$helper\" remove --session " SESSION ORDER);
		check_nothing_else(0);
	}
	ck_assert_int_gt(taken, 0);
}
END_TEST

#define ENTRY "p/.git/worktrees/"

START_TEST(what_a_killed_git_has_left_is_in_nobodys_way)
{
	/* a worktree that was registered by half, a lock on its branch */
	sh("mkdir -p " ENTRY SESSION " p/.git/refs/heads/hearth "
	    "state/snapshots && echo \"$PWD/state/worktrees/" SESSION "/.git\""
	    " > " ENTRY SESSION "/gitdir && : > " ENTRY SESSION "/commondir && cp "
	    "p/.git/HEAD " ENTRY SESSION " && touch p/.git/refs/heads/hearth/"
	    "4c1e2f3a.lock && { echo hearth/4c1e2f3a; git -C p rev-parse "
	    "HEAD; } > state/snapshots/" SESSION ".making");
	ck_assert_int_ne(sh_status("git -C p worktree add -f other"), 0);
	create(OTHER_SESSION);
	sh("test ! -e " ENTRY SESSION);
	create(SESSION);
	check_copy();
	/* one that does not say yet where it leads */
	sh("mkdir " ENTRY "6e1e2f3a-1111-4222-8333-444455556666 && touch "
	    "state/snapshots/6e1e2f3a-1111-4222-8333-444455556666.lock");
	prepare();
	check_nothing_else(2);
	/* somebody else's is not ours to remove */
	sh("mkdir -p " ENTRY "theirs && echo /elsewhere/.git > " ENTRY
	    "theirs/gitdir");
	sh_status("\"$helper\" remove --session " SESSION ORDER);
	sh("test -e " ENTRY "theirs");
}
END_TEST

START_TEST(half_written_file_goes)
{
	prepare();
	sh("cd state/prepared && echo 7 >" SESSION ".new && "
	    "echo 7 >$(ls | grep -v lock | grep -v new).new");
	prepare();
	check_nothing_else(0);
	sh("test ! -e state/snapshots/" SESSION ".lock");
}
END_TEST

START_TEST(preparation_cut_off_at_any_point_leaves_nothing)
{
	int ended = 0;

	for (useconds_t us = 1000; ended < 2; us += 2000) {
		ended += cut_off("prepare", us);
		prepare();
		check_nothing_else(0);
		sh("\"$helper\" prepare" ORDER "--count 0 && "
		    "test -z \"$(ls state/worktrees)\" && "
		    "test $(git -C p worktree list | wc -l) = 1");
	}
}
END_TEST

START_TEST(prepared_file_that_makes_no_sense_counts_as_cut_off)
{
	prepare();
	sh("set -- state/prepared/*-* && echo nonsense > $1");
	sh("mkdir -p state/prepared && echo > "
	    "state/prepared/" OTHER_SESSION);
	/* whose they are is not known: of no project */
	sh("\"$helper\" prepared --state \"$PWD/state\"");
	sh("\"$helper\" prepare --state \"$PWD/state\" --project-id 0 "
	    "--project / --count 0");
	prepare();
	sh("test $(ls state/prepared | grep -cv lock) = 1 && "
	    "test $(ls state/worktrees | wc -l) = 1");
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *s = suite_create("prepared");
	TCase *tc = tcase_create("prepared");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, NULL);
	tcase_add_test(tc, patterns_are_those_of_gitignore);
	tcase_add_test(tc, only_what_the_copy_ignores_is_copied);
	tcase_add_test(tc, too_much_is_refused_in_words);
	tcase_add_test(tc, copy_is_prepared_once_and_taken_once);
	tcase_add_test(tc, last_step_of_a_claim_is_made_up_for);
	tcase_add_test(tc,
	    what_is_changed_while_it_is_set_up_is_copied_again);
	tcase_add_test(tc,
	    half_made_copy_is_not_forgotten_for_a_prepared_one);
	tcase_add_test(tc, claim_cut_off_at_any_point_leaves_a_usable_copy);
	tcase_add_test(tc, what_a_killed_git_has_left_is_in_nobodys_way);
	tcase_add_test(tc, half_written_file_goes);
	tcase_add_test(tc, preparation_cut_off_at_any_point_leaves_nothing);
	tcase_add_test(tc,
	    prepared_file_that_makes_no_sense_counts_as_cut_off);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	SRunner *sr = srunner_create(make_suite());
	char *clean;
	int failed;

	snprintf(root, sizeof root, "%s/hearth-prepared-XXXXXX",
	    tmp ? tmp : "/tmp");
	if (!mkdtemp(root))
		return 1;
	chmod(root, 0755);
	unsetenv("GIT_DIR");
	unsetenv("GIT_WORK_TREE");
	helper = child_helper_path("hearth-worktree");
	if (!helper)
		return 1;
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	clean = xasprintf("chmod -R u+rwX '%s'; rm -rf '%s'", root, root);
	if (system(clean) != 0)
		failed++;
	free(clean);
	free(helper);
	return failed ? 1 : 0;
}
