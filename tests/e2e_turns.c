/* SPDX-License-Identifier: MIT */
/*
 * Turns from end to end: their order, warmth, cancelling, and questions for
 * permission.
 *
 * Limits and errors are e2e_limits.c, what the agent says on the wire is
 * e2e_protocol.c, how it dies e2e_crash.c.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- warmth and order */

START_TEST(a_chat_keeps_its_child_from_turn_to_turn)
{
	int64_t first, second;

	start(NULL);
	first = complete(chat, "fake", "say one; echo-turn");
	second = complete(chat, "fake", "say two; echo-turn");
	check_value("one[turn 1]", "%s", "select content from hearth.messages "
	    "where role = 'assistant' order by id limit 1");
	ck_assert_str_eq(text_of(second), "two[turn 2]");
	ck_assert_str_eq(turn_of(first, "warm"), "false");
	ck_assert_str_eq(turn_of(second, "warm"), "true");
	check_value("1", "select count(*) from hearth.executions");
	check_value("true", "select (count(distinct execution_id) = 1)::text "
	    "from hearth.turns");
	check_value("fake/idle/new", "select agent || '/' || status || '/' || "
	    "resumed_by from hearth.agent_sessions");
	check_value("true", "select (pid = (select pid from hearth.executions)"
	    " and agent_session_id = 'fake-' || pid || '-1')::text "
	    "from hearth.agent_sessions");
	check_value("fake", "select agent from hearth.pool");
	check_value("turn_started text turn_ended turn_started text "
	    "turn_ended", "select regexp_replace(string_agg(kind, ' ' order "
	    "by seq), '(text )+', 'text ', 'g') from hearth.events");
}
END_TEST

START_TEST(turns_of_a_chat_run_in_the_order_of_submit)
{
	int64_t last = 0;

	start(NULL);
	for (int i = 1; i <= 5; i++)
		last = submit(chat, "fake", "say %d; sleep 20", i);
	wait_turn(last, "completed", LIMIT);
	check_value("1 2 3 4 5", "select string_agg(content, ' ' order by "
	    "first_seq) from hearth.messages where role = 'assistant'");
	check_value("0", "select count(*) from hearth.turns a join "
	    "hearth.turns b on b.id > a.id where b.started_at < a.ended_at");
}
END_TEST

START_TEST(short_turns_follow_each_other_without_a_stop)
{
	int64_t last = 0;

	start(NULL);
	for (int i = 1; i <= 150; i++)
		last = submit(chat, "fake", "say x");
	wait_turn(last, "completed", LIMIT);
	check_value("150", "select count(*) from hearth.turns "
	    "where status = 'completed'");
	check_value("1", "select count(*) from hearth.executions");
}
END_TEST

static void
run_two_chats(int64_t *first, int64_t *second)
{
	const char *other = new_chat(session_of(chat));

	*first = submit(chat, "fake", "say a; sleep 300; say b");
	*second = submit(other, "fake", "say c; sleep 300; say d");
	wait_turn(*first, "completed", LIMIT);
	wait_turn(*second, "completed", LIMIT);
}

/* Times are the server's, less an age: a few ms of overlap mean nothing. */
#define OVERLAPS "select count(*) from hearth.turns a join hearth.turns b " \
	"on a.id < b.id where a.started_at < b.ended_at - interval '0.1 s' " \
	"and b.started_at < a.ended_at - interval '0.1 s'"

