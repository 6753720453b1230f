/* SPDX-License-Identifier: MIT */
/*
 * Terminals: commands that an agent has hearthd run. What it is told of them,
 * that they run as the agent does, and that nothing of them is left when they
 * are released or their agent is gone.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void
start_offering(void)
{
	prepare();
	sql("update hearth.agents set client_capabilities = "
	    "'{\"terminal\": true}'");
	start(NULL);
}

/* The number that a command of the test has written into a file. */
static pid_t
pid_of(const char *name)
{
	const char *path = value("select path || '/%s' "
	    "from hearth.worktrees", name);
	int64_t until = now_ms() + LIMIT;

	path = keep(xstrdup(path));
	while (strchr(file_text("%s", path), '\n') == NULL) {
		check_true(now_ms() < until);
		blink();
	}
	return (pid_t)atoi(file_text("%s", path));
}

START_TEST(they_are_not_offered_by_default)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "terminal true;terminal-wait");
	ck_assert_str_eq(text_of(turn),
	    "[terminal error -32601][wait error -32601]");
}
END_TEST

/* What it runs there would go with it. */
START_TEST(a_child_with_a_running_terminal_is_not_idle)
{
	pid_t agent, server;
	int64_t turn;

	prepare();
	sql("update hearth.agents set client_capabilities = "
	    "'{\"terminal\": true}'");
	start("idle_timeout=100ms", NULL);
	complete(chat, "fake", "terminal echo $$ > server\\; exec sleep 60");
	server = pid_of("server");
	agent = agent_pid(chat, "fake");
	/* ten chances to be retired */
	add_agent("other", NULL);
	for (int i = 0; i < 5; i++) {
		complete(chat, "other", "sleep 10");
		wait_value("closed", LIMIT, "select status "
		    "from hearth.agent_sessions where pid is null");
	}
	ck_assert_int_eq(agent_pid(chat, "fake"), agent);
	check_true(!is_gone(server));
	turn = complete(chat, "fake", "terminal-release");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
	wait_gone(server, LIMIT);
	wait_gone(agent, LIMIT);
}
END_TEST

START_TEST(a_command_runs_and_tells_its_end)
{
	int64_t turn;

	start_offering();
	turn = complete(chat, "fake", "terminal printf out && printf err "
	    ">&2 && exit 3;terminal-wait;terminal-output;terminal-wait;"
	    "terminal-release;terminal-output");
	ck_assert_str_eq(text_of(turn), "[terminal ok][wait 3]"
	    "[output whole 3 outerr][wait 3][release ok]"
	    "[output error -32002]");
}
END_TEST

START_TEST(args_env_and_cwd_are_the_agents_and_its_own)
{
	int64_t turn;
	const char *path;

	start_offering();
	sql("update hearth.agents set launcher = "
	    "'{/usr/bin/env,LAUNCHED=yes}', env = '{\"GIVEN\": \"too\"}'");
	turn = complete(chat, "fake", "terminal-with \"args\":[\"-c\",\"echo "
	    "$A $LAUNCHED $GIVEN $# $1\",\"sh\",\"a b\"],\"env\":[{\"name\":"
	    "\"A\",\"value\":\"x y\"}];terminal sh;terminal-wait;"
	    "terminal-output");
	ck_assert_str_eq(text_of(turn), "[terminal ok][wait 0]"
	    "[output whole 0 x y yes too 1 a b\n]");
	turn = complete(chat, "fake", "terminal-with;terminal pwd;"
	    "terminal-wait;terminal-output");
	path = keep(xasprintf("0 %s\n]", value("select path "
	    "from hearth.worktrees")));
	check_has(text_of(turn), path);
	turn = complete(chat, "fake", "terminal-with \"cwd\":\"/etc\";"
	    "terminal pwd;terminal-with \"cwd\":\"x\";terminal pwd;"
	    "terminal-with \"args\":7;terminal pwd;terminal-with "
	    "\"env\":[{}];terminal pwd;terminal-with \"outputByteLimit\":-1;"
	    "terminal pwd;terminal-with \"env\":[{\"name\":\"-i\","
	    "\"value\":\"\"}];terminal pwd");
	ck_assert_str_eq(text_of(turn), "[terminal error -32602]"
	    "[terminal error -32602][terminal error -32602]"
	    "[terminal error -32602][terminal error -32602]"
	    "[terminal error -32602]");
}
END_TEST

