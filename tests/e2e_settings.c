/* SPDX-License-Identifier: MIT */
/*
 * Models, modes and options: set with a turn or by a command, kept for later
 * children, refused with words where an agent does not offer them.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

#define SEAT(columns) "select " columns " from hearth.agent_sessions"

static int64_t
submit_with(const char *agent, const char *model, const char *mode,
    const char *script)
{
	return number("select hearth.submit('%s', '%s', $$%s$$, model => %s, "
	    "mode_id => %s)", chat, agent, script, model, mode);
}

static const char *
end_of_command(long long command)
{
	wait_value("true", LIMIT, "select (ended_at is not null)::text "
	    "from hearth.commands where id = %lld", command);
	return value("select concat_ws(' ', status, error_code, error) "
	    "from hearth.commands where id = %lld", command);
}

static void
close_child(const char *agent)
{
	sql("select hearth.close_agent('%s', '%s')", chat, agent);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null and agent = '%s'",
	    agent);
}

/* Its sessions are files, so that its next child finds them. */
static void
add_keeper(void)
{
	const char *store = keep(xasprintf("%s/sessions", folder));

	shell("mkdir -p -m 0777 '%s'", store);
	add_agent("keeper", "--store", store, "--resume", NULL);
}

START_TEST(a_turn_gets_the_model_and_mode_it_asks_for)
{
	int64_t turn;

	start(NULL);
	/* cold */
	turn = submit_with("fake", "'large'", "'ask'",
	    "echo-config;echo-mode");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[config large][mode ask]");
	check_value("large ask", SEAT("model || ' ' || mode_id"));
	check_value("large", SEAT("offers #>> "
	    "'{configOptions,0,currentValue}'"));
	/* warm, by the short way */
	turn = submit_with("fake", "'small'", "null", "echo-config;echo-mode");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	ck_assert_str_eq(text_of(turn), "[config small][mode ask]");
	check_value("small", SEAT("model"));
	/* as it is */
	turn = complete(chat, "fake", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config small][mode ask]");
	/* and in the next child */
	close_child("fake");
	turn = complete(chat, "fake", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config small][mode ask]");
	check_value("{\"mode\": \"ask\", \"model\": \"small\"}",
	    SEAT("wanted::text"));
	check_value("2", "select count(*) from hearth.events "
	    "where kind = 'turn_started' and payload ->> 'model' is not null");
}
END_TEST

/* However the next child came to its session, it begins with its defaults. */
START_TEST(a_reopened_session_gets_what_was_set)
{
	static const char *const ways[] = { "--resume", "--load" };
	int64_t turn;

	start(NULL);
	add_agent("keeper", ways[_i], NULL);
	wait_turn(submit_with("keeper", "'large'", "'ask'", "say x"),
	    "completed", LIMIT);
	close_child("keeper");
	turn = complete(chat, "keeper", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config large][mode ask]");
	check_value(ways[_i] + 2, SEAT("resumed_by"));
}
END_TEST

START_TEST(what_an_agent_does_not_offer_fails_the_turn)
{
	int64_t turn;

	start(NULL);
	for (int i = 0; i < 2; i++) { /* cold, warm */
		turn = submit_with("fake", "'huge'", "null", "say x");
		wait_turn(turn, "failed", LIMIT);
		ck_assert_str_eq(turn_of(turn, "error_code"), "unsupported");
		check_has(turn_of(turn, "error"),
		    "no model \"huge\"; it has: small, large");
		turn = complete(chat, "fake", "echo-config");
		ck_assert_str_eq(text_of(turn), "[config small]");
	}
	add_agent("plain", "--no-offers", NULL);
	turn = submit_with("plain", "null", "'ask'", "say x");
	wait_turn(turn, "failed", LIMIT);
	check_has(turn_of(turn, "error"), "offers no choice of mode");
	check_value("0", "select count(*) from hearth.agent_sessions "
	    "where wanted is not null");
}
END_TEST

START_TEST(a_command_sets_an_idle_agents_mode_at_once)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say x");
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.set_mode('%s', 'fake', 'ask')", chat)), "done");
	check_value("ask", SEAT("mode_id"));
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.set_config_option('%s', 'fake', 'model', '\"large\"')",
	    chat)), "done");
	check_value("large", SEAT("model"));
	check_has(end_of_command(number("select "
	    "hearth.set_mode('%s', 'fake', 'fly')", chat)),
	    "failed unsupported the agent has no mode \"fly\"");
	turn = complete(chat, "fake", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config large][mode ask]");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	/* each change is said once */
	check_value("config mode", "select string_agg(kind, ' ' order by kind) "
	    "from hearth.events where kind in ('config', 'mode')");
}
END_TEST

