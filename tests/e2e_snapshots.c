/* SPDX-License-Identifier: MIT */
/*
 * New worktrees: the project's setup command, the ignored files that are
 * copied into them, and the prepared ones that sessions begin with.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define WORKTREE(columns) "select " columns " from hearth.worktrees"

/* The project's setup command is this, run by a shell. */
static void __attribute__((format(printf, 1, 2)))
set_setup(const char *fmt, ...)
{
	va_list ap;
	char *script = NULL;

	va_start(ap, fmt);
	if (vasprintf(&script, fmt, ap) < 0)
		abort();
	va_end(ap);
	sql("update hearth.projects set setup_command = array['sh', '-c', "
	    "$s$%s$s$]", script);
	free(script);
}

static const char *
worktree(void)
{
	return value(WORKTREE("path") " where session_id = '%s'",
	    session_of(chat));
}

static void
check_pending(const char *expected)
{
	check_value(expected, "select coalesce(string_agg(file_path || '/' || "
	    "operation || '/' || coalesce(agent, '-'), ' ' order by "
	    "file_path), '') from hearth.pending_changes where status = "
	    "'pending' and session_id = '%s'", session_of(chat));
}

/* ---- the setup command */

START_TEST(a_new_worktree_is_set_up_once)
{
	int64_t turn;

	prepare();
	set_setup("echo out; echo err >&2; pwd; echo ran >> %s/ran; "
	    "printf 'more\\n' >> a.txt; echo new > made.txt; "
	    "echo $HEARTH_SECRET", folder);
	daemon_setenv("HEARTH_SECRET", "not-for-agents");
	start(NULL);
	turn = complete(chat, "fake", "run grep more a.txt && test -f "
	    "made.txt");
	check_has(text_of(turn), "[run 0]");
	check_value("0", WORKTREE("setup_exit_code"));
	check_has(value(WORKTREE("setup_output")), "out\nerr\n");
	check_has(value(WORKTREE("setup_output")), worktree());
	check_true(!strstr(value(WORKTREE("setup_output")), "not-for"));
	check_value("true", WORKTREE("(setup_ms >= 0 and setup_ended_at <= "
	    "now())::text"));
	check_value("done/0/sh -c ech", "select concat_ws('/', payload ->> "
	    "'setup', payload ->> 'exit_code', left(payload ->> 'command', "
	    "9), payload ->> 'last_line') from hearth.events where kind = "
	    "'agent_status' and payload ? 'setup' and turn_id = %lld",
	    (long long)turn);
	/* what it did is nobody's change, but the base of changes */
	check_pending("");
	complete(chat, "fake", "append a.txt mine\\n;write made.txt x\\n");
	check_pending("a.txt/edit/fake made.txt/edit/fake");
	check_has(value("select diff from hearth.pending_changes where "
	    "file_path = 'a.txt'"), " more\n+mine\n");
	stop();
	start(NULL);
	complete(chat, "fake", "say again");
	check_pending("a.txt/edit/fake made.txt/edit/fake");
	ck_assert_str_eq(file_text("%s/ran", folder), "ran\n");
}
END_TEST

START_TEST(a_failed_setup_fails_the_turn_and_is_tried_again)
{
	int64_t turn;

	prepare();
	set_setup("echo looking; printf 'no\\tnetwork\\n\\n' >&2; "
	    "test -e %s/network || exit 3", folder);
	start(NULL);
	turn = submit(chat, "fake", "say never");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "setup_failed");
	/* by name, with the last that it said, and with what was before */
	check_has(turn_of(turn, "error"), "the setup command \"sh -c echo "
	    "looking; printf");
	check_has(turn_of(turn, "error"), "…\" failed with exit code 3: "
	    "no network; its output ends:\nlooking\nno\tnetwork");
	check_value("failed/3/sh -c echo/no network", "select concat_ws('/', "
	    "payload ->> 'setup', payload ->> 'exit_code', "
	    "left(payload ->> 'command', 10), payload ->> 'last_line') "
	    "from hearth.events where payload ? 'setup'");
	check_value("3", WORKTREE("setup_exit_code"));
	check_has(value(WORKTREE("setup_output")), "no\tnetwork\n");
	shell("touch %s/network", folder);
	complete(chat, "fake", "write mine.txt m");
	check_value("0", WORKTREE("setup_exit_code"));
	check_pending("mine.txt/create/fake");
}
END_TEST

