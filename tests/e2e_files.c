/* SPDX-License-Identifier: MIT */
/*
 * Files: the worktree that a session works in, the changes that turns leave
 * behind, whose they are, and that neither the user's checkout nor anything
 * that was planted in a repository is touched or run.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* "a.txt/edit b.txt/delete": what is pending in the first chat's session. */
static void
check_pending(const char *expected)
{
	check_value(expected, "select string_agg(file_path || '/' || "
	    "operation, ' ' order by file_path) from hearth.pending_changes "
	    "where status = 'pending' and session_id = '%s'",
	    session_of(chat));
}

static const char *
worktree(void)
{
	return value("select path from hearth.worktrees "
	    "where session_id = '%s'", session_of(chat));
}

#define CHANGE(columns) "select " columns " from hearth.pending_changes " \
	"where status = 'pending' and file_path = '%s'"

START_TEST(a_session_works_in_a_worktree_of_its_own)
{
	const char *other;
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "echo-cwd;run test -f a.txt");
	check_has(text_of(turn), worktree());
	check_has(text_of(turn), "[run 0]");
	check_has(worktree(), state);
	check_value("true", "select (branch = 'hearth/' || left("
	    "session_id::text, 8) and base_commit ~ '^[0-9a-f]{40}$' and "
	    "status = 'active')::text from hearth.worktrees");
	shell("cd %s && git worktree list | grep -q %s", project, worktree());
	other = new_chat(session_of(chat));
	turn = complete(other, "fake", "echo-cwd");
	check_has(text_of(turn), worktree());
	other = new_chat(new_session(project));
	turn = complete(other, "fake", "echo-cwd;write a.txt mine");
	check_true(!strstr(text_of(turn), worktree()));
	check_value("2", "select count(distinct path) "
	    "from hearth.worktrees");
	ck_assert_str_eq(file_text("%s/a.txt", worktree()), "one\n");
}
END_TEST

START_TEST(a_turn_leaves_one_row_per_changed_file)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "write new/deep.txt hello\\n;"
	    "edit a.txt other\\n;delete b.txt;write out.o ignored;say done");
	check_pending("a.txt/edit b.txt/delete new/deep.txt/create");
	check_value("3", "select count(*) from hearth.pending_changes "
	    "where agent = 'fake' and turn_id = %lld and chat_id = '%s'",
	    (long long)turn, chat);
	check_has(value(CHANGE("diff"), "a.txt"), "-one\n+other\n");
	check_has(value(CHANGE("diff"), "b.txt"), "-two\n");
	check_has(value(CHANGE("diff"), "new/deep.txt"), "+hello\n");
	check_value("true", CHANGE("(old_oid is not null and new_oid is null)"
	    "::text"), "b.txt");
	check_value("true", CHANGE("(old_oid is null and new_mode = '100644')"
	    "::text"), "new/deep.txt");
	/* rows, message and the turn's end are one transaction */
	check_value("1", "select count(distinct x) from (select "
	    "xmin::text as x from hearth.pending_changes union all select "
	    "xmin::text from hearth.turns) t");
	check_value("3", "select count(*) from hearth.events where kind = "
	    "'change' and turn_id = %lld and seq < (select max(seq) from "
	    "hearth.events where kind = 'turn_ended')", (long long)turn);
	check_value("3", "select files from hearth.pending_review");
}
END_TEST

START_TEST(a_later_change_of_a_file_supersedes_the_earlier)
{
	int64_t second;

	start(NULL);
	complete(chat, "fake", "write a.txt first\\n;write keep.txt k\\n");
	second = complete(chat, "fake", "write a.txt second\\n");
	check_pending("a.txt/edit keep.txt/create");
	check_has(value(CHANGE("diff"), "a.txt"), "-one\n+second\n");
	check_value("true", CHANGE("(turn_id = %lld)::text"),
	    (long long)second, "a.txt");
	check_value("superseded", "select string_agg(status, ' ') from "
	    "hearth.pending_changes where file_path = 'a.txt' "
	    "and status <> 'pending'");
	complete(chat, "fake", "write a.txt one\\n;delete keep.txt");
	check_pending("");
}
END_TEST

START_TEST(each_agent_owns_what_it_changed)
{
	add_agent("other", NULL);
	start(NULL);
	complete(chat, "fake", "write mine.txt m\\n;write both.txt m\\n");
	complete(chat, "other", "write yours.txt y\\n;append both.txt y\\n");
	check_value("both.txt/other mine.txt/fake yours.txt/other", "select "
	    "string_agg(file_path || '/' || agent, ' ' order by file_path) "
	    "from hearth.pending_changes where status = 'pending'");
	check_has(value(CHANGE("diff"), "both.txt"), "+m\n+y\n");
}
END_TEST

