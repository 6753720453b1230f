/* SPDX-License-Identifier: MIT */
/*
 * What agents may send, well-formed or not, and the rows that come of it. The
 * wire itself is covered case by case in the unit tests of worker/; here it
 * is seen whether all of it arrives in PostgreSQL as it should.
 *
 * Which behaviour of agents is covered by which test (p here, c in
 * e2e_crash.c, t in e2e_turns.c, l in e2e_limits.c, k in e2e_conversation.c,
 * r in e2e_terminals.c, f in e2e_faults.c, q in e2e_quirks.c, w in
 * unit_worker.c):
 *
 *   noise line, noise glued to a frame, CRLF, no final LF,
 *   1-byte writes, UTF-8 split, invalid UTF-8, U+0000,
 *   lone surrogate, full text repeated, result null,
 *   empty result, unknown stop reason        p text_arrives_as_it_was_said
 *   noise in front of initialize             p an_agent_may_begin_badly
 *   40 MiB line                              p a_line_of_40_mib_is_one_event
 *   line over the cap                        p a_line_over_the_cap_kills
 *   ids: string, huge, null, missing         p ids_of_all_forms_are_answered,
 *                                            p an_answer_without_an_id,
 *                                            q a_question_is_answered_by_…
 *   result null: load, resume, set_mode,
 *   session/close                            q null_is_an_answer_wherever_…
 *   no final LF, and then the end            q an_answer_without_a_line_end_…
 *   NaN, Infinity                            q an_answer_with_numbers_that_…
 *   duplicate and foreign responses, error
 *   without id, batch, unknown notification  p strays_change_nothing,
 *                                            q a_batch_is_refused_once_…
 *   unknown request                          p ids_of_all_forms_are_answered
 *   unknown update, another session's,
 *   notice, content that is no text          p unknown_updates_are_kept_whole
 *   unknown tool kind and status,
 *   tool_call_update first                   p tool_calls_are_merged
 *   10k cumulative tool updates              p ten_thousand_tool_updates,
 *                                            q of_updates_that_repeat_all_…
 *   update before session/new's answer       p an_early_update_is_no_turns
 *   update after the prompt's answer         p late_updates_keep_their_turn
 *   empty end_turn                           p an_empty_turn_is_suspicious
 *   error at the prompt, auth at the prompt  p errors_of_a_prompt_are_told
 *   auth at session/new, protocol version 2  l a_login_that_is_missing_is_told,
 *                                            l another_protocol_version_is_told
 *   never answers the prompt                 l a_turn_over_its_limit_…
 *   never answers a cancel                   c a_cancel_that_is_ignored_…
 *   answers a cancel: late, the second time,
 *   with -32603, with end_turn; permission
 *   while it is in flight                    p a_cancel_may_be_answered_…
 *   two permissions at once                  t two_questions_at_once_…
 *   stops reading stdin                      p a_large_prompt_waits_for_…
 *   stderr flood                             p stderr_is_never_in_the_way
 *   request and then death                   c a_death_settles_its_questions
 *   exits during initialize, at session/new  c a_death_before_the_session_…
 *   ignores EOF, ignores TERM                c an_agent_that_ignores_…
 *   grandchild holds stdout, setsid          c grandchildren_go_with_…
 *   memory, a kill for it                    c memory_is_recorded,
 *                                            c a_kill_for_memory_…
 *   session lost after a restart, in all the
 *   words there are for it                   k a_session_that_is_lost_in_…,
 *                                            w conversation_is_reopened_…
 *   session lost while the child lives, or
 *   a refusal instead of an error            f a_session_that_is_lost_between_…,
 *                                            f a_refusal_after_reopening_…
 *   session/close before a kill              w session_is_closed_before_…
 *   session that is there and broken         k a_session_that_is_broken_…
 *   login lost between two children          k a_login_that_ran_out_…
 *   load: replay before the answer           k a_loaded_session_is_not_…
 *   load: replay after the answer            k a_replay_after_the_answer_…,
 *                                            w replay_that_comes_late_…
 *   load, resume: no answer, exit, null      w conversation_is_reopened_…
 *   session that was never prompted is lost  q a_session_that_had_no_prompt_…
 *   terminals of any kind                    r all of it
 *   nested too deep, numbers out of range    p poison_stays_alone
 */
#include "tests/e2e.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* ---- text */

