/* SPDX-License-Identifier: MIT */
/*
 * Ends that nobody planned, of agents and of the daemon, and those that
 * somebody did: what is recorded, what dies with them, and that the next turn
 * works. The table of what agents may do is in e2e_protocol.c.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/alloc.h"

/* What the last execution's row says. */
#define LAST(columns) "select " columns " from hearth.executions " \
	"where ended_at is not null order by started_at desc limit 1"

static void
check_crashed(int64_t turn)
{
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_crashed");
	wait_value("crashed/agent_crashed", LIMIT, "select status || '/' || "
	    "last_error_code from hearth.agent_sessions where pid is null "
	    "and agent = '%s'", turn_of(turn, "agent"));
}

/* ---- deaths */

START_TEST(a_death_before_the_session_fails_the_turn)
{
	static const struct {
		const char *option, *code;
	} deaths[] = {
		{ "--exit-at-start", "3" },
		{ "--exit-at-init", "4" },
		{ "--exit-at-new", "5" },
	};
	char name[32];

	start(NULL);
	for (int i = 0; i < 3; i++) {
		const char *words = keep(xasprintf("exited with code %s",
		    deaths[i].code));
		int64_t turn;

		snprintf(name, sizeof name, "early%d", i);
		add_agent(name, deaths[i].option, deaths[i].code, "--stderr",
		    "no licence found", NULL);
		turn = submit(chat, name, "say x");
		check_crashed(turn);
		check_has(turn_of(turn, "error"), words);
		check_has(turn_of(turn, "error"), "no licence found");
		wait_value(deaths[i].code, LIMIT, LAST("exit_code"));
		check_value("no licence found\n", LAST("stderr_tail"));
		ck_assert_str_eq(turn_of(turn, "started_at is null"), "true");
	}
	complete(chat, "fake", "say fine");
}
END_TEST

START_TEST(a_death_between_turns_is_recorded_at_once)
{
	int64_t turn, killed;
	char *before;
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	before = xstrdup(value("select clock_timestamp()"));
	killed = now_ms();
	kill(pid, SIGKILL);
	wait_value("crashed", 2000, "select status "
	    "from hearth.agent_sessions where pid is null");
	check_true(now_ms() - killed < 2000);
	wait_value("true", 2000, LAST("(ended_at - '%s' < '2 s' and "
	    "term_signal = 9 and exit_code is null)::text"), before);
	check_value("SIGKILL", LAST("end_reason"));
	check_value("1", "select count(*) from hearth.crashes");
	turn = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 1]");
	ck_assert_str_eq(turn_of(turn, "warm"), "false");
	check_value("idle", "select status from hearth.agent_sessions");
	free(before);
}
END_TEST

START_TEST(an_exit_between_turns_is_a_crash_too)
{
	add_agent("leaver", "--exit-idle-after", "200", NULL);
	start(NULL);
	complete(chat, "leaver", "say x");
	wait_value("7/exit code 7", LIMIT,
	    LAST("exit_code || '/' || end_reason"));
	wait_value("crashed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null");
	complete(chat, "leaver", "say y");
}
END_TEST

START_TEST(an_exit_in_a_turn_fails_it_and_closes_what_is_open)
{
	int64_t turn, next;

	start(NULL);
	turn = submit(chat, "fake", "say half;tool-start t1 execute Build;"
	    "stderr fatal\\: out of cheese;exit 3");
	check_crashed(turn);
	check_has(turn_of(turn, "error"), "exited with code 3");
	check_has(turn_of(turn, "error"), "out of cheese");
	check_value("half/failed", "select content || '/' || status "
	    "from hearth.messages where role = 'assistant'");
	check_value("cancelled", "select status from hearth.tool_calls "
	    "where ended_at is not null");
	wait_value("3", LIMIT, LAST("exit_code"));
	check_has(value(LAST("stderr_tail")), "out of cheese");
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
	check_value("failed agent_crashed, completed", "select string_agg("
	    "concat_ws(' ', payload ->> 'status', payload ->> 'error_code'), "
	    "', ' order by seq) from hearth.events "
	    "where kind = 'turn_ended'");
}
END_TEST