START_TEST(two_chats_of_a_session_take_turns)
{
	int64_t first, second;

	start(NULL);
	run_two_chats(&first, &second);
	check_value("0", OVERLAPS);
	check_value("2", "select count(*) from hearth.turns where exclusive");
	check_value("2", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(concurrent_turns_run_side_by_side)
{
	int64_t first, second;

	prepare();
	sql("update hearth.sessions set concurrent_turns = true");
	start(NULL);
	complete(chat, "fake", "say warm");
	run_two_chats(&first, &second);
	check_value("1", OVERLAPS);
	ck_assert_str_eq(text_of(first), "ab");
	ck_assert_str_eq(text_of(second), "cd");
}
END_TEST

START_TEST(two_agents_work_in_one_chat)
{
	int64_t first, second, third;

	add_agent("other", NULL);
	start(NULL);
	first = submit(chat, "fake", "say I am fake;echo-pid");
	second = submit(chat, "other", "say I am other;echo-pid");
	third = submit(chat, "fake", "say fake again;echo-turn");
	wait_turn(third, "completed", LIMIT);
	check_true(pid_in(text_of(first), "pid") !=
	    pid_in(text_of(second), "pid"));
	ck_assert_str_eq(text_of(third), "fake again[turn 2]");
	check_value("fake,other", "select string_agg(agent, ',' order by "
	    "agent) from hearth.pool");
	check_value("fake,other", "select string_agg(distinct agent, ',' "
	    "order by agent) from hearth.events");
}
END_TEST

START_TEST(a_changed_registry_entry_restarts_the_child)
{
	int64_t first, second;

	start(NULL);
	sql("update hearth.agents set env = '{\"COLOUR\": \"red\"}'");
	first = complete(chat, "fake", "echo-env COLOUR");
	ck_assert_str_eq(text_of(first), "[env COLOUR=red]");
	sql("update hearth.agents set env = '{\"COLOUR\": \"blue\"}'");
	second = complete(chat, "fake", "echo-env COLOUR");
	ck_assert_str_eq(text_of(second), "[env COLOUR=blue]");
	ck_assert_str_eq(turn_of(second, "warm"), "false");
	check_value("2", "select count(*) from hearth.executions");
	wait_value("1", LIMIT, "select count(*) from hearth.executions "
	    "where ended_at is not null and end_reason like '%%config%%'");
}
END_TEST

START_TEST(a_follow_up_goes_to_the_last_agent)
{
	int64_t turn;

	add_agent("other", NULL);
	start(NULL);
	ck_assert_str_eq(sqlstate("select hearth.follow_up('%s', 'say x')",
	    chat), "55000");
	complete(chat, "other", "say x");
	turn = number("select hearth.follow_up('%s', 'say y')", chat);
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "agent"), "other");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
}
END_TEST

START_TEST(an_idempotency_key_submits_once)
{
	long long first, again;

	start(NULL);
	first = number("select hearth.submit('%s', 'fake', 'say x', "
	    "idempotency_key => 'k')", chat);
	wait_turn(first, "completed", LIMIT);
	again = number("select hearth.submit('%s', 'fake', 'say x', "
	    "idempotency_key => 'k')", chat);
	check_true(first == again);
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', "
	    "'say y', idempotency_key => 'k')", chat), "23505");
	check_value("1", "select count(*) from hearth.turns");
}
END_TEST

START_TEST(listeners_hear_of_turns_and_events)
{
	PGconn *conn;
	PGnotify *note;
	int64_t turn, until = now_ms() + LIMIT;
	long long seq = 0;
	bool ended = false;

	start(NULL);
	conn = pg_connect(db);
	PQclear(PQexec(conn, "listen hearth_events"));
	PQclear(PQexec(conn, "listen hearth_status"));
	turn = complete(chat, "fake", "chunks 20 10 5");
	while ((seq < number("select last_seq from hearth.chats") ||
	    !ended) && now_ms() < until) {
		PQconsumeInput(conn);
		while ((note = PQnotifies(conn)) != NULL) {
			const char *at = strstr(note->extra, "\"seq\"");

			if (at && strcmp(note->relname, "hearth_events") == 0)
				seq = atoll(strchr(at, ':') + 1);
			ended |= strstr(note->extra, "completed") != NULL;
			PQfreemem(note);
		}
		blink();
	}
	PQfinish(conn);
	check_true(ended);
	check_value("true", "select (last_seq = %lld)::text "
	    "from hearth.chats", seq);
	check_value("true", "select (count(*) = %lld)::text "
	    "from hearth.events_since('%s', 0)", seq, chat);
	ck_assert_str_eq(turn_of(turn, "first_event_at < ended_at"), "true");
}
END_TEST

/* ---- cancelling */

static bool
cancel(int64_t turn)
{
	return strcmp(value("select hearth.cancel(%lld, 'ann')",
	    (long long)turn), "t") == 0;
}

