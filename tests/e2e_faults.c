/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong with agents, and what a user reads of it: words that name
 * the cause, without what must not be read, and a next turn that works.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- secrets */

#define KEY "sk-0123456789abcdef"
#define TOKEN "tok-fedcba9876543210"

/* How many rows have a text in any column; the registry itself has to. */
#define ROWS_WITH "select coalesce(sum((length(x) - length(replace(x, '%s', " \
	"''))) / length('%s')), 0) from (select query_to_xml(format('select * " \
	"from hearth.%%I', table_name), true, true, '')::text as x " \
	"from information_schema.tables where table_schema = 'hearth' " \
	"and table_type = 'BASE TABLE' and table_name <> 'agents') t"

static void
give_secrets(const char *agent)
{
	sql("update hearth.agents set env = '{\"API_KEY\": \"" KEY "\"}', "
	    "mcp_servers = '[{\"name\": \"tools\", \"command\": \"/bin/true\", "
	    "\"args\": [], \"env\": [{\"name\": \"MCP_TOKEN\", \"value\": \""
	    TOKEN "\"}]}]' where name = '%s'", agent);
}

static void
check_hidden(void)
{
	check_value("0", ROWS_WITH, KEY, KEY);
	check_value("0", ROWS_WITH, TOKEN, TOKEN);
	check_true(!log_has(KEY));
	check_true(!log_has(TOKEN));
}

START_TEST(secrets_are_in_no_row_and_no_log)
{
	int64_t turn;

	prepare();
	give_secrets("fake");
	add_agent("refuses", "--resume", "--session-lost", "-32603",
	    "--lost-words", "bad key " KEY, NULL);
	give_secrets("refuses");
	add_agent("dies", "--exit-at-init", "3", "--stderr", "sent Bearer "
	    TOKEN " and " KEY, NULL);
	give_secrets("dies");
	start("log_level=debug", NULL);
	/* in the error of a prompt, in what is no message, and as a stray */
	turn = submit(chat, "fake", "raw key @K@;raw {\"jsonrpc\":\"2.0\","
	    "\"id\":null,\"error\":{\"code\":1,\"message\":\"no @K@\"}};"
	    "raw {\"jsonrpc\":\"2.0\",\"id\":@P@,\"error\":{\"code\":-32603,"
	    "\"message\":\"Internal\",\"data\":{\"details\":\"bad @K@\"}}}");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error"), "Internal: bad [API_KEY]");
	wait_log("not a message (23 bytes): key [API_KEY]");
	/* on stderr, before it was ready */
	turn = submit(chat, "dies", "say x");
	wait_turn(turn, "failed", LIMIT);
	check_has(turn_of(turn, "error"),
	    "sent Bearer [MCP_TOKEN] and [API_KEY]");
	wait_value("true", LIMIT, "select (stderr_tail like "
	    "'%%[MCP_TOKEN] and [API_KEY]%%')::text from hearth.executions "
	    "where agent = 'dies'");
	/* in why a conversation was lost */
	complete(chat, "refuses", "say x");
	sql("select hearth.close_agent('%s', 'refuses')", chat);
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where agent = 'refuses' and pid is null");
	wait_turn(submit(chat, "refuses", "say y"), "failed", LIMIT);
	complete(chat, "refuses", "say z");
	check_value("bad key [API_KEY]", "select payload ->> 'reason' from "
	    "hearth.events where kind = 'agent_status' "
	    "order by seq desc limit 1");
	check_hidden();
}
END_TEST

START_TEST(mcp_servers_come_with_their_secrets)
{
	const char *wire;

	prepare();
	wire = keep(xasprintf("%s/wire", folder));
	shell("touch '%s'; chmod 0666 '%s'", wire, wire);
	add_agent("served", "--wire-log", wire, NULL);
	give_secrets("served");
	start("log_level=debug", NULL);
	complete(chat, "served", "say x");
	check_has(file_text("%s", wire), "\"name\":\"MCP_TOKEN\"");
	check_has(file_text("%s", wire), TOKEN);
	check_hidden();
}
END_TEST

