/* SPDX-License-Identifier: MIT */
/*
 * Two things that happen at the same time: what a child, a claim, a command or
 * a stop meets when it comes a moment late or a moment early.
 */
#include "tests/e2e.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

static void
nap(long ms)
{
	int64_t until = now_ms() + ms;

	while (now_ms() < until)
		blink();
}

static void
on_other(PGconn *other, const char *statement)
{
	PGresult *res = PQexec(other, statement);

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		e2e_fail(__FILE__, __LINE__, "%s: %s", statement,
		    PQerrorMessage(other));
	PQclear(res);
}

/* Every claim waits until the returned connection says "commit". */
static PGconn *
hold_claims(void)
{
	PGconn *other = PQconnectdb(db);

	on_other(other, "begin");
	on_other(other,
	    "lock table hearth.session_owners in access exclusive mode");
	return other;
}

static void
wait_held(void)
{
	wait_value("true", LIMIT, "select (count(*) > 0)::text "
	    "from pg_stat_activity where wait_event_type = 'Lock'");
}

static void
let_go(PGconn *other)
{
	on_other(other, "commit");
	PQfinish(other);
}

/* Its keeper takes a while to end all that an agent has left behind; by then
 * the session may have been forgotten, and be there again for another chat. */
START_TEST(a_late_end_of_a_tree_meets_a_session_that_began_anew)
{
	const char *other;

	start("crash_limit=100 in 5min", NULL);
	other = new_chat(session_of(chat));
	for (int ms = 0; ms < 32; ms += 4) {
		pid_t pid;

		complete(chat, "fake", "run for i in $(seq 300)\\; do "
		    "sleep 60 </dev/null >/dev/null 2>&1 & done");
		pid = agent_pid(chat, "fake");
		kill(pid, SIGKILL);
		wait_value("0", LIMIT, "select count(*) "
		    "from hearth.agent_sessions where pid = %d", (int)pid);
		nap(ms);
		complete(other, "fake", "say here");
		kill(agent_pid(other, "fake"), SIGKILL);
		wait_value("0", LIMIT, "select count(*) "
		    "from hearth.agent_sessions where pid is not null");
	}
}
END_TEST

static void
check_two_lives(int64_t turn)
{
	wait_turn(turn, "completed", LIMIT);
	check_value("2", "select count(*) from hearth.executions");
	check_value("true", "select (e.ended_at is null)::text "
	    "from hearth.turns t join hearth.executions e "
	    "on e.id = t.execution_id where t.id = %lld", (long long)turn);
	ck_assert_str_eq(turn_of(turn, "warm"), "false");
	wait_value("1", LIMIT, "select count(*) from hearth.pool");
}

/* An execution is one life of a child, so its successor is another one. */
START_TEST(an_agent_that_dies_while_it_is_claimed_is_another_execution)
{
	PGconn *other;
	int64_t turn;
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say warm");
	pid = agent_pid(chat, "fake");
	other = hold_claims();
	turn = submit(chat, "fake", "say x");
	wait_held();
	kill(pid, SIGKILL);
	wait_log("ended by itself");
	let_go(other);
	check_two_lives(turn);
}
END_TEST

START_TEST(so_is_one_that_dies_while_the_queue_is_looked_at)
{
	PGconn *other;
	int64_t turn;
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say warm");
	pid = agent_pid(chat, "fake");
	sql("update hearth.agents set paused = true");
	turn = submit(chat, "fake", "say x");
	nap(100);
	sql("update hearth.agents set paused = false");
	other = hold_claims();
	sql("select pg_notify('hearth_work', '{\"session\":\"%s\"}')",
	    session_of(chat));
	wait_held();
	kill(pid, SIGKILL);
	wait_log("ended by itself");
	let_go(other);
	check_two_lives(turn);
}
END_TEST

