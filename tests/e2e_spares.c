/* SPDX-License-Identifier: MIT */
/*
 * Children that are there before the chat: as many as the registry asks for,
 * claimed by whoever comes first, first to go when room is short, and never in
 * a storm.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Those that can be claimed. */
#define SPARES "select count(*) from hearth.executions where chat_id is null " \
	"and ended_at is null and initialize_ms is not null and agent = '%s'"
#define ORIGINS "select string_agg(origin, ' ' order by id) " \
	"from hearth.executions where chat_id is not null"

static void
want(const char *agent, int n)
{
	sql("update hearth.agents set spares = %d where name = '%s'", n,
	    agent);
}

static void
wait_spares(const char *agent, int n)
{
	char *text = xasprintf("%d", n);

	wait_value(text, LIMIT, SPARES, agent);
	free(text);
}

static pid_t
spare_pid(const char *agent)
{
	return (pid_t)number("select pid from hearth.pool where agent = '%s' "
	    "and status = 'spare'", agent);
}

static void
start_with_spare(void)
{
	prepare();
	want("fake", 1);
	start(NULL);
	wait_spares("fake", 1);
}

START_TEST(the_next_chat_claims_the_spare)
{
	int64_t turn;
	pid_t pid;

	start_with_spare();
	pid = spare_pid("fake");
	check_value("spare/t/t", "select concat_ws('/', origin, chat_id is "
	    "null, session_ms is null) from hearth.executions");
	turn = complete(chat, "fake", "echo-turn;echo-cwd;write new.txt x");
	check_true(agent_pid(chat, "fake") == pid);
	check_has(text_of(turn), "[turn 1][cwd ");
	check_has(text_of(turn), session_of(chat));
	check_value("spare", ORIGINS);
	check_value("t", "select x.session_ms is not null and x.id = "
	    "t.execution_id and x.chat_id = t.chat_id from hearth.turns t "
	    "join hearth.executions x on x.pid = %d", pid);
	/* it had to wait for the session */
	ck_assert_str_eq(turn_of(turn, "warm"), "false");
	check_value("new.txt", "select file_path from hearth.pending_changes");
	check_value("idle", "select status from hearth.pool where pid = %d",
	    pid);
	ck_assert_str_eq(turn_of(complete(chat, "fake", "say x"), "warm"),
	    "true");
	/* another one has taken its place, in a folder that stays empty */
	wait_spares("fake", 1);
	pid = spare_pid("fake");
	shell("test \"$(readlink /proc/%d/cwd)\" = '%s/spare'", pid, state);
	shell("! ls -A '%s/spare' | grep .", state);
}
END_TEST

START_TEST(of_two_chats_one_gets_the_spare)
{
	const char *other;
	int64_t first, second;

	/* its place is not filled at once */
	start_with_spare();
	other = new_chat(new_session(project));
	first = submit(chat, "fake", "echo-turn;say x");
	second = submit(other, "fake", "echo-turn;say x");
	wait_turn(first, "completed", LIMIT);
	wait_turn(second, "completed", LIMIT);
	ck_assert_str_eq(text_of(first), "[turn 1]x");
	ck_assert_str_eq(text_of(second), "[turn 1]x");
	check_value("cold spare", "select string_agg(origin, ' ' order by "
	    "origin) from hearth.executions where chat_id is not null");
	check_true(agent_pid(chat, "fake") != agent_pid(other, "fake"));
}
END_TEST

START_TEST(a_spare_takes_up_a_conversation)
{
	int64_t turn;

	start(NULL);
	add_agent("keeps", "--load", "--store", state, NULL);
	complete(chat, "keeps", "say x");
	sql("select hearth.close_agent('%s', 'keeps')", chat);
	wait_value("closed", LIMIT, "select status from hearth.agent_sessions");
	want("keeps", 1);
	wait_spares("keeps", 1);
	turn = complete(chat, "keeps", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 2]");
	check_value("load", "select resumed_by from hearth.agent_sessions");
	check_value("cold spare", ORIGINS);
}
END_TEST

