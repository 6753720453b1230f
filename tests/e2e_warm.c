/* SPDX-License-Identifier: MIT */
/*
 * Children before their prompt: asked for by warm() or hinted at by typing(),
 * seen at once, there for the turn that comes, and counted like all others.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define STATUS "select status from hearth.agent_sessions " \
	"where agent = '%s' and chat_id = '%s'"
#define ORIGINS "select string_agg(origin, ' ' order by id) " \
	"from hearth.executions"

static long long
warm(const char *in, const char *agent)
{
	return number("select hearth.warm('%s', '%s')", in, agent);
}

static void
wait_command(long long id, const char *what)
{
	wait_value(what, LIMIT, "select concat_ws('/', status, error_code) "
	    "from hearth.commands where id = %lld", id);
}

START_TEST(a_warmed_child_is_there_before_the_prompt)
{
	long long command;
	int64_t turn;
	pid_t pid;

	start(NULL);
	command = warm(chat, "fake");
	wait_command(command, "done");
	check_value("idle", STATUS, "fake", chat);
	pid = agent_pid(chat, "fake");
	check_true(pid > 0);
	/* its working copy, too */
	check_value("1", "select count(*) from hearth.worktrees");
	turn = complete(chat, "fake", "echo-turn;write new.txt x");
	ck_assert_str_eq(text_of(turn), "[turn 1]");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	check_true(agent_pid(chat, "fake") == pid);
	check_value("warmed", ORIGINS);
	check_value("new.txt", "select file_path from hearth.pending_changes");
	/* again: there is nothing to do */
	wait_command(warm(chat, "fake"), "done");
	check_value("warmed", ORIGINS);
}
END_TEST

START_TEST(warming_is_seen_while_the_child_starts)
{
	long long first, second;
	int64_t turn;

	start(NULL);
	add_agent("slow", "--new-delay", "1500", NULL);
	first = warm(chat, "slow");
	second = warm(chat, "slow");
	wait_value("warming", 1000, STATUS, "slow", chat);
	/* a turn that comes now waits for that child */
	turn = submit(chat, "slow", "say x");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	check_value("warmed", ORIGINS);
	wait_command(first, "done");
	wait_command(second, "done");
}
END_TEST

START_TEST(typing_starts_one_child)
{
	const char *other;
	int64_t turn;

	start(NULL);
	other = keep(xstrdup(new_chat(session_of(chat))));
	for (int i = 0; i < 30; i++)
		sql("select hearth.typing('%s', 'fake', 'ann')", chat);
	/* a hint may be lost: people go on typing */
	while (!comes_true(1000, "idle", STATUS, "fake", chat))
		sql("select hearth.typing('%s', 'fake', 'ann')", chat);
	sql("select hearth.typing('%s', 'fake', 'ann')", chat);
	wait_command(warm(other, "fake"), "done");
	check_value("warmed warmed", ORIGINS);
	check_value("1", "select count(*) from hearth.commands");
	turn = complete(chat, "fake", "say x");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
}
END_TEST

