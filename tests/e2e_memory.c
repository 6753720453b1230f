/* SPDX-License-Identifier: MIT */
/*
 * What the children take: it is shown, and where it is more than max_memory
 * the least recently used child that does nothing is stopped, never another.
 * And what a user gives back by hand.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define EVICTED "evicted: max_memory reached"
#define REASON "select coalesce((select end_reason from hearth.executions " \
	"where chat_id = '%s' order by id desc limit 1), 'lives')"
/* A loop that keeps a processor busy, in the background. */
#define BUSY "run (while :\\; do :\\; done) &"

/* In MiB, as the newest execution's row has it; 0: not seen yet. */
#define TAKES "select coalesce((select rss_kb / 1024 from " \
	"hearth.executions where chat_id = '%s' order by id desc limit 1), 0)"

static void
wait_takes(const char *chat_id, int mib)
{
	wait_value("t", LIMIT, "select (" TAKES ") >= %d", chat_id, mib);
}

/*
 * Where this machine could hibernate them they must end all the same here, which
 * tests/e2e_hibernate.c does not see: they have a process that is stopped.
 */
static void
never_asleep(void)
{
	prepare();
	sql("update hearth.agents set launcher = array['sh', '-c', "
	    "'sleep 600 <&- >/dev/null 2>&1 & kill -STOP $!; exec \"$@\"', "
	    "'sh'] where name = 'fake'");
}

START_TEST(the_pool_shows_what_a_child_and_all_below_it_take)
{
	long long before;

	start(NULL);
	complete(chat, "fake", "say x");
	wait_value("t", LIMIT, "select rss_kb > 100 from hearth.executions");
	before = number(TAKES, chat);
	check_value("t", "select rss is not null from hearth.pool");
	/* the same pages in two processes, and some more in a third */
	complete(chat, "fake", "memory 60; grandchild; "
	    "run (x=$(yes yyyyyyy | head -c 40000000)\\; sleep 600\\; :) &");
	wait_takes(chat, (int)before + 95);
	check_value("t", "select (" TAKES ") < %lld", chat, before + 150);
	check_value("t", "select rss ~ '^[0-9]+ MB$' from hearth.pool");
}
END_TEST

START_TEST(the_least_recently_used_go_until_the_rest_fits)
{
	const char *chats[4];

	never_asleep();
	start("max_memory=250MiB", NULL);
	for (int i = 0; i < 4; i++) {
		chats[i] = new_chat(session_of(chat));
		complete(chats[i], "fake", "say x");
	}
	for (int i = 0; i < 3; i++)
		complete(chats[i], "fake", "memory 100");
	/* the last one goes first, as it has not been used since, but is not
	 * enough; without it, the next one would have been */
	wait_value(EVICTED, LIMIT, REASON, chats[3]);
	wait_value(EVICTED, LIMIT, REASON, chats[0]);
	wait_value("closed", LIMIT, "select status from hearth.agent_sessions "
	    "where chat_id = '%s'", chats[0]);
	/* and no more than that */
	wait_takes(chats[1], 100);
	wait_takes(chats[2], 100);
	check_value("idle", "select status from hearth.pool "
	    "where chat_id = '%s'", chats[1]);
	check_value("idle", "select status from hearth.pool "
	    "where chat_id = '%s'", chats[2]);
}
END_TEST

START_TEST(one_that_has_a_turn_stays_though_it_is_the_oldest)
{
	const char *other;
	int64_t turn;

	never_asleep();
	start("max_memory=180MiB", NULL);
	other = new_chat(new_session(project));
	turn = submit(chat, "fake", "memory 100; say x; hang");
	wait_text(turn, "x");
	complete(other, "fake", "memory 100");
	wait_value(EVICTED, LIMIT, REASON, other);
	wait_takes(chat, 100);
	ck_assert_str_eq(turn_of(turn, "status"), "running");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
}
END_TEST