START_TEST(a_signal_in_a_turn_is_named)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say x;signal SEGV");
	check_crashed(turn);
	check_has(turn_of(turn, "error"), "SIGSEGV");
	wait_value("11/SIGSEGV", LIMIT,
	    LAST("term_signal || '/' || end_reason"));
	complete(chat, "fake", "say next");
}
END_TEST

START_TEST(a_death_while_cancelling_ends_the_turn)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "on-cancel exit 5;say x;hang");
	wait_text(turn, "x");
	sql("select hearth.cancel(%lld)", (long long)turn);
	check_crashed(turn);
	wait_value("5", LIMIT, LAST("exit_code"));
	complete(chat, "fake", "say next");
}
END_TEST

START_TEST(a_death_settles_its_questions)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "permission-async;permission-async;"
	    "sleep 50;exit 1");
	check_crashed(turn);
	check_value("2", "select count(*) from hearth.permission_requests "
	    "where status = 'cancelled'");
	check_value("0", "select count(*) from hearth.pending_permissions");
	ck_assert_str_eq(sqlstate("select hearth.answer_permission(1, "
	    "'allow-once')"), "00000");
}
END_TEST

START_TEST(closed_pipes_count_as_death)
{
	int64_t turn;
	pid_t pid;

	start(NULL);
	for (int i = 0; i < 2; i++) {
		complete(chat, "fake", "say x");
		pid = agent_pid(chat, "fake");
		turn = submit(chat, "fake", "say y;%s;sleep 60000;hang",
		    i == 0 ? "close-stdout" : "close-stdin");
		if (i == 1) {
			wait_text(turn, "y");
			sql("select hearth.cancel(%lld)", (long long)turn);
		}
		wait_turn(turn, "failed", LIMIT);
		check_has(turn_of(turn, "error"), i == 0 ?
		    "closed its stdout" : "closed its stdin");
		wait_gone(pid, LIMIT);
		complete(chat, "fake", "say z");
	}
}
END_TEST

START_TEST(one_crash_leaves_the_others_alone)
{
	int64_t dies, lives;
	const char *other;

	prepare();
	sql("update hearth.sessions set concurrent_turns = true");
	start(NULL);
	other = new_chat(session_of(chat));
	lives = submit(other, "fake", "count 60 10");
	wait_text(lives, "3");
	dies = submit(chat, "fake", "say x;signal KILL");
	check_crashed(dies);
	wait_turn(lives, "completed", LIMIT);
	check_value("60", "select array_length(regexp_split_to_array("
	    "trim(content), ' '), 1) from hearth.messages "
	    "where turn_id = %lld and role = 'assistant'", (long long)lives);
}
END_TEST

/* ---- descendants */

START_TEST(grandchildren_go_with_an_agent_that_dies)
{
	int64_t turn, since;
	pid_t child, apart;

	start(NULL);
	turn = submit(chat, "fake", "grandchild;setsid-grandchild;"
	    "sleep 300;exit 2");
	wait_value("4", LIMIT, "select length(said) - length(translate(said, "
	    "'[]', '')) from (select string_agg(payload ->> 'text', '') as "
	    "said from hearth.events where kind = 'text') s");
	child = pid_in(text_of(turn), "grandchild");
	apart = pid_in(strrchr(text_of(turn), '['), "grandchild");
	check_true(child > 0 && apart > 0 && child != apart);
	since = now_ms();
	check_crashed(turn);
	check_true(now_ms() - since < 5000);
	wait_gone(child, 5000);
	wait_gone(apart, 5000);
	complete(chat, "fake", "say next");
}
END_TEST