START_TEST(a_program_that_is_missing_says_so)
{
	int64_t turn;

	start_offering();
	turn = complete(chat, "fake", "terminal no-such-program;terminal-wait;"
	    "terminal-output");
	check_has(text_of(turn), "[wait 127][output whole 127 cannot run "
	    "\"no-such-program\": No such file or directory\n]");
}
END_TEST

START_TEST(the_tail_is_kept_and_never_half_a_character)
{
	int64_t turn;

	start_offering();
	turn = complete(chat, "fake", "terminal-with \"outputByteLimit\":4;"
	    "terminal printf 'abc\\303\\244\\303\\266z';terminal-wait;"
	    "terminal-output;terminal-with \"outputByteLimit\":0;"
	    "terminal echo x;terminal-wait;terminal-output");
	ck_assert_str_eq(text_of(turn), "[terminal ok][wait 0]"
	    "[output truncated 0 \303\266z][terminal ok][wait 0]"
	    "[output truncated 0 ]");
	turn = complete(chat, "fake", "terminal-with \"outputByteLimit\":"
	    "99999999999999999;terminal printf 'a\\377\\000b\\303'\\; "
	    "head -c 3000000 /dev/zero | tr '\\0' x\\; echo end;"
	    "terminal-wait;terminal-output");
	check_has(text_of(turn), "[output truncated 0 xxxx");
	check_has(text_of(turn), "xxxend\n]");
	turn = complete(chat, "fake", "terminal-with;terminal "
	    "printf 'a\\377b\\303';terminal-wait;terminal-output");
	check_has(text_of(turn), "[output whole 0 a\357\277\275b");
}
END_TEST

START_TEST(kill_keeps_the_terminal_and_release_does_not)
{
	int64_t turn;
	pid_t pid;

	start_offering();
	turn = complete(chat, "fake", "terminal echo up\\; echo $$ > pid\\; "
	    "exec sleep 600;terminal-wait-async;terminal-wait-async;"
	    "run until [ -s pid ]\\; do sleep 0.01\\; done;"
	    "terminal-output;terminal-kill;"
	    "terminal-waited;terminal-waited;terminal-output;"
	    "terminal-release;terminal-output;terminal-kill;"
	    "terminal-release;terminal-wait");
	pid = pid_of("pid");
	ck_assert_str_eq(text_of(turn), "[terminal ok][run 0]"
	    "[output whole running up\n][kill ok][wait SIGTERM][wait SIGTERM]"
	    "[output whole SIGTERM up\n][release ok][output error -32002]"
	    "[kill error -32002][release error -32002][wait error -32002]");
	wait_gone(pid, 5000);
}
END_TEST

START_TEST(release_ends_what_runs_and_answers_who_waits)
{
	int64_t turn;
	pid_t pid;

	start_offering();
	turn = complete(chat, "fake", "terminal trap '' TERM\\; "
	    "echo $$ > pid\\; echo up\\; while :\\; do sleep 600\\; done;"
	    "run while [ ! -s pid ]\\; do sleep 0.01\\; done;"
	    "terminal-wait-async;terminal-release;terminal-waited");
	check_has(text_of(turn), "[release ok][wait SIGKILL]");
	pid = pid_of("pid");
	wait_gone(pid, 5000);
}
END_TEST