START_TEST(one_whose_grandchildren_work_stays_though_it_is_the_oldest)
{
	const char *other;
	int64_t turn;

	never_asleep();
	start("max_memory=180MiB", NULL);
	other = new_chat(session_of(chat));
	turn = complete(chat, "fake", "memory 100; " BUSY);
	check_has(text_of(turn), "[run 0]");
	complete(other, "fake", "memory 100");
	wait_value(EVICTED, LIMIT, REASON, other);
	check_value("idle", "select status from hearth.pool "
	    "where chat_id = '%s'", chat);
}
END_TEST

START_TEST(one_whose_grandchildren_work_makes_no_room)
{
	const char *other, *third;

	start("max_agents=2", NULL);
	other = new_chat(session_of(chat));
	third = new_chat(session_of(chat));
	complete(chat, "fake", BUSY);
	complete(other, "fake", "say x");
	/* it has worked since its turn, as two samples show */
	wait_value("true", LIMIT, "select (clock_timestamp() - ended_at > "
	    "interval '7 s')::text from hearth.turns order by id desc limit 1");
	complete(third, "fake", "say y");
	check_value("evicted: max_agents reached", REASON, other);
	check_value("idle", "select status from hearth.pool "
	    "where chat_id = '%s'", chat);
}
END_TEST

START_TEST(one_whose_updates_flow_makes_room_when_they_end)
{
	const char *other;
	int64_t turn;

	start("max_agents=1", NULL);
	other = new_chat(session_of(chat));
	turn = complete(chat, "fake", "say x;stop;say 1;sleep 500;say 2;"
	    "sleep 500;say 3;sleep 500;say 4");
	wait_value("true", LIMIT, "select (count(*) > 2)::text from "
	    "hearth.events where kind = 'text'");
	complete(other, "fake", "say y");
	check_value("evicted: max_agents reached", REASON, chat);
	/* not before all of it was said */
	ck_assert_str_eq(text_of(turn), "x1234");
}
END_TEST

START_TEST(one_whose_grandchildren_work_is_not_retired)
{
	const char *other;

	start("idle_timeout=8s", NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", BUSY);
	complete(other, "fake", "say x");
	wait_value("idle_timeout", LIMIT, REASON, other);
	check_value("idle", "select status from hearth.pool "
	    "where chat_id = '%s'", chat);
}
END_TEST

static int
count_in_log(const char *text)
{
	int n = 0;

	for (const char *p = file_text("%s/log", folder);
	    (p = strstr(p, text)); p++)
		n++;
	return n;
}

START_TEST(when_all_are_at_work_none_is_stopped_and_one_line_says_so)
{
	const char *other;
	int64_t first, second;

	never_asleep();
	start("max_memory=150MiB", NULL);
	other = new_chat(new_session(project));
	first = submit(chat, "fake", "memory 100; say x; hang");
	second = submit(other, "fake", "memory 100; say x; hang");
	wait_log("more than max_memory (150 MiB), and none is idle");
	/* samples go on: what another one takes is seen */
	complete(new_chat(new_session(project)), "fake", "memory 100");
	wait_value(EVICTED, LIMIT, "select end_reason from hearth.executions "
	    "where ended_at is not null");
	check_value("2", "select count(*) from hearth.active_turns");
	ck_assert_int_eq(count_in_log("none is idle"), 1);
	sql("select hearth.cancel(%lld), hearth.cancel(%lld)",
	    (long long)first, (long long)second);
	wait_turn(first, "cancelled", LIMIT);
	wait_turn(second, "cancelled", LIMIT);
}
END_TEST

START_TEST(without_a_limit_all_may_stay)
{
	const char *other;

	start("max_memory=0", NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "memory 100");
	complete(other, "fake", "memory 100");
	wait_takes(chat, 100);
	wait_takes(other, 100);
	check_value("2", "select count(*) from hearth.pool");
}
END_TEST

/* ---- by hand */

#define COMMAND "select status || coalesce('/' || error_code || '/' || " \
	"error, '') from hearth.commands where id = %lld"

static long long
ask(const char *function, const char *chat_id)
{
	return number("select hearth.%s('%s', 'fake')", function, chat_id);
}

START_TEST(a_suspended_child_ends_and_the_next_turn_goes_on)
{
	int64_t turn;
	pid_t pid;

	prepare();
	shell("mkdir -p -m 0777 '%s/sessions'", folder);
	add_agent("fake", "--resume", "--store",
	    keep(xasprintf("%s/sessions", folder)), NULL);
	never_asleep();
	start(NULL);
	complete(chat, "fake", "memory 50");
	pid = agent_pid(chat, "fake");
	wait_value("done", LIMIT, COMMAND, ask("suspend_agent", chat));
	wait_gone(pid, LIMIT);
	wait_value("closed/suspended/t", LIMIT, "select concat_ws('/', status, "
	    "end_reason, suspended_at is not null) from "
	    "hearth.agent_sessions where pid is null");
	check_value("suspended", REASON, chat);
	/* once more is no error */
	wait_value("done", LIMIT, COMMAND, ask("suspend_agent", chat));
	turn = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 2]");
	wait_value("idle/resume/f", LIMIT, "select concat_ws('/', status, "
	    "resumed_by, suspended_at is not null) from "
	    "hearth.agent_sessions");
}
END_TEST

