/* SPDX-License-Identifier: MIT */
/*
 * What agents do that is allowed but rare, or not allowed but done: each as a
 * user meets it. The wire as such is e2e_protocol.c, where a table says which
 * behaviour is covered by which test.
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void
close_child(const char *agent)
{
	sql("select hearth.close_agent('%s', '%s')", chat, agent);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions where pid is null and agent = '%s'",
	    agent);
}

static void
wait_command(long long id)
{
	wait_value("done/", LIMIT, "select concat_ws('/', status, "
	    "coalesce(error, '')) from hearth.commands where id = %lld", id);
}

/* ---- null where an empty object would be nicer */

/* The answer to session/load or session/resume says nothing of modes and
 * models then, and the agent may have begun with its defaults. */
START_TEST(null_is_an_answer_wherever_it_may_be)
{
	static const char *const how[] = { "--resume", "--load" };
	int64_t turn;

	start("cancel_timeout=600ms", NULL);
	add_agent("terse", "--null-results", "--close", how[_i], NULL);
	turn = number("select hearth.submit('%s', 'terse', 'echo-mode;"
	    "echo-config;result null', model => 'large', mode_id => 'ask')",
	    chat);
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[mode ask][config large]");
	close_child("terse");
	turn = complete(chat, "terse", "echo-mode;echo-config");
	ck_assert_str_eq(text_of(turn), "[mode ask][config large]");
	check_value(how[_i] + 2, "select resumed_by "
	    "from hearth.agent_sessions");
	/* what it offered before can still be chosen, and nothing else */
	wait_command(number("select hearth.set_mode('%s', 'terse', 'code')",
	    chat));
	turn = complete(chat, "terse", "echo-mode;echo-config");
	ck_assert_str_eq(text_of(turn), "[mode code][config large]");
	check_value("code/large", "select mode_id || '/' || model "
	    "from hearth.agent_sessions");
	turn = number("select hearth.submit('%s', 'terse', 'say x', "
	    "model => 'huge')", chat);
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "unsupported");
	check_has(turn_of(turn, "error"), "it has: small, large");
	/* session/close, at the end of the ladder */
	turn = submit(chat, "terse", "on-cancel never;say x;hang");
	wait_text(turn, "x");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	complete(chat, "terse", "say again");
}
END_TEST

/* ---- sessions that were never used */

/* Agents that store a session with its first prompt do not find one that was
 * only warmed, and not all say so in words that are known. */
START_TEST(a_session_that_had_no_prompt_is_given_up_at_once)
{
	int64_t turn;

	start(NULL);
	add_agent("lazy", "--resume", "--session-lost", "-32603",
	    "--lost-words", "Internal error", NULL);
	wait_command(number("select hearth.warm('%s', 'lazy')", chat));
	close_child("lazy");
	wait_command(number("select hearth.warm('%s', 'lazy')", chat));
	close_child("lazy");
	turn = complete(chat, "lazy", "echo-turn;echo-blocks");
	ck_assert_str_eq(text_of(turn), "[turn 1][blocks 1]");
	check_value("new", "select resumed_by from hearth.agent_sessions");
	/* one that had is worth a second try */
	close_child("lazy");
	turn = submit(chat, "lazy", "say x");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "resume_failed");
}
END_TEST

/* ---- MCP servers */

START_TEST(a_conversation_is_worth_more_than_mcp_servers)
{
	int64_t turn;

	start(NULL);
	add_agent("picky", "--resume", "--no-mcp-reopen", NULL);
	sql("update hearth.agents set mcp_servers = '[{\"name\": \"m\", "
	    "\"command\": \"/bin/true\"}]' where name = 'picky'");
	complete(chat, "picky", "say remember me");
	close_child("picky");
	turn = complete(chat, "picky", "echo-blocks");
	ck_assert_str_eq(text_of(turn), "[blocks 1]");
	check_value("resume", "select resumed_by from hearth.agent_sessions");
	check_true(log_has("once more without MCP servers"));
	/* that it is really lost is still found out */
	add_agent("gone", "--resume", "--session-lost", "-32602", NULL);
	sql("update hearth.agents set mcp_servers = '[{\"name\": \"m\", "
	    "\"command\": \"/bin/true\"}]' where name = 'gone'");
	complete(chat, "gone", "say remember me");
	close_child("gone");
	turn = complete(chat, "gone", "echo-blocks");
	ck_assert_str_eq(text_of(turn), "[blocks 2]");
}
END_TEST