START_TEST(grandchildren_go_with_an_agent_that_is_closed)
{
	int64_t turn;
	pid_t child, apart;

	start(NULL);
	turn = complete(chat, "fake", "grandchild");
	child = pid_in(text_of(turn), "grandchild");
	turn = complete(chat, "fake", "setsid-grandchild");
	apart = pid_in(text_of(turn), "grandchild");
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_gone(child, 5000);
	wait_gone(apart, 5000);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null");
}
END_TEST

/* ---- planned stops */

START_TEST(an_agent_that_ignores_eof_and_term_is_killed)
{
	int64_t next;
	pid_t pid, successor;

	add_agent("stubborn", "--no-eof", "--ignore-term", NULL);
	start(NULL);
	complete(chat, "stubborn", "say x");
	pid = agent_pid(chat, "stubborn");
	sql("select hearth.close_agent('%s', 'stubborn')", chat);
	wait_value("done", LIMIT, "select status from hearth.commands");
	next = complete(chat, "stubborn", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
	successor = agent_pid(chat, "stubborn");
	check_true(successor != pid);
	wait_gone(pid, LIMIT);
	wait_value("9/closed by a user", LIMIT, "select term_signal || '/' "
	    "|| end_reason from hearth.executions where pid = %d", (int)pid);
	/* the late end of the old one has not touched the new one */
	check_true(agent_pid(chat, "stubborn") == successor);
	check_value("idle", "select status from hearth.agent_sessions");
	next = complete(chat, "stubborn", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 2]");
}
END_TEST

START_TEST(a_cancel_that_is_ignored_ends_in_a_kill)
{
	int64_t turn;
	pid_t pid;

	add_agent("stubborn", "--no-eof", "--ignore-term", NULL);
	start("cancel_timeout=300ms", NULL);
	turn = submit(chat, "stubborn", "on-cancel never;say x;hang;hang");
	wait_text(turn, "x");
	pid = agent_pid(chat, "stubborn");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	ck_assert_str_eq(turn_of(turn, "end_reason"), "cancel_timeout");
	wait_gone(pid, LIMIT);
	complete(chat, "stubborn", "say next");
}
END_TEST

START_TEST(close_agent_ends_its_turn_and_its_child)
{
	int64_t turn, next;
	pid_t pid;

	start(NULL);
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	pid = agent_pid(chat, "fake");
	sql("select hearth.close_agent('%s', 'fake', 'ann')", chat);
	wait_turn(turn, "cancelled", LIMIT);
	ck_assert_str_eq(turn_of(turn, "cancelled_by"), "ann");
	wait_gone(pid, LIMIT);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null");
	check_value("0", "select count(*) from hearth.crashes");
	next = complete(chat, "fake", "say next");
	ck_assert_str_eq(turn_of(next, "warm"), "false");
}
END_TEST

START_TEST(close_chat_cancels_all_of_it)
{
	int64_t turn, queued;
	const char *other;
	pid_t pid;

	start(NULL);
	other = new_chat(session_of(chat));
	turn = submit(chat, "fake", "say x;hang");
	queued = submit(chat, "fake", "say never");
	wait_text(turn, "x");
	pid = agent_pid(chat, "fake");
	sql("select hearth.close_chat('%s', 'ann')", chat);
	wait_turn(turn, "cancelled", LIMIT);
	wait_turn(queued, "cancelled", LIMIT);
	wait_gone(pid, LIMIT);
	check_value("0", "select count(*) from hearth.queue");
	complete(other, "fake", "say the session goes on");
}
END_TEST

START_TEST(archive_session_cancels_all_of_it)
{
	const char *other, *elsewhere;
	int64_t turn, queued, away;
	pid_t pid;

	start(NULL);
	other = new_chat(session_of(chat));
	elsewhere = new_chat(new_session(project));
	complete(elsewhere, "fake", "say x");
	complete(other, "fake", "say x");
	turn = submit(chat, "fake", "say x;hang");
	queued = submit(other, "fake", "say never");
	wait_text(turn, "x");
	pid = agent_pid(other, "fake");
	sql("select hearth.archive_session('%s')", session_of(chat));
	wait_turn(turn, "cancelled", LIMIT);
	wait_turn(queued, "cancelled", LIMIT);
	wait_gone(pid, LIMIT);
	wait_value("1", LIMIT, "select count(*) from hearth.pool");
	away = complete(elsewhere, "fake", "echo-turn");
	ck_assert_str_eq(text_of(away), "[turn 2]");
}
END_TEST

START_TEST(memory_is_recorded)
{
	start(NULL);
	complete(chat, "fake", "memory 90");
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("true", LIMIT, LAST("(peak_rss_kb between 90000 "
	    "and 200000)::text"));
}
END_TEST

static void
end_child(void)
{
	kill(agent_pid(chat, "fake"), SIGKILL);
}

static void
end_daemon(void)
{
	daemon_crash();
	start(NULL);
}

static void (*const late_ends[])(void) = { end_child, stop, end_daemon };

START_TEST(a_tool_call_opened_after_its_turn_ends_with_the_child)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "say x;stop;sleep 20;"
	    "tool-start late execute serve");
	wait_value("1", LIMIT, "select count(*) from hearth.tool_calls "
	    "where turn_id = %lld and ended_at is null", (long long)turn);
	late_ends[_i]();
	wait_value("cancelled", LIMIT, "select status from hearth.tool_calls "
	    "where ended_at is not null");
}
END_TEST