START_TEST(a_command_waits_for_the_end_of_a_turn)
{
	long long command;
	int64_t turn, next;

	start(NULL);
	turn = submit(chat, "fake", "say begun;sleep 300;echo-mode");
	wait_text(turn, "begun");
	command = number("select hearth.set_mode('%s', 'fake', 'ask')", chat);
	next = submit(chat, "fake", "echo-mode");
	ck_assert_str_eq(end_of_command(command), "done");
	wait_turn(next, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "begun[mode code]");
	ck_assert_str_eq(text_of(next), "[mode ask]");
}
END_TEST

START_TEST(what_is_set_without_a_child_holds_for_the_first)
{
	int64_t turn;

	start(NULL);
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.set_config_option('%s', 'fake', 'model', '\"large\"')",
	    chat)), "done");
	/* and what it does not take stays as it is */
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.set_mode('%s', 'fake', 'fly')", chat)), "done");
	turn = complete(chat, "fake", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config large][mode code]");
	wait_log("what was set before is not set: the agent has no mode");
}
END_TEST

START_TEST(old_models_are_set_the_old_way)
{
	int64_t turn;

	start(NULL);
	add_agent("old", "--legacy-models", NULL);
	turn = submit_with("old", "'large'", "null", "echo-config");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[config large]");
	check_value("large", SEAT("model"));
}
END_TEST

START_TEST(an_agent_that_does_not_answer_fails_the_turn)
{
	int64_t turn;

	start("start_timeout=700ms", NULL);
	add_agent("deaf", "--no-set", NULL);
	turn = submit_with("deaf", "'large'", "null", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "start_timeout");
	check_has(turn_of(turn, "error"),
	    "no answer to session/set_config_option");
	complete(chat, "deaf", "say y");
}
END_TEST

START_TEST(a_reset_agent_begins_anew)
{
	int64_t turn;

	start(NULL);
	add_keeper();
	complete(chat, "keeper", "say one");
	sql("select hearth.reset_agent('%s', 'keeper')", chat);
	wait_value("closed", LIMIT, SEAT("status") " where pid is null");
	turn = complete(chat, "keeper", "echo-turn;echo-blocks");
	ck_assert_str_eq(text_of(turn), "[turn 1][blocks 1]");
	check_value("new", SEAT("resumed_by"));
}
END_TEST

/* Its claim reads nothing before it is forgotten. */
START_TEST(a_turn_behind_a_reset_begins_anew)
{
	int64_t turn;

	start(NULL);
	add_keeper();
	complete(chat, "keeper", "say one");
	for (int i = 0; i < 6; i++) {
		/* with a child, and without one */
		if (i % 2 == 1)
			close_child("keeper");
		turn = number("with r as materialized (select "
		    "hearth.reset_agent('%s', 'keeper')) select hearth.submit("
		    "'%s', 'keeper', 'echo-turn') from r", chat, chat);
		wait_turn(turn, "completed", LIMIT);
		ck_assert_str_eq(text_of(turn), "[turn 1]");
	}
}
END_TEST

/* It waits for the working copy, and there is no child yet. */
START_TEST(so_does_one_that_was_claimed_before)
{
	int64_t turn;
	int lock;

	start(NULL);
	add_keeper();
	complete(chat, "keeper", "say one");
	close_child("keeper");
	shell("echo x > '%s/x'", value("select path from hearth.worktrees"));
	lock = hold_copy(session_of(chat));
	turn = submit(chat, "keeper", "echo-turn");
	wait_turn(turn, "starting", LIMIT);
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.reset_agent('%s', 'keeper')", chat)), "done");
	close(lock);
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[turn 1]");
}
END_TEST

START_TEST(an_agent_that_is_warmed_behind_a_reset_begins_anew)
{
	start(NULL);
	add_keeper();
	complete(chat, "keeper", "say one");
	close_child("keeper");
	ck_assert_str_eq(end_of_command(number("with r as materialized "
	    "(select hearth.reset_agent('%s', 'keeper')) "
	    "select hearth.warm('%s', 'keeper') from r", chat, chat)), "done");
	ck_assert_str_eq(text_of(complete(chat, "keeper", "echo-turn")),
	    "[turn 1]");
}
END_TEST

/* ---- what a new child is asked for */