/* ---- ids */

START_TEST(a_question_is_answered_by_its_id_whatever_that_is)
{
	static const char *const forms[] = { "string", "huge", "zero", "int" };
	int64_t turn;

	start(NULL);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		turn = submit(chat, "fake", "request-id %s;permission;say on",
		    forms[i]);
		wait_value("1", LIMIT, "select count(*) "
		    "from hearth.pending_permissions");
		sql("select hearth.answer_permission(id, 'allow-once') "
		    "from hearth.permission_requests "
		    "where status = 'pending'");
		wait_turn(turn, "completed", LIMIT);
		ck_assert_str_eq(text_of(turn), "[permission allow-once]on");
	}
}
END_TEST

/* ---- numbers that are none */

/* As Python's json writes them; a line that cannot be read might be the answer
 * that somebody waits for. */
START_TEST(an_answer_with_numbers_that_are_none_is_an_answer)
{
	int64_t turn;

	start(NULL);
	complete(chat, "fake", "usage 10 1000 0.5;usage-result 3 4");
	turn = submit(chat, "fake", "usage 20 1000 NaN;on-cancel never;say x;"
	    "raw {\"jsonrpc\":\"2.0\",\"id\":@P@,\"result\":{\"stopReason\":"
	    "\"end_turn\",\"usage\":{\"inputTokens\":NaN,"
	    "\"outputTokens\":-Infinity},\"_meta\":[ Infinity]}};hang");
	wait_turn(turn, "completed", LIMIT);
	check_value("0.5/3/4/20", "select concat_ws('/', cost, input_tokens, "
	    "output_tokens, context_used) from hearth.agent_sessions");
	check_value("/t", "select concat_ws('/', coalesce(payload #>> "
	    "'{cost,amount}', ''), repaired) from hearth.events where kind = "
	    "'usage' and turn_id = %lld", (long long)turn);
}
END_TEST

/* ---- tools whose every update says all that was said before */

#define LENGTHS "select string_agg(coalesce(length(payload #>> " \
	"'{content,0,content,text}')::text, kind), ' ' order by seq) " \
	"from hearth.events where turn_id = %lld and kind in " \
	"('tool_update', 'text')"

/* 2,000 of them, 200 MB; some are enough for those who look on. */
START_TEST(of_updates_that_repeat_all_some_are_stored)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "tool-start f execute Long;"
	    "tool-flood f 2000 100;tool-end f completed the end;say done");
	check_value("t", "select count(*) between 45 and 500 "
	    "from hearth.events where kind = 'tool_update'");
	check_value("t", "select sum(length(payload::text)) < 40000000 "
	    "from hearth.events");
	check_value("completed/the end", "select status || '/' || (content "
	    "#>> '{0,content,text}') from hearth.tool_calls");
	/* none is older than what is told behind it */
	turn = complete(chat, "fake", "tool-start f execute Long;"
	    "tool-flood f 3 300000;say x");
	check_true(strstr(keep(xstrdup(value(LENGTHS, (long long)turn))),
	    "900000 text") != NULL);
	/* nor is it lost at the end, of whatever kind */
	turn = complete(chat, "fake", "tool-start f execute Long;"
	    "tool-flood f 3 300000");
	check_true(strstr(keep(xstrdup(value(LENGTHS, (long long)turn))),
	    "900000") != NULL);
	turn = submit(chat, "fake", "tool-start f execute Long;"
	    "tool-flood f 3 300000;exit 3");
	wait_turn(turn, "failed", LIMIT);
	check_true(strstr(keep(xstrdup(value(LENGTHS, (long long)turn))),
	    "900000") != NULL);
}
END_TEST

