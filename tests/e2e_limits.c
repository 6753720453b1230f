/* SPDX-License-Identifier: MIT */
/*
 * What ends or refuses a turn that neither the agent nor a person ends: limits
 * of time and number, and agents and projects that cannot be used. Each says
 * by name what it was.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- limits */

/* Times are the server's, less an age: a few ms of overlap mean nothing. */
#define OVERLAPS "select count(*) from hearth.turns a join hearth.turns b " \
	"on a.id < b.id where a.started_at < b.ended_at - interval '0.1 s' " \
	"and b.started_at < a.ended_at - interval '0.1 s'"

START_TEST(a_turn_over_its_limit_fails_and_names_it)
{
	int64_t turn, next;

	start("turn_timeout=400ms", "cancel_timeout=2s", NULL);
	turn = submit(chat, "fake", "say x; hang");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "turn_timeout");
	check_has(turn_of(turn, "error"), "turn_timeout (400 ms)");
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 2]");
}
END_TEST

START_TEST(a_turn_over_its_limit_that_ignores_the_cancel_is_killed)
{
	int64_t turn, next;

	start("turn_timeout=300ms", "cancel_timeout=300ms", NULL);
	turn = submit(chat, "fake", "on-cancel never; say x; hang; hang");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "turn_timeout");
	check_has(turn_of(turn, "error"), "turn_timeout (300 ms)");
	check_has(turn_of(turn, "error"), "cancel_timeout (300 ms)");
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
}
END_TEST

START_TEST(a_turn_in_silence_fails_and_names_the_limit)
{
	int64_t turn, next;

	start("silence_timeout=400ms", "cancel_timeout=2s", NULL);
	turn = submit(chat, "fake", "say x; hang");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "silence_timeout");
	check_has(turn_of(turn, "error"), "silence_timeout (400 ms)");
	next = complete(chat, "fake", "echo-turn; tool-start t execute make; "
	    "sleep 900; tool-end t");
	ck_assert_str_eq(text_of(next), "[turn 2]");
}
END_TEST

static void
check_start_timeout(const char *option)
{
	int64_t turn;
	pid_t pid;

	add_agent("silent", option, NULL);
	start("start_timeout=400ms", NULL);
	turn = submit(chat, "silent", "say x");
	wait_value("t", LIMIT, "select pid is not null from "
	    "hearth.executions");
	pid = (pid_t)number("select pid from hearth.executions");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "start_timeout");
	check_has(turn_of(turn, "error"), "start_timeout (400 ms)");
	ck_assert_str_eq(text_of(turn), "");
	wait_gone(pid, LIMIT);
	wait_value("crashed/start_timeout", LIMIT, "select status || '/' || "
	    "last_error_code from hearth.agent_sessions where pid is null");
}

START_TEST(an_agent_that_never_initializes_fails_its_turn)
{
	check_start_timeout("--no-init");
}
END_TEST

START_TEST(an_agent_that_never_opens_a_session_fails_its_turn)
{
	check_start_timeout("--no-new");
}
END_TEST

START_TEST(an_idle_child_is_retired_and_the_next_turn_is_cold)
{
	int64_t turn;
	pid_t pid;

	start("idle_timeout=300ms", NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	wait_gone(pid, LIMIT);
	wait_value("closed/idle_timeout", LIMIT, "select status || '/' || "
	    "end_reason from hearth.agent_sessions where pid is null");
	wait_value("idle_timeout", LIMIT, "select end_reason from "
	    "hearth.executions where ended_at is not null");
	check_value("0", "select count(*) from hearth.pool");
	turn = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 1]");
	ck_assert_str_eq(turn_of(turn, "warm"), "false");
	check_value("2", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(the_registry_may_keep_an_agent_longer_than_the_node)
{
	int64_t turn;

	prepare();
	add_agent("keeper", NULL);
	sql("update hearth.agents set idle_timeout = '1 hour' "
	    "where name = 'keeper'");
	start("idle_timeout=200ms", NULL);
	complete(chat, "keeper", "say x");
	complete(chat, "fake", "say x");
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where agent = 'fake'");
	turn = complete(chat, "keeper", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 2]");
}
END_TEST

START_TEST(the_least_recently_used_child_makes_room)
{
	const char *other;

	start("max_agents=1", NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "say x");
	complete(other, "fake", "say y");
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where chat_id = '%s'", chat);
	check_has(value("select end_reason from hearth.executions "
	    "where chat_id = '%s'", chat), "max_agents");
	check_value("1", "select count(*) from hearth.pool");
	complete(chat, "fake", "say z");
	check_value("3", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(a_child_that_a_queued_turn_waits_for_makes_room_last)
{
	const char *busy, *idle, *third;
	int64_t before, queued;

	start("max_agents=3", NULL);
	busy = new_chat(session_of(chat));
	idle = new_chat(new_session(project));
	third = new_chat(new_session(project));
	complete(chat, "fake", "say x");
	complete(idle, "fake", "say x");
	before = submit(busy, "fake", "say x; sleep 2000");
	wait_text(before, "x");
	queued = submit(chat, "fake", "echo-turn");
	complete(third, "fake", "say x");
	check_value("evicted: max_agents reached", "select end_reason from "
	    "hearth.executions where chat_id = '%s'", idle);
	wait_turn(queued, "completed", LIMIT);
	ck_assert_str_eq(text_of(queued), "[turn 2]");
}
END_TEST

START_TEST(a_turn_waits_for_room_when_all_children_work)
{
	const char *other;
	int64_t first, second;

	start("max_agents=1", NULL);
	other = new_chat(new_session(project));
	first = submit(chat, "fake", "say x; sleep 700");
	wait_text(first, "x");
	second = submit(other, "fake", "say y");
	wait_turn(first, "completed", LIMIT);
	wait_turn(second, "completed", LIMIT);
	check_value("0", OVERLAPS);
}
END_TEST

/* ---- what can't be done, and how it is told */

START_TEST(bad_requests_are_refused_with_a_state)
{
	const char *closed;

	prepare();
	closed = new_chat(session_of(chat));
	sql("select hearth.close_chat('%s')", closed);
	add_agent("off", NULL);
	sql("update hearth.agents set enabled = false where name = 'off'");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'off', 'x')",
	    chat), "55000");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'nobody', 'x')",
	    chat), "42704");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'x')",
	    closed), "55000");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', ' ')",
	    chat), "22023");
	ck_assert_str_eq(sqlstate("select hearth.submit("
	    "gen_random_uuid(), 'fake', 'x')"), "42704");
	ck_assert_str_eq(sqlstate("select hearth.open_session('nowhere')"),
	    "42704");
	check_value("0", "select count(*) from hearth.turns");
}
END_TEST