START_TEST(a_warm_turn_does_not_pass_one_that_waited_before_it)
{
	int64_t first, second;

	start(NULL);
	complete(chat, "fake", "say warm");
	sql("update hearth.agents set paused = true");
	first = submit(chat, "fake", "say first");
	nap(100);
	sql("update hearth.agents set paused = false");
	second = submit(chat, "fake", "say second");
	wait_turn(first, "completed", LIMIT);
	wait_turn(second, "completed", LIMIT);
	check_value("true", "select (a.started_at < b.started_at)::text "
	    "from hearth.turns a, hearth.turns b "
	    "where a.id = %lld and b.id = %lld", (long long)first,
	    (long long)second);
}
END_TEST

START_TEST(close_agent_ends_a_child_that_is_only_starting)
{
	int64_t turn;

	add_agent("slow", "--init-delay", "1500", NULL);
	start(NULL);
	turn = submit(chat, "slow", "say x");
	wait_value("warming", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is not null");
	sql("select hearth.close_agent('%s', 'slow', 'ann')", chat);
	wait_turn(turn, "cancelled", LIMIT);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null");
	check_value("closed by a user", "select end_reason "
	    "from hearth.executions");
}
END_TEST

/* The daemon knows nothing of the chat but what the command says. */
START_TEST(a_turn_that_is_cancelled_in_the_queue_ends_behind_what_was_said)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say one");
	stop();
	sql("update hearth.agents set paused = true");
	turn = submit(chat, "fake", "say two");
	start(NULL);
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	check_value("turn_ended", "select e.kind from hearth.events e "
	    "join hearth.chats c on c.id = e.chat_id and c.last_seq = e.seq "
	    "where e.turn_id = %lld", (long long)turn);
}
END_TEST

START_TEST(a_question_outside_of_a_turn_is_answered_by_nobody_and_ends)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say x;stop;sleep 200;"
	    "permission-async;sleep 200;tool-end perm-0");
	wait_turn(turn, "completed", LIMIT);
	wait_value("expired", LIMIT, "select status "
	    "from hearth.permission_requests");
	check_value("reject-once", "select option_id "
	    "from hearth.permission_requests");
	wait_value("0", LIMIT, "select count(*) from hearth.tool_calls "
	    "where ended_at is null");
}
END_TEST

static int64_t
time_to_stop(void)
{
	int64_t began = now_ms();

	stop();
	return now_ms() - began;
}

START_TEST(a_stop_waits_for_nothing_that_is_over)
{
	start(NULL);
	ck_assert_int_lt(time_to_stop(), 2000);
	start(NULL);
	complete(chat, "fake", "say x");
	ck_assert_int_lt(time_to_stop(), 2000);
}
END_TEST

/* max_agents is reached: the turn waits for room. */
START_TEST(a_turn_that_finds_no_room_can_be_cancelled)
{
	int64_t turn, waits;
	const char *other;

	start("max_agents=1", NULL);
	other = new_chat(new_session(project));
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	for (int i = 0; i < 5; i++) {
		waits = submit(other, "fake", "say y");
		wait_value("starting", LIMIT, "select status "
		    "from hearth.turns where id = %lld", (long long)waits);
		sql("select hearth.cancel(%lld)", (long long)waits);
		wait_turn(waits, "cancelled", LIMIT);
	}
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
}
END_TEST

START_TEST(a_turn_that_found_no_room_starts_soon_after_there_is_some)
{
	int64_t turn, waits, began;
	const char *other;

	start("max_agents=1", NULL);
	other = new_chat(new_session(project));
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	waits = submit(other, "fake", "say y");
	wait_value("starting", LIMIT, "select status "
	    "from hearth.turns where id = %lld", (long long)waits);
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	began = now_ms();
	wait_turn(waits, "completed", LIMIT);
	ck_assert_int_lt(now_ms() - began, 3000);
}
END_TEST