/* Deltas, for instance, stand in _meta; others show the last lines only. */
START_TEST(what_may_be_no_repetition_is_stored)
{
	char *more = xasprintf("%05000d", 0);
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "tool-start f execute Long;"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":"
	    "\"tool_call_update\",\"toolCallId\":\"f\",\"_meta\":{\"a\":"
	    "\"%s\"}}}};raw {\"jsonrpc\":\"2.0\",\"method\":"
	    "\"session/update\",\"params\":{\"sessionId\":\"@S@\",\"update\":"
	    "{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"f\","
	    "\"rawInput\":\"%s\"}}};tool-update f in_progress %s;"
	    "tool-update g in_progress %s;tool-end f completed", more, more,
	    more, more);
	check_value("5", "select count(*) from hearth.events "
	    "where kind = 'tool_update' and turn_id = %lld", (long long)turn);
	free(more);
}
END_TEST

/* ---- ends */

START_TEST(an_answer_without_a_line_end_counts_when_the_agent_ends)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say x;nolf;stop;exit 4");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "x");
	ck_assert_str_eq(turn_of(turn, "stop_reason"), "end_turn");
	wait_value("crashed/4", LIMIT, "select a.status || '/' || "
	    "x.exit_code from hearth.agent_sessions a, hearth.executions x");
	complete(chat, "fake", "say again");
}
END_TEST

/* ---- what nobody waits for is answered all the same */

START_TEST(a_batch_is_refused_once_and_nothing_of_it_is_done)
{
	const char *wire;
	int64_t turn;

	prepare();
	wire = keep(xasprintf("%s/wire", folder));
	shell("touch '%s'; chmod 0666 '%s'", wire, wire);
	add_agent("packs", "--wire-log", wire, NULL);
	start(NULL);
	turn = complete(chat, "packs", "batch;say x;unknown-request");
	ck_assert_str_eq(text_of(turn), "x[unknown-request -32601]");
	shell("test $(grep -c '\"id\":null,\"error\":{\"code\":-32600' '%s') "
	    "= 1", wire);
	shell("! grep -q '\"id\":77' '%s'", wire);
}
END_TEST

/* ---- work without a session */

/* It goes to a child of its own, be there a warm one in the same project, and
 * takes a spare where there is one. */
START_TEST(a_one_shot_disturbs_no_chat_and_takes_a_spare)
{
	const char *name;
	int64_t once;
	pid_t warm, spare;

	prepare();
	sql("update hearth.agents set spares = 1 where name = 'fake'");
	start(NULL);
	complete(chat, "fake", "say warm");
	warm = agent_pid(chat, "fake");
	wait_value("1", LIMIT, "select count(*) from hearth.executions "
	    "where chat_id is null and ended_at is null "
	    "and initialize_ms is not null");
	spare = (pid_t)number("select pid from hearth.pool "
	    "where status = 'spare'");
	name = keep(xstrdup(value("select name from hearth.projects")));
	once = number("select hearth.submit_once('%s', 'fake', "
	    "'echo-pid;echo-turn')", name);
	wait_turn(once, "completed", LIMIT);
	check_true(pid_in(text_of(once), "pid") == spare);
	check_has(text_of(once), "[turn 1]");
	wait_gone(spare, LIMIT);
	check_true(agent_pid(chat, "fake") == warm);
	ck_assert_str_eq(text_of(complete(chat, "fake", "echo-turn")),
	    "[turn 2]");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, null_is_an_answer_wherever_it_may_be, 0, 2);
	tcase_add_test(tc,
	    a_session_that_had_no_prompt_is_given_up_at_once);
	tcase_add_test(tc, a_conversation_is_worth_more_than_mcp_servers);
	tcase_add_test(tc, a_question_is_answered_by_its_id_whatever_that_is);
	tcase_add_test(tc, of_updates_that_repeat_all_some_are_stored);
	tcase_add_test(tc, what_may_be_no_repetition_is_stored);
	tcase_add_test(tc,
	    an_answer_with_numbers_that_are_none_is_an_answer);
	tcase_add_test(tc,
	    an_answer_without_a_line_end_counts_when_the_agent_ends);
	tcase_add_test(tc,
	    a_batch_is_refused_once_and_nothing_of_it_is_done);
	tcase_add_test(tc, a_one_shot_disturbs_no_chat_and_takes_a_spare);
}

int
main(void)
{
	return e2e_main("quirks", add_tests);
}