static const struct {
	const char *script, *text;
	bool repaired;
} texts[] = {
	{ "say one\\ntwo\\tthree \\\\ \"quoted\"", "one\ntwo\tthree \\ "
	    "\"quoted\"", false },
	{ "dribble on;say a byte at a time;dribble off", "a byte at a time",
	    false },
	{ "split h\303\251llo \346\227\245\346\234\254 \360\237\216\211",
	    "h\303\251llo \346\227\245\346\234\254 \360\237\216\211", false },
	{ "say h\303\251 \360\237\216\211;say  and on",
	    "h\303\251 \360\237\216\211 and on", false },
	{ "bad-utf8", "a\357\277\275\357\277\275b", true },
	{ "nul", "a\357\277\275b", true },
	{ "surrogate", "a\357\277\275b", true },
	{ "crlf on;say x;say y;crlf off", "xy", false },
	{ "noise hello;say x;noise {\"not\"\\: json};noise [1,;say y", "xy",
	    false },
	{ "say x;noise  ;noise \\t;say y", "xy", false },
	{ "glue ### loading... ;say x;say y", "xy", false },
	{ "glue \\\\e]0\\;title ;say x", "x", false },
	{ "nolf;say x;say y", "xy", false },
	{ "say a;say b;message m1;repeat", "ab", false },
	{ "message m1;say a;message m2;say b;repeat", "abab", false },
	{ "user my own words;say x", "x", false },
	{ "think hidden;say x;think more", "x", false },
	{ "say x;result null", "x", false },
	{ "say x;empty", "x", false },
	{ "say x;stop vendor_reason", "x", false },
	{ "say x;result {\"stopReason\": 7}", "x", false },
};

START_TEST(text_arrives_as_it_was_said)
{
	start(NULL);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		int64_t turn = complete(chat, "fake", "%s", texts[i].script);

		if (strcmp(text_of(turn), texts[i].text) != 0)
			e2e_fail(__FILE__, __LINE__, "%s: \"%s\"",
			    texts[i].script, text_of(turn));
		check_value(texts[i].repaired ? "true" : "false",
		    "select bool_or(repaired)::text from hearth.events "
		    "where turn_id = %lld", (long long)turn);
	}
	check_value("vendor_reason", "select stop_reason from hearth.turns "
	    "where stop_reason not in ('end_turn')");
	check_value("hiddenmore", "select reasoning from hearth.messages "
	    "where reasoning is not null");
	check_value("1", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(an_agent_may_begin_badly)
{
	static const char *const options[][4] = {
		{ "--noise-lines", "5" },
		{ "--noise-glued" },
		{ "--crlf" },
		{ "--dribble" },
		{ "--init-id", "string" },
		{ "--no-offers" },
		{ "--null-results" },
		{ "--commands" },
		{ "--stderr", "a warning of some runtime" },
		{ "--stderr-flood", "1000000" },
	};
	char name[16];
	int64_t turn;

	start(NULL);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		snprintf(name, sizeof name, "bad%zu", i);
		e2e_agent(name, options[i]);
		turn = complete(chat, name, "say fine");
		ck_assert_str_eq(text_of(turn), "fine");
	}
}
END_TEST

START_TEST(a_stream_is_whole_however_it_is_cut)
{
	int64_t turn;

	start("flush_interval=30ms", NULL);
	turn = complete(chat, "fake", "count 3000;chunks 40 700 3");
	check_value("true", "select (s.text = (select string_agg(i || ' ', '' "
	    "order by i) from generate_series(1, 3000) i) || (select "
	    "string_agg(repeat(chr(97 + i %% 26), 700), '' order by i) from "
	    "generate_series(0, 39) i))::text from (select string_agg("
	    "payload ->> 'text', '' order by seq) as text from hearth.events "
	    "where kind = 'text' and turn_id = %lld) s", (long long)turn);
	check_value("true", "select (count(*) < 400)::text "
	    "from hearth.events");
	check_value("true", "select (first_event_at < ended_at)::text "
	    "from hearth.turns");
}
END_TEST

START_TEST(a_line_of_40_mib_is_one_event)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say begin;big 40;say end");
	wait_turn(turn, "completed", 2 * LIMIT);
	check_value("41943048", "select octet_length(content) "
	    "from hearth.messages where role = 'assistant'");
	check_value("true", "select (content like 'beginxxx%%' and content "
	    "like '%%xxxend')::text from hearth.messages "
	    "where role = 'assistant'");
	ck_assert_str_eq(turn_of(turn, "status"), "completed");
}
END_TEST