/* Its end is on its way when the next claim could find it in the queue. */
START_TEST(a_turn_cancelled_in_the_queue_is_never_begun)
{
	PGconn *other;
	int64_t turn;

	prepare();
	add_agent("other", NULL);
	sql("update hearth.agents set paused = name = 'fake'");
	start(NULL);
	/* the first claim of all takes a while, and may be late */
	complete(chat, "other", "say x");
	turn = submit(chat, "fake", "say x");
	other = pg_connect(db);
	PQclear(PQexec(other, "begin; select from hearth.chats "
	    "for no key update"));
	check_value("t", "select hearth.cancel(%lld)", (long long)turn);
	wait_value("running", LIMIT, "select status from hearth.commands");
	sql("update hearth.agents set paused = false");
	sql("notify hearth_work, '{\"session\": \"%s\"}'",
	    session_of(chat));
	/* a claim that is asked for now would have it by then */
	check_true(!comes_true(700, "t", "select status <> 'queued' "
	    "from hearth.turns where id = %lld", (long long)turn));
	PQclear(PQexec(other, "commit"));
	PQfinish(other);
	wait_turn(turn, "cancelled", LIMIT);
	check_value("1", "select count(*) from hearth.events "
	    "where kind = 'turn_ended' and turn_id = %lld", (long long)turn);
	check_value("0", "select count(*) from hearth.executions "
	    "where agent = 'fake'");
}
END_TEST

/* ---- what a command has asked for outlives a crash */

START_TEST(a_turn_cancelled_before_its_prompt_does_not_run_after_a_crash)
{
	PGconn *other;
	int64_t turn;
	int lock;

	start(NULL);
	lock = hold_copy(session_of(chat));
	turn = submit(chat, "fake", "say ran anyway");
	wait_turn(turn, "starting", LIMIT);
	other = PQconnectdb(db);
	PQclear(PQexec(other, "begin; select from hearth.chats "
	    "for no key update"));
	sql("select hearth.cancel(%lld)", (long long)turn);
	/* it is carried out, but not durable yet */
	wait_log("cancelled by a user");
	check_value("running", "select status from hearth.commands");
	daemon_crash();
	PQfinish(other);
	close(lock);
	start(NULL);
	wait_turn(turn, "cancelled", LIMIT);
	ck_assert_str_eq(text_of(turn), "");
	wait_value("done", LIMIT, "select status from hearth.commands");
}
END_TEST

/* Every taking of commands waits until the connection says "commit"; so does
 * each claim behind it. */
static PGconn *
hold_commands(int64_t turn)
{
	PGconn *other = PQconnectdb(db);

	on_other(other, "begin");
	on_other(other, "lock table hearth.commands in access exclusive mode");
	PQclear(PQexec(other, keep(xasprintf("select hearth.cancel(%lld)",
	    (long long)turn))));
	sql("select pg_notify('hearth_work', '{\"command\":1}')");
	wait_held();
	return other;
}

/* Its cancel comes when it is being claimed, and somebody writes a file before
 * it could begin, so that it goes back to the queue: and ends there. */
START_TEST(a_late_cancel_ends_a_turn_that_is_given_back)
{
	const char *worktree;
	int64_t first, turn;
	PGconn *other;

	start(NULL);
	complete(chat, "fake", "say x");
	worktree = keep(xstrdup(value("select path from hearth.worktrees")));
	/* whether its claim is on its way by then cannot be seen */
	for (int i = 1; i <= 10 && !log_has("changed meanwhile"); i++) {
		first = submit(chat, "fake", "say begun;sleep 300");
		wait_text(first, "begun");
		turn = submit(chat, "fake", "say ran anyway");
		other = hold_commands(turn);
		wait_turn(first, "completed", LIMIT);
		nap(50 * i);
		shell("echo person >'%s/%d.txt'", worktree, i);
		nap(50);
		let_go(other);
		wait_turn(turn, "cancelled", LIMIT);
		ck_assert_str_eq(text_of(turn), "");
	}
	wait_log("changed meanwhile");
	wait_value("0", LIMIT, "select count(*) from hearth.commands "
	    "where status <> 'done'");
}
END_TEST

/* ---- a claim whose answer is lost */

static PGconn *
hold_turn(int64_t turn)
{
	PGconn *other = PQconnectdb(db);

	on_other(other, "begin");
	PQclear(PQexec(other, keep(xasprintf("select from hearth.turns "
	    "where id = %lld for no key update", (long long)turn))));
	return other;
}

/* The child of a turn that is about to run is ready when a claim asks for
 * another one, and is none of those that the claim may have taken. */