START_TEST(what_a_person_edits_between_turns_is_nobodys)
{
	start(NULL);
	complete(chat, "fake", "write mine.txt m\\n");
	shell("printf 'by hand\\n' > %s/hand.txt", worktree());
	complete(chat, "fake", "write more.txt m\\n");
	check_value("hand.txt/- mine.txt/fake more.txt/fake", "select "
	    "string_agg(file_path || '/' || coalesce(agent, '-'), ' ' "
	    "order by file_path) from hearth.pending_changes "
	    "where status = 'pending'");
	check_value("true", CHANGE("(turn_id is null)::text"), "hand.txt");
	shell("printf 'by hand\\n' >> %s/mine.txt", worktree());
	complete(chat, "fake", "say nothing");
	check_value("-", CHANGE("coalesce(agent, '-')"), "mine.txt");
}
END_TEST

START_TEST(what_an_agent_does_after_its_turn_is_its_own)
{
	start(NULL);
	complete(chat, "fake", "say x;stop;sleep 100;write late.txt l\\n;"
	    "say finished");
	wait_value("1", LIMIT, "select count(*) from hearth.events "
	    "where payload ->> 'text' = 'finished'");
	complete(chat, "fake", "say next");
	check_value("fake/-", CHANGE("agent || '/' || "
	    "coalesce(turn_id::text, '-')"), "late.txt");
}
END_TEST

START_TEST(a_turn_that_fails_leaves_its_changes_too)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "write half.txt h\\n;exit 1");
	wait_turn(turn, "failed", LIMIT);
	check_value("true", CHANGE("(turn_id = %lld and agent = 'fake')"
	    "::text"), (long long)turn, "half.txt");
	turn = submit(chat, "fake", "write more.txt h\\n;say x;hang");
	wait_text(turn, "x");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	check_pending("half.txt/create more.txt/create");
}
END_TEST

START_TEST(modes_links_and_odd_names_are_changes)
{
	start(NULL);
	complete(chat, "fake", "run chmod +x a.txt;run ln -s /etc/passwd link;"
	    "write with\303\251 blank x;run mv b.txt '\303\274 b.txt';"
	    "run printf 'a\\\\000b' > bin.dat");
	check_value("100644/100755", CHANGE("old_mode || '/' || new_mode"),
	    "a.txt");
	check_value("120000", CHANGE("new_mode"), "link");
	check_value("delete", CHANGE("operation"), "b.txt");
	check_value("create", CHANGE("operation"), "\303\274 b.txt");
	check_value("create", CHANGE("operation"), "bin.dat");
	check_true(!strstr(value(CHANGE("diff"), "link"), "root:"));
}
END_TEST

START_TEST(the_users_checkout_is_never_touched)
{

	prepare();
	shell("cd %s && printf 'staged\\n' > staged.txt && git add staged.txt "
	    "&& printf 'dirty\\n' >> a.txt && git stash list >/dev/null && "
	    "git rev-parse HEAD > %s/head", project, folder);
	shell("sha256sum %s/.git/index > %s/index.sum", project, folder);
	start(NULL);
	complete(chat, "fake", "write a.txt x;write n.txt y;delete b.txt;"
	    "run git add -A && git -c user.name=a -c user.email=a@a commit "
	    "-qm agent");
	complete(chat, "fake", "write more.txt z");
	shell("sha256sum -c --quiet %s/index.sum", folder);
	shell("cd %s && git rev-parse HEAD | cmp - %s/head", project, folder);
	ck_assert_str_eq(file_text("%s/a.txt", project), "one\ndirty\n");
	ck_assert_str_eq(file_text("%s/staged.txt", project), "staged\n");
	check_true(file_exists("%s/b.txt", project));
	check_true(!file_exists("%s/n.txt", project));
	/* changes are against the session's base, committed or not */
	check_pending("a.txt/edit b.txt/delete more.txt/create n.txt/create");
}
END_TEST

static long long
git_calls(void)
{
	long long n = 0;

	for (const char *p = file_text("%s/git.log", folder); *p; p++)
		n += *p == '\n';
	return n;
}

/*
 * From now on, each call of git by the daemon is a line in git.log, but for
 * those that measure the copy: that is done at any time.
 */