START_TEST(a_corrected_setup_command_is_the_one_that_is_run)
{
	int64_t turn;

	prepare();
	sql("update hearth.projects set setup_command = "
	    "array['/nonexistent/tool']");
	start(NULL);
	turn = submit(chat, "fake", "say never");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "setup_failed");
	check_has(turn_of(turn, "error"), "/nonexistent/tool");
	sql("update hearth.projects set setup_command = array['true']");
	complete(chat, "fake", "say now");
	check_value("0", WORKTREE("setup_exit_code"));
	ck_assert_str_eq(sqlstate("update hearth.projects set setup_command "
	    "= '{}'"), "23514");
}
END_TEST

START_TEST(a_setup_that_takes_too_long_is_ended_with_all_it_started)
{
	int64_t turn;
	pid_t pid;

	prepare();
	set_setup("setsid sleep 600 & echo [child $!]; sleep 600");
	start("setup_timeout=700ms", NULL);
	turn = submit(chat, "fake", "say never");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "setup_timeout");
	check_has(turn_of(turn, "error"), "setup_timeout (700 ms)");
	check_value("t", WORKTREE("setup_exit_code is null and setup_ended_at "
	    "is not null"));
	pid = pid_in(value(WORKTREE("setup_output")), "child");
	wait_gone(pid, LIMIT);
}
END_TEST

START_TEST(what_a_setup_leaves_running_is_ended)
{
	pid_t pid;

	prepare();
	set_setup("setsid sh -c 'sleep 1; touch late.txt; sleep 600' & "
	    "echo [child $!]");
	start(NULL);
	complete(chat, "fake", "say x");
	pid = pid_in(value(WORKTREE("setup_output")), "child");
	wait_gone(pid, LIMIT);
	check_true(!file_exists("%s/late.txt", worktree()));
}
END_TEST

START_TEST(a_setup_that_was_cut_off_is_run_again)
{
	int64_t turn;

	prepare();
	set_setup("echo begun >> %s/begun; echo half > made.txt; test -e "
	    "%s/go || sleep 600; echo whole > made.txt", folder, folder);
	start(NULL);
	turn = submit(chat, "fake", "run grep whole made.txt");
	while (!file_exists("%s/begun", folder))
		blink();
	daemon_crash();
	shell("touch %s/go", folder);
	start(NULL);
	wait_turn(turn, "completed", LIMIT);
	check_has(text_of(turn), "[run 0]");
	check_pending("");
	ck_assert_str_eq(file_text("%s/begun", folder), "begun\nbegun\n");
}
END_TEST

START_TEST(a_turn_that_waits_for_a_setup_can_be_cancelled)
{
	int64_t turn;

	prepare();
	set_setup("echo begun >> %s/begun; while ! test -e %s/go; do sleep "
	    ".05; done; echo x > made.txt", folder, folder);
	start("drain_timeout=100ms", NULL);
	turn = submit(chat, "fake", "say never");
	while (!file_exists("%s/begun", folder))
		blink();
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	/* the command goes on, for the next one */
	turn = submit(chat, "fake", "run test -s made.txt");
	wait_turn(turn, "starting", LIMIT);
	shell("touch %s/go", folder);
	wait_turn(turn, "completed", LIMIT);
	check_has(text_of(turn), "[run 0]");
	ck_assert_str_eq(file_text("%s/begun", folder), "begun\n");
	check_value("0", WORKTREE("setup_exit_code"));
	/* nor does it hold up hearthd's end */
	shell("rm %s/go", folder);
	turn = submit(new_chat(new_session(project)), "fake", "say later");
	wait_turn(turn, "starting", LIMIT);
	stop();
	ck_assert_str_eq(turn_of(turn, "status"), "queued");
	check_pending("");
}
END_TEST