START_TEST(a_queued_turn_is_cancelled_without_an_agent)
{
	int64_t running, queued;

	start(NULL);
	running = submit(chat, "fake", "say x; hang");
	queued = submit(chat, "fake", "say never");
	wait_text(running, "x");
	check_true(cancel(queued));
	wait_turn(queued, "cancelled", LIMIT);
	ck_assert_str_eq(turn_of(queued, "cancelled_by"), "ann");
	ck_assert_str_eq(turn_of(queued, "started_at is null"), "true");
	ck_assert_str_eq(turn_of(running, "status"), "running");
	check_true(cancel(running));
	wait_turn(running, "cancelled", LIMIT);
	check_true(!cancel(running));
	check_true(!cancel(queued));
	ck_assert_str_eq(sqlstate("select hearth.cancel(987654)"), "42704");
}
END_TEST

START_TEST(a_starting_turn_is_cancelled_before_its_prompt)
{
	int64_t turn, next;

	add_agent("slow", "--init-delay", "700", NULL);
	start(NULL);
	turn = submit(chat, "slow", "say never");
	wait_turn(turn, "starting", LIMIT);
	wait_value("warming", LIMIT, "select status from "
	    "hearth.agent_sessions");
	check_true(cancel(turn));
	wait_turn(turn, "cancelled", LIMIT);
	next = complete(chat, "slow", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
	ck_assert_str_eq(text_of(turn), "");
}
END_TEST

START_TEST(a_running_turn_is_cancelled_and_its_child_stays)
{
	int64_t turn, next;

	start(NULL);
	turn = submit(chat, "fake", "say half; tool-start t1 execute long; "
	    "on-cancel say -bye; hang");
	wait_text(turn, "half");
	check_true(cancel(turn));
	check_true(cancel(turn));
	wait_turn(turn, "cancelled", LIMIT);
	ck_assert_str_eq(text_of(turn), "half-bye");
	ck_assert_str_eq(turn_of(turn, "stop_reason"), "cancelled");
	ck_assert_str_eq(turn_of(turn, "cancelled_by"), "ann");
	check_value("cancelled", "select status from hearth.tool_calls");
	check_value("half-bye/complete", "select content || '/' || status "
	    "from hearth.messages where role = 'assistant'");
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 2]");
	ck_assert_str_eq(turn_of(next, "warm"), "true");
}
END_TEST

START_TEST(an_agent_that_ignores_the_cancel_is_replaced)
{
	int64_t turn, next;
	pid_t pid;

	start("cancel_timeout=600ms", NULL);
	turn = submit(chat, "fake", "on-cancel never; say x; hang; hang");
	wait_text(turn, "x");
	pid = agent_pid(chat, "fake");
	check_true(cancel(turn));
	wait_turn(turn, "cancelled", LIMIT);
	check_has(turn_of(turn, "error"), "cancel_timeout (600 ms)");
	ck_assert_str_eq(turn_of(turn, "error_code"), "cancel_timeout");
	wait_gone(pid, LIMIT);
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
	ck_assert_str_eq(turn_of(next, "warm"), "false");
}
END_TEST

START_TEST(mode_interrupt_replaces_the_live_turn)
{
	int64_t old, queued, urgent;

	start(NULL);
	old = submit(chat, "fake", "say old; hang");
	wait_text(old, "old");
	queued = submit(chat, "fake", "say queued");
	urgent = number("select hearth.submit('%s', 'fake', 'say urgent', "
	    "mode => 'interrupt')", chat);
	wait_turn(queued, "completed", LIMIT);
	ck_assert_str_eq(turn_of(old, "status"), "cancelled");
	ck_assert_str_eq(turn_of(old, "end_reason"), "replaced");
	ck_assert_str_eq(turn_of(urgent, "status"), "completed");
	check_value("old urgent queued", "select string_agg(content, ' ' "
	    "order by first_seq) from hearth.messages "
	    "where role = 'assistant'");
	check_value("1", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(mode_reject_refuses_a_busy_chat)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say x; hang");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'say "
	    "y', mode => 'reject')", chat), "55006");
	wait_text(turn, "x");
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'say "
	    "y', mode => 'reject')", chat), "55006");
	check_true(cancel(turn));
	wait_turn(turn, "cancelled", LIMIT);
	turn = number("select hearth.submit('%s', 'fake', 'say y', "
	    "mode => 'reject')", chat);
	wait_turn(turn, "completed", LIMIT);
}
END_TEST

/* ---- questions */

#define PENDING "select id from hearth.permission_requests " \
	"where status = 'pending' order by id limit 1"

static bool
answer(long long request, const char *option)
{
	return strcmp(value("select hearth.answer_permission(%lld, '%s', "
	    "'ann')", request, option), "t") == 0;
}

