/* SPDX-License-Identifier: MIT */
/*
 * What an agent knows of its conversation after its child has ended, in each
 * of the ways in which a child can end: it reopens its session, or it is told
 * from the record, and the chat says which.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define HOW "select resumed_by from hearth.agent_sessions where agent = '%s'"
/* The newest event that says how a child came to the conversation. */
#define SAID(columns) "select " columns " from hearth.events where kind = " \
	"'agent_status' order by seq desc limit 1"

/* An agent whose sessions are files, so that its next child finds them. */
static void
add_keeper(const char *name, const char *how, const char *more)
{
	const char *store = keep(xasprintf("%s/sessions", folder));

	shell("mkdir -p -m 0777 '%s'", store);
	add_agent(name, "--store", store, how, more, NULL);
}

static void
kill_child(const char *agent)
{
	pid_t pid = agent_pid(chat, agent);

	check_true(pid > 0);
	kill(pid, SIGKILL);
	wait_value("crashed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null and agent = '%s'",
	    agent);
}

static void
close_child(const char *agent)
{
	sql("select hearth.close_agent('%s', '%s')", chat, agent);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null and agent = '%s'",
	    agent);
}

static void
restart_daemon(const char *agent)
{
	(void)agent;
	stop();
	start(NULL);
}

static void
crash_daemon(const char *agent)
{
	(void)agent;
	daemon_crash();
	start(NULL);
}

static void (*const ends[])(const char *agent) = {
	kill_child, close_child, restart_daemon, crash_daemon
};

START_TEST(a_session_is_resumed_however_its_child_ended)
{
	const char *id;
	int64_t turn;

	start(NULL);
	add_keeper("keeper", "--resume", NULL);
	complete(chat, "keeper", "say one");
	check_value("new", HOW, "keeper");
	check_value("0", "select count(*) from hearth.events "
	    "where kind = 'agent_status'");
	id = keep(xstrdup(value("select agent_session_id "
	    "from hearth.agent_sessions")));
	ends[_i]("keeper");
	turn = complete(chat, "keeper", "echo-turn;echo-blocks;echo-session");
	check_has(text_of(turn), "[turn 2][blocks 1]");
	check_has(text_of(turn), id);
	check_value("resume", HOW, "keeper");
	check_value(id, "select agent_session_id from hearth.agent_sessions");
	check_value("{\"resumed_by\": \"resume\"}", SAID("payload::text"));
}
END_TEST

START_TEST(a_loaded_session_is_not_recorded_twice)
{
	int64_t turn;

	start(NULL);
	add_keeper("keeper", "--load", NULL);
	complete(chat, "keeper", "say one");
	ends[_i]("keeper");
	turn = complete(chat, "keeper", "echo-turn;echo-blocks");
	ck_assert_str_eq(text_of(turn), "[turn 2][blocks 1]");
	check_value("load", HOW, "keeper");
	check_value("0", "select count(*) from hearth.events "
	    "where payload::text like '%%answer 1%%'");
	check_value("one[turn 2][blocks 1]", "select string_agg("
	    "payload ->> 'text', '' order by seq) from hearth.events "
	    "where kind = 'text'");
}
END_TEST

START_TEST(an_agent_that_forgets_is_told_from_the_record)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say the cat is called Ada");
	ends[_i]("fake");
	turn = complete(chat, "fake", "echo-turn;echo-blocks;echo-block 0");
	check_has(text_of(turn), "[turn 1][blocks 2]");
	check_has(text_of(turn), "<message from=\"user\">\n"
	    "say the cat is called Ada\n</message>\n"
	    "<message from=\"fake\">\nthe cat is called Ada\n</message>");
	check_value("replay", HOW, "fake");
	check_value("replay/2/0/the agent cannot reopen conversations",
	    SAID("concat_ws('/', payload ->> 'resumed_by', "
	    "payload ->> 'messages', payload ->> 'omitted', "
	    "payload ->> 'reason')"));
	/* what the user said is what is recorded */
	check_value("1", "select jsonb_array_length(payload -> 'prompt') "
	    "from hearth.events where kind = 'turn_started' "
	    "order by seq desc limit 1");
	/* once is enough */
	turn = complete(chat, "fake", "echo-blocks");
	ck_assert_str_eq(text_of(turn), "[blocks 1]");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
}
END_TEST