START_TEST(a_wait_can_be_withdrawn)
{
	static const char *const forms[] = { "int", "string" };
	int64_t turn;

	start_offering();
	for (size_t i = 0; i < 2; i++) {
		turn = complete(chat, "fake", "request-id %s;terminal sleep "
		    "600;terminal-wait-async;terminal-wait-async;"
		    "terminal-cancel;terminal-kill;terminal-waited;"
		    "terminal-release", forms[i]);
		ck_assert_str_eq(text_of(turn), "[terminal ok]"
		    "[wait error -32800][kill ok][wait SIGTERM][release ok]");
		sql("select hearth.close_agent('%s', 'fake')", chat);
		wait_value("0", LIMIT, "select count(*) from hearth.pool");
	}
}
END_TEST

START_TEST(many_run_at_once_and_too_many_do_not)
{
	char script[2048] = "";
	int64_t turn;
	const char *text;
	int ok = 0;

	start_offering();
	for (int i = 1; i <= 10; i++)
		sprintf(strchr(script, '\0'), "terminal echo %d > f%d\\; "
		    "until [ -e go ]\\; do sleep 0.01\\; done\\; echo %d;",
		    i, i, i);
	strcat(script, "terminal-wait-async 10;terminal-wait-async 1;"
	    "run until [ -e f10 ]\\; do sleep 0.01\\; done;write go x;"
	    "terminal-waited;terminal-waited;terminal-wait 5;"
	    "terminal-output 10;terminal-output 1");
	turn = complete(chat, "fake", "%s", script);
	check_has(text_of(turn), "[wait 0][wait 0][wait 0]"
	    "[output whole 0 10\n][output whole 0 1\n]");
	script[0] = '\0';
	for (int i = 0; i < 23; i++)
		strcat(script, "terminal sleep 600;");
	strcat(script, "terminal-release 1;terminal sleep 600");
	turn = complete(chat, "fake", "%s", script);
	text = text_of(turn);
	for (const char *p = text; (p = strstr(p, "[terminal ok]")); p++)
		ok++;
	ck_assert_int_eq(ok, 23);
	check_has(text, "[terminal error -32603][release ok][terminal ok]");
}
END_TEST

/* ---- what is left: nothing */

#define FAMILY "terminal echo $$ > pid\\; setsid sh -c 'echo $$ > apart\\; " \
	"sleep 600' & sleep 600;"

static void
check_family_dies(void (*end)(pid_t agent))
{
	pid_t pid, apart;

	start_offering();
	complete(chat, "fake", FAMILY);
	pid = pid_of("pid");
	apart = pid_of("apart");
	check_true(!is_gone(pid) && !is_gone(apart));
	end(agent_pid(chat, "fake"));
	wait_gone(pid, 5000);
	wait_gone(apart, 5000);
}

static void
kill_agent(pid_t agent)
{
	check_true(kill(agent, SIGKILL) == 0);
	wait_value("0", LIMIT, "select count(*) from hearth.pool");
}

static void
close_agent(pid_t agent)
{
	(void)agent;
	sql("select hearth.close_agent('%s', 'fake')", chat);
}

static void
kill_daemon(pid_t agent)
{
	(void)agent;
	daemon_crash();
}

START_TEST(they_die_with_an_agent_that_is_killed)
{
	check_family_dies(kill_agent);
	complete(chat, "fake", "say next");
}
END_TEST

START_TEST(they_die_with_an_agent_that_is_closed)
{
	check_family_dies(close_agent);
}
END_TEST

START_TEST(they_die_with_the_daemon)
{
	check_family_dies(kill_daemon);
}
END_TEST

START_TEST(they_outlive_a_turn_but_not_their_first_process)
{
	int64_t turn;
	pid_t pid, apart;

	start_offering();
	turn = complete(chat, "fake", FAMILY);
	pid = pid_of("pid");
	apart = pid_of("apart");
	turn = complete(chat, "fake", "terminal-output");
	ck_assert_str_eq(text_of(turn), "[output whole running ]");
	check_true(kill(pid, SIGKILL) == 0);
	wait_gone(apart, 5000);
	turn = complete(chat, "fake", "terminal-wait;terminal-output");
	ck_assert_str_eq(text_of(turn), "[wait SIGKILL]"
	    "[output whole SIGKILL ]");
}
END_TEST