/* As the kernel does it when a limit of memory is reached. */
START_TEST(a_kill_for_memory_says_how_much_it_was)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "memory 90;signal KILL");
	check_crashed(turn);
	check_has(turn_of(turn, "error"), "SIGKILL");
	wait_value("9/true", LIMIT, LAST("term_signal || '/' || "
	    "(peak_rss_kb between 90000 and 200000)::text"));
	complete(chat, "fake", "say x");
}
END_TEST

/* ---- the crash limit */

#define BACKOFF "select (backoff_until > clock_timestamp())::text " \
	"from hearth.agent_sessions"

static void
crash(void)
{
	int64_t turn = submit(chat, "fake", "exit 1");

	check_crashed(turn);
}

START_TEST(crashes_below_the_limit_cost_no_time)
{
	start("crash_limit=3 in 5min", NULL);
	crash();
	crash();
	check_value("2/", "select crash_count || '/' || "
	    "coalesce(backoff_until::text, '') from hearth.agent_sessions");
	complete(chat, "fake", "say x");
	check_value("0", "select crash_count from hearth.agent_sessions");
}
END_TEST

START_TEST(an_agent_that_crashes_again_and_again_waits)
{
	int64_t turn;

	start("crash_limit=1 in 5min", NULL);
	crash();
	wait_value("true", LIMIT, BACKOFF);
	turn = submit(chat, "fake", "say x");
	check_value("queued", "select status from hearth.turns "
	    "where id = %lld", (long long)turn);
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (t.started_at >= a.backoff_until or "
	    "a.backoff_until is null)::text from hearth.turns t, "
	    "hearth.agent_sessions a where t.id = %lld", (long long)turn);
	check_value("true", "select (b.started_at - a.ended_at > '900 ms')"
	    "::text from hearth.turns a, hearth.turns b where a.id = %lld - 1 "
	    "and b.id = %lld", (long long)turn, (long long)turn);
}
END_TEST

START_TEST(reset_agent_ends_the_wait)
{
	int64_t turn, since;
	const char *other;

	start("crash_limit=1 in 5min", NULL);
	other = new_chat(session_of(chat));
	crash();
	crash();
	crash();
	wait_value("true", LIMIT, "select (backoff_until > clock_timestamp() "
	    "+ interval '2 s')::text from hearth.agent_sessions");
	turn = submit(chat, "fake", "say x");
	complete(other, "fake", "say others need not wait");
	check_value("queued", "select status from hearth.turns "
	    "where id = %lld", (long long)turn);
	check_has(value("select t::text from hearth.queue t"), "back");
	since = now_ms();
	sql("select hearth.reset_agent('%s', 'fake')", chat);
	wait_turn(turn, "completed", LIMIT);
	check_true(now_ms() - since < 2500);
	check_value("0", "select crash_count from hearth.agent_sessions "
	    "where chat_id = '%s' and backoff_until is null", chat);
}
END_TEST