static void
log_git(void)
{
	char *path;

	prepare();
	shell("mkdir %s/bin && printf '#!/bin/sh\\ngrep -qz ^measure$ "
	    "/proc/$PPID/cmdline || echo call >> %s/git.log\\n"
	    "exec %s \"$@\"\\n' > %s/bin/git && chmod +x %s/bin/git", folder,
	    folder, "/usr/bin/git", folder, folder);
	path = xasprintf("%s/bin:%s", folder, getenv("PATH"));
	daemon_setenv("PATH", path);
	free(path);
}

START_TEST(a_turn_that_changes_nothing_needs_no_git)
{
	long long calls;

	log_git();
	start(NULL);
	complete(chat, "fake", "say first");
	wait_value("t", LIMIT, "select measured_at is not null "
	    "from hearth.worktrees");
	calls = git_calls();
	check_true(calls > 0);
	for (int i = 0; i < 5; i++)
		complete(chat, "fake", "say again");
	check_true(git_calls() == calls);
	complete(chat, "fake", "write a.txt changed");
	check_true(git_calls() > calls);
	check_pending("a.txt/edit");
}
END_TEST

/* What git would run in the worktree if it were asked carelessly. */
static void
plant(void)
{
	shell("printf '#!/bin/sh\\ntouch %s/MARK\\ncat\\n' > %s/evil && "
	    "chmod +x %s/evil && mkdir %s/hooks && for h in post-checkout "
	    "pre-commit post-commit post-index-change reference-transaction "
	    "pre-auto-gc fsmonitor-watchman; do cp %s/evil %s/hooks/$h; done",
	    folder, folder, folder, folder, folder, folder);
	complete(chat, "fake", "run git config filter.evil.clean %s/evil && "
	    "git config filter.evil.smudge %s/evil && git config "
	    "diff.evil.textconv %s/evil && git config diff.external %s/evil "
	    "&& git config core.fsmonitor %s/evil && git config "
	    "core.hooksPath %s/hooks && git config core.attributesFile "
	    "%s/attributes;write .gitattributes * filter=evil diff=evil\\n",
	    folder, folder, folder, folder, folder, folder, folder);
	complete(chat, "fake", "run mkdir nested && cd nested && git init -q "
	    "&& git config core.fsmonitor %s/evil && git config "
	    "filter.evil.clean %s/evil && echo '* filter=evil' > "
	    ".gitattributes && echo x > x.txt", folder, folder);
	shell("rm -f %s/MARK", folder);
}

START_TEST(nothing_that_was_planted_is_run)
{
	const char *other;

	start(NULL);
	complete(chat, "fake", "say x");
	plant();
	complete(chat, "fake", "write a.txt changed\\n;write c.txt c\\n");
	shell("printf 'by hand\\n' > %s/hand.txt", worktree());
	complete(chat, "fake", "edit b.txt changed\\n");
	other = new_chat(new_session(project));
	complete(other, "fake", "write c.txt other\\n");
	stop();
	start(NULL);
	complete(chat, "fake", "write d.txt d\\n");
	complete(other, "fake", "write d.txt d\\n");
	check_true(!file_exists("%s/MARK", folder));
	check_has(value(CHANGE("diff") " and session_id = '%s'", "a.txt",
	    session_of(chat)), "-one\n+changed\n");
	check_value("4", "select count(*) from hearth.pending_changes where "
	    "status = 'pending' and file_path in ('c.txt', 'd.txt')");
	/* the trap is a good one */
	shell("cd %s && git status >/dev/null 2>&1; git add a.txt",
	    worktree());
	check_true(file_exists("%s/MARK", folder));
}
END_TEST

START_TEST(a_plain_folder_is_a_project)
{
	const char *plain;

	prepare();
	shell("mkdir -p %s/plain/sub && printf 'one\\n' > %s/plain/a.txt && "
	    "printf 'two\\n' > %s/plain/sub/b.txt", folder, folder, folder);
	plain = new_chat(new_session(keep(xasprintf("%s/plain",
	    folder))));
	chat = plain;
	start(NULL);
	complete(plain, "fake", "write a.txt other\\n;delete sub/b.txt;"
	    "write c.txt c\\n");
	check_pending("a.txt/edit c.txt/create sub/b.txt/delete");
	check_has(value(CHANGE("diff"), "a.txt"), "-one\n+other\n");
	ck_assert_str_eq(file_text("%s/plain/a.txt", folder), "one\n");
	check_true(!file_exists("%s/plain/.git", folder));
	check_true(!file_exists("%s/plain/c.txt", folder));
}
END_TEST