/* ---- what a tool call keeps */

START_TEST(a_tool_call_keeps_what_its_terminal_said)
{
	start_offering();
	complete(chat, "fake", "terminal printf 'all of it';"
	    "tool-start t1 execute Run;terminal-embed t1 in_progress;"
	    "terminal-wait;terminal-release;tool-update t2 completed;"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\""
	    ":{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":"
	    "\"tool_call_update\",\"toolCallId\":\"t1\",\"status\":"
	    "\"completed\"}}};terminal-embed t3 failed;"
	    "terminal sleep 600;terminal-embed t4 completed;"
	    "terminal-embed t5 completed 9");
	check_value("all of it/false/{\"signal\": null, \"exitCode\": 0}",
	    "select content #>> '{0,output}' || '/' || "
	    "(content #>> '{0,truncated}') || '/' || "
	    "(content #> '{0,exitStatus}') from hearth.tool_calls "
	    "where tool_call_id = 't1'");
	check_value("all of it", "select content #>> '{0,output}' "
	    "from hearth.tool_calls where tool_call_id = 't3'");
	check_value("null", "select content #> '{0,exitStatus}' "
	    "from hearth.tool_calls where tool_call_id = 't4'");
	check_value("[{\"type\": \"terminal\", \"terminalId\": \"none\"}]",
	    "select content from hearth.tool_calls "
	    "where tool_call_id = 't5'");
}
END_TEST

/* Its launcher may be the wall around it, and is found and run outside. */
START_TEST(what_an_agent_chooses_does_not_reach_its_launcher)
{
	static const char path[] = "terminal-with \"env\":[{\"name\":"
		"\"PATH\",\"value\":\"bin\"}]";
	int64_t turn;

	prepare();
	sql("update hearth.agents set client_capabilities = "
	    "'{\"terminal\": true}', launcher = '{env}'");
	start(NULL);
	/* inside it is free to do so */
	turn = complete(chat, "fake", "run mkdir bin && printf '#!/bin/sh\\n"
	    "echo >%s/escaped\\n' >bin/env && chmod 755 bin/env;%s;"
	    "terminal env;terminal-wait", folder, path);
	ck_assert_str_eq(text_of(turn), "[run 0][terminal ok][wait 0]");
	check_true(file_exists("%s/escaped", folder));
	shell("rm '%s/escaped'", folder);
	complete(chat, "fake", "%s;terminal /bin/true;terminal-wait", path);
	check_true(!file_exists("%s/escaped", folder));
	turn = complete(chat, "fake", "terminal-with;terminal --version;"
	    "terminal-wait");
	ck_assert_str_eq(text_of(turn), "[terminal ok][wait 127]");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, they_are_not_offered_by_default);
	tcase_add_test(tc, a_child_with_a_running_terminal_is_not_idle);
	tcase_add_test(tc, a_command_runs_and_tells_its_end);
	tcase_add_test(tc, args_env_and_cwd_are_the_agents_and_its_own);
	tcase_add_test(tc, a_program_that_is_missing_says_so);
	tcase_add_test(tc, the_tail_is_kept_and_never_half_a_character);
	tcase_add_test(tc, kill_keeps_the_terminal_and_release_does_not);
	tcase_add_test(tc, release_ends_what_runs_and_answers_who_waits);
	tcase_add_test(tc, a_wait_can_be_withdrawn);
	tcase_add_test(tc, many_run_at_once_and_too_many_do_not);
	tcase_add_test(tc, they_die_with_an_agent_that_is_killed);
	tcase_add_test(tc, they_die_with_an_agent_that_is_closed);
	tcase_add_test(tc, they_die_with_the_daemon);
	tcase_add_test(tc, they_outlive_a_turn_but_not_their_first_process);
	tcase_add_test(tc, a_tool_call_keeps_what_its_terminal_said);
	tcase_add_test(tc,
	    what_an_agent_chooses_does_not_reach_its_launcher);
}

int
main(void)
{
	return e2e_main("terminals", add_tests);
}