START_TEST(a_suspension_can_be_taken_back)
{
	pid_t pid;

	never_asleep();
	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	wait_value("done", LIMIT, COMMAND, ask("resume_agent", chat));
	check_true(!is_gone(pid));
	wait_value("done", LIMIT, COMMAND, ask("suspend_agent", chat));
	wait_gone(pid, LIMIT);
	wait_value("closed/t", LIMIT, "select concat_ws('/', status, "
	    "suspended_at is not null) from hearth.agent_sessions "
	    "where pid is null");
	wait_value("done", LIMIT, COMMAND, ask("resume_agent", chat));
	wait_value("closed/suspended/f", LIMIT, "select concat_ws('/', "
	    "status, end_reason, suspended_at is not null) from "
	    "hearth.agent_sessions");
}
END_TEST

START_TEST(a_child_at_work_is_not_suspended)
{
	int64_t turn;

	prepare();
	sql("update hearth.agents set client_capabilities = "
	    "'{\"terminal\": true}'");
	start(NULL);
	turn = submit(chat, "fake", "say x; hang");
	wait_text(turn, "x");
	wait_value("failed/agent_busy/the agent has a turn", LIMIT, COMMAND,
	    ask("suspend_agent", chat));
	ck_assert_str_eq(turn_of(turn, "status"), "running");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	turn = complete(chat, "fake", "terminal sleep 600");
	check_has(text_of(turn), "[terminal ok]");
	wait_value("failed/agent_busy/commands that the agent has in "
	    "terminals are still running", LIMIT, COMMAND,
	    ask("suspend_agent", chat));
	check_value("idle/f", "select concat_ws('/', status, "
	    "suspended_at is not null) from hearth.agent_sessions");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc,
	    the_pool_shows_what_a_child_and_all_below_it_take);
	tcase_add_test(tc, the_least_recently_used_go_until_the_rest_fits);
	tcase_add_test(tc, one_that_has_a_turn_stays_though_it_is_the_oldest);
	tcase_add_test(tc,
	    one_whose_grandchildren_work_stays_though_it_is_the_oldest);
	tcase_add_test(tc, one_whose_grandchildren_work_makes_no_room);
	tcase_add_test(tc, one_whose_updates_flow_makes_room_when_they_end);
	tcase_add_test(tc, one_whose_grandchildren_work_is_not_retired);
	tcase_add_test(tc,
	    when_all_are_at_work_none_is_stopped_and_one_line_says_so);
	tcase_add_test(tc, without_a_limit_all_may_stay);
	tcase_add_test(tc, a_suspended_child_ends_and_the_next_turn_goes_on);
	tcase_add_test(tc, a_suspension_can_be_taken_back);
	tcase_add_test(tc, a_child_at_work_is_not_suspended);
}

int
main(void)
{
	return e2e_main("memory", add_tests);
}