START_TEST(a_child_that_cannot_start_says_why)
{
	int64_t turn;

	start(NULL);
	add_agent("bad", "--exit-at-new", "3", NULL);
	wait_command(warm(chat, "bad"), "failed/agent_crashed");
	check_value("crashed", STATUS, "bad", chat);
	check_value("1", "select crash_count from hearth.agent_sessions");
	/* and so does a turn that waits for it */
	add_agent("slow", "--new-delay", "60000", NULL);
	warm(chat, "slow");
	wait_value("t", LIMIT, "select pid is not null "
	    "from hearth.agent_sessions where agent = 'slow'");
	turn = submit(chat, "slow", "say x");
	wait_turn(turn, "starting", LIMIT);
	kill(agent_pid(chat, "slow"), SIGKILL);
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_crashed");
	check_value("crashed", STATUS, "slow", chat);
	check_value("2", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(a_working_copy_that_cannot_be_made_is_told)
{
	long long command;

	start(NULL);
	sql("update hearth.projects set path = '/nonexistent'");
	command = warm(chat, "fake");
	wait_command(command, "failed/workspace_failed");
	check_has(value("select error from hearth.commands where id = %lld",
	    command), "/nonexistent");
	wait_value("closed", LIMIT, STATUS, "fake", chat);
}
END_TEST

START_TEST(working_children_are_not_pushed_out)
{
	const char *other, *third;
	int64_t turn;

	start("max_agents=1", NULL);
	sql("update hearth.sessions set concurrent_turns = true");
	other = keep(xstrdup(new_chat(session_of(chat))));
	third = keep(xstrdup(new_chat(session_of(chat))));
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	wait_command(warm(other, "fake"), "failed/no_room");
	sql("select hearth.typing('%s', 'fake', 'ann')", other);
	/* taken in order: the hint has been looked at by then */
	wait_command(warm(other, "fake"), "failed/no_room");
	check_value("0", "select count(*) from hearth.agent_sessions "
	    "where chat_id = '%s'", other);
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	/* an idle one is */
	wait_command(warm(third, "fake"), "done");
	wait_value("closed", LIMIT, STATUS, "fake", chat);
	check_value("idle", STATUS, "fake", third);
}
END_TEST

START_TEST(an_idle_warmed_child_is_retired)
{
	start("idle_timeout=300ms", NULL);
	wait_command(warm(chat, "fake"), "done");
	wait_value("closed/idle_timeout", LIMIT, "select status || '/' || "
	    "end_reason from hearth.agent_sessions");
}
END_TEST

START_TEST(a_warmed_child_is_told_what_it_has_lost)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say the cat is called Ada");
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("closed", LIMIT, STATUS, "fake", chat);
	wait_command(warm(chat, "fake"), "done");
	turn = complete(chat, "fake", "echo-turn;echo-blocks;echo-block 0");
	check_has(text_of(turn), "[turn 1][blocks 2]");
	check_has(text_of(turn), "the cat is called Ada");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	ck_assert_str_eq(turn_of(turn, "attempts"), "1");
	check_value("cold warmed", ORIGINS);
	turn = complete(chat, "fake", "echo-blocks");
	ck_assert_str_eq(text_of(turn), "[blocks 1]");
}
END_TEST

START_TEST(what_is_warmed_can_be_closed_and_refused)
{
	start(NULL);
	add_agent("slow", "--new-delay", "60000", NULL);
	long long command = warm(chat, "slow");

	wait_value("warming", LIMIT, STATUS, "slow", chat);
	sql("select hearth.close_agent('%s', 'slow')", chat);
	wait_command(command, "failed/closed");
	wait_value("closed", LIMIT, STATUS, "slow", chat);
	/* paused between the call and the daemon */
	stop();
	command = warm(chat, "fake");
	sql("update hearth.agents set paused = true where name = 'fake'");
	start(NULL);
	wait_command(command, "failed/paused");
	ck_assert_str_eq(sqlstate("select hearth.warm('%s', 'fake')", chat),
	    "55000");
}
END_TEST

START_TEST(the_client_warms)
{
	start(NULL);
	shell("'%s/hearth' -d '%s' warm %s fake | grep -q 'is warm'",
	    getenv("top_builddir"), db, chat);
	check_value("idle", STATUS, "fake", chat);
	shell("! '%s/hearth' -d '%s' warm %s nobody 2>/dev/null",
	    getenv("top_builddir"), db, chat);
}
END_TEST

START_TEST(the_one_that_is_typed_for_is_evicted_last)
{
	const char *second, *third;

	start("max_agents=2", NULL);
	second = keep(xstrdup(new_chat(session_of(chat))));
	third = keep(xstrdup(new_chat(session_of(chat))));
	wait_command(warm(chat, "fake"), "done");
	wait_command(warm(second, "fake"), "done");
	sql("select hearth.typing('%s', 'fake', 'ann')", chat);
	wait_command(warm(third, "fake"), "done");
	wait_value("closed", LIMIT, STATUS, "fake", second);
	check_value("idle", STATUS, "fake", chat);
	check_value("idle", STATUS, "fake", third);
}
END_TEST

START_TEST(what_is_warmed_can_be_reset_or_its_chat_closed)
{
	long long command;

	start(NULL);
	add_agent("slow", "--new-delay", "60000", NULL);
	wait_command(number("select hearth.reset_agent('%s', 'slow')", chat),
	    "done");
	check_value("closed", STATUS, "slow", chat);
	for (int i = 0; i < 5; i++) {
		command = warm(chat, "slow");
		sql("select hearth.reset_agent('%s', 'slow')", chat);
		wait_command(command, "failed/closed");
	}
	/* in one transaction: it is refused, or ended, but never left */
	command = number("with w as materialized (select hearth.warm('%s', "
	    "'fake') as id), c as materialized (select hearth.close_chat('%s') "
	    "from w) select w.id from w, c", chat, chat);
	wait_command(command, "failed/closed");
	wait_value("0", LIMIT, "select count(*) from hearth.agent_sessions "
	    "where status in ('warming', 'idle')");
}
END_TEST

/* ---- agents that are not kept warm */

START_TEST(a_child_that_is_not_kept_ends_with_its_turn)
{
	int64_t turn, next;
	pid_t pid;

	start(NULL);
	sql("update hearth.agents set warm = false where name = 'fake'");
	turn = submit(chat, "fake", "echo-turn;say x;sleep 300");
	next = submit(chat, "fake", "echo-turn;echo-block 0");
	wait_text(turn, "x");
	pid = agent_pid(chat, "fake");
	wait_turn(turn, "completed", LIMIT);
	wait_gone(pid, LIMIT);
	wait_turn(next, "completed", LIMIT);
	check_has(text_of(next), "[turn 1]");
	ck_assert_str_eq(turn_of(next, "warm"), "false");
	wait_value("closed", LIMIT, STATUS, "fake", chat);
	check_has(value("select end_reason from hearth.executions "
	    "where pid = %d", pid), "not kept warm");
	/* one that was asked for ends with its turn, too */
	wait_command(warm(chat, "fake"), "done");
	next = complete(chat, "fake", "say y");
	ck_assert_str_eq(turn_of(next, "warm"), "true");
	wait_value("closed", LIMIT, STATUS, "fake", chat);
	/* one that is there when the registry changes, likewise */
	sql("update hearth.agents set warm = true");
	complete(chat, "fake", "say z");
	sql("update hearth.agents set warm = false");
	next = complete(chat, "fake", "say z");
	ck_assert_str_eq(turn_of(next, "warm"), "true");
	wait_value("closed", LIMIT, STATUS, "fake", chat);
}
END_TEST

/* ---- one-shot sessions */

static int64_t
once(const char *script)
{
	return number("select hearth.submit_once('%s', 'fake', '%s')",
	    value("select name from hearth.projects"), script);
}

static void
check_ended(int64_t turn)
{
	const char *session = keep(xstrdup(turn_of(turn, "session_id")));

	wait_value("t", LIMIT, "select archived_at is not null "
	    "from hearth.sessions where id = '%s'", session);
	check_value("0", "select count(*) from hearth.agent_sessions "
	    "where session_id = '%s' and pid is not null", session);
	check_value("0", "select count(*) from hearth.worktrees "
	    "where session_id = '%s' and status <> 'removed'", session);
	shell("! ls -d '%s/worktrees/%s' 2>/dev/null", state, session);
	shell("! git -C '%s' branch --list 'hearth/%.8s*' | grep .", project,
	    session);
	shell("! git -C '%s' worktree list | grep %s", project, session);
}

START_TEST(a_one_shot_leaves_nothing_but_its_rows)
{
	int64_t turn;
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say another session stays");
	turn = once("write once.txt hello;echo-turn;say x;sleep 200");
	wait_text(turn, "x");
	pid = (pid_t)number("select pid from hearth.agent_sessions "
	    "where chat_id = '%s'", turn_of(turn, "chat_id"));
	wait_turn(turn, "completed", LIMIT);
	check_ended(turn);
	check_true(is_gone(pid));
	ck_assert_str_eq(text_of(turn), "[turn 1]x");
	check_has(value("select diff from hearth.pending_changes "
	    "where turn_id = %lld", (long long)turn), "+hello");
	check_value("1", "select count(*) from hearth.worktrees "
	    "where status = 'active'");
	check_value("t", "select archived_at is null from hearth.sessions "
	    "where id = '%s'", session_of(chat));
	ck_assert_str_eq(text_of(complete(chat, "fake", "echo-turn")),
	    "[turn 2]");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'x')",
	    turn_of(turn, "chat_id")), "55000");
}
END_TEST

