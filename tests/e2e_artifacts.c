/* SPDX-License-Identifier: MIT */
/*
 * Artifacts: what turns brought about, as a user reads it in rows and events,
 * once per session whoever speaks of it and however it came.
 */
#include "tests/e2e.h"

#include <stdlib.h>

#define PR "https://github.com/shop/web/pull/12"
#define ROWS "select string_agg(concat_ws(' ', type, url, title, " \
	"metadata ->> 'state'), E'\\n' order by id) from hearth.artifacts"
#define EVENTS(chat_id) "select string_agg(concat_ws(' ', " \
	"payload ->> 'artifact', payload ->> 'type', " \
	"payload #>> '{metadata,state}'), ',' order by seq) from " \
	"hearth.events where kind = 'artifact' and chat_id = '%s'", chat_id

START_TEST(a_url_in_two_chunks_is_an_artifact_before_the_turn_ends)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "say Opened https://github.com/shop/we;"
	    "sleep 50;say b/pull/1;sleep 50;say 2.");
	check_value("pr " PR " shop/web#12 opened", ROWS);
	check_value("1", "select count(*) from hearth.artifacts a "
	    "where chat_id = '%s' and session_id = '%s' and turn_id = %lld "
	    "and metadata = '{\"provider\": \"github\", \"repository\": "
	    "\"shop/web\", \"number\": 12, \"state\": \"opened\"}'",
	    chat, session_of(chat), (long long)turn);
	check_value("true", "select bool_and(e.turn_id = %lld and e.agent = "
	    "'fake' and (e.payload ->> 'artifact')::bigint = a.id and "
	    "e.payload ->> 'url' = a.url and e.payload ->> 'title' = a.title "
	    "and e.seq < (select seq from hearth.events where kind = "
	    "'turn_ended'))::text from hearth.events e, hearth.artifacts a "
	    "where e.kind = 'artifact'", (long long)turn);
	check_value("true", "select (content = 'Opened " PR ".')::text from "
	    "hearth.messages where role = 'assistant'");
}
END_TEST

START_TEST(a_session_has_each_url_once_and_its_last_state)
{
	const char *other, *third;

	start(NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "say Opened " PR ", see " PR "/files");
	complete(chat, "fake", "say Now " PR " once more");
	check_value("1 pr opened", EVENTS(chat));
	complete(other, "fake", "say " PR " was merged");
	/* told in each chat that speaks of it, the row is the same */
	check_value("1 pr merged", EVENTS(other));
	check_value("pr " PR " shop/web#12 merged", ROWS);
	complete(other, "fake", "say " PR);
	check_value("1 pr merged", EVENTS(other));
	/* another session has its own */
	third = new_chat(new_session(project));
	complete(third, "fake", "say " PR);
	check_value("true", "select ((payload ->> 'artifact')::bigint = a.id)"
	    "::text from hearth.events e join hearth.artifacts a on "
	    "a.chat_id = e.chat_id where e.kind = 'artifact' and "
	    "e.chat_id = '%s'", third);
	check_value("2", "select count(*) from hearth.artifacts");
}
END_TEST

START_TEST(tools_tell_what_they_did_and_not_what_they_read)
{
	start(NULL);
	complete(chat, "fake", "tool-start r read Reads;"
	    "tool-end r completed http://localhost:1111;"
	    "tool-start x execute Runs;tool-update x in_progress "
	    "http://localhost:2222;tool-end x completed "
	    "Local: http://localhost:3000/shop ready;think http://localhost:9");
	check_value("preview http://localhost:3000 localhost:3000", ROWS);
	check_value("/shop", "select metadata ->> 'path' from "
	    "hearth.artifacts");
	/* behind the update that has it */
	check_value("true", "select (a.seq = u.seq + 1)::text from "
	    "hearth.events a, hearth.events u where a.kind = 'artifact' and "
	    "u.kind = 'tool_update' and u.payload ->> 'status' = 'completed' "
	    "and u.payload ->> 'toolCallId' = 'x'");
}
END_TEST

#define SHOT "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\"," \
	"\"params\":{\"sessionId\":\"@S@\",\"update\":{\"sessionUpdate\":" \
	"\"tool_call\",\"toolCallId\":\"shot\",\"title\":\"Looks\",\"kind\":" \
	"\"read\",\"status\":\"completed\",\"content\":[{\"type\":" \
	"\"content\",\"content\":{\"type\":\"text\",\"text\":\"x\"}}," \
	"{\"type\":\"content\"," \
	"\"content\":{\"type\":\"image\",\"mimeType\":\"image/png\"," \
	"\"data\":\"iVBORw0K\"}}]}}}"

START_TEST(a_screenshot_leads_to_its_bytes)
{
	start(NULL);
	complete(chat, "fake", SHOT ";say x");
	check_value("screenshot Looks", ROWS);
	check_value("image/png 6 iVBORw0K", "select concat_ws(' ', "
	    "a.metadata ->> 'mime_type', a.metadata ->> 'bytes', "
	    "t.content -> (a.metadata ->> 'index')::int #>> '{content,data}') "
	    "from hearth.artifacts a join hearth.tool_calls t "
	    "on t.chat_id = a.chat_id and t.turn_id = a.turn_id "
	    "and t.tool_call_id = a.metadata ->> 'tool_call_id' "
	    "where a.metadata ->> 'column' = 'content'");
	check_value("true", "select (not payload::text like '%%iVBORw0K%%')"
	    "::text from hearth.events where kind = 'artifact'");
	/* the same call in the next turn is another image */
	complete(chat, "fake", SHOT);
	check_value("1 screenshot,2 screenshot", EVENTS(chat));
}
END_TEST

START_TEST(what_was_said_before_a_crash_is_found)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say on http://localhost:3000;signal KILL");
	wait_turn(turn, "failed", LIMIT);
	check_value("preview http://localhost:3000 localhost:3000", ROWS);
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc,
	    a_url_in_two_chunks_is_an_artifact_before_the_turn_ends);
	tcase_add_test(tc, a_session_has_each_url_once_and_its_last_state);
	tcase_add_test(tc, tools_tell_what_they_did_and_not_what_they_read);
	tcase_add_test(tc, a_screenshot_leads_to_its_bytes);
	tcase_add_test(tc, what_was_said_before_a_crash_is_found);
}

int
main(void)
{
	return e2e_main("artifacts", add_tests);
}