START_TEST(a_line_over_the_cap_kills_and_is_named)
{
	int64_t turn, next;
	pid_t pid;

	start(NULL);
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	turn = submit(chat, "fake", "say before;big 66;say after");
	wait_turn(turn, "failed", LIMIT);
	check_has(turn_of(turn, "error"), "64 MiB");
	ck_assert_str_eq(turn_of(turn, "error_code"), "protocol_error");
	ck_assert_str_eq(text_of(turn), "before");
	wait_gone(pid, LIMIT);
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
}
END_TEST

/* ---- envelopes */

START_TEST(ids_of_all_forms_are_answered)
{
	int64_t turn;

	start("turn_timeout=8s", NULL);
	turn = complete(chat, "fake", "unknown-request;request-id string;"
	    "unknown-request;request-id huge;unknown-request;request-id zero;"
	    "unknown-request");
	ck_assert_str_eq(text_of(turn), "[unknown-request -32601]"
	    "[unknown-request -32601][unknown-request -32601]"
	    "[unknown-request -32601]");
	turn = complete(chat, "fake", "request-id missing;permission-async;"
	    "request-id null;permission-async;say x;answer-id string");
	ck_assert_str_eq(text_of(turn), "x");
	complete(chat, "fake", "say next");
}
END_TEST

START_TEST(an_answer_without_an_id_answers_nothing)
{
	static const char *const forms[] = { "null", "missing", "foreign",
		"huge" };
	int64_t turn;

	start("turn_timeout=300ms", "cancel_timeout=300ms", NULL);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		turn = submit(chat, "fake", "say x;answer-id %s", forms[i]);
		wait_turn(turn, "failed", LIMIT);
		ck_assert_str_eq(turn_of(turn, "error_code"), "turn_timeout");
		ck_assert_str_eq(text_of(turn), "x");
	}
}
END_TEST

START_TEST(strays_change_nothing)
{
	int64_t turn, next;

	start(NULL);
	turn = complete(chat, "fake", "say a;foreign-response;error-no-id;"
	    "error-null-id;batch;unknown-notification;say b;stop;stop;"
	    "stop cancelled;error -32603 too late");
	next = complete(chat, "fake", "say c");
	ck_assert_str_eq(text_of(turn), "ab");
	ck_assert_str_eq(turn_of(turn, "stop_reason"), "end_turn");
	ck_assert_str_eq(text_of(next), "c");
	ck_assert_str_eq(turn_of(next, "warm"), "true");
}
END_TEST

START_TEST(files_are_served_where_they_are_offered)
{
	int64_t turn;

	prepare();
	sql("update hearth.agents set client_capabilities = '{\"fs\": "
	    "{\"readTextFile\": true, \"writeTextFile\": true}}'");
	start(NULL);
	turn = complete(chat, "fake", "fs-read a.txt;fs-write new.txt made;"
	    "fs-read new.txt;fs-read ../../hearthd.lock;fs-read /etc/passwd;"
	    "fs-write ../../evil x");
	ck_assert_str_eq(text_of(turn), "[fs-read one\n][fs-write ok]"
	    "[fs-read made][fs-read error -32602][fs-read error -32602]"
	    "[fs-write error -32602]");
	check_value("new.txt/create", "select file_path || '/' || operation "
	    "from hearth.pending_changes");
	check_true(!file_exists("%s/evil", state));
}
END_TEST

/* ---- updates */

#define UNKNOWN(path) "select payload #>> '{" path "}' from hearth.events " \
	"where kind = 'unknown' and turn_id = %lld order by seq limit 1"

START_TEST(unknown_updates_are_kept_whole)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "unknown-update");
	check_value("vendor_surprise", UNKNOWN("sessionUpdate"),
	    (long long)turn);
	check_value("[1, 2, 3]", UNKNOWN("value,deep"), (long long)turn);
	turn = complete(chat, "fake", "say x;wrong-session not mine");
	check_value("not mine", UNKNOWN("content,text"), (long long)turn);
	ck_assert_str_eq(text_of(turn), "x");
	turn = complete(chat, "fake", "notice quota low");
	check_value("quota low", UNKNOWN("title"), (long long)turn);
	turn = complete(chat, "fake", "raw {\"jsonrpc\":\"2.0\",\"method\":"
	    "\"session/update\",\"params\":{\"sessionId\":\"@S@\",\"update\":"
	    "{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":"
	    "\"image\",\"data\":\"aGk=\",\"mimeType\":\"image/png\"}}}}");
	check_value("aGk=", UNKNOWN("content,data"), (long long)turn);
	ck_assert_str_eq(turn_of(turn, "suspicious"), "false");
}
END_TEST