START_TEST(a_repository_without_commits_is_a_project)
{
	prepare();
	shell("mkdir %s/young && cd %s/young && git -c "
	    "init.defaultBranch=main init -q && printf 'one\\n' > a.txt",
	    folder, folder);
	chat = new_chat(new_session(keep(xasprintf("%s/young",
	    folder))));
	start(NULL);
	complete(chat, "fake", "append a.txt more\\n");
	check_pending("a.txt/edit");
	ck_assert_str_eq(file_text("%s/young/a.txt", folder), "one\n");
}
END_TEST

START_TEST(a_worktree_outlives_the_daemon)
{
	int64_t turn;
	char *path;

	start(NULL);
	complete(chat, "fake", "write mine.txt m\\n");
	path = xstrdup(worktree());
	stop();
	shell("printf 'meanwhile\\n' > %s/meanwhile.txt", path);
	start(NULL);
	turn = complete(chat, "fake", "run test -f mine.txt;echo-cwd;"
	    "write other.txt o\\n");
	check_has(text_of(turn), "[run 0]");
	check_has(text_of(turn), path);
	check_pending("meanwhile.txt/create mine.txt/create "
	    "other.txt/create");
	check_value("-", CHANGE("coalesce(agent, '-')"), "meanwhile.txt");
	check_value("1", "select count(*) from hearth.worktrees");
	free(path);
}
END_TEST

START_TEST(what_a_killed_daemon_did_not_see_is_found_later)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say x");
	turn = submit(chat, "fake", "write lost.txt l\\n;say written;hang");
	wait_text(turn, "written");
	daemon_crash();
	start(NULL);
	wait_turn(turn, "interrupted", LIMIT);
	complete(chat, "fake", "write next.txt n\\n");
	check_pending("lost.txt/create next.txt/create");
}
END_TEST

START_TEST(side_by_side_turns_each_leave_their_changes)
{
	const char *other;
	int64_t first, second;

	prepare();
	sql("update hearth.sessions set concurrent_turns = true");
	start(NULL);
	other = new_chat(session_of(chat));
	first = submit(chat, "fake", "write one.txt 1;sleep 100;"
	    "write two.txt 2");
	second = submit(other, "fake", "write three.txt 3;sleep 100;"
	    "write four.txt 4");
	wait_turn(first, "completed", LIMIT);
	wait_turn(second, "completed", LIMIT);
	check_pending("four.txt/create one.txt/create three.txt/create "
	    "two.txt/create");
}
END_TEST

START_TEST(sessions_of_one_project_may_begin_at_the_same_time)
{
	enum { SESSIONS = 8 };
	int64_t turns[SESSIONS];

	start(NULL);
	for (int i = 0; i < SESSIONS; i++)
		turns[i] = submit(new_chat(new_session(project)), "fake",
		    "write f%d.txt x", i);
	for (int i = 0; i < SESSIONS; i++)
		wait_turn(turns[i], "completed", LIMIT);
	check_value("8", "select count(distinct session_id) "
	    "from hearth.pending_changes");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_session_works_in_a_worktree_of_its_own);
	tcase_add_test(tc, a_turn_leaves_one_row_per_changed_file);
	tcase_add_test(tc, a_later_change_of_a_file_supersedes_the_earlier);
	tcase_add_test(tc, each_agent_owns_what_it_changed);
	tcase_add_test(tc, what_a_person_edits_between_turns_is_nobodys);
	tcase_add_test(tc, what_an_agent_does_after_its_turn_is_its_own);
	tcase_add_test(tc, a_turn_that_fails_leaves_its_changes_too);
	tcase_add_test(tc, modes_links_and_odd_names_are_changes);
	tcase_add_test(tc, the_users_checkout_is_never_touched);
	tcase_add_test(tc, a_turn_that_changes_nothing_needs_no_git);
	tcase_add_test(tc, nothing_that_was_planted_is_run);
	tcase_add_test(tc, a_plain_folder_is_a_project);
	tcase_add_test(tc, a_repository_without_commits_is_a_project);
	tcase_add_test(tc, a_worktree_outlives_the_daemon);
	tcase_add_test(tc, what_a_killed_daemon_did_not_see_is_found_later);
	tcase_add_test(tc, side_by_side_turns_each_leave_their_changes);
	tcase_add_test(tc,
	    sessions_of_one_project_may_begin_at_the_same_time);
}

int
main(void)
{
	return e2e_main("files", add_tests);
}