START_TEST(warm_claims_a_spare)
{
	long long command;
	pid_t pid;

	start_with_spare();
	pid = spare_pid("fake");
	command = number("select hearth.warm('%s', 'fake')", chat);
	wait_value("done", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	check_true(agent_pid(chat, "fake") == pid);
	ck_assert_str_eq(turn_of(complete(chat, "fake", "say x"), "warm"),
	    "true");
	check_value("spare", ORIGINS);
}
END_TEST

START_TEST(the_registry_decides_how_many_and_which)
{
	pid_t pid;

	start_with_spare();
	want("fake", 3);
	wait_spares("fake", 3);
	want("fake", 1);
	wait_spares("fake", 1);
	pid = spare_pid("fake");
	sql("update hearth.agents set env = '{\"X\": \"1\"}'");
	wait_gone(pid, LIMIT);
	wait_spares("fake", 1);
	wait_value("the agent's configuration has changed", LIMIT, "select "
	    "end_reason from hearth.executions where pid = %d", pid);
	check_has(text_of(complete(chat, "fake", "echo-env X")), "X=1");
	check_value("spare", ORIGINS);
	wait_spares("fake", 1);
	sql("update hearth.agents set paused = true");
	wait_spares("fake", 0);
	sql("update hearth.agents set paused = false");
	wait_spares("fake", 1);
	sql("update hearth.agents set enabled = false");
	wait_spares("fake", 0);
	/* and the chat's own child is none of theirs */
	wait_value("idle", LIMIT, "select string_agg(status, ' ') "
	    "from hearth.pool");
	check_value("0", "select count(*) from hearth.crashes");
}
END_TEST

static long long
lives(const char *agent)
{
	return number("select count(*) from hearth.executions "
	    "where agent = '%s'", agent);
}

START_TEST(a_spare_that_crashes_backs_off_and_is_seen)
{
	char *gate;
	pid_t pid;

	start("crash_limit=3 in 5min", NULL);
	gate = xasprintf("%s/gate", folder);
	shell("touch '%s'", gate);
	add_agent("bad", "--exit-while", gate, NULL);
	want("bad", 2);
	wait_log("its spares fail: the next is started in 1");
	/* three at once, then 1 s, 2 s, … apart */
	wait_log("its spares fail: the next is started in 2");
	check_true(lives("bad") <= 5);
	check_value("t", "select count(*) >= 3 and bool_and(how = "
	    "'exit code 9' and chat_id is null) from hearth.crashes "
	    "where agent = 'bad'");
	/* no chat is to blame: its turn is tried, and fails for itself */
	check_value("0", "select count(*) from hearth.agent_sessions");
	/* whoever mends it does not wait */
	shell("rm '%s'", gate);
	sql("update hearth.agents set env = '{\"X\": \"1\"}' "
	    "where name = 'bad'");
	wait_spares("bad", 2);
	pid = spare_pid("bad");
	kill(pid, SIGKILL);
	wait_value("SIGKILL", LIMIT, "select how from hearth.crashes "
	    "where how <> 'exit code 9'");
	wait_spares("bad", 2);
	check_value("cold", "select (select origin from hearth.executions "
	    "where id = %s)", turn_of(complete(chat, "fake", "say x"),
	    "execution_id"));
	free(gate);
}
END_TEST

START_TEST(a_spare_that_cannot_be_started_backs_off)
{
	start("crash_limit=1 in 5min", NULL);
	add_command("gone", "/nonexistent/agent", NULL);
	want("gone", 1);
	wait_log("its spares fail: the next is started in 1");
	check_true(lives("gone") <= 2);
	wait_log("its spares fail: the next is started in 2");
	check_true(lives("gone") <= 3);
}
END_TEST

START_TEST(a_turn_takes_the_room_of_a_spare_first)
{
	const char *other;
	pid_t pid;

	prepare();
	add_agent("else", NULL);
	start("max_agents=2", NULL);
	complete(chat, "fake", "say x");
	want("else", 1);
	wait_spares("else", 1);
	pid = spare_pid("else");
	other = new_chat(new_session(project));
	complete(other, "fake", "say x");
	wait_gone(pid, LIMIT);
	wait_value("evicted: max_agents reached", LIMIT, "select end_reason "
	    "from hearth.executions where pid = %d", pid);
	/* nobody leaves for another spare … */
	wait_log("a spare waits until there is room");
	wait_value("idle idle", LIMIT, "select string_agg(status, ' ') "
	    "from hearth.pool");
	check_value("1", "select count(*) from hearth.executions "
	    "where origin = 'spare'");
	/* … which comes when there is room */
	sql("select hearth.close_agent('%s', 'fake')", other);
	wait_spares("else", 1);
}
END_TEST

START_TEST(memory_is_taken_from_the_spare_first_and_not_in_circles)
{
	pid_t pid;

	prepare();
	add_agent("large", "--memory", "100", NULL);
	start("max_memory=180MiB", NULL);
	complete(chat, "fake", "memory 20");
	want("large", 1);
	wait_spares("large", 1);
	pid = spare_pid("large");
	wait_value("t", LIMIT, "select rss_kb > 100000 from hearth.executions "
	    "where pid = %d", pid);
	/* it is the newest, and the other idle */
	complete(chat, "fake", "memory 100");
	wait_gone(pid, LIMIT);
	wait_value("evicted: max_memory reached", LIMIT, "select end_reason "
	    "from hearth.executions where pid = %d", pid);
	wait_log("a spare waits until there is room");
	wait_value("fake/idle", LIMIT, "select string_agg(agent || '/' || "
	    "status, ' ') from hearth.pool");
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_spares("large", 1);
	check_value("2", "select count(*) from hearth.executions "
	    "where agent = 'large'");
}
END_TEST

START_TEST(where_the_launcher_names_the_worktree_there_is_none)
{
	prepare();
	sql("update hearth.agents set launcher = array['env', '-C', "
	    "'{worktree}']");
	want("fake", 1);
	start(NULL);
	wait_log("no spares: its launcher names {worktree}");
	complete(chat, "fake", "say x");
	check_value("cold", "select string_agg(origin, ' ') "
	    "from hearth.executions");
	/* one that names none has one */
	sql("update hearth.agents set launcher = array['env', '-C', "
	    "'{home}']");
	wait_spares("fake", 1);
}
END_TEST

START_TEST(a_drain_ends_spares_at_once)
{
	int64_t turn;
	pid_t pid;

	prepare();
	want("fake", 1);
	start("drain_timeout=60s", NULL);
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	wait_spares("fake", 1);
	pid = spare_pid("fake");
	daemon_signal(SIGTERM);
	wait_gone(pid, LIMIT);
	ck_assert_str_eq(turn_of(turn, "status"), "running");
	sql("select hearth.cancel(%lld)", (long long)turn);
	check_true(daemon_wait(LIMIT) == 0);
	check_value("0", "select count(*) from hearth.pool");
}
END_TEST

START_TEST(spares_of_a_daemon_that_died_are_ended)
{
	pid_t pid;

	start_with_spare();
	pid = spare_pid("fake");
	daemon_crash();
	wait_gone(pid, LIMIT);
	start(NULL);
	wait_value("daemon died", LIMIT, "select end_reason from "
	    "hearth.executions where pid = %d", pid);
	wait_spares("fake", 1);
	complete(chat, "fake", "say x");
	check_value("spare", ORIGINS);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, the_next_chat_claims_the_spare);
	tcase_add_test(tc, of_two_chats_one_gets_the_spare);
	tcase_add_test(tc, a_spare_takes_up_a_conversation);
	tcase_add_test(tc, warm_claims_a_spare);
	tcase_add_test(tc, the_registry_decides_how_many_and_which);
	tcase_add_test(tc, a_spare_that_crashes_backs_off_and_is_seen);
	tcase_add_test(tc, a_spare_that_cannot_be_started_backs_off);
	tcase_add_test(tc, a_turn_takes_the_room_of_a_spare_first);
	tcase_add_test(tc,
	    memory_is_taken_from_the_spare_first_and_not_in_circles);
	tcase_add_test(tc, where_the_launcher_names_the_worktree_there_is_none);
	tcase_add_test(tc, a_drain_ends_spares_at_once);
	tcase_add_test(tc, spares_of_a_daemon_that_died_are_ended);
}

int
main(void)
{
	return e2e_main("spares", add_tests);
}