START_TEST(tool_calls_are_merged)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "tool-start t1 teleport Beam me;"
	    "tool-update t1 halfway;tool-update t1 in_progress part;"
	    "tool-end t1 completed all;tool-end t2 failed sorry;"
	    "tool read Look;tool-start t3 edit Unfinished");
	check_value("t1 Beam me teleport completed, t2 Tool call other "
	    "failed, tool-1 Look read completed, t3 Unfinished edit "
	    "cancelled", "select string_agg(concat_ws(' ', tool_call_id, "
	    "title, kind, status), ', ' order by id) from hearth.tool_calls");
	check_value("all", "select content #>> '{0,content,text}' "
	    "from hearth.tool_calls where tool_call_id = 't1'");
	check_value("4", "select count(*) from hearth.tool_calls "
	    "where turn_id = %lld and ended_at is not null and "
	    "first_seq <= last_seq", (long long)turn);
	check_value("halfway", "select payload ->> 'status' from "
	    "hearth.events where kind = 'tool_update' order by seq limit 1");
	complete(chat, "fake", "tool-start t1 read Same id, next turn");
	check_value("2", "select count(*) from hearth.tool_calls "
	    "where tool_call_id = 't1'");
}
END_TEST

START_TEST(ten_thousand_tool_updates_are_one_call)
{
	int64_t turn;

	start("flush_interval=0ms", NULL);
	turn = complete(chat, "fake", "tool-start f execute Long;"
	    "tool-flood f 10000 1;tool-end f completed the end;say done");
	ck_assert_str_eq(text_of(turn), "done");
	check_value("1/completed/the end", "select count(*) || '/' || "
	    "min(status) || '/' || min(content #>> '{0,content,text}') "
	    "from hearth.tool_calls");
	check_value("10001", "select count(*) from hearth.events "
	    "where kind = 'tool_update'");
	check_value("10000", "select max(length(payload #>> "
	    "'{content,0,content,text}')) from hearth.events "
	    "where kind = 'tool_update'");
}
END_TEST

START_TEST(what_an_agent_session_offers_lands_in_its_row)
{
	int64_t turn;

	add_agent("rich", "--commands", NULL);
	start(NULL);
	turn = complete(chat, "rich", "plan 3;mode ask;config large;usage 1234 "
	    "8000;info A title;commands plan fix;usage-result 10 20;say x");
	check_value("step 1 completed, step 2 in_progress, step 3 pending",
	    "select string_agg(p ->> 'content' || ' ' || (p ->> 'status'), "
	    "', ') from hearth.agent_sessions, jsonb_array_elements(plan) p");
	check_value("ask/large/1234/8000/0.25", "select concat_ws('/', "
	    "mode_id, model, context_used, context_size, cost) "
	    "from hearth.agent_sessions");
	check_value("10/20", "select input_tokens || '/' || output_tokens "
	    "from hearth.agent_sessions");
	ck_assert_str_eq(turn_of(turn, "input_tokens || '/' || "
	    "output_tokens"), "10/20");
	check_value("plan fix", "select string_agg(c ->> 'name', ' ') from "
	    "hearth.agent_sessions, jsonb_array_elements(offers -> "
	    "'availableCommands') c");
	check_value("large", "select offers #>> "
	    "'{configOptions,0,currentValue}' from hearth.agent_sessions");
	check_value("commands config mode plan session_info usage", "select "
	    "string_agg(distinct kind, ' ' order by kind) from hearth.events "
	    "where kind not in ('text', 'turn_started', 'turn_ended', "
	    "'agent_status')");
	complete(chat, "rich", "usage-result 1 2;say y");
	check_value("11/22", "select input_tokens || '/' || output_tokens "
	    "from hearth.agent_sessions");
	check_value("11", "select input_tokens from hearth.usage_by_chat");
}
END_TEST