START_TEST(a_question_is_answered_by_a_person)
{
	int64_t turn;
	long long request;

	start(NULL);
	turn = submit(chat, "fake", "permission; say done");
	wait_turn(turn, "waiting_permission", LIMIT);
	wait_value("1", LIMIT, "select count(*) from "
	    "hearth.pending_permissions");
	request = number(PENDING);
	ck_assert_str_eq(sqlstate("select hearth.answer_permission(%lld, "
	    "'nonsense')", request), "22023");
	ck_assert_str_eq(sqlstate("select hearth.answer_permission(99999, "
	    "'allow-once')"), "42704");
	check_true(answer(request, "allow-once"));
	wait_turn(turn, "completed", LIMIT);
	check_true(!answer(request, "reject-once"));
	ck_assert_str_eq(text_of(turn), "[permission allow-once]done");
	check_value("answered/allow-once/ann", "select status || '/' || "
	    "option_id || '/' || answered_by from hearth.permission_requests");
	check_value("permission permission_answer", "select string_agg(kind, "
	    "' ' order by seq) from hearth.events "
	    "where kind like 'permission%%'");
	check_value("allow-once", "select payload ->> 'option_id' from "
	    "hearth.events where kind = 'permission_answer'");
}
END_TEST

static void
check_policy(const char *mode, const char *said)
{
	int64_t turn;

	prepare();
	sql("update hearth.agents set permission_mode = '%s'", mode);
	start(NULL);
	turn = complete(chat, "fake", "permission reject_always reject_once "
	    "allow_always allow_once");
	ck_assert_str_eq(text_of(turn), said);
	check_value("answered", "select status from "
	    "hearth.permission_requests");
}

START_TEST(policy_allow_answers_at_once_and_never_for_always)
{
	check_policy("allow", "[permission allow-once]");
}
END_TEST

START_TEST(policy_deny_answers_at_once_and_never_for_always)
{
	check_policy("deny", "[permission reject-once]");
}
END_TEST

START_TEST(an_unanswered_question_expires_as_a_refusal)
{
	int64_t turn;

	start("permission_timeout=300ms", NULL);
	turn = complete(chat, "fake", "permission allow_once reject_once; "
	    "say after");
	ck_assert_str_eq(text_of(turn), "[permission reject-once]after");
	check_value("expired/reject-once", "select status || '/' || "
	    "option_id from hearth.permission_requests");
}
END_TEST

START_TEST(two_questions_at_once_are_answered_apart)
{
	int64_t turn;
	long long request;

	start(NULL);
	turn = submit(chat, "fake", "permissions 2");
	wait_value("2", LIMIT, "select count(*) from "
	    "hearth.permission_requests where status = 'pending'");
	request = number("select max(id) from hearth.permission_requests");
	check_true(answer(request, "reject-once"));
	wait_value("1", LIMIT, "select count(*) from "
	    "hearth.permission_requests where status = 'answered'");
	ck_assert_str_eq(turn_of(turn, "status"), "waiting_permission");
	request = number(PENDING);
	check_true(answer(request, "allow-once"));
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[permission allow-once]"
	    "[permission reject-once]");
}
END_TEST

START_TEST(a_cancel_settles_open_questions)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say x; permissions 2; say never");
	wait_value("2", LIMIT, "select count(*) from "
	    "hearth.permission_requests where status = 'pending'");
	check_true(cancel(turn));
	wait_turn(turn, "cancelled", LIMIT);
	check_value("2", "select count(*) from hearth.permission_requests "
	    "where status = 'cancelled' and option_id is null");
	check_value("0", "select count(*) from hearth.pending_permissions");
	check_true(strncmp(text_of(turn), "x", 1) == 0);
	check_true(!strstr(text_of(turn), "never"));
	complete(chat, "fake", "say again");
}
END_TEST

/* Its agent needs a new child, so the short claim is not for it, and another
 * turn of the session came right behind it. */