/* ---- the daemon's own end */

START_TEST(nothing_survives_a_killed_daemon_and_the_next_one_tidies_up)
{
	int64_t done, running, queued, since;
	pid_t apart;

	start(NULL);
	done = complete(chat, "fake", "say done");
	running = submit(chat, "fake", "say half;tool-start t1 execute x;"
	    "setsid-grandchild;hang");
	wait_text(running, "grandchild");
	apart = pid_in(text_of(running), "grandchild");
	queued = submit(chat, "fake", "say later;echo-turn");
	check_true(count_processes() > 2);
	daemon_crash();
	since = now_ms();
	wait_gone(apart, 5000);
	while (count_processes() > 0) {
		check_true(now_ms() - since < 5000);
		blink();
	}
	start(NULL);
	wait_turn(running, "interrupted", LIMIT);
	ck_assert_str_eq(turn_of(done, "status"), "completed");
	check_value("failed", "select status from hearth.messages "
	    "where role = 'assistant' and turn_id = %lld",
	    (long long)running);
	check_value("half", "select left(content, 4) from hearth.messages "
	    "where role = 'assistant' and turn_id = %lld",
	    (long long)running);
	check_value("cancelled", "select status from hearth.tool_calls");
	wait_turn(queued, "completed", LIMIT);
	ck_assert_str_eq(text_of(queued), "later[turn 1]");
	check_value("2/1", "select count(*) || '/' || count(ended_at) "
	    "from hearth.executions");
	check_value("2", "select epoch from hearth.nodes");
}
END_TEST

START_TEST(a_starting_turn_of_a_killed_daemon_is_done_by_the_next)
{
	int64_t turn;

	add_agent("slow", "--init-delay", "1500", NULL);
	start(NULL);
	turn = submit(chat, "slow", "say x;echo-turn");
	wait_value("warming", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is not null");
	daemon_crash();
	check_value("starting", "select status from hearth.turns");
	start(NULL);
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "x[turn 1]");
	ck_assert_str_eq(turn_of(turn, "attempts"), "2");
}
END_TEST

START_TEST(sigterm_lets_the_running_turn_end_and_starts_no_other)
{
	int64_t running, queued;
	const char *other;

	start(NULL);
	other = new_chat(new_session(project));
	complete(other, "fake", "say idle");
	running = submit(chat, "fake", "say a;sleep 600;say b");
	queued = submit(chat, "fake", "say later");
	wait_text(running, "a");
	daemon_signal(SIGTERM);
	ck_assert_int_eq(daemon_wait(LIMIT), 0);
	ck_assert_str_eq(turn_of(running, "status"), "completed");
	ck_assert_str_eq(text_of(running), "ab");
	ck_assert_str_eq(turn_of(queued, "status"), "queued");
	check_value("2", "select count(*) from hearth.agent_sessions "
	    "where status = 'closed' and pid is null");
	check_value("0", "select count(*) from hearth.executions "
	    "where ended_at is null");
	start(NULL);
	wait_turn(queued, "completed", LIMIT);
}
END_TEST

START_TEST(a_second_sigterm_interrupts)
{
	int64_t running;

	start(NULL);
	running = submit(chat, "fake", "say a;tool-start t1 execute x;hang");
	wait_text(running, "a");
	daemon_signal(SIGTERM);
	wait_log("draining");
	daemon_signal(SIGTERM);
	ck_assert_int_eq(daemon_wait(LIMIT), 0);
	ck_assert_str_eq(turn_of(running, "status"), "interrupted");
	check_has(turn_of(running, "error"), "stopped");
	check_value("a/failed", "select content || '/' || status "
	    "from hearth.messages where role = 'assistant'");
	check_value("cancelled", "select status from hearth.tool_calls");
	check_value("closed", "select status from hearth.agent_sessions");
}
END_TEST

