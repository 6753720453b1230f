/* SPDX-License-Identifier: MIT */
/*
 * hearth-worktree's put-away, erase and measure on real repositories: whatever
 * a copy had comes back, the project alone has all that is saved, and a kill at
 * any step leaves either a whole copy or a commit that is one.
 *
 * The helper is run as the daemon runs it, by command lines in a folder of each
 * test's own. A kill comes from a "git" on PATH that ends the helper in its
 * Nth call.
 */
#include <check.h>
#undef fail /* check's old name for ck_abort_msg(), and ours in base/err.h */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "workspace/place.h"

#define SESSION "4c1e2f3a-1111-4222-8333-444455556666"
#define REF "refs/hearth/saved/" SESSION
#define TREE "state/worktrees/" SESSION
#define GIT "git -c user.name=T -c user.email=t@localhost "
/* More git calls than any verb makes. */
#define CALLS_MAX 60

static char root[PATH_MAX];
static char here[PATH_MAX + 32];

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

#define sh(...) ck_assert_int_eq(sh_status(__VA_ARGS__), 0)

/* p: files in folders, a link, a program; ignored: *.o */
static void
set_up(void)
{
	char *helper = child_helper_path("hearth-worktree");

	ck_assert_ptr_nonnull(helper);
	snprintf(here, sizeof here, "%s/XXXXXX", root);
	ck_assert_ptr_nonnull(mkdtemp(here));
	setenv("HELPER", helper, 1);
	setenv("HERE", here, 1);
	free(helper);
	sh("mkdir state bin && git init -q -b main p && cd p && mkdir -p d/e &&"
	    "echo 1 >a && echo b >b && echo c >d/e/c && ln -s a link &&"
	    "echo '*.o' >.gitignore && echo x >tool && chmod +x tool &&"
	    "git add -A && " GIT "commit -q -m first");
	/* ends whoever runs it at the call whose number is in "at" */
	sh("printf '%%s\\n' '#!/bin/sh' \"cd '$HERE' || exit\" "
	    "'n=$(($(cat n) + 1))' 'echo $n >n' '[ $n != \"$(cat at)\" ] || "
	    "kill -9 $PPID' 'cd \"$OLDPWD\"' "
	    "\"exec $(command -v git) \\\"\\$@\\\"\" >bin/git && "
	    "chmod +x bin/git");
}

/* Its status; what it says is in "out". */
static int
helper(const char *verb, const char *more)
{
	return sh_status("\"$HELPER\" %s --state \"$HERE/state\" --session "
	    SESSION " --project-id 1 --project \"$HERE/p\" %s >out", verb,
	    more);
}

static void
do_it(const char *verb)
{
	ck_assert_int_eq(helper(verb, ""), 0);
	if (strcmp(verb, "create") == 0)
		sh("rm -f w && ln -s " TREE " w");
}