/* ---- sessions that are lost while the child lives */

static const struct {
	const char *how, *error;
} losses[] = {
	{ NULL, "-32002 Resource not found" },
	{ NULL, "-32603 Session abc not found" },
	{ "--resume", "-32602 Unknown session" },
};

#define TOLD "select concat_ws('/', e.payload ->> 'resumed_by', " \
	"e.payload ->> 'reason', a.crash_count) from hearth.events e " \
	"join hearth.agent_sessions a using (chat_id, agent) " \
	"where e.kind = 'agent_status' order by e.seq desc limit 1"

START_TEST(a_session_that_is_lost_between_turns_ends_its_child)
{
	int64_t turn, next;

	prepare();
	add_agent("forgets", losses[_i].how, NULL);
	start(NULL);
	complete(chat, "forgets", "say remember me");
	turn = submit(chat, "forgets", "error %s", losses[_i].error);
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "session_lost");
	wait_value("closed/it does not know its session any more", LIMIT,
	    "select status || '/' || end_reason from hearth.agent_sessions "
	    "where agent = 'forgets' and pid is null");
	check_value("session_lost/1", "select last_error_code || '/' || "
	    "crash_count from hearth.agent_sessions");
	next = complete(chat, "forgets", "echo-turn;echo-block 0");
	check_has(text_of(next), "[turn 1]");
	check_has(text_of(next), "remember me");
	check_value("replay/the agent did not know it any more, or failed "
	    "twice to reopen it/0", TOLD);
	check_value("2", "select count(*) from hearth.executions");
	/* the one after that goes on with the new one */
	if (losses[_i].how) {
		sql("select hearth.close_agent('%s', 'forgets')", chat);
		wait_value("closed", LIMIT, "select status from "
		    "hearth.agent_sessions where pid is null");
		complete(chat, "forgets", "say x");
		check_value("resume", "select resumed_by from "
		    "hearth.agent_sessions");
	}
}
END_TEST

/* Some agents reopen whatever they are asked for. */
START_TEST(a_refusal_after_reopening_is_a_lost_session)
{
	int64_t turn;

	prepare();
	add_agent("hermes", "--resume", NULL);
	start(NULL);
	complete(chat, "hermes", "say remember me");
	sql("select hearth.close_agent('%s', 'hermes')", chat);
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where pid is null");
	turn = submit(chat, "hermes", "stop refusal");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "session_lost");
	turn = complete(chat, "hermes", "echo-block 0");
	check_has(text_of(turn), "remember me");
	check_value("replay/the agent did not know it any more, or failed "
	    "twice to reopen it/0", TOLD);
	/* from one that has answered before it is only a refusal */
	turn = complete(chat, "hermes", "stop refusal");
	ck_assert_str_eq(turn_of(turn, "stop_reason"), "refusal");
}
END_TEST

START_TEST(a_file_that_is_missing_is_no_lost_session)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "say x");
	turn = submit(chat, "fake", "raw {\"jsonrpc\":\"2.0\",\"id\":@P@,"
	    "\"error\":{\"code\":-32002,\"message\":\"Resource not found\","
	    "\"data\":{\"uri\":\"file:///a\"}}}");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_error");
	turn = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(turn), "[turn 3]");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, secrets_are_in_no_row_and_no_log);
	tcase_add_test(tc, mcp_servers_come_with_their_secrets);
	tcase_add_loop_test(tc,
	    a_session_that_is_lost_between_turns_ends_its_child, 0,
	    (int)(sizeof losses / sizeof *losses));
	tcase_add_test(tc, a_refusal_after_reopening_is_a_lost_session);
	tcase_add_test(tc, a_file_that_is_missing_is_no_lost_session);
}

int
main(void)
{
	return e2e_main("faults", add_tests);
}