START_TEST(a_turn_that_is_not_simple_is_not_forgotten)
{
	const char *other;

	add_agent("second", NULL);
	start(NULL);
	other = new_chat(session_of(chat));
	complete(chat, "second", "say warm");
	complete(other, "fake", "say warm");
	sql("update hearth.agents set env = '{\"X\": \"1\"}' where name = "
	    "'second'");
	sql("begin; select hearth.submit('%s', 'second', 'say first'); "
	    "select hearth.submit('%s', 'fake', 'say next'); commit", chat,
	    other);
	wait_value("4", LIMIT, "select count(*) from hearth.turns "
	    "where status = 'completed'");
	check_value("second fake", "select string_agg(agent, ' ' order by "
	    "started_at) from (select * from hearth.turns order by id desc "
	    "limit 2) t");
}
END_TEST

/* The other chat always has its next turn queued when one ends. */
START_TEST(a_chat_that_never_rests_does_not_starve_another)
{
	int64_t waiting, last;
	const char *other;
	int turns = 0;

	add_agent("later", NULL);
	sql("update hearth.agents set paused = true where name = 'later'");
	start(NULL);
	other = new_chat(session_of(chat));
	complete(other, "fake", "say warm");
	waiting = submit(chat, "later", "say finally");
	complete(other, "fake", "say warm");
	last = submit(other, "fake", "sleep 50");
	wait_turn(last, "running", LIMIT);
	sql("update hearth.agents set paused = false");
	while (strcmp(turn_of(waiting, "status"), "queued") == 0) {
		ck_assert_int_lt(turns++, 40);
		last = submit(other, "fake", "sleep 50");
		wait_value("t", LIMIT, "select (select status from "
		    "hearth.turns where id = %lld) <> 'queued' or (select "
		    "status from hearth.turns where id = %lld) <> 'queued'",
		    (long long)last, (long long)waiting);
	}
	wait_turn(waiting, "completed", LIMIT);
}
END_TEST

START_TEST(a_paused_agent_waits_and_holds_up_nobody)
{
	int64_t waiting;
	const char *other;

	add_agent("later", NULL);
	sql("update hearth.agents set paused = true where name = 'later'");
	start(NULL);
	other = new_chat(session_of(chat));
	waiting = submit(chat, "later", "say finally");
	complete(other, "fake", "say meanwhile");
	complete(chat, "fake", "say meanwhile");
	ck_assert_str_eq(turn_of(waiting, "status"), "queued");
	check_value("1", "select count(*) from hearth.queue");
	sql("update hearth.agents set paused = false");
	wait_turn(waiting, "completed", LIMIT);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_chat_keeps_its_child_from_turn_to_turn);
	tcase_add_test(tc, turns_of_a_chat_run_in_the_order_of_submit);
	tcase_add_test(tc, short_turns_follow_each_other_without_a_stop);
	tcase_add_test(tc, two_chats_of_a_session_take_turns);
	tcase_add_test(tc, concurrent_turns_run_side_by_side);
	tcase_add_test(tc, two_agents_work_in_one_chat);
	tcase_add_test(tc, a_changed_registry_entry_restarts_the_child);
	tcase_add_test(tc, a_follow_up_goes_to_the_last_agent);
	tcase_add_test(tc, an_idempotency_key_submits_once);
	tcase_add_test(tc, listeners_hear_of_turns_and_events);
	tcase_add_test(tc, a_queued_turn_is_cancelled_without_an_agent);
	tcase_add_test(tc, a_starting_turn_is_cancelled_before_its_prompt);
	tcase_add_test(tc, a_running_turn_is_cancelled_and_its_child_stays);
	tcase_add_test(tc, an_agent_that_ignores_the_cancel_is_replaced);
	tcase_add_test(tc, mode_interrupt_replaces_the_live_turn);
	tcase_add_test(tc, mode_reject_refuses_a_busy_chat);
	tcase_add_test(tc, a_question_is_answered_by_a_person);
	tcase_add_test(tc, policy_allow_answers_at_once_and_never_for_always);
	tcase_add_test(tc, policy_deny_answers_at_once_and_never_for_always);
	tcase_add_test(tc, an_unanswered_question_expires_as_a_refusal);
	tcase_add_test(tc, two_questions_at_once_are_answered_apart);
	tcase_add_test(tc, a_cancel_settles_open_questions);
	tcase_add_test(tc, a_paused_agent_waits_and_holds_up_nobody);
	tcase_add_test(tc, a_turn_that_is_not_simple_is_not_forgotten);
	tcase_add_test(tc, a_chat_that_never_rests_does_not_starve_another);
}

int
main(void)
{
	return e2e_main("turns", add_tests);
}