/* True: it ran to its end before the nth call of git. */
static bool
killed_at(const char *verb, int n)
{
	int status;

	sh("echo 0 >n && echo %d >at", n);
	status = sh_status("PATH=\"$HERE/bin:$PATH\" \"$HELPER\" %s --state "
	    "\"$HERE/state\" --session " SESSION " --project-id 1 --project "
	    "\"$HERE/p\" >out", verb);
	/* a git that lost its parent may still be at it */
	sh("while cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | "
	    "grep -q \"$HERE/[ps]\"; do sleep .01; done");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Of everything in the copy that is not ignored, but .git. */
#define LIST "(cd " TREE "/ && find . -path ./.git -prune -o ! -name '*.o' " \
	"\\( -type f -exec sha256sum {} + -o -printf '%%p %%y %%m %%l\\n' \\)" \
	" | LC_ALL=C sort)"

static void
remember(void)
{
	/* a subshell that comes last loses its redirection in some shells */
	sh(LIST " >before && test -s before");
}

static void
expect_as_before(void)
{
	sh(LIST " >after && diff before after");
}

static void
expect_away(void)
{
	sh("test ! -e " TREE " && test ! -e " TREE ".gone &&"
	    "test \"$(git -C p worktree list | wc -l)\" = 1");
}

static void
work(void)
{
	sh("cd w/ && echo 2 >>a && rm b && mkdir n && echo new >n/f &&"
	    "chmod +x d/e/c && rm link && ln -s b link && echo o >x.o &&"
	    "printf 'a\\0b' >bin");
}

START_TEST(work_comes_back)
{
	do_it("create");
	work();
	remember();
	do_it("put-away");
	expect_away();
	sh("test -z \"$(git -C p branch --list 'hearth/*')\"");
	/* the project has all of it, whatever becomes of hearthd's folders */
	sh("mv state/snapshots/1.git aside && git -C p fsck --strict &&"
	    "mkdir x && git -C p archive " REF " | tar -C x -xf - &&"
	    "test \"$(cat x/n/f)\" = new && cmp x/bin - <<E\n$(printf 'a')\nE\n"
	    "test ! -e x/b && mv aside state/snapshots/1.git");
	sh("grep -aq \"A$(git -C p rev-parse " REF ")\" out");
	do_it("create");
	expect_as_before();
	sh("cd w/ && test \"$(git branch --show-current)\" = hearth/4c1e2f3a &&"
	    "git status --porcelain >$HERE/status; cd $HERE &&"
	    "grep -q '^ M a$' status && grep -q '^?? n/$' status &&"
	    "grep -q '^ D b$' status");
	sh("test ! -e w/x.o && ! git -C p rev-parse -q --verify " REF);
}
END_TEST

START_TEST(without_work_nothing_is_saved)
{
	do_it("create");
	remember();
	sh("echo o >w/x.o");
	do_it("put-away");
	expect_away();
	sh("grep -aq '2:A' out && ! git -C p rev-parse -q --verify " REF);
	do_it("put-away");
	do_it("create");
	expect_as_before();
	sh("test -z \"$(cd w/ && git status --porcelain)\"");
}
END_TEST

START_TEST(commits_are_kept_on_a_branch_and_on_none)
{
	do_it("create");
	sh("cd w/ && echo 2 >>a && " GIT "commit -qam two && git checkout -q "
	    "--detach && echo 3 >>a && " GIT "commit -qam three && "
	    "git rev-parse HEAD >$HERE/three && echo 4 >>a");
	remember();
	do_it("put-away");
	expect_away();
	sh("test \"$(git -C p rev-parse " REF "^)\" = \"$(cat three)\" &&"
	    "git -C p log --format=%%s hearth/4c1e2f3a | grep two");
	do_it("create");
	expect_as_before();
	/* the branch lacks what was detached: it must not be lost now */
	sh("git -C p log --format=%%s " REF " | grep three");
	sh("echo 5 >>w/a");
	remember();
	do_it("put-away");
	sh("git -C p log --format=%%s " REF " | grep three");
	do_it("create");
	expect_as_before();
}
END_TEST

START_TEST(what_was_saved_is_renewed)
{
	do_it("create");
	for (int i = 0; i < 3; i++) {
		sh("echo %d >>w/a", i);
		remember();
		do_it("put-away");
		do_it("put-away");
		do_it("create");
		expect_as_before();
	}
	/* back to the base: nothing old may come back */
	sh("cd w/ && git checkout -q .");
	remember();
	do_it("put-away");
	do_it("create");
	expect_as_before();
}
END_TEST

START_TEST(plain_folders_keep_theirs_in_the_private_repository)
{
	sh("rm -rf p/.git");
	do_it("create");
	work();
	remember();
	/* what began without a commit stays a folder */
	if (_i)
		sh("git init -q p && cd p && git add -A && " GIT
		    "commit -q -m late");
	do_it("put-away");
	sh("test ! -e " TREE " && ls p | grep -c . | grep -qx 5 &&"
	    "git -C state/snapshots/1.git rev-parse -q --verify " REF);
	do_it("create");
	expect_as_before();
	sh("! git -C state/snapshots/1.git rev-parse -q --verify " REF);
}
END_TEST

START_TEST(what_cannot_be_saved_stays)
{
	do_it("create");
	work();
	sh("git init -q w/own && echo 1 >w/own/f");
	remember();
	ck_assert_int_ne(helper("put-away", "2>words"), 0);
	expect_as_before();
	sh("grep '1 of its files or folders cannot be saved' words && "
	    "! git -C p rev-parse -q --verify " REF);
}
END_TEST

/* Git lists nothing of them: neither edits nor files that are new. */
START_TEST(what_is_in_a_submodule_stays)
{
	static const char *const contents[] = {
		"echo mine >sub/new", "git init -q sub && echo 1 >sub/f",
	};

	sh("git init -q l && cd l && echo l >l && git add -A && " GIT
	    "commit -qm l && cd ../p && " GIT "-c protocol.file.allow=always "
	    "submodule add -q ../l sub && " GIT "commit -qam s");
	do_it("create");
	remember();
	do_it("put-away");
	expect_away();
	do_it("create");
	sh("cd w/ && %s", contents[_i]);
	remember();
	ck_assert_int_ne(helper("put-away", "2>words"), 0);
	expect_as_before();
	sh("grep '1 of its files or folders cannot be saved' words");
}
END_TEST

static void
tell(void)
{
	ck_assert_int_eq(helper("snapshot", "--base $(git -C p rev-parse main) "
	    "--tree $(head -1 state/snapshots/" SESSION ".tree)"), 0);
}

START_TEST(a_lost_folder_comes_back_as_it_was_told)
{
	do_it("create");
	work();
	tell();
	remember();
	sh("rm -rf " TREE);
	if (_i)
		do_it("put-away");
	do_it("create");
	expect_as_before();
	sh("cd w/ && test \"$(git branch --show-current)\" = hearth/4c1e2f3a");
}
END_TEST

START_TEST(what_was_told_does_not_come_back_over_what_was_there)
{
	do_it("create");
	work();
	tell();
	sh("cd w/ && git checkout -q . && git clean -fdq");
	remember();
	do_it("put-away");
	expect_away();
	do_it("create");
	expect_as_before();
	/* nor over what the branch has got since */
	work();
	tell();
	sh("cd w/ && echo later >>tool && git add -A && " GIT
	    "commit -qm later");
	remember();
	sh("rm -rf " TREE);
	do_it("create");
	expect_as_before();
}
END_TEST

/* Something is committed, then more is done. */
START_TEST(a_lost_folder_with_commits_comes_back_as_it_was_told)
{
	do_it("create");
	sh("cd w/ && echo 2 >>a && git add -A && " GIT "commit -qm two");
	work();
	tell();
	remember();
	sh("rm -rf " TREE);
	if (_i)
		do_it("put-away");
	do_it("create");
	expect_as_before();
	/* nothing has changed since it was told */
	tell();
	sh("! grep -aE '[0-9]:F' out");
}
END_TEST

/* Put away, or lost. */
static void
take_away(bool puts_away)
{
	if (puts_away)
		do_it("put-away");
	else
		sh("rm -rf " TREE " && git -C p worktree prune");
}

/* Somebody works on the branch where the copy is not, and commits. */
static void
commit_elsewhere(const char *work)
{
	sh("git -C p worktree add -q ../q hearth/4c1e2f3a && cd q && %s && "
	    "git add -A && " GIT "commit -qm later && cd .. &&"
	    "git -C p worktree remove q", work);
}

/* By whom and where, and whether it was put away: each has its own. */
START_TEST(what_a_branch_got_meanwhile_is_there_with_what_was_told)
{
	do_it("create");
	sh("seq 20 >w/lines && cd w/ && git add -A && " GIT "commit -qm two &&"
	    "sed -i s/^18$/told/ lines && echo told >mine && rm tool &&"
	    "echo told >b && echo x >d/e/y");
	tell();
	take_away(_i);
	commit_elsewhere("sed -i s/^2$/later/ lines && echo new >n && "
	    "rm d/e/c && echo later >b");
	do_it("create");
	/* both, and of the same lines those that no commit has */
	sh("seq 20 | sed 's/^2$/later/; s/^18$/told/' | cmp - w/lines && cd w/ "
	    "&& grep -qx told mine && ! test -e tool && grep -qx new n &&"
	    "! test -e d/e/c && grep -qx x d/e/y && grep -qx told b");
	sh("cd w/ && git status --porcelain | sort >$HERE/s && "
	    "printf ' D tool\\n M b\\n M lines\\n?? d/\\n?? mine\\n' | "
	    "sort | diff - $HERE/s");
	sh("grep -a 'b comes back as the copy had it' out && "
	    "! ls state/snapshots | grep catch-up");
}
END_TEST

/* What no commit has is never given up for what one has. */
static const struct {
	const char *before, *work, *elsewhere, *expected, *note;
} conflicts[] = {
	{ ":", "printf 'a\\0mine' >bin", "printf 'a\\0other' >bin",
	    "printf 'a\\0mine' | cmp - bin", "bin comes back" },
	{ "printf 'a\\0' >bin", "printf 'a\\0mine' >bin",
	    "printf 'a\\0other' >bin", "printf 'a\\0mine' | cmp - bin",
	    "binary file" },
	{ ":", "echo mine >>b", "rm b", "grep -qx mine b", "b comes back" },
	{ ":", "rm b", "echo other >>b", "! test -e b", "b comes back" },
	{ ":", "ln -sf b link", "ln -sf tool link",
	    "test $(readlink link) = b", "link comes back" },
	/* a file in one, a folder in the other */
	{ ":", "echo mine >x", "mkdir x && echo other >x/y && echo o >z",
	    "grep -qx mine x && grep -qx o z", "x/y, which the branch" },
	{ ":", "mkdir x && echo mine >x/y", "echo other >x && echo o >z",
	    "grep -qx mine x/y && grep -qx o z", "x, which the branch" },
	{ ":", "echo mine >>d/e/c", "rm -r d && echo other >d",
	    "grep -qx mine d/e/c", "d, which the branch" },
	{ ":", "rm -r d && echo mine >d", "echo other >>d/e/c",
	    "grep -qx mine d", "d/e/c comes back" },
	/* nobody has anything against these */
	{ ":", "echo mine >n", "rm b && mkdir b && echo other >b/y",
	    "grep -qx other b/y && grep -qx mine n", NULL },
	{ ":", "rm b && mkdir b && echo mine >b/y", "echo other >n",
	    "grep -qx mine b/y && grep -qx other n", NULL },
	{ ":", "echo same >n", "echo same >n", "grep -qx same n", NULL },
};

START_TEST(what_no_commit_has_is_not_given_up_for_what_one_has)
{
	for (int puts_away = 0; puts_away < 2; puts_away++) {
		do_it("create");
		sh("cd w/ && %s && git add -A && " GIT "commit -qm two "
		    "--allow-empty && %s", conflicts[_i].before,
		    conflicts[_i].work);
		tell();
		take_away(puts_away);
		commit_elsewhere(conflicts[_i].elsewhere);
		do_it("create");
		sh("cd w/ && %s", conflicts[_i].expected);
		if (conflicts[_i].note)
			sh("grep -a '%s' out", conflicts[_i].note);
		else
			sh("! grep -aE 'comes back|which the branch' out");
		do_it("erase");
	}
}
END_TEST

START_TEST(a_submodule_that_was_removed_stays_so)
{
	sh("cd p && git update-index --add --cacheinfo "
	    "160000,$(git rev-parse HEAD),sub && " GIT "commit -qm s");
	do_it("create");
	sh("cd w/ && echo 2 >>a && git add a && " GIT "commit -qm two && "
	    "rmdir sub && echo mine >n");
	tell();
	take_away(_i);
	commit_elsewhere("git update-index --cacheinfo "
	    "160000,$(git rev-parse HEAD),sub && mkdir -p sub && echo o >o");
	sh("git -C p diff --name-only main hearth/4c1e2f3a | grep -x sub");
	do_it("create");
	sh("test ! -e w/sub && grep -qx mine w/n && grep -qx o w/o && "
	    "grep -a 'sub comes back as the copy had it' out");
}
END_TEST

/* It can be tried again, when git fails. */
START_TEST(what_cannot_be_merged_for_now_is_not_forgotten)
{
	static const char *const git[] = { "*' merge-file '*",
		"*' cat-file blob '*", "*' update-index '*",
		"*' read-tree -i '*" };

	do_it("create");
	sh("seq 20 >w/lines && cd w/ && git add -A && " GIT "commit -qm two &&"
	    "sed -i s/^18$/told/ lines && echo mine >n");
	tell();
	take_away(_i % 2);
	commit_elsewhere("sed -i s/^2$/later/ lines");
	sh("printf '%%s\\n' '#!/bin/sh' 'case \"$*\" in' \"%s) echo 'fatal: "
	    "No space left on device' >&2; exit 128;; esac\" "
	    "\"exec $(command -v git) \\\"\\$@\\\"\" >bin/git", git[_i / 2]);
	ck_assert_int_ne(sh_status("PATH=\"$HERE/bin:$PATH\" \"$HELPER\" "
	    "create --state \"$HERE/state\" --session " SESSION
	    " --project-id 1 --project \"$HERE/p\" 2>words"), 0);
	sh("grep 'the disk is full' words");
	do_it("create");
	sh("seq 20 | sed 's/^2$/later/; s/^18$/told/' | cmp - w/lines && "
	    "grep -qx mine w/n");
}
END_TEST

/* The agent commits right behind the tree that is taken. */
START_TEST(what_is_committed_while_it_is_told_is_no_reversal)
{
	do_it("create");
	sh("echo mine >w/n");
	sh("printf '%%s\\n' '#!/bin/sh' \"PATH='$PATH'\" 'git \"$@\" || exit' "
	    "'case \"$*\" in *write-tree*)' \"cd $HERE/w/ && env -i PATH=\\\"$"
	    "PATH\\\" sh -c 'echo c >c && git add c && " GIT "commit -qm c' "
	    ">&2;; esac\" >bin/git && chmod +x bin/git");
	sh("PATH=\"$HERE/bin:$PATH\" \"$HELPER\" snapshot --state "
	    "\"$HERE/state\" --session " SESSION " --project-id 1 --project "
	    "\"$HERE/p\" --base $(git -C p rev-parse main) --tree "
	    "$(head -1 state/snapshots/" SESSION ".tree)");
	sh("git -C p log --format=%%s hearth/4c1e2f3a | grep -x c");
	take_away(false);
	do_it("create");
	sh("cd w/ && grep -qx c c && grep -qx mine n && git status --porcelain "
	    "| grep -vx '?? n' | wc -l | grep -qx 0");
}
END_TEST

/* As editions before wrote it: three lines. */
START_TEST(without_a_known_commit_files_are_taken_whole)
{
	do_it("create");
	sh("cd w/ && echo 2 >>a && rm b && git add -A && " GIT "commit -qm two "
	    "&& git checkout -q HEAD^ -- b && echo 3 >>a");
	tell();
	remember();
	sh("sed -i 4d state/snapshots/" SESSION ".tree");
	take_away(false);
	do_it("create");
	expect_as_before();
}
END_TEST

/* A new copy's commit is known before anything else is told. */
START_TEST(what_a_branch_got_before_anything_was_told_is_there)
{
	do_it("create");
	take_away(false);
	commit_elsewhere("echo later >n");
	do_it("create");
	sh("cd w/ && grep -qx later n && test -z \"$(git status "
	    "--porcelain)\"");
}
END_TEST

/* The branch is checked out elsewhere, has moved, or is gone. */
START_TEST(a_branch_that_moved_meanwhile_does_no_harm)
{
	static const char *const moves[] = {
		"git branch -q -D hearth/4c1e2f3a",
		"git branch -q -f hearth/4c1e2f3a main",
	};

	do_it("create");
	sh("cd w/ && echo 2 >>a && " GIT "commit -qam two && echo 3 >>a");
	remember();
	do_it("put-away");
	sh("cd p && %s", moves[_i]);
	do_it("create");
	expect_as_before();
	sh("cd w/ && git log --all --format=%%s | grep two");
}
END_TEST

START_TEST(a_kill_while_it_is_put_away_loses_nothing)
{
	bool is_over = false;
	int calls = 0;

	for (int n = 1; !is_over; n++) {
		ck_assert_int_lt(n, CALLS_MAX);
		do_it("create");
		sh("echo %d >>w/a && echo %d >w/n%d", n, n, n);
		remember();
		is_over = killed_at("put-away", n);
		do_it("create");
		expect_as_before();
		sh("git -C p fsck --strict && cd w/ && "
		    "test \"$(git branch --show-current)\" = hearth/4c1e2f3a");
		calls = n;
	}
	ck_assert_int_gt(calls, 5);
}
END_TEST

START_TEST(a_kill_while_it_comes_back_loses_nothing)
{
	bool is_over = false;
	int calls = 0;

	do_it("create");
	work();
	remember();
	for (int n = 1; !is_over; n++) {
		ck_assert_int_lt(n, CALLS_MAX);
		do_it("put-away");
		is_over = killed_at("create", n);
		/* put away once more, or made again: as the daemon happens to
		 * find it */
		if (n % 2)
			do_it("put-away");
		do_it("create");
		expect_as_before();
		calls = n;
	}
	ck_assert_int_gt(calls, 5);
}
END_TEST

START_TEST(a_half_removed_folder_is_not_taken_for_the_copy)
{
	do_it("create");
	work();
	remember();
	do_it("put-away");
	/* as a kill leaves it: after the rename, on the way back */
	sh("mkdir " TREE ".gone " TREE " && echo half >" TREE "/a &&"
	    "echo x >" TREE ".gone/x && echo >state/snapshots/" SESSION
	    ".restoring");
	do_it("create");
	expect_as_before();
	sh("test ! -e " TREE ".gone");
}
END_TEST

START_TEST(an_erased_copy_leaves_nothing)
{
	do_it("create");
	sh("cd w/ && echo 2 >>a && " GIT "commit -qam two && echo 3 >>a");
	if (_i)
		do_it("put-away");
	do_it("erase");
	expect_away();
	sh("test -z \"$(git -C p branch --list 'hearth/*')\" &&"
	    "! git -C p rev-parse -q --verify " REF " &&"
	    "test \"$(ls state/snapshots | grep " SESSION ")\" = "
	    SESSION ".lock && git -C p log --format=%%s | grep first");
	do_it("erase");
	sh("mv p q");
	do_it("erase");
}
END_TEST

START_TEST(what_is_left_in_a_broken_project_is_not_forgotten)
{
	do_it("create");
	sh("cd w/ && echo 2 >>a && " GIT "commit -qam two && echo 3 >>a");
	do_it("put-away");
	sh("mv p/.git/HEAD aside");
	ck_assert_int_ne(helper("erase", "2>words"), 0);
	sh("grep 'git finds no repository' words && mv aside p/.git/HEAD");
	do_it("erase");
	sh("test -z \"$(git -C p branch --list 'hearth/*')\" &&"
	    "! git -C p rev-parse -q --verify " REF);
}
END_TEST

START_TEST(a_branch_in_use_is_not_erased)
{
	do_it("create");
	do_it("put-away");
	sh("git -C p checkout -q -b hearth/4c1e2f3a");
	do_it("erase");
	sh("test \"$(git -C p branch --show-current)\" = hearth/4c1e2f3a &&"
	    "git -C p rev-parse HEAD");
}
END_TEST

/* behind ahead changed; the size is as du has it. */
static void
expect_measure(const char *more, const char *numbers)
{
	ck_assert_int_eq(helper("measure", more), 0);
	sh("tr '\\0' ' ' <out | grep -ao 'M[0-9]* [0-9]* [0-9]* [0-9]*' >m &&"
	    "echo 'M%s' \"$(du -sk " TREE " | cut -f 1)\" | diff - m",
	    numbers);
}

START_TEST(a_copy_is_measured)
{
	do_it("create");
	expect_measure("", "0 0 0");
	work();
	sh("head -c 300000 /dev/zero >w/big.o");
	/* what was told last, and what is there */
	expect_measure("", "0 0 0");
	expect_measure("--fresh", "0 0 6");
	sh("cd w/ && git add -A && " GIT "commit -qm two && echo 5 >>a &&"
	    "cd $HERE/p && " GIT "commit -q --allow-empty -m x && "
	    GIT "commit -q --allow-empty -m y");
	expect_measure("--fresh", "2 1 1");
	sh("rm -r " TREE);
	ck_assert_int_eq(helper("measure", ""), 0);
}
END_TEST

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	Suite *s = suite_create("away");
	TCase *t = tcase_create("away");
	SRunner *sr;
	char name[PATH_MAX];
	int failed;

	snprintf(name, sizeof name, "%s/unit_away.XXXXXX",
	    tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(name) || !realpath(name, root)) {
		perror(name);
		return 1;
	}
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("LC_ALL", "C", 1);
	tcase_add_checked_fixture(t, set_up, NULL);
	tcase_set_timeout(t, 120.);
	tcase_add_test(t, work_comes_back);
	tcase_add_test(t, without_work_nothing_is_saved);
	tcase_add_test(t, commits_are_kept_on_a_branch_and_on_none);
	tcase_add_test(t, what_was_saved_is_renewed);
	tcase_add_loop_test(t,
	    plain_folders_keep_theirs_in_the_private_repository, 0, 2);
	tcase_add_test(t, what_cannot_be_saved_stays);
	tcase_add_loop_test(t, what_is_in_a_submodule_stays, 0, 2);
	tcase_add_loop_test(t, a_lost_folder_comes_back_as_it_was_told, 0, 2);
	tcase_add_loop_test(t,
	    a_lost_folder_with_commits_comes_back_as_it_was_told, 0, 2);
	tcase_add_loop_test(t,
	    what_a_branch_got_meanwhile_is_there_with_what_was_told, 0, 2);
	tcase_add_loop_test(t,
	    what_no_commit_has_is_not_given_up_for_what_one_has, 0,
	    sizeof conflicts / sizeof *conflicts);
	tcase_add_loop_test(t, a_submodule_that_was_removed_stays_so, 0, 2);
	tcase_add_loop_test(t,
	    what_cannot_be_merged_for_now_is_not_forgotten, 0, 8);
	tcase_add_test(t, what_is_committed_while_it_is_told_is_no_reversal);
	tcase_add_test(t, without_a_known_commit_files_are_taken_whole);
	tcase_add_test(t,
	    what_a_branch_got_before_anything_was_told_is_there);
	tcase_add_test(t,
	    what_was_told_does_not_come_back_over_what_was_there);
	tcase_add_loop_test(t, a_branch_that_moved_meanwhile_does_no_harm, 0,
	    2);
	tcase_add_test(t, a_kill_while_it_is_put_away_loses_nothing);
	tcase_add_test(t, a_kill_while_it_comes_back_loses_nothing);
	tcase_add_test(t, a_half_removed_folder_is_not_taken_for_the_copy);
	tcase_add_loop_test(t, an_erased_copy_leaves_nothing, 0, 2);
	tcase_add_test(t, what_is_left_in_a_broken_project_is_not_forgotten);
	tcase_add_test(t, a_branch_in_use_is_not_erased);
	tcase_add_test(t, a_copy_is_measured);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (!getenv("UNIT_AWAY_KEEP"))
		place_remove(root, NULL);
	return failed ? 1 : 0;
}