START_TEST(an_early_update_is_no_turns)
{
	int64_t turn;

	add_agent("early", "--update-before-new", "--commands", NULL);
	start(NULL);
	turn = complete(chat, "early", "say x");
	ck_assert_str_eq(text_of(turn), "x");
	check_value("early", "select payload ->> 'text' from hearth.events "
	    "where kind = 'text' and turn_id is null");
}
END_TEST

START_TEST(late_updates_keep_their_turn)
{
	int64_t turn, next;

	start(NULL);
	turn = complete(chat, "fake", "say in time;stop;sleep 200;say late;"
	    "tool-start bg execute background;tool-end bg completed ok");
	wait_value("completed", LIMIT, "select status from "
	    "hearth.tool_calls");
	ck_assert_str_eq(text_of(turn), "in timelate");
	check_value("in time", "select content from hearth.messages "
	    "where role = 'assistant'");
	check_value("true", "select bool_and(e.seq > (select seq from "
	    "hearth.events where kind = 'turn_ended'))::text from "
	    "hearth.events e where e.payload ->> 'text' = 'late' "
	    "or e.kind like 'tool%%'");
	next = complete(chat, "fake", "say next");
	ck_assert_str_eq(text_of(next), "next");
	check_value("0", "select count(*) from hearth.turns t join "
	    "hearth.tool_calls c on c.turn_id = t.id where t.id = %lld",
	    (long long)next);
}
END_TEST

START_TEST(an_empty_turn_is_suspicious)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", " ;");
	ck_assert_str_eq(turn_of(turn, "suspicious"), "true");
	check_value("/complete", "select content || '/' || status "
	    "from hearth.messages where role = 'assistant'");
	check_value("completed, but without an answer or a tool call",
	    "select warning from hearth.warnings");
	turn = complete(chat, "fake", "tool read Look");
	ck_assert_str_eq(turn_of(turn, "suspicious"), "false");
	/* it has worked, or its stop reason says enough */
	turn = complete(chat, "fake", "usage-result 30 5");
	ck_assert_str_eq(turn_of(turn, "suspicious"), "false");
	turn = complete(chat, "fake", "usage-result 0 0");
	ck_assert_str_eq(turn_of(turn, "suspicious"), "true");
	turn = complete(chat, "fake", "stop max_tokens");
	ck_assert_str_eq(turn_of(turn, "suspicious"), "false");
}
END_TEST

START_TEST(errors_of_a_prompt_are_told)
{
	int64_t turn, next;

	start(NULL);
	turn = submit(chat, "fake", "say half;error -32603 Model overloaded");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_error");
	check_has(turn_of(turn, "error"), "Model overloaded");
	check_value("half/failed", "select content || '/' || status "
	    "from hearth.messages where role = 'assistant'");
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 2]");
	turn = submit(chat, "fake", "auth");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "auth_required");
	check_has(turn_of(turn, "error"), "Key");
	/* a login is read at the start, so the child is a new one */
	next = complete(chat, "fake", "echo-turn");
	ck_assert_str_eq(text_of(next), "[turn 1]");
}
END_TEST

/* ---- cancelling */

static const struct {
	const char *how, *says, *stop_reason;
} cancels[] = {
	{ "answer", "x", "cancelled" },
	{ "finish;say y", "xy", "end_turn" },
	{ "error", "x", "cancelled" },
	{ "late 150", "x", "cancelled" },
	{ "second", "x", "cancelled" },
	{ "permission", "x[permission cancelled]", "cancelled" },
	{ "stop refusal", "x", "refusal" },
};

START_TEST(a_cancel_may_be_answered_in_many_ways)
{
	start("cancel_timeout=2s", NULL);
	for (size_t i = 0; i < sizeof cancels / sizeof *cancels; i++) {
		int64_t turn = submit(chat, "fake", "on-cancel %.*s;say x;"
		    "sleep %d%s", (int)strcspn(cancels[i].how, ";"),
		    cancels[i].how, i == 1 ? 500 : 60000,
		    cancels[i].how + strcspn(cancels[i].how, ";"));

		wait_text(turn, "x");
		sql("select hearth.cancel(%lld)", (long long)turn);
		wait_turn(turn, "cancelled", LIMIT);
		if (strcmp(text_of(turn), cancels[i].says) != 0 ||
		    strcmp(turn_of(turn, "stop_reason"),
		    cancels[i].stop_reason) != 0)
			e2e_fail(__FILE__, __LINE__, "%s: \"%s\", %s",
			    cancels[i].how, text_of(turn),
			    turn_of(turn, "stop_reason"));
	}
	check_value("1", "select count(*) from hearth.executions");
	complete(chat, "fake", "say done");
}
END_TEST