START_TEST(warming_sets_a_worktree_up_too)
{
	long long command;

	prepare();
	set_setup("echo made > made.txt; test -e %s/go", folder);
	start(NULL);
	command = number("select hearth.warm('%s', 'fake')", chat);
	wait_value("failed/setup_failed", LIMIT, "select status || '/' || "
	    "error_code from hearth.commands where id = %lld", command);
	check_value("1", WORKTREE("setup_exit_code"));
	shell("touch %s/go", folder);
	command = number("select hearth.warm('%s', 'fake')", chat);
	wait_value("done", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	check_value("failed done", "select string_agg(payload ->> 'setup', "
	    "' ' order by seq) from hearth.events where kind = "
	    "'agent_status' and payload ? 'setup'");
	complete(chat, "fake", "say x");
	check_pending("");
}
END_TEST

/* ---- ignored files */

START_TEST(ignored_files_are_copied_as_patterns_say)
{
	prepare();
	shell("cd %s && printf '.env*\\ndeps/\\n*.o\\n' > .gitignore && git "
	    "-c user.name=a -c user.email=a@a commit -qam ignore && "
	    "printf key > .env && chmod 600 .env && printf k > .env.test && "
	    "mkdir -p sub deps/bin && printf d > deps/d.js && ln -s ../d.js "
	    "deps/bin/d && printf s > sub/.env && printf o > x.o && "
	    "printf u > untracked.txt && printf '# of all\\n.env\\nx*\\n"
	    "untracked.txt\\na.txt\\n' > .worktreeinclude", project);
	sql("update hearth.projects set include = array['deps/', '!x.o']");
	start(NULL);
	complete(chat, "fake", "append .env more");
	ck_assert_str_eq(file_text("%s/deps/d.js", worktree()), "d");
	ck_assert_str_eq(file_text("%s/.env", worktree()), "keymore");
	ck_assert_str_eq(file_text("%s/.env", project), "key");
	ck_assert_str_eq(file_text("%s/sub/.env", worktree()), "s");
	ck_assert_str_eq(file_text("%s/deps/bin/d", worktree()), "d");
	shell("test $(stat -c %%a %s/.env) = 600", worktree());
	check_true(!file_exists("%s/.env.test", worktree()));
	check_true(!file_exists("%s/x.o", worktree()));
	check_true(!file_exists("%s/untracked.txt", worktree()));
	check_pending("");
}
END_TEST

START_TEST(nothing_from_outside_is_copied)
{
	prepare();
	shell("printf secret > %s/secret && mkdir %s/outside && printf secret "
	    "> %s/outside/f.o && cd %s && printf 'link*\\n*.o\\n' > "
	    ".gitignore && git -c user.name=a -c user.email=a@a commit -qam "
	    "ignore && ln -s %s/secret link && ln -s %s/outside link2 && "
	    "mkfifo pipe.o && mkdir nested && cd nested && git init -q && "
	    "printf n > n.o", folder, folder, folder, project, folder,
	    folder);
	sql("update hearth.projects set include = array['*', "
	    "'../outside/*', '/secret']");
	start(NULL);
	complete(chat, "fake", "say x");
	shell("cd %s && test -L link && test -L link2 && ! test -e pipe.o && "
	    "! test -e nested && ! grep -r secret --exclude-dir=link2 . ",
	    worktree());
	check_pending("");
	ck_assert_str_eq(sqlstate("update hearth.projects set include = "
	    "array[E'a\\nb']"), "23514");
}
END_TEST

START_TEST(a_plain_folder_has_ignored_files_too)
{
	prepare();
	shell("mkdir %s/plain && cd %s/plain && printf '.env\\n' > .gitignore "
	    "&& printf key > .env && printf .env > .worktreeinclude && "
	    "printf a > a.txt", folder, folder);
	chat = new_chat(new_session(keep(xasprintf("%s/plain", folder))));
	start(NULL);
	complete(chat, "fake", "append .env x");
	ck_assert_str_eq(file_text("%s/.env", worktree()), "keyx");
	check_pending("");
}
END_TEST

/* ---- snapshots */

#define SNAPSHOTS "select coalesce(string_agg(status, ' ' order by " \
	"created_at, id), '') from hearth.snapshots"
#define READY "select id from hearth.snapshots where status = 'ready'"

/* The project wants one, and its setup command leaves a line each time. */
static void
want_snapshot(void)
{
	prepare();
	set_setup("pwd >> %s/ran; echo x > made.txt; echo set up", folder);
	sql("update hearth.projects set snapshots = 1");
}

static void
wait_ready(void)
{
	wait_value("1", LIMIT, "select count(*) from hearth.snapshots "
	    "where status = 'ready'");
}

static void __attribute__((format(printf, 1, 2)))
commit(const char *fmt, ...)
{
	va_list ap;
	char *command = NULL;

	va_start(ap, fmt);
	if (vasprintf(&command, fmt, ap) < 0)
		abort();
	va_end(ap);
	shell("cd %s && %s && git add -A && git -c user.name=a -c "
	    "user.email=a@a commit -qm more", project, command);
	free(command);
}

/* Folders of worktrees, and what git knows of them. */
static void
check_folders(int n)
{
	shell("test $(ls %s/worktrees | wc -l) = %d && test $(git -C %s "
	    "worktree list | wc -l) = %d", state, n, project, n + 1);
}

START_TEST(a_session_begins_with_a_snapshot)
{
	const char *snapshot;
	int64_t turn;

	want_snapshot();
	start("snapshot_interval=300ms", NULL);
	wait_ready();
	snapshot = keep(xstrdup(value(READY)));
	check_value("t", "select expires_at - created_at between '23:59' and "
	    "'24:01' from hearth.snapshots");
	turn = complete(chat, "fake", "run test -f made.txt;echo-cwd;"
	    "append made.txt mine");
	check_has(text_of(turn), "[run 0]");
	check_has(worktree(), snapshot);
	check_has(text_of(turn), snapshot);
	check_value("claimed", "select status from hearth.snapshots where id "
	    "= '%s' and session_id = '%s' and ended_at is not null", snapshot,
	    session_of(chat));
	check_pending("made.txt/edit/fake");
	check_value("0/set up", WORKTREE("setup_exit_code || '/' || "
	    "btrim(setup_output, E'\\n')"));
	check_value("true", WORKTREE("(branch = 'hearth/' || left("
	    "session_id::text, 8))::text"));
	shell("cd %s && test $(git symbolic-ref --short HEAD) = %s && test "
	    "\"$(git status -s | cut -c 4-)\" = made.txt", worktree(),
	    value(WORKTREE("branch")));
	shell("test $(grep -c %s %s/ran) = 1", snapshot, folder);
	/* and another one is there for the next */
	wait_ready();
	check_folders(2);
	stop();
	start("snapshot_interval=300ms", NULL);
	turn = complete(chat, "fake", "echo-cwd");
	check_has(text_of(turn), snapshot);
	check_pending("made.txt/edit/fake");
}
END_TEST

START_TEST(what_the_branch_has_more_comes_with_the_claim)
{
	const char *snapshot;

	want_snapshot();
	start("snapshot_interval=1h", NULL);
	wait_ready();
	snapshot = keep(xstrdup(value(READY)));
	commit("echo more > more.txt && echo two2 > b.txt && git rm -q "
	    ".gitignore && printf '*.o\n.env\n' > .gitignore && printf .env "
	    "> .worktreeinclude");
	shell("printf key > %s/.env", project);
	complete(chat, "fake", "append more.txt mine");
	check_has(worktree(), snapshot);
	ck_assert_str_eq(file_text("%s/more.txt", worktree()), "more\nmine");
	ck_assert_str_eq(file_text("%s/b.txt", worktree()), "two2\n");
	ck_assert_str_eq(file_text("%s/.env", worktree()), "key");
	check_pending("more.txt/edit/fake");
	shell("test $(git -C %s rev-parse HEAD) = %s && test $(git -C %s "
	    "rev-parse HEAD) = $(git -C %s rev-parse HEAD)", project,
	    value(WORKTREE("base_commit")), project, worktree());
	shell("cd %s && test \"$(git diff --name-only)\" = more.txt",
	    worktree());
	shell("test $(grep -c %s %s/ran) = 1", snapshot, folder);
}
END_TEST

START_TEST(a_snapshot_follows_its_branch)
{
	const char *old;

	want_snapshot();
	start("snapshot_interval=200ms", NULL);
	wait_ready();
	old = keep(xstrdup(value(READY)));
	commit("echo more > more.txt");
	wait_value("expired", LIMIT, "select status from hearth.snapshots "
	    "where id = '%s'", old);
	wait_ready();
	shell("test $(git -C %s rev-parse HEAD) = %s", project,
	    value("select base_commit from hearth.snapshots where status = "
	    "'ready'"));
	check_folders(1);
	/* one that is too old is replaced, too */
	old = keep(xstrdup(value(READY)));
	shell("touch -d '25 hours ago' %s/prepared/%s", state, old);
	wait_value("it is older than 24 hours", LIMIT, "select end_reason "
	    "from hearth.snapshots where id = '%s' and status = 'expired'",
	    old);
	wait_ready();
	check_folders(1);
}
END_TEST

START_TEST(a_snapshot_whose_setup_is_in_the_branchs_way_is_not_used)
{
	const char *snapshot;

	want_snapshot();
	set_setup("echo 'by setup' >> a.txt");
	start("snapshot_interval=1h", NULL);
	wait_ready();
	snapshot = keep(xstrdup(value(READY)));
	commit("echo 'by a person' > a.txt");
	complete(chat, "fake", "say x");
	check_true(!strstr(worktree(), snapshot));
	ck_assert_str_eq(file_text("%s/a.txt", worktree()),
	    "by a person\nby setup\n");
	check_pending("");
	shell("test $(git -C %s symbolic-ref --short HEAD) = %s", worktree(),
	    value(WORKTREE("branch")));
	stop();
	start("snapshot_interval=1h", NULL);
	wait_value("failed", LIMIT, "select status from hearth.snapshots "
	    "where id = '%s'", snapshot);
	wait_ready();
	check_folders(2);
}
END_TEST

START_TEST(snapshots_are_as_the_project_wants_them)
{
	const char *old;

	want_snapshot();
	sql("update hearth.projects set snapshots = 2");
	start("snapshot_interval=200ms", NULL);
	wait_value("2", LIMIT, "select count(*) from hearth.snapshots "
	    "where status = 'ready'");
	sql("update hearth.projects set snapshots = 1");
	wait_value("1/there are enough", LIMIT, "select count(*) || '/' || "
	    "min(end_reason) from hearth.snapshots where status = 'expired'");
	old = keep(xstrdup(value(READY)));
	set_setup("echo other > made.txt");
	wait_value("expired", LIMIT, "select status from hearth.snapshots "
	    "where id = '%s'", old);
	wait_ready();
	check_folders(1);
	sql("update hearth.projects set snapshots = 0");
	wait_value("0", LIMIT, "select count(*) from hearth.snapshots "
	    "where status in ('preparing', 'ready')");
	check_folders(0);
	shell("test $(ls %s/prepared) = lock && ! ls %s/snapshots | grep -v "
	    "'\\.git'", state, state);
	ck_assert_str_eq(sqlstate("update hearth.projects set snapshots "
	    "= -1"), "23514");
}
END_TEST

START_TEST(a_snapshot_that_cannot_be_prepared_says_why)
{
	int64_t turn;

	want_snapshot();
	set_setup("echo no compiler; exit 4");
	start("snapshot_interval=200ms", NULL);
	wait_value("t", LIMIT, "select count(*) >= 2 from hearth.snapshots "
	    "where status = 'failed' and end_reason like "
	    "'%%exit code 4%%no compiler'");
	check_folders(0);
	turn = submit(chat, "fake", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "setup_failed");
	set_setup("true");
	wait_ready();
}
END_TEST

START_TEST(a_plain_folder_has_no_snapshots)
{
	prepare();
	shell("mkdir %s/plain && echo a > %s/plain/a.txt", folder, folder);
	chat = new_chat(new_session(keep(xasprintf("%s/plain", folder))));
	sql("update hearth.projects set snapshots = 1 where path like "
	    "'%%/plain'");
	start("snapshot_interval=200ms", NULL);
	wait_log("only a git repository with a commit can have snapshots");
	complete(chat, "fake", "say x");
	check_value("0", "select count(*) from hearth.snapshots");
}
END_TEST

START_TEST(what_a_killed_daemon_left_half_prepared_goes)
{
	prepare();
	set_setup("touch %s/begun; test -e %s/go || sleep 600", folder,
	    folder);
	sql("update hearth.projects set snapshots = 1");
	start("snapshot_interval=300ms", NULL);
	while (!file_exists("%s/begun", folder))
		blink();
	wait_value("preparing", LIMIT, SNAPSHOTS);
	daemon_crash();
	shell("touch %s/go", folder);
	start("snapshot_interval=300ms", NULL);
	wait_value("failed ready", LIMIT, SNAPSHOTS);
	check_value("its preparation was cut off", "select end_reason from "
	    "hearth.snapshots where status = 'failed'");
	check_folders(1);
	/* one whose project wants none any more */
	stop();
	sql("update hearth.projects set snapshots = 0");
	start("snapshot_interval=300ms", NULL);
	wait_value("failed expired", LIMIT, SNAPSHOTS);
	check_folders(0);
}
END_TEST

START_TEST(snapshots_that_are_gone_from_the_disk_are_lost)
{
	want_snapshot();
	start("snapshot_interval=1h", NULL);
	wait_ready();
	stop();
	shell("rm -rf %s/prepared %s/worktrees/*; git -C %s worktree prune",
	    state, state, project);
	start("snapshot_interval=1h", NULL);
	wait_value("failed ready", LIMIT, SNAPSHOTS);
	/* and rows that the database has lost come back */
	stop();
	sql("delete from hearth.snapshots");
	start("snapshot_interval=1h", NULL);
	wait_value("ready", LIMIT, SNAPSHOTS);
	check_folders(1);
}
END_TEST

START_TEST(two_sessions_never_begin_with_the_same_snapshot)
{
	enum { SESSIONS = 6 };
	int64_t turns[SESSIONS];

	want_snapshot();
	sql("update hearth.projects set snapshots = 2");
	start("snapshot_interval=1h", NULL);
	wait_value("2", LIMIT, "select count(*) from hearth.snapshots "
	    "where status = 'ready'");
	for (int i = 0; i < SESSIONS; i++)
		turns[i] = submit(new_chat(new_session(project)), "fake",
		    "write f%d.txt x", i);
	for (int i = 0; i < SESSIONS; i++)
		wait_turn(turns[i], "completed", LIMIT);
	check_value("6", "select count(distinct path) from hearth.worktrees");
	check_value("6", "select count(distinct session_id) from "
	    "hearth.pending_changes");
	check_value("t", "select count(*) >= 2 and count(*) = count(distinct "
	    "session_id) from hearth.snapshots where status = 'claimed'");
	wait_value("2", LIMIT, "select count(*) from hearth.snapshots "
	    "where status = 'ready'");
	check_folders(8);
}
END_TEST

START_TEST(a_one_shot_session_takes_its_snapshot_with_it)
{
	int64_t turn;

	want_snapshot();
	start("snapshot_interval=1h", NULL);
	wait_ready();
	turn = number("select hearth.submit_once('%s', 'fake', 'run test -f "
	    "made.txt')", project);
	wait_turn(turn, "completed", LIMIT);
	wait_value("removed", LIMIT, WORKTREE("status"));
	wait_value("claimed ready", LIMIT, SNAPSHOTS);
	check_folders(1);
	shell("! git -C %s branch | grep hearth/", project);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_new_worktree_is_set_up_once);
	tcase_add_test(tc, a_failed_setup_fails_the_turn_and_is_tried_again);
	tcase_add_test(tc, a_corrected_setup_command_is_the_one_that_is_run);
	tcase_add_test(tc,
	    a_setup_that_takes_too_long_is_ended_with_all_it_started);
	tcase_add_test(tc, what_a_setup_leaves_running_is_ended);
	tcase_add_test(tc, a_setup_that_was_cut_off_is_run_again);
	tcase_add_test(tc, a_turn_that_waits_for_a_setup_can_be_cancelled);
	tcase_add_test(tc, warming_sets_a_worktree_up_too);
	tcase_add_test(tc, ignored_files_are_copied_as_patterns_say);
	tcase_add_test(tc, nothing_from_outside_is_copied);
	tcase_add_test(tc, a_plain_folder_has_ignored_files_too);
	tcase_add_test(tc, a_session_begins_with_a_snapshot);
	tcase_add_test(tc, what_the_branch_has_more_comes_with_the_claim);
	tcase_add_test(tc, a_snapshot_follows_its_branch);
	tcase_add_test(tc,
	    a_snapshot_whose_setup_is_in_the_branchs_way_is_not_used);
	tcase_add_test(tc, snapshots_are_as_the_project_wants_them);
	tcase_add_test(tc, a_snapshot_that_cannot_be_prepared_says_why);
	tcase_add_test(tc, a_plain_folder_has_no_snapshots);
	tcase_add_test(tc, what_a_killed_daemon_left_half_prepared_goes);
	tcase_add_test(tc, snapshots_that_are_gone_from_the_disk_are_lost);
	tcase_add_test(tc, two_sessions_never_begin_with_the_same_snapshot);
	tcase_add_test(tc, a_one_shot_session_takes_its_snapshot_with_it);
}

int
main(void)
{
	return e2e_main("snapshots", add_tests);
}