START_TEST(a_lost_session_is_replaced)
{
	int64_t turn;

	start(NULL);
	add_keeper("keeper", "--resume", NULL);
	complete(chat, "keeper", "say remember me");
	close_child("keeper");
	shell("rm '%s'/sessions/*", folder);
	turn = complete(chat, "keeper", "echo-turn;echo-block 0");
	check_has(text_of(turn), "[turn 1]");
	check_has(text_of(turn), "remember me");
	check_value("replay", HOW, "keeper");
	check_has(value(SAID("payload ->> 'reason'")), "not found");
}
END_TEST

/* What agents say of a session that they do not have: no two say the same. */
static const struct {
	const char *code, *words;
} losses[] = {
	{ "-32002", "Resource not found: session" },
	{ "-32001", "Unknown session" },
	{ "-32602", "Invalid params" },
	{ "-32603", "Invalid session identifier" },
	{ "-32603", "No previous sessions found for this project" },
	{ "-32000", "Session not found" },
	{ "-32601", "Method not found" },
};

START_TEST(a_session_that_is_lost_in_a_restart_is_told_from_the_record)
{
	int64_t turn;

	start(NULL);
	for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
		char *name = xasprintf("loser%zu", i);

		add_agent(name, i % 2 ? "--load" : "--resume",
		    "--session-lost", losses[i].code, "--lost-words",
		    losses[i].words, NULL);
		complete(chat, name, "say remember me %zu", i);
		free(name);
	}
	daemon_crash();
	start(NULL);
	for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
		char *name = xasprintf("loser%zu", i);
		char *said = xasprintf("remember me %zu", i);

		turn = complete(chat, name, "echo-turn;echo-block 0");
		check_has(text_of(turn), "[turn 1]");
		check_has(text_of(turn), said);
		check_value("replay", HOW, name);
		check_value(losses[i].words, SAID("payload ->> 'reason'"));
		free(name);
		free(said);
	}
}
END_TEST

/* As gemini does; the answer to session/load is no sign of its end. */
START_TEST(a_replay_after_the_answer_is_not_recorded)
{
	int64_t turn;

	start(NULL);
	shell("mkdir -m 0777 %s/sessions", folder);
	add_agent("late", "--store", keep(xasprintf("%s/sessions", folder)),
	    "--load", "--replay-late", "60", "--replay", "3", NULL);
	complete(chat, "late", "say one");
	ends[_i]("late");
	turn = complete(chat, "late", "say two;echo-turn");
	ck_assert_str_eq(text_of(turn), "two[turn 2]");
	check_value("load", HOW, "late");
	check_value("one|two[turn 2]", "select string_agg(t, '|' order by n) "
	    "from (select turn_id as n, string_agg(payload ->> 'text', '' "
	    "order by seq) as t from hearth.events where kind = 'text' "
	    "group by turn_id) s");
}
END_TEST

/* It may be there tomorrow; but a user must not be stuck with it. */
START_TEST(a_session_that_is_broken_is_given_up_at_the_second_try)
{
	int64_t turn;

	start(NULL);
	add_agent("broken", "--resume", "--session-lost", "-32603",
	    "--lost-words", "The disk is full", NULL);
	complete(chat, "broken", "say remember me");
	check_value("0", "select crash_count from hearth.agent_sessions");
	close_child("broken");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "resume_failed");
	check_has(turn_of(turn, "error"),
	    "session/resume failed: The disk is full");
	turn = complete(chat, "broken", "echo-block 0");
	check_has(text_of(turn), "remember me");
	check_value("replay", HOW, "broken");
	check_value("The disk is full", SAID("payload ->> 'reason'"));
	/* the next one is tried again */
	close_child("broken");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "resume_failed");
}
END_TEST

START_TEST(so_is_one_that_its_agent_does_not_survive)
{
	static const char *const deadly[] = { "--exit-at-reopen",
		"--no-reopen" };
	int64_t turn;

	start("start_timeout=700ms", NULL);
	add_agent("broken", "--load", deadly[_i], _i == 0 ? "3" : NULL, NULL);
	complete(chat, "broken", "say remember me");
	close_child("broken");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "resume_failed");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "session_lost");
	turn = complete(chat, "broken", "echo-block 0");
	check_has(text_of(turn), "remember me");
	check_value("replay", HOW, "broken");
}
END_TEST