START_TEST(a_lost_claim_does_not_put_back_a_turn_that_it_did_not_take)
{
	PGconn *other, *another;
	int64_t turn, next;

	add_agent("slow", "--new-delay", "500", NULL);
	start(NULL);
	ignore_errors();
	sql("update hearth.sessions set concurrent_turns = true");
	complete(chat, "fake", "say clean");
	turn = submit(chat, "slow", "say once");
	wait_turn(turn, "starting", LIMIT);
	other = hold_turn(turn);
	/* its running is to be recorded */
	wait_held();
	sql("update hearth.agents set paused = true where name = 'fake'");
	next = submit(chat, "fake", "say next");
	another = hold_turn(next);
	sql("update hearth.agents set paused = false where name = 'fake'");
	sql("select pg_notify('hearth_work', '{\"session\":\"%s\"}')",
	    session_of(chat));
	wait_value("1", LIMIT, "select count(*) from pg_stat_activity "
	    "where wait_event_type = 'Lock' and query ~ 'turns_heads'");
	pg_server_stop("immediate");
	PQfinish(other);
	PQfinish(another);
	pg_server_start();
	wait_turn(turn, "completed", LIMIT);
	wait_turn(next, "completed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "attempts"), "1");
	ck_assert_str_eq(text_of(turn), "once");
}
END_TEST

/* ---- a session that is lost */

START_TEST(what_waits_for_an_agent_is_answered_when_its_session_is_lost)
{
	int64_t turn;
	pid_t pid;

	start(NULL);
	ignore_errors();
	turn = submit(chat, "fake", "on-cancel never;count 100000 5");
	wait_text(turn, "20 ");
	pid = agent_pid(chat, "fake");
	sql("select hearth.set_mode('%s', 'fake', 'ask')", chat);
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_value("2", LIMIT, "select count(*) from hearth.commands "
	    "where status = 'running'");
	sql("insert into hearth.nodes (name, epoch) values ('other', 1)");
	sql("update hearth.session_owners set epoch = 1, node_id = "
	    "(select id from hearth.nodes where name = 'other')");
	wait_gone(pid, LIMIT);
	wait_log("another node has taken");
	wait_value("failed lost", LIMIT, "select string_agg(distinct "
	    "concat_ws(' ', status, error_code), ',') from hearth.commands");
	/* the other node is none: nobody ends what it has */
	sql("delete from hearth.turns");
	sql("delete from hearth.agent_sessions");
	sql("delete from hearth.messages");
	sql("delete from hearth.executions");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_turn_cancelled_in_the_queue_is_never_begun);
	tcase_add_test(tc,
	    a_late_end_of_a_tree_meets_a_session_that_began_anew);
	tcase_add_test(tc,
	    an_agent_that_dies_while_it_is_claimed_is_another_execution);
	tcase_add_test(tc,
	    so_is_one_that_dies_while_the_queue_is_looked_at);
	tcase_add_test(tc, a_warm_turn_does_not_pass_one_that_waited_before_it);
	tcase_add_test(tc, close_agent_ends_a_child_that_is_only_starting);
	tcase_add_test(tc,
	    a_turn_that_is_cancelled_in_the_queue_ends_behind_what_was_said);
	tcase_add_test(tc,
	    a_question_outside_of_a_turn_is_answered_by_nobody_and_ends);
	tcase_add_test(tc, a_stop_waits_for_nothing_that_is_over);
	tcase_add_test(tc, a_turn_that_finds_no_room_can_be_cancelled);
	tcase_add_test(tc,
	    a_turn_that_found_no_room_starts_soon_after_there_is_some);
	tcase_add_test(tc,
	    a_turn_cancelled_before_its_prompt_does_not_run_after_a_crash);
	tcase_add_test(tc, a_late_cancel_ends_a_turn_that_is_given_back);
	tcase_add_test(tc,
	    a_lost_claim_does_not_put_back_a_turn_that_it_did_not_take);
	tcase_add_test(tc,
	    what_waits_for_an_agent_is_answered_when_its_session_is_lost);
}

int
main(void)
{
	return e2e_main("edges", add_tests);
}