static void
check_unstartable(const char *code, const char *words)
{
	int64_t turn, next;

	start("start_timeout=5s", NULL);
	turn = submit(chat, "bad", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), code);
	check_has(turn_of(turn, "error"), words);
	ck_assert_str_eq(turn_of(turn, "stop_reason is null"), "true");
	wait_value("crashed", LIMIT, "select status from "
	    "hearth.agent_sessions where pid is null");
	next = complete(chat, "fake", "say others work");
	ck_assert_str_eq(turn_of(next, "status"), "completed");
}

START_TEST(a_command_that_does_not_exist_is_named)
{
	add_command("bad", "no-such-agent-program", NULL);
	check_unstartable("agent_missing", "no-such-agent-program");
}
END_TEST

START_TEST(a_command_that_may_not_be_run_is_named)
{
	add_command("bad", "/etc/passwd", NULL);
	check_unstartable("agent_missing", "/etc/passwd");
}
END_TEST

START_TEST(a_program_that_echoes_is_no_agent)
{
	add_command("bad", "/bin/cat", NULL);
	check_unstartable("not_acp", "ACP");
}
END_TEST

START_TEST(a_program_that_talks_and_waits_is_no_agent)
{
	add_command("bad", "/bin/sh", "-c", "echo Welcome to the shell; "
	    "sleep 100", NULL);
	start("start_timeout=500ms", NULL);
	wait_turn(submit(chat, "bad", "say x"), "failed", LIMIT);
	check_has(value("select error from hearth.turns"),
	    "Welcome to the shell");
	check_has(value("select error from hearth.turns"), "start_timeout");
}
END_TEST

START_TEST(a_program_that_floods_text_is_no_agent)
{
	add_command("bad", "/bin/sh", "-c", "yes usage: prog; sleep 100",
	    NULL);
	check_unstartable("not_acp", "usage: prog");
}
END_TEST

START_TEST(a_login_that_is_missing_is_told)
{
	add_agent("bad", "--auth-new", NULL);
	check_unstartable("auth_required", "Authentication required");
}
END_TEST

START_TEST(another_protocol_version_is_told)
{
	add_agent("bad", "--version", "2", NULL);
	check_unstartable("protocol_version", "version 2");
}
END_TEST

START_TEST(a_missing_project_folder_fails_the_turn)
{
	int64_t turn;
	const char *lost;

	prepare();
	shell("mkdir %s/lost", folder);
	lost = new_chat(new_session(keep(xasprintf("%s/lost",
	    folder))));
	shell("rmdir %s/lost", folder);
	start(NULL);
	turn = submit(lost, "fake", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "workspace_failed");
	/* no child was ever started, so none has crashed */
	check_value("closed", "select a.status from hearth.agent_sessions a "
	    "join hearth.turns t using (chat_id, agent) where t.id = %lld",
	    (long long)turn);
	check_has(turn_of(turn, "error"), "/lost");
	check_has(turn_of(turn, "error"), "no such folder");
	check_value("0", "select count(*) from hearth.executions");
	shell("mkdir %s/lost", folder);
	complete(lost, "fake", "say there");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_turn_over_its_limit_fails_and_names_it);
	tcase_add_test(tc,
	    a_turn_over_its_limit_that_ignores_the_cancel_is_killed);
	tcase_add_test(tc, a_turn_in_silence_fails_and_names_the_limit);
	tcase_add_test(tc, an_agent_that_never_initializes_fails_its_turn);
	tcase_add_test(tc, an_agent_that_never_opens_a_session_fails_its_turn);
	tcase_add_test(tc, an_idle_child_is_retired_and_the_next_turn_is_cold);
	tcase_add_test(tc, the_registry_may_keep_an_agent_longer_than_the_node);
	tcase_add_test(tc, the_least_recently_used_child_makes_room);
	tcase_add_test(tc,
	    a_child_that_a_queued_turn_waits_for_makes_room_last);
	tcase_add_test(tc, a_turn_waits_for_room_when_all_children_work);
	tcase_add_test(tc, bad_requests_are_refused_with_a_state);
	tcase_add_test(tc, a_command_that_does_not_exist_is_named);
	tcase_add_test(tc, a_command_that_may_not_be_run_is_named);
	tcase_add_test(tc, a_program_that_echoes_is_no_agent);
	tcase_add_test(tc, a_program_that_talks_and_waits_is_no_agent);
	tcase_add_test(tc, a_program_that_floods_text_is_no_agent);
	tcase_add_test(tc, a_login_that_is_missing_is_told);
	tcase_add_test(tc, another_protocol_version_is_told);
	tcase_add_test(tc, a_missing_project_folder_fails_the_turn);
}

int
main(void)
{
	return e2e_main("limits", add_tests);
}