/* Also when hearthd has forgotten of it. */
START_TEST(a_success_ends_the_memory_of_a_failure_to_reopen)
{
	int64_t turn;

	start(NULL);
	add_agent("broken", "--resume", "--session-lost", "-32603",
	    "--lost-words", "The disk is full", NULL);
	complete(chat, "broken", "say remember me");
	close_child("broken");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	restart_daemon("broken");
	complete(chat, "broken", "say a success");
	check_value("0", "select crash_count from hearth.agent_sessions");
	close_child("broken");
	turn = submit(chat, "broken", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "resume_failed");
}
END_TEST

START_TEST(a_login_that_ran_out_is_no_lost_session)
{
	int64_t turn;

	start(NULL);
	add_agent("logout", "--resume", "--session-lost", "-32000",
	    "--lost-words", "Authentication required", NULL);
	complete(chat, "logout", "say x");
	close_child("logout");
	turn = submit(chat, "logout", "say y");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "auth_required");
	check_has(turn_of(turn, "error"), "log in");
}
END_TEST

START_TEST(a_long_record_is_cut_at_its_old_end)
{
	int64_t turn;
	char *said;

	start(NULL);
	complete(chat, "fake", "say in the beginning");
	for (int i = 0; i < 9; i++)
		complete(chat, "fake", "chunks 10 2000");
	complete(chat, "fake", "say at the end");
	close_child("fake");
	turn = complete(chat, "fake", "echo-block 0");
	said = xstrdup(text_of(turn));
	check_has(said, "at the end");
	check_has(said, "are left out");
	check_has(said, "[…]");
	check_true(strstr(said, "in the beginning") == NULL);
	check_true(strlen(said) < 90 * 1024);
	check_value("true", SAID("((payload ->> 'omitted')::int > 4 and "
	    "(payload ->> 'omitted')::int + (payload ->> 'messages')::int "
	    "= 22)::text"));
	free(said);
}
END_TEST

START_TEST(a_changed_agent_keeps_its_conversation)
{
	int64_t turn;

	start(NULL);
	add_keeper("keeper", "--resume", NULL);
	complete(chat, "keeper", "say one");
	sql("update hearth.agents set env = '{\"TONE\": \"blue\"}' "
	    "where name = 'keeper'");
	turn = complete(chat, "keeper", "echo-turn;echo-env TONE");
	ck_assert_str_eq(text_of(turn), "[turn 2][env TONE=blue]");
	check_value("resume", HOW, "keeper");
}
END_TEST

START_TEST(an_idle_child_comes_back_with_what_it_knew)
{
	int64_t turn;

	start("idle_timeout=200ms", NULL);
	add_keeper("keeper", "--load", NULL);
	complete(chat, "keeper", "say one");
	wait_value("closed/idle_timeout", LIMIT, "select status || '/' || "
	    "end_reason from hearth.agent_sessions where pid is null");
	turn = complete(chat, "keeper", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 2]");
}
END_TEST

static void
add(TCase *tc)
{
	int n = (int)(sizeof ends / sizeof ends[0]);

	tcase_add_loop_test(tc, a_session_is_resumed_however_its_child_ended,
	    0, n);
	tcase_add_loop_test(tc, a_loaded_session_is_not_recorded_twice, 0, n);
	tcase_add_loop_test(tc,
	    an_agent_that_forgets_is_told_from_the_record, 0, n);
	tcase_add_test(tc, a_lost_session_is_replaced);
	tcase_add_test(tc,
	    a_session_that_is_lost_in_a_restart_is_told_from_the_record);
	tcase_add_loop_test(tc, a_replay_after_the_answer_is_not_recorded,
	    0, n);
	tcase_add_test(tc,
	    a_session_that_is_broken_is_given_up_at_the_second_try);
	tcase_add_loop_test(tc, so_is_one_that_its_agent_does_not_survive,
	    0, 2);
	tcase_add_test(tc,
	    a_success_ends_the_memory_of_a_failure_to_reopen);
	tcase_add_test(tc, a_login_that_ran_out_is_no_lost_session);
	tcase_add_test(tc, a_long_record_is_cut_at_its_old_end);
	tcase_add_test(tc, a_changed_agent_keeps_its_conversation);
	tcase_add_test(tc, an_idle_child_comes_back_with_what_it_knew);
}

int
main(void)
{
	return e2e_main("conversation", add);
}