START_TEST(drain_timeout_interrupts_and_is_named)
{
	int64_t running;

	start("drain_timeout=300ms", NULL);
	running = submit(chat, "fake", "say a;hang");
	wait_text(running, "a");
	daemon_signal(SIGTERM);
	ck_assert_int_eq(daemon_wait(LIMIT), 0);
	ck_assert_str_eq(turn_of(running, "status"), "interrupted");
	check_has(turn_of(running, "error"), "drain_timeout (300 ms)");
}
END_TEST

START_TEST(sigint_stops_at_once)
{
	int64_t running, starting;
	const char *other;

	add_agent("slow", "--init-delay", "3000", NULL);
	start(NULL);
	other = new_chat(new_session(project));
	running = submit(chat, "fake", "say a;hang");
	starting = submit(other, "slow", "say x");
	wait_text(running, "a");
	wait_value("warming", LIMIT, "select status from "
	    "hearth.agent_sessions where agent = 'slow' "
	    "and pid is not null");
	daemon_signal(SIGINT);
	ck_assert_int_eq(daemon_wait(LIMIT), 0);
	ck_assert_str_eq(turn_of(running, "status"), "interrupted");
	ck_assert_str_eq(turn_of(starting, "status"), "queued");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_death_before_the_session_fails_the_turn);
	tcase_add_test(tc, a_death_between_turns_is_recorded_at_once);
	tcase_add_test(tc, an_exit_between_turns_is_a_crash_too);
	tcase_add_test(tc,
	    an_exit_in_a_turn_fails_it_and_closes_what_is_open);
	tcase_add_test(tc, a_signal_in_a_turn_is_named);
	tcase_add_test(tc, a_death_while_cancelling_ends_the_turn);
	tcase_add_test(tc, a_death_settles_its_questions);
	tcase_add_test(tc, closed_pipes_count_as_death);
	tcase_add_test(tc, one_crash_leaves_the_others_alone);
	tcase_add_test(tc, grandchildren_go_with_an_agent_that_dies);
	tcase_add_test(tc, grandchildren_go_with_an_agent_that_is_closed);
	tcase_add_test(tc, an_agent_that_ignores_eof_and_term_is_killed);
	tcase_add_test(tc, a_cancel_that_is_ignored_ends_in_a_kill);
	tcase_add_test(tc, close_agent_ends_its_turn_and_its_child);
	tcase_add_test(tc, close_chat_cancels_all_of_it);
	tcase_add_test(tc, archive_session_cancels_all_of_it);
	tcase_add_test(tc, memory_is_recorded);
	tcase_add_test(tc, a_kill_for_memory_says_how_much_it_was);
	tcase_add_loop_test(tc,
	    a_tool_call_opened_after_its_turn_ends_with_the_child, 0, 3);
	tcase_add_test(tc, crashes_below_the_limit_cost_no_time);
	tcase_add_test(tc, an_agent_that_crashes_again_and_again_waits);
	tcase_add_test(tc, reset_agent_ends_the_wait);
	tcase_add_test(tc,
	    nothing_survives_a_killed_daemon_and_the_next_one_tidies_up);
	tcase_add_test(tc,
	    a_starting_turn_of_a_killed_daemon_is_done_by_the_next);
	tcase_add_test(tc,
	    sigterm_lets_the_running_turn_end_and_starts_no_other);
	tcase_add_test(tc, a_second_sigterm_interrupts);
	tcase_add_test(tc, drain_timeout_interrupts_and_is_named);
	tcase_add_test(tc, sigint_stops_at_once);
}

int
main(void)
{
	return e2e_main("crash", add_tests);
}