START_TEST(a_one_shot_ends_however_its_turn_does)
{
	int64_t failed, cancelled, missed, turn;

	start(NULL);
	failed = once("write x.txt x;signal KILL");
	cancelled = once("write x.txt x;say x;hang");
	wait_turn(failed, "failed", LIMIT);
	wait_text(cancelled, "x");
	/* a second turn comes while the first is at work: both are done */
	turn = submit(turn_of(cancelled, "chat_id"), "fake", "say y");
	sql("select hearth.cancel(%lld)", (long long)cancelled);
	wait_turn(cancelled, "cancelled", LIMIT);
	wait_turn(turn, "completed", LIMIT);
	check_ended(failed);
	check_ended(turn);
	/* never claimed */
	sql("update hearth.agents set paused = true");
	missed = once("say x");
	sql("select hearth.cancel(%lld)", (long long)missed);
	wait_turn(missed, "cancelled", LIMIT);
	check_ended(missed);
}
END_TEST

START_TEST(a_one_shot_whose_daemon_died_is_tidied_up)
{
	int64_t turn;

	start(NULL);
	turn = once("write x.txt x;say x;hang");
	wait_text(turn, "x");
	daemon_crash();
	shell("ls '%s/worktrees/%s' >/dev/null", state,
	    turn_of(turn, "session_id"));
	start(NULL);
	wait_turn(turn, "interrupted", LIMIT);
	check_ended(turn);
}
END_TEST