/* An answer too many would be taken for the answer to what comes next. */
START_TEST(a_cold_turn_asks_for_each_setting_once)
{
	const char *wire;
	int64_t turn;
	int n = 0;

	prepare();
	wire = keep(xasprintf("%s/wire", folder));
	add_agent("wired", "--wire-log", wire, NULL);
	start(NULL);
	turn = submit_with("wired", "'large'", "null", "echo-config");
	wait_turn(turn, "completed", LIMIT);
	for (const char *p = file_text("%s", wire);
	    (p = strstr(p, "\"session/set_config_option\"")) != NULL; p++)
		n++;
	ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(a_cold_turn_whose_mode_is_refused_fails)
{
	int64_t turn;

	start(NULL);
	add_agent("strict", "--refuse-mode", NULL);
	turn = submit_with("strict", "'large'", "'ask'", "say ran anyway");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "unsupported");
	check_has(turn_of(turn, "error"), "this mode is forbidden");
	ck_assert_str_eq(text_of(turn), "");
	check_value("null", SEAT("coalesce(wanted, 'null')::text"));
}
END_TEST

/* Its turn waits for the working copy, and there is no child yet. */
START_TEST(a_mode_set_before_there_is_a_child_is_set)
{
	long long command;
	int64_t turn;
	int lock;

	start(NULL);
	lock = hold_copy(session_of(chat));
	turn = submit(chat, "fake", "echo-mode");
	wait_turn(turn, "starting", LIMIT);
	command = number("select hearth.set_mode('%s', 'fake', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	close(lock);
	ck_assert_str_eq(end_of_command(command), "done");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[mode ask]");
}
END_TEST

START_TEST(so_is_one_set_before_a_child_that_is_warmed)
{
	long long command;
	int64_t turn;
	int lock;

	start(NULL);
	lock = hold_copy(session_of(chat));
	sql("select hearth.warm('%s', 'fake')", chat);
	wait_value("warming", LIMIT, SEAT("status"));
	command = number("select hearth.set_mode('%s', 'fake', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	close(lock);
	ck_assert_str_eq(end_of_command(command), "done");
	turn = complete(chat, "fake", "echo-mode");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	ck_assert_str_eq(text_of(turn), "[mode ask]");
}
END_TEST

START_TEST(a_mode_set_before_a_start_that_is_cancelled_is_kept)
{
	long long command;
	int64_t turn;
	int lock;

	start(NULL);
	lock = hold_copy(session_of(chat));
	turn = submit(chat, "fake", "echo-mode");
	wait_turn(turn, "starting", LIMIT);
	command = number("select hearth.set_mode('%s', 'fake', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	sql("select hearth.cancel(%lld)", (long long)turn);
	close(lock);
	ck_assert_str_eq(end_of_command(command), "done");
	wait_turn(turn, "cancelled", LIMIT);
	turn = complete(chat, "fake", "echo-mode");
	ck_assert_str_eq(text_of(turn), "[mode ask]");
}
END_TEST

START_TEST(warm_is_answered_while_a_mode_is_set)
{
	long long command, mode;

	start(NULL);
	add_agent("slow", "--set-delay", "500", NULL);
	complete(chat, "slow", "say x");
	mode = number("select hearth.set_mode('%s', 'slow', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", mode);
	command = number("select hearth.warm('%s', 'slow')", chat);
	ck_assert_str_eq(end_of_command(mode), "done");
	ck_assert_str_eq(end_of_command(command), "done");
}
END_TEST

/* ---- a setting that its agent does not survive */

START_TEST(a_mode_that_kills_its_agent_is_not_kept)
{
	start(NULL);
	add_agent("weak", "--exit-at-set", "3", NULL);
	complete(chat, "weak", "say x");
	ck_assert_str_eq(end_of_command(number("select "
	    "hearth.set_mode('%s', 'weak', 'ask')", chat)),
	    "failed agent_crashed agent exited with code 3 when its settings "
	    "were made");
	check_value("null", SEAT("coalesce(wanted, 'null')::text"));
	complete(chat, "weak", "say y");
}
END_TEST

START_TEST(a_turn_whose_mode_kills_its_agent_fails)
{
	int64_t turn;

	start(NULL);
	add_agent("weak", "--exit-at-set", "3", NULL);
	turn = submit_with("weak", "null", "'ask'", "say y");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_crashed");
	ck_assert_str_eq(turn_of(turn, "attempts"), "1");
	complete(chat, "weak", "say z");
}
END_TEST

/* Which the agent took once, and does not any more. */
START_TEST(settings_that_no_new_child_survives_are_forgotten)
{
	static const char *const fatal[] = { "--exit-at-set,3",
		"--no-set" };
	int64_t turn;

	start("start_timeout=700ms", NULL);
	add_agent("aged", NULL);
	turn = submit_with("aged", "'large'", "'ask'", "say x");
	wait_turn(turn, "completed", LIMIT);
	sql("update hearth.agents set command = command || '{%s}'::text[] "
	    "where name = 'aged'", fatal[_i]);
	turn = submit(chat, "aged", "say y");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "settings_failed");
	turn = complete(chat, "aged", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config small][mode code]");
	check_value("null", SEAT("coalesce(wanted, 'null')::text"));
}
END_TEST

START_TEST(a_reset_agent_begins_with_its_defaults)
{
	int64_t turn;

	start(NULL);
	turn = submit_with("fake", "'large'", "'ask'", "say x");
	wait_turn(turn, "completed", LIMIT);
	sql("select hearth.reset_agent('%s', 'fake')", chat);
	wait_value("closed", LIMIT, SEAT("status") " where pid is null");
	turn = complete(chat, "fake", "echo-config;echo-mode");
	ck_assert_str_eq(text_of(turn), "[config small][mode code]");
}
END_TEST

/* What was asked of the child of before is asked of its successor again, whose
 * first answers are about other things. */
START_TEST(a_successor_is_asked_for_what_its_predecessor_left_open)
{
	long long command;
	int64_t turn;

	start(NULL);
	add_agent("slow", "--set-delay", "1500", NULL);
	turn = submit_with("slow", "'large'", "null", "say x");
	wait_turn(turn, "completed", LIMIT);
	command = number("select hearth.set_mode('%s', 'slow', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	sql("update hearth.agents set command = command || '--crlf'::text "
	    "where name = 'slow'");
	turn = submit(chat, "slow", "echo-config;echo-mode");
	ck_assert_str_eq(end_of_command(command), "done");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[config large][mode ask]");
}
END_TEST

/* The child of before ends while its successor is asked. */
START_TEST(a_late_end_does_not_answer_for_the_successor)
{
	long long command;

	start("start_timeout=5s", NULL);
	add_agent("slow", "--no-eof", "--ignore-term", NULL);
	complete(chat, "slow", "say x");
	sql("update hearth.agents set command = command || '--no-set'::text "
	    "where name = 'slow'");
	complete(chat, "slow", "say y");
	command = number("select hearth.set_mode('%s', 'slow', 'ask')", chat);
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	/* it lives yet */
	check_value("2", "select count(*) from hearth.executions "
	    "where ended_at is null");
	check_has(end_of_command(command), "failed start_timeout");
	check_value("null", SEAT("coalesce(wanted, 'null')::text"));
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_test(tc, a_turn_gets_the_model_and_mode_it_asks_for);
	tcase_add_loop_test(tc, a_reopened_session_gets_what_was_set, 0, 2);
	tcase_add_test(tc, what_an_agent_does_not_offer_fails_the_turn);
	tcase_add_test(tc, a_command_sets_an_idle_agents_mode_at_once);
	tcase_add_test(tc, a_command_waits_for_the_end_of_a_turn);
	tcase_add_test(tc, what_is_set_without_a_child_holds_for_the_first);
	tcase_add_test(tc, old_models_are_set_the_old_way);
	tcase_add_test(tc, an_agent_that_does_not_answer_fails_the_turn);
	tcase_add_test(tc, a_reset_agent_begins_anew);
	tcase_add_test(tc, a_turn_behind_a_reset_begins_anew);
	tcase_add_test(tc, so_does_one_that_was_claimed_before);
	tcase_add_test(tc, an_agent_that_is_warmed_behind_a_reset_begins_anew);
	tcase_add_test(tc, a_reset_agent_begins_with_its_defaults);
	tcase_add_test(tc, a_cold_turn_asks_for_each_setting_once);
	tcase_add_test(tc, a_cold_turn_whose_mode_is_refused_fails);
	tcase_add_test(tc, a_mode_set_before_there_is_a_child_is_set);
	tcase_add_test(tc, so_is_one_set_before_a_child_that_is_warmed);
	tcase_add_test(tc,
	    a_mode_set_before_a_start_that_is_cancelled_is_kept);
	tcase_add_test(tc, warm_is_answered_while_a_mode_is_set);
	tcase_add_test(tc, a_mode_that_kills_its_agent_is_not_kept);
	tcase_add_test(tc, a_turn_whose_mode_kills_its_agent_fails);
	tcase_add_loop_test(tc,
	    settings_that_no_new_child_survives_are_forgotten, 0, 2);
	tcase_add_test(tc, a_late_end_does_not_answer_for_the_successor);
	tcase_add_test(tc, a_successor_is_asked_for_what_its_predecessor_left_open);
}

int
main(void)
{
	return e2e_main("settings", add);
}