/* ---- pipes */

START_TEST(a_large_prompt_waits_for_a_deaf_agent)
{
	int64_t deaf, turn, meanwhile;
	const char *other;

	start(NULL);
	other = new_chat(new_session(project));
	complete(other, "fake", "say warm");
	deaf = submit(chat, "fake", "say x;stop;deaf 1500");
	wait_turn(deaf, "completed", LIMIT);
	turn = number("select hearth.submit('%s', 'fake', repeat('0123456789', "
	    "500000), blocks => '[{\"type\": \"text\", \"text\": "
	    "\"echo-blocks;say all there\"}]')", chat);
	meanwhile = complete(other, "fake", "say others go on");
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (a.ended_at < b.ended_at)::text from "
	    "hearth.turns a, hearth.turns b where a.id = %lld and b.id = "
	    "%lld", (long long)meanwhile, (long long)turn);
	ck_assert_str_eq(text_of(turn), "[blocks 2]all there");
	ck_assert_str_eq(turn_of(turn, "warm"), "true");
}
END_TEST

START_TEST(stderr_is_never_in_the_way)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "say a;stderr-flood 10485760;say b;"
	    "stderr the very end");
	ck_assert_str_eq(text_of(turn), "ab");
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("true", LIMIT, "select (stderr_tail like "
	    "'%%the very end%%' and length(stderr_tail) <= 65536)::text "
	    "from hearth.executions");
}
END_TEST

START_TEST(poison_stays_alone)
{
	int64_t turn, other;
	const char *healthy;

	prepare();
	sql("update hearth.sessions set concurrent_turns = true");
	start(NULL);
	healthy = new_chat(session_of(chat));
	other = submit(healthy, "fake", "count 100 5");
	turn = complete(chat, "fake", "say a;deep 200;deep 5000;deep 100000;"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":"
	    "\"vendor_number\",\"value\":1e400000,\"s\":\"x\\u0000y\"}}};"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":"
	    "\"usage_update\",\"used\":1e30,\"size\":-1}}};"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
	    "{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":"
	    "\"plan\",\"entries\":\"none\"}}};"
	    "say b");
	ck_assert_str_eq(text_of(turn), "ab");
	wait_turn(other, "completed", LIMIT);
	check_value("100", "select array_length(regexp_split_to_array("
	    "trim(content), ' '), 1) from hearth.messages "
	    "where turn_id = %lld and role = 'assistant'", (long long)other);
	check_value("x\357\277\275y", "select payload ->> 's' from "
	    "hearth.events where payload ->> 'sessionUpdate' = "
	    "'vendor_number' and repaired");
	complete(chat, "fake", "say c");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, text_arrives_as_it_was_said);
	tcase_add_test(tc, an_agent_may_begin_badly);
	tcase_add_test(tc, a_stream_is_whole_however_it_is_cut);
	tcase_add_test(tc, a_line_of_40_mib_is_one_event);
	tcase_add_test(tc, a_line_over_the_cap_kills_and_is_named);
	tcase_add_test(tc, ids_of_all_forms_are_answered);
	tcase_add_test(tc, an_answer_without_an_id_answers_nothing);
	tcase_add_test(tc, strays_change_nothing);
	tcase_add_test(tc, files_are_served_where_they_are_offered);
	tcase_add_test(tc, unknown_updates_are_kept_whole);
	tcase_add_test(tc, tool_calls_are_merged);
	tcase_add_test(tc, ten_thousand_tool_updates_are_one_call);
	tcase_add_test(tc, what_an_agent_session_offers_lands_in_its_row);
	tcase_add_test(tc, an_early_update_is_no_turns);
	tcase_add_test(tc, late_updates_keep_their_turn);
	tcase_add_test(tc, an_empty_turn_is_suspicious);
	tcase_add_test(tc, errors_of_a_prompt_are_told);
	tcase_add_test(tc, a_cancel_may_be_answered_in_many_ways);
	tcase_add_test(tc, a_large_prompt_waits_for_a_deaf_agent);
	tcase_add_test(tc, stderr_is_never_in_the_way);
	tcase_add_test(tc, poison_stays_alone);
}

int
main(void)
{
	return e2e_main("protocol", add_tests);
}
