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
	wait_value("idle", LIMIT, STATUS, "fake", chat);
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
	add_agent("slow", "--new-delay", "700", "--exit-at-new", "3", NULL);
	warm(chat, "slow");
	wait_value("warming", LIMIT, STATUS, "slow", chat);
	turn = submit(chat, "slow", "say x");
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

static void
add_tests(TCase *tc)
{
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