START_TEST(what_lies_elsewhere_is_never_removed)
{
	const char *elsewhere;
	int64_t turn;

	start(NULL);
	elsewhere = keep(xasprintf("%s/elsewhere", folder));
	shell("mkdir -p '%s' && echo x > '%s/precious'", elsewhere, elsewhere);
	shell("chmod -R a+rwX '%s'", elsewhere);
	turn = once("say x;hang");
	wait_text(turn, "x");
	daemon_crash();
	sql("update hearth.worktrees set path = '%s'", elsewhere);
	expect_error("not removed");
	start(NULL);
	wait_value("t", LIMIT, "select archived_at is not null "
	    "from hearth.sessions where id = '%s'",
	    turn_of(turn, "session_id"));
	shell("grep -q x '%s/precious'", elsewhere);
	check_value("active", "select status from hearth.worktrees");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, the_client_warms);
	tcase_add_test(tc, the_one_that_is_typed_for_is_evicted_last);
	tcase_add_test(tc, what_is_warmed_can_be_reset_or_its_chat_closed);
	tcase_add_test(tc, a_child_that_is_not_kept_ends_with_its_turn);
	tcase_add_test(tc, a_one_shot_leaves_nothing_but_its_rows);
	tcase_add_test(tc, a_one_shot_ends_however_its_turn_does);
	tcase_add_test(tc, a_one_shot_whose_daemon_died_is_tidied_up);
	tcase_add_test(tc, what_lies_elsewhere_is_never_removed);
	tcase_add_test(tc, a_warmed_child_is_there_before_the_prompt);
	tcase_add_test(tc, warming_is_seen_while_the_child_starts);
	tcase_add_test(tc, typing_starts_one_child);
	tcase_add_test(tc, a_child_that_cannot_start_says_why);
	tcase_add_test(tc, a_working_copy_that_cannot_be_made_is_told);
	tcase_add_test(tc, working_children_are_not_pushed_out);
	tcase_add_test(tc, an_idle_warmed_child_is_retired);
	tcase_add_test(tc, a_warmed_child_is_told_what_it_has_lost);
	tcase_add_test(tc, what_is_warmed_can_be_closed_and_refused);
}

int
main(void)
{
	return e2e_main("warm", add_tests);
}
