/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of PostgreSQL against a real server: what the writer
 * stores, when, and what survives of it when connections break, the server
 * stops, a row is poison or another node takes over.
 *
 * Claiming, commands and the start of a node are in unit_db.c; the fixture is
 * in db_fixture.h. With HEARTH_MEASURE set, measurements are told on stderr.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/db_fixture.h"
#include "tests/pg_harness.h"

static const char *pg;
static struct node node;
static struct chat_log *chat;
static struct recorder *rec;

static void
set_up(void)
{
	pg = pg_database();
	seed_world(pg);
	seed_session(pg, 1, false);
	seed_chat(pg, 1, 1);
	node_start(&node, pg, "one");
	node_own(&node, 1);
	rec = db_recorder(node.db);
	chat = chat_log_open(rec, session_id(1), chat_id(1), 0);
}

static void
tear_down(void)
{
	chat_log_close(&chat);
	node_stop(&node);
}

static void
say(int64_t turn, const char *text)
{
	record_text(chat, turn, "fake", false, "m1", text, strlen(text),
	    false);
}

static void
on_barrier(void *ctx)
{
	++*(int *)ctx;
}

static void
flush(void)
{
	int done = 0;

	record_barrier(rec, on_barrier, &done);
	UNTIL(&node, done == 1);
}

/* A running turn of chat 1, as the claim and record_turn_started make it. */
static int64_t
run_turn(const char *prompt)
{
	int64_t turn = seed_turn(pg, 1, 1, "fake", prompt);

	pg_execf(pg, "update hearth.turns set status = 'starting' "
	    "where id = %lld", (long long)turn);
	record_turn_started(chat, turn, "fake", &(struct turn_start){
	    .prompt = pg_value(pg, "select prompt from hearth.turns where id = "
	    "%lld", (long long)turn), .created_by = "ann",
	    .mode_id = "pl\"an" });
	record_turn_running(chat, turn, "fake", 7, false);
	return turn;
}

static const struct turn_end completed = {
	.status = "completed", .stop_reason = "end_turn",
	.input_tokens = 10, .output_tokens = 5, .agent_status = "idle",
};

#define EVENTS "select string_agg(seq || ':' || kind || ':' || " \
	"coalesce(payload ->> 'text', ''), ' ' order by seq) " \
	"from hearth.events"

/* What is stored */

START_TEST(a_turn_leaves_events_messages_and_an_ended_row)
{
	int64_t turn;

	pg_exec(pg, "insert into hearth.agent_sessions (chat_id, agent, "
	    "session_id, status) select id, 'fake', session_id, 'warming' "
	    "from hearth.chats");
	turn = run_turn("do it");
	flush();
	ck_assert_str_eq(pg_value(pg, "select status || warm || execution_id "
	    "from hearth.turns"), "runningfalse7");
	ck_assert_str_eq(pg_value(pg, "select status from "
	    "hearth.agent_sessions"), "active");
	ck_assert_str_eq(pg_value(pg, "select string_agg(role || ' ' || status "
	    "|| ' ' || coalesce(content, '-'), ', ' order by id) from "
	    "hearth.messages"), "user complete do it, assistant streaming -");
	record_text(chat, turn, "fake", true, NULL, "hm", 2, false);
	say(turn, "Hel");
	say(turn, "lo");
	record_turn_end(chat, turn, "fake", &completed);
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:turn_started: 2:reasoning:hm "
	    "3:text:Hello 4:turn_ended:");
	ck_assert_str_eq(pg_value(pg, "select last_seq from hearth.chats"),
	    "4");
	ck_assert_str_eq(pg_value(pg, "select content || '/' || reasoning || "
	    "'/' || status || '/' || first_seq || '/' || last_seq from "
	    "hearth.messages where role = 'assistant'"),
	    "Hello/hm/complete/1/4");
	ck_assert_str_eq(pg_value(pg, "select status || '/' || stop_reason || "
	    "'/' || input_tokens || '/' || (first_event_at is not null) || "
	    "'/' || (message_id = (select id from hearth.messages where role "
	    "= 'assistant')) from hearth.turns"),
	    "completed/end_turn/10/true/true");
	ck_assert_str_eq(pg_value(pg, "select status || input_tokens || "
	    "output_tokens from hearth.agent_sessions"), "idle105");
	ck_assert_str_eq(pg_value(pg, "select payload ->> 'prompt' from "
	    "hearth.events where seq = 1"),
	    "[{\"text\": \"do it\", \"type\": \"text\"}]");
	ck_assert_str_eq(pg_value(pg, "select payload - 'prompt' from "
	    "hearth.events where seq = 1"), "{\"model\": null, "
	    "\"mode_id\": \"pl\\\"an\", \"created_by\": \"ann\"}");
	ck_assert_str_eq(pg_value(pg, "select payload::text from "
	    "hearth.events where seq = 4"), "{\"status\": \"completed\", "
	    "\"stop_reason\": \"end_turn\", \"input_tokens\": 10, "
	    "\"output_tokens\": 5}");
}
END_TEST

START_TEST(the_end_of_a_turn_closes_what_is_open)
{
	int64_t turn = run_turn("x");
	struct tool_call_row tool = { .tool_call_id = "t1", .title = "Read",
	    .kind = "read", .status = "in_progress", .raw_input = "{\"a\":1}" };
	struct turn_end end = completed;

	record_event(chat, turn, "fake", "tool_call", "{}", 2, false);
	record_tool_call(chat, turn, "fake", &tool);
	record_permission(chat, turn, "fake", 7, 1, "t1", "{}",
	    "[{\"optionId\":\"yes\"}]");
	end.status = "failed";
	end.error_code = "agent_crashed";
	end.error = "it \"died\"";
	end.input_tokens = end.output_tokens = -1;
	record_turn_end(chat, turn, "fake", &end);
	flush();
	ck_assert_str_eq(pg_value(pg, "select t.status || ' ' || p.status || "
	    "' ' || m.status || ' ' || t.first_seq from hearth.tool_calls t, "
	    "hearth.permission_requests p, hearth.messages m where m.role = "
	    "'assistant' and t.ended_at is not null"),
	    "cancelled cancelled failed 2");
	ck_assert_str_eq(pg_value(pg, "select (payload ->> 'request')::bigint "
	    "= (select id from hearth.permission_requests) from hearth.events "
	    "where kind = 'permission'"), "t");
	ck_assert_str_eq(pg_value(pg, "select error || error_code from "
	    "hearth.turns"), "it \"died\"agent_crashed");
}
END_TEST

START_TEST(rows_of_every_kind_are_stored)
{
	int64_t turn = run_turn("x");
	struct tool_call_row tool = { .tool_call_id = "t1", .title = "Read",
	    .kind = "read", .status = "completed", .is_final = true,
	    .raw_output = "{\"ok\":true}", .locations = "[]" };
	struct change_row change = { "a.c", 'e', "@@", "11", "22", "100644",
	    "100644", "{7,9}" };
	struct agent_session_row row = { .status = "idle", .pid = 99,
	    .agent_session_id = "s-1", .crash_count = -1, .backoff_ms = -1,
	    .offers = "{\"modes\":{\"currentModeId\":\"ask\"}}" };

	record_agent_session(chat, "fake", &row);
	record_execution_start(rec, chat, 7, "fake", 99, 12, "cold");
	record_execution_ready(rec, chat, 7, 100, 200);
	record_tool_call(chat, turn, "fake", &tool);
	record_permission(chat, turn, "fake", 7, 1, "t1", "{}", "[]");
	record_permission_end(chat, turn, "fake", 7, 1, "answered", "yes",
	    "ann");
	record_turn_status(chat, turn, "waiting_permission");
	record_worktree(chat, "/w", "hearth/1", "abc");
	record_change(chat, turn, "fake", &change);
	change.new_oid = "33";
	record_change(chat, turn, "fake", &change);
	/* what is known already is nobody else's */
	record_change(chat, 0, NULL, &change);
	change.path = "b.c";
	record_change(chat, 0, NULL, &change);
	change.operation = '=';
	record_change(chat, 0, NULL, &change);
	/* The turn's cost so far: told again, it adds nothing to the sum. */
	for (int i = 0; i < 3; i++)
		record_usage(chat, "fake", &(struct usage_row){ .turn = turn,
		    .turn_cost = i == 0 ? 200000000 : 500000000,
		    .context_used = i == 2 ? -1 : 5, .context_size = 9 });
	record_usage(chat, "fake", &(struct usage_row){ .turn = turn + 1000,
	    .turn_cost = 7, .context_used = -1, .context_size = -1 });
	record_agent_update(chat, "fake", "plan", "{\"entries\":[1]}");
	record_agent_update(chat, "fake", "mode", "{\"modeId\":\"code\"}");
	record_agent_update(chat, "fake", "commands",
	    "{\"availableCommands\":[]}");
	record_execution_end(rec, chat, 7, &(struct execution_end){ -1, 9,
	    "SIGKILL", 1000, "oops" });
	flush();
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, pid, "
	    "agent_session_id, mode_id, context_used, context_size, cost, "
	    "plan, offers) from hearth.agent_sessions"), "idle 99 s-1 code 5 "
	    "9 0.5 [1] {\"modes\": {\"currentModeId\": \"ask\"}, "
	    "\"availableCommands\": []}");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', id, pid, "
	    "spawn_ms, initialize_ms, session_ms, exit_code, term_signal, "
	    "end_reason, peak_rss_kb, stderr_tail, ended_at >= started_at) "
	    "from hearth.executions"),
	    "7 99 12 100 200 9 SIGKILL 1000 oops t");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, "
	    "raw_output, locations, ended_at is not null) from "
	    "hearth.tool_calls"), "completed {\"ok\": true} [] t");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, option_id,"
	    " answered_by) from hearth.permission_requests"),
	    "answered yes ann");
	ck_assert_str_eq(pg_value(pg, "select status || cost from "
	    "hearth.turns"), "waiting_permission0.5");
	ck_assert_str_eq(pg_value(pg, "select path || branch from "
	    "hearth.worktrees"), "/whearth/1");
	ck_assert_str_eq(pg_value(pg, "select string_agg(file_path || ' ' || "
	    "status || ' ' || coalesce(agent, '-') || ' ' || other_turns::text"
	    ", ', ' order by id) from hearth.pending_changes"), "a.c superseded"
	    " fake {7,9}, a.c pending fake {7,9}, b.c superseded - {7,9}");
	ck_assert_str_eq(pg_value(pg, "select string_agg(kind, ' ' order by "
	    "seq) from hearth.events"), "turn_started permission "
	    "permission_answer change change change change change");
	row = (struct agent_session_row){ .status = "crashed", .pid = 0,
	    .crash_count = 2, .backoff_ms = 60000, .last_error = "why",
	    .end_reason = "exit code 1" };
	record_agent_session(chat, "fake", &row);
	flush();
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, pid, "
	    "agent_session_id, crash_count, last_error, end_reason, "
	    "backoff_until > now() + interval '50 s') from "
	    "hearth.agent_sessions"), "crashed s-1 2 why exit code 1 t");
}
END_TEST

#define SETUP "select concat_ws(' ', setup_exit_code, setup_ms, setup_output, " \
	"setup_ended_at is not null) from hearth.worktrees"

START_TEST(setup_is_recorded_once_unless_it_ran_again)
{
	struct setup_row row = { .exit_code = 3, .ms = 70, .output = "no" };

	record_worktree(chat, "/w", "hearth/1", "abc");
	flush();
	ck_assert_str_eq(pg_value(pg, SETUP), "f");
	record_setup(chat, &row);
	flush();
	ck_assert_str_eq(pg_value(pg, SETUP), "3 70 no t");
	row.exit_code = 0;
	record_setup(chat, &row);
	flush();
	ck_assert_str_eq(pg_value(pg, SETUP), "3 70 no t");
	row = (struct setup_row){ -1, 900, "late", true, "npm ci", "a \"b\"" };
	record_setup(chat, &row);
	record_setup_event(chat, 0, "fake", &row);
	flush();
	ck_assert_str_eq(pg_value(pg, SETUP), "900 late t");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', kind, "
	    "payload ->> 'setup', payload ->> 'ms', payload -> 'exit_code', "
	    "payload ->> 'command', payload ->> 'last_line') "
	    "from hearth.events"),
	    "agent_status failed 900 null npm ci a \"b\"");
}
END_TEST

#define SNAPSHOT "select string_agg(concat_ws(' ', right(id::text, 2), " \
	"project_id, path, status, base_commit, right(session_id::text, 2), " \
	"end_reason, extract(epoch from expires_at)::int, ended_at is not " \
	"null), ', ' order by id) from hearth.snapshots"

START_TEST(snapshot_is_as_it_was_told_last)
{
	struct snapshot_row row = { .id = chat_id(1), .project_id = 1,
		.path = "/s", .status = "preparing" };

	record_snapshot(rec, &row);
	flush();
	ck_assert_str_eq(pg_value(pg, SNAPSHOT), "01 1 /s preparing f");
	row.status = "ready";
	row.base_commit = "abc";
	row.expires_at = 90;
	record_snapshot(rec, &row);
	record_snapshot(rec, &row);
	row = (struct snapshot_row){ .id = chat_id(2), .project_id = 99,
		.path = "/t", .status = "failed", .end_reason = "full" };
	record_snapshot(rec, &row);
	flush();
	ck_assert_str_eq(pg_value(pg, SNAPSHOT), "01 1 /s ready abc 90 f, "
	    "02 99 /t failed full t");
	record_snapshots_lost(rec, chat_id(1));
	flush();
	ck_assert_str_eq(pg_value(pg, "select status from hearth.snapshots "
	    "where path = '/s'"), "ready");
	record_snapshots_lost(rec, "");
	flush();
	ck_assert_str_eq(pg_value(pg, "select concat(status, ended_at is not "
	    "null) from hearth.snapshots where path = '/s'"), "failedt");
	/* and it turns up again */
	row = (struct snapshot_row){ .id = chat_id(1), .project_id = 1,
		.path = "/s", .status = "claimed", .session = session_id(1) };
	record_snapshot(rec, &row);
	flush();
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, "
	    "base_commit, right(session_id::text, 2)) from hearth.snapshots "
	    "where path = '/s'"), "claimed abc 01");
}
END_TEST

START_TEST(events_stand_in_the_order_in_which_they_were_handed_in)
{
	struct chat_log *other;
	char payload[32];

	seed_chat(pg, 1, 2);
	other = chat_log_open(rec, session_id(1), chat_id(2), 0);
	for (int i = 0; i < 12000; i++) {
		int n = snprintf(payload, sizeof payload, "{\"n\":%d}", i);

		record_event(i % 2 ? chat : other, 0, "fake", "unknown",
		    payload, (size_t)n, false);
		if (i % 1000 == 0)
			turn_loop(&node);
	}
	flush();
	ck_assert_str_eq(pg_value(pg, "select count(*) || ' ' || "
	    "sum(((payload -> 'n')::int = (seq - 1) * 2 + case when chat_id = "
	    "'%s' then 1 else 0 end)::int) from hearth.events", chat_id(1)),
	    "12000 12000");
	ck_assert_str_eq(pg_value(pg, "select string_agg(last_seq::text, ' ') "
	    "from hearth.chats"), "6000 6000");
	chat_log_close(&other);
}
END_TEST

START_TEST(neighbouring_texts_of_one_message_are_one_event)
{
	say(1, "a");
	say(1, "b");
	record_text(chat, 1, "fake", true, "m1", "think", 5, false);
	record_text(chat, 1, "fake", false, "m2", "c", 1, false);
	record_text(chat, 2, "fake", false, "m2", "d", 1, false);
	record_event(chat, 2, "fake", "plan", NULL, 0, false);
	record_text(chat, 2, "fake", false, "m2", "e", 1, true);
	record_text(chat, 2, "fake", false, NULL, "f", 1, false);
	say(2, "");
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:text:ab 2:reasoning:think "
	    "3:text:c 4:text:d 5:plan: 6:text:e 7:text:f");
	ck_assert_str_eq(pg_value(pg, "select string_agg(coalesce(payload ->> "
	    "'message_id', '-'), '') || sum(repaired::int * seq) from "
	    "hearth.events where kind = 'text'"), "m1m2m2m2-6");
}
END_TEST

START_TEST(without_an_interval_every_text_is_an_event)
{
	rec->interval = 0;
	for (int i = 0; i < 5; i++)
		say(1, "a");
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:text:a 2:text:a 3:text:a "
	    "4:text:a 5:text:a");
}
END_TEST

START_TEST(long_text_is_cut_into_events_and_nothing_is_lost)
{
	char *big = malloc(300000);

	memset(big, 'x', 300000);
	record_text(chat, 1, "fake", false, NULL, big, 300000, false);
	for (int i = 0; i < 300; i++)
		record_text(chat, 1, "fake", false, NULL, big, 1000, false);
	flush();
	ck_assert_str_eq(pg_value(pg, "select sum(length(payload ->> 'text')) "
	    "|| ' ' || (count(*) between 4 and 7) from hearth.events"),
	    "600000 true");
	free(big);
}
END_TEST

/* When */

START_TEST(the_first_text_goes_at_once_and_more_waits)
{
	unsigned long syncs;

	flush();
	syncs = conn_syncs(node.db->writer);
	say(1, "first");
	turn_loop(&node);
	ck_assert_uint_eq(conn_syncs(node.db->writer), syncs + 2);
	UNTIL(&node, !rec->in_flight && !rec->notes_in_flight);
	syncs = conn_syncs(node.db->writer);
	/* set_up made the interval long enough to see it */
	say(1, "second");
	turn_loop(&node);
	say(1, " and third");
	turn_loop(&node);
	ck_assert_uint_eq(conn_syncs(node.db->writer), syncs);
	UNTIL(&node, conn_syncs(node.db->writer) > syncs);
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS),
	    "1:text:first 2:text:second and third");
}
END_TEST

START_TEST(a_flush_is_one_transaction_and_its_notifications_another)
{
	int64_t turn = run_turn("x");
	unsigned long syncs;

	flush();
	UNTIL(&node, !rec->notes_in_flight);
	syncs = conn_syncs(node.db->writer);
	say(turn, "answer");
	record_turn_end(chat, turn, "fake", &completed);
	flush();
	ck_assert_uint_eq(conn_syncs(node.db->writer) - syncs, 2);
	ck_assert_str_eq(pg_value(pg, "select count(distinct x) from (select "
	    "xmin::text as x from hearth.events where seq > 1 union all "
	    "select xmin::text from hearth.turns union all select xmin::text "
	    "from hearth.messages where role = 'assistant' union all select "
	    "xmin::text from hearth.chats) r"), "1");
}
END_TEST

START_TEST(a_barrier_runs_when_all_before_it_is_stored)
{
	int done = 0;

	record_barrier(rec, on_barrier, &done);
	ck_assert_int_eq(done, 0);
	UNTIL(&node, done == 1);
	say(1, "x");
	record_barrier(rec, on_barrier, &done);
	ck_assert_int_eq(done, 1);
	UNTIL(&node, done == 2);
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:text:x");
}
END_TEST

static const char *
next_notice(PGconn *c)
{
	static char line[512];
	int64_t end = clock_ms() + 10000;
	PGnotify *n;

	while (!(n = PQnotifies(c))) {
		ck_assert_msg(clock_ms() < end, "no notification came");
		turn_loop(&node);
		PQconsumeInput(c);
	}
	snprintf(line, sizeof line, "%s %s", n->relname, n->extra);
	PQfreemem(n);
	return line;
}

START_TEST(readers_are_told_what_is_visible)
{
	PGconn *c = pg_connect(pg);
	char want[512];
	int64_t turn = run_turn("x");

	flush();
	UNTIL(&node, !rec->notes_in_flight);
	PQclear(PQexec(c, "listen hearth_events; listen hearth_status"));
	say(turn, "a");
	record_event(chat, turn, "fake", "plan", NULL, 0, false);
	record_turn_status(chat, turn, "waiting_permission");
	record_permission(chat, turn, "fake", 7, 1, "t1", "{}", "[]");
	record_change(chat, turn, "fake", &(struct change_row){ "a.c", 'c',
	    "@@", NULL, "22", NULL, "100644", NULL });
	record_command(rec, NULL, 5, "failed", "x", "y");
	snprintf(want, sizeof want, "hearth_events {\"chat\":\"%s\",\"seq\":5}",
	    chat_id(1));
	ck_assert_str_eq(next_notice(c), want);
	snprintf(want, sizeof want, "hearth_status {\"what\":\"turn\",\"chat\":"
	    "\"%s\",\"agent\":null,\"id\":%lld,\"status\":"
	    "\"waiting_permission\"}", chat_id(1), (long long)turn);
	ck_assert_str_eq(next_notice(c), want);
	ck_assert_str_eq(next_notice(c), "hearth_status {\"what\":\"command\","
	    "\"chat\":null,\"agent\":null,\"id\":5,\"status\":\"failed\"}");
	snprintf(want, sizeof want, "hearth_status {\"id\": %s, \"chat\": "
	    "\"%s\", \"what\": \"permission\", \"agent\": \"fake\", \"status\":"
	    " \"pending\"}", pg_value(pg, "select id from "
	    "hearth.permission_requests"), chat_id(1));
	ck_assert_str_eq(next_notice(c), want);
	snprintf(want, sizeof want, "hearth_status {\"id\": %s, \"chat\": "
	    "\"%s\", \"what\": \"change\", \"agent\": \"fake\", \"status\": "
	    "\"pending\"}", pg_value(pg, "select id from "
	    "hearth.pending_changes"), chat_id(1));
	ck_assert_str_eq(next_notice(c), want);
	PQfinish(c);
}
END_TEST

/* Outages */

static void
kill_writer(void)
{
	pg_execf(pg, "select pg_terminate_backend(%d)",
	    conn_backend_pid(node.db->writer));
}

static void
kill_both(void)
{
	pg_exec(pg, "select pg_terminate_backend(pid) from pg_stat_activity "
	    "where application_name = 'hearthd one' and datname = "
	    "current_database()");
}

static void
say_number(int i)
{
	char text[16];

	snprintf(text, sizeof text, "%d ", i);
	say(1, text);
}

/* "0 1 2 … n-1 " in the chat's text, and no gap in seq. */
static void
check_numbers(int n)
{
	ck_assert_str_eq(pg_value(pg, "select (select string_agg(payload ->> "
	    "'text', '' order by seq) from hearth.events where kind = 'text') "
	    "= (select string_agg(i || ' ', '' order by i) from "
	    "generate_series(0, %d) i)", n - 1), "t");
	ck_assert_str_eq(pg_value(pg, "select count(*) = max(seq) and max(seq) "
	    "= (select last_seq from hearth.chats) from hearth.events"), "t");
}

START_TEST(a_killed_connection_loses_and_doubles_nothing)
{
	for (int i = 0; i < 3000; i++) {
		say_number(i);
		record_event(chat, 1, "fake", "plan", NULL, 0, false);
		if (i % 50 == 0)
			turn_loop(&node);
		if (i % 300 == 150 && conn_is_up(node.db->writer))
			kill_writer();
		if (i % 1000 == 500)
			kill_both();
	}
	flush();
	check_numbers(3000);
	ck_assert_int_ge(node.downs, 1);
	ck_assert_int_eq(node.first_ups, 1);
	UNTIL(&node, db_is_up(node.db));
	ck_assert_int_eq(node.ups, node.downs + 1);
}
END_TEST

START_TEST(an_uncertain_flush_that_was_stored_is_not_stored_twice)
{
	int64_t turn = run_turn("x");
	PGconn *c = pg_connect(pg);

	pg_exec(pg, "insert into hearth.agent_sessions (chat_id, agent, "
	    "session_id, status) select id, 'fake', session_id, 'active' "
	    "from hearth.chats");
	flush();
	UNTIL(&node, !rec->notes_in_flight);
	/* It commits, but the answer never comes: we do not read it. */
	say(turn, "once");
	record_change(chat, turn, "fake", &(struct change_row){ "a.c", 'c',
	    "@@", NULL, "22", NULL, "100644", NULL });
	record_permission(chat, turn, "fake", 7, 1, "t1", "{}", "[]");
	record_artifact(chat, turn, "fake", &(struct artifact_row){
	    .type = "screenshot", .metadata = "{}" });
	record_turn_end(chat, turn, "fake", &completed);
	flush_send(rec);
	ck_assert(pg_wait(pg, "select last_seq from hearth.chats", "6", 5000,
	    NULL, NULL));
	kill_writer();
	ck_assert(pg_wait(pg, "select count(*) from pg_stat_activity where "
	    "application_name = 'hearthd one' and datname = "
	    "current_database()", "1", 5000, NULL, NULL));
	/* What the server sent before it died is thrown away. */
	conn_drop(node.db->writer, "the test says so");
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:turn_started: 2:text:once "
	    "3:change: 4:permission: 5:artifact: 6:turn_ended:");
	ck_assert_str_eq(pg_value(pg, "select input_tokens from "
	    "hearth.agent_sessions"), "10");
	ck_assert_str_eq(pg_value(pg, "select count(*) || status from "
	    "hearth.pending_changes group by status"), "1pending");
	ck_assert_str_eq(pg_value(pg, "select count(*) from hearth.artifacts"),
	    "1");
	PQfinish(c);
}
END_TEST

START_TEST(writing_goes_on_when_the_server_was_started_anew)
{
	for (int i = 0; i < 900; i++) {
		say_number(i);
		record_event(chat, 1, "fake", "plan", NULL, 0, false);
		if (i % 10 == 0)
			turn_loop(&node);
		if (i == 300)
			pg_server_stop("immediate");
		if (i == 600)
			pg_server_start();
	}
	flush();
	check_numbers(900);
	ck_assert_int_ge(node.downs, 1);
}
END_TEST

START_TEST(one_chat_that_floods_fills_its_share_alone)
{
	struct chat_log *calm;
	char text[1000];

	memset(text, 'x', sizeof text);
	seed_chat(pg, 1, 2);
	calm = chat_log_open(rec, session_id(1), chat_id(2), 0);
	flush();
	/* The share of the fixture is 128 KiB. */
	for (int i = 0; i < 200; i++)
		record_text(chat, 1, "fake", false, NULL, text, sizeof text,
		    false);
	record_text(calm, 2, "fake", false, NULL, text, sizeof text, false);
	ck_assert(chat_log_is_full(chat));
	ck_assert(!chat_log_is_full(calm));
	ck_assert_str_eq(node.full_chat, "");
	turn_loop(&node);
	ck_assert_str_eq(node.full_chat, chat_id(1));
	flush();
	UNTIL(&node, node.full_chat[0] == '\0');
	ck_assert_int_eq(node.pressures, 0);
	ck_assert_uint_eq(chat->bytes, 0);
	chat_log_close(&calm);
}
END_TEST

START_TEST(too_much_in_memory_is_pressure_until_it_is_written)
{
	char text[1000];

	memset(text, 'x', sizeof text);
	flush();
	ck_assert(!node.is_full);
	for (int i = 0; i < 1100; i++)
		record_event(chat, 1, "fake", "plan", "\"0123456789\"", 12,
		    false);
	/* The budget of the fixture is 1 MiB. */
	for (int i = 0; i < 1100; i++)
		record_text(chat, i + 1, "fake", false, NULL, text,
		    sizeof text, false);
	turn_loop(&node);
	ck_assert(node.is_full);
	flush();
	UNTIL(&node, !node.is_full);
	ck_assert_int_eq(node.pressures, 2);
	ck_assert_uint_eq(rec->bytes, 0);
}
END_TEST

/* Poison */

START_TEST(a_poison_event_does_not_hold_up_the_others)
{
	/* name of the case, payload or text, is it text, what is stored */
	static const struct {
		const char *what;
		bool is_text;
		const char *given, *stored;
	} cases[] = {
		{ "NUL escape", false, "{\"a\":\"\\u0000\"}",
		    "{\"repaired\": \"{\\\"a\\\":\\\"\\\\u0000\\\"}\"}" },
		{ "no JSON", false, "{\"a\":", "{\"repaired\": "
		    "\"{\\\"a\\\":\"}" },
		{ "lone surrogate", false, "[\"\\ud800\"]", "[{\"repaired\": "
		    "\"[\\\"\\\\ud800\\\"]\"}]" },
		{ "bad UTF-8 in JSON", false, "{\"a\":\"\xff\"}",
		    "{\"a\": \"\xef\xbf\xbd\"}" },
		{ "bad UTF-8 in text", true, "a\xe2\x82",
		    "{\"text\": \"a\xef\xbf\xbd\", \"message_id\": \"m1\"}" },
		{ "number too large", false, "{\"n\":1e200000}",
		    "{\"repaired\": \"{\\\"n\\\":1e200000}\"}" },
	};

	for (int i = 0; i < 100; i++) {
		record_event(chat, 1, "fake", "unknown", "{}", 2, false);
		if (i % 17 == 0) {
			const char *s = cases[i / 17].given;

			if (cases[i / 17].is_text)
				say(1, s);
			else
				record_event(chat, 1, "fake", "plan", s,
				    strlen(s), false);
		}
	}
	flush();
	ck_assert_str_eq(pg_value(pg, "select count(*) || ' ' || max(seq) "
	    "from hearth.events"), "106 106");
	for (int i = 0; i < 6; i++)
		ck_assert_msg(strcmp(pg_value(pg, "select payload::text from "
		    "hearth.events where kind in ('plan', 'text') and repaired "
		    "order by seq offset %d limit 1", i),
		    cases[i].stored) == 0, "%s: %s", cases[i].what,
		    pg_value(pg, "select payload::text from hearth.events "
		    "where kind in ('plan', 'text') order by seq offset %d "
		    "limit 1", i));
}
END_TEST

START_TEST(a_group_with_poison_is_stored_as_a_whole)
{
	int64_t turn = run_turn("x");

	record_begin(rec);
	record_event(chat, turn, "fake", "plan", "{\"good\":1}", 10, false);
	record_event(chat, turn, "fake", "plan", "{bad", 4, false);
	record_turn_end(chat, turn, "fake", &completed);
	record_end(rec);
	flush();
	ck_assert_str_eq(pg_value(pg, "select string_agg(payload::text, ' ' "
	    "order by seq) from hearth.events where kind = 'plan'"),
	    "{\"good\": 1} {\"repaired\": \"{bad\"}");
	ck_assert_str_eq(pg_value(pg, "select count(distinct xmin::text) || "
	    "(select status from hearth.turns) from hearth.events where seq > "
	    "1"), "1completed");
}
END_TEST

START_TEST(a_poison_row_is_mended_or_dropped_alone)
{
	struct tool_call_row tool = { .tool_call_id = "t1",
	    .title = "bad \xff title", .kind = "read", .status = "pending",
	    .raw_input = "{no", .content = "[1" };

	say(1, "before");
	record_tool_call(chat, 1, "fake", &tool);
	/* Nothing mends an origin that there is not. */
	record_execution_start(rec, chat, 7, "fake", 1, 1, "nonsense");
	say(1, "after");
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS),
	    "1:text:before 2:text:after");
	ck_assert_str_eq(pg_value(pg, "select title || raw_input || content "
	    "from hearth.tool_calls"), "bad \xef\xbf\xbd title{\"repaired\": "
	    "\"{no\"}[{\"repaired\": \"[1\"}]");
	ck_assert_str_eq(pg_value(pg, "select count(*) from "
	    "hearth.executions"), "0");
}
END_TEST

START_TEST(what_belongs_to_a_deleted_chat_goes_and_the_rest_stays)
{
	struct chat_log *gone;

	seed_chat(pg, 1, 2);
	gone = chat_log_open(rec, session_id(1), chat_id(2), 0);
	record_text(gone, 1, "fake", false, NULL, "a", 1, false);
	flush();
	pg_execf(pg, "delete from hearth.chats where id = '%s'", chat_id(2));
	record_text(gone, 1, "fake", false, NULL, "b", 1, false);
	record_agent_session(gone, "fake", &(struct agent_session_row){
	    .status = "idle" });
	record_change(gone, 1, "fake", &(struct change_row){ "a.c", 'c',
	    "@@", NULL, "22", NULL, "100644", NULL });
	say(1, "stays");
	flush();
	ck_assert_str_eq(pg_value(pg, "select payload ->> 'text' from "
	    "hearth.events where chat_id = '%s'", chat_id(1)), "stays");
	ck_assert_str_eq(pg_value(pg, "select count(*) from "
	    "hearth.pending_changes"), "0");
	chat_log_close(&gone);
}
END_TEST

/* The fence */

START_TEST(a_session_that_another_node_took_is_not_written)
{
	struct chat_log *mine;

	seed_session(pg, 2, false);
	seed_chat(pg, 2, 3);
	node_own(&node, 2);
	mine = chat_log_open(rec, session_id(2), chat_id(3), 0);
	say(1, "ours");
	flush();
	pg_execf(pg, "update hearth.session_owners set node_id = 999 where "
	    "session_id = '%s'", session_id(1));
	say(1, "not ours");
	record_turn_end(chat, 1, "fake", &completed);
	record_text(mine, 2, "fake", false, NULL, "still ours", 10, false);
	flush();
	ck_assert_int_eq(node.fences, 1);
	ck_assert_str_eq(node.fenced, session_id(1));
	ck_assert_str_eq(pg_value(pg, "select string_agg(payload ->> 'text', "
	    "' ' order by chat_id) from hearth.events"), "ours still ours");
	/* What comes later for it is dropped without a word. */
	say(1, "late");
	flush();
	ck_assert_int_eq(node.fences, 1);
	/* A new claim opens it anew. */
	chat_log_close(&chat);
	node_own(&node, 1);
	chat = chat_log_open(rec, session_id(1), chat_id(1), 1);
	say(2, "again");
	flush();
	ck_assert_str_eq(pg_value(pg, "select payload ->> 'text' from "
	    "hearth.events where seq = 2 and chat_id = '%s'", chat_id(1)),
	    "again");
	chat_log_close(&mine);
}
END_TEST

#define COMMANDS "select string_agg(concat_ws(' ', id, status, error_code), " \
	"', ' order by id) from hearth.commands"

/* What it did was dropped: it is not said to be done. */
START_TEST(a_command_ends_with_what_it_did_or_is_lost)
{
	int64_t turn = run_turn("x");

	pg_execf(pg, "insert into hearth.commands (id, kind, session_id, status) "
	    "select n, 'close_agent', '%s', 'running' from "
	    "generate_series(1, 4) n", session_id(1));
	record_command(rec, chat, 1, "done", NULL, NULL);
	flush();
	ck_assert_str_eq(pg_value(pg, COMMANDS), "1 done, 2 running, "
	    "3 running, 4 running");
	pg_exec(pg, "update hearth.session_owners set epoch = epoch + 1");
	record_turn_status(chat, turn, "waiting_permission");
	record_command(rec, chat, 2, "done", NULL, NULL);
	record_command(rec, NULL, 3, "done", NULL, NULL);
	flush();
	ck_assert_int_eq(node.fences, 1);
	ck_assert_str_eq(pg_value(pg, "select status from hearth.turns"),
	    "running");
	/* also one that is said to be done when that is known */
	record_command(rec, chat, 4, "done", NULL, NULL);
	flush();
	ck_assert_str_eq(pg_value(pg, COMMANDS), "1 done, 2 failed lost, "
	    "3 done, 4 failed lost");
	ck_assert_str_eq(pg_value(pg, "select error from hearth.commands "
	    "where id = 2"), "another node has taken the session meanwhile");
}
END_TEST

START_TEST(a_flush_without_events_is_fenced_too)
{
	int64_t turn = run_turn("x");

	flush();
	pg_exec(pg, "update hearth.session_owners set epoch = epoch + 1");
	record_turn_status(chat, turn, "waiting_permission");
	flush();
	ck_assert_int_eq(node.fences, 1);
	ck_assert_str_eq(pg_value(pg, "select status from hearth.turns"),
	    "running");
}
END_TEST

START_TEST(a_missing_right_is_fatal_and_says_so)
{
	pg_exec(pg, "revoke insert on hearth.events from hearth_daemon");
	say(1, "x");
	UNTIL(&node, node.fatal[0]);
	ck_assert_ptr_nonnull(strstr(node.fatal, "permission denied for table "
	    "events"));
	ck_assert_ptr_nonnull(strstr(node.fatal, "hearth init"));
	/* Nothing was thrown away meanwhile. */
	pg_exec(pg, "grant insert on hearth.events to hearth_daemon");
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:text:x");
}
END_TEST

START_TEST(a_log_opened_again_goes_on_behind_what_is_still_queued)
{
	say(1, "a");
	chat_log_close(&chat);
	/* as a claim that was answered before the flush would have it */
	chat = chat_log_open(rec, session_id(1), chat_id(1), 0);
	ck_assert_int_eq(chat_log_last_seq(chat), 1);
	record_event(chat, 1, "fake", "plan", NULL, 0, false);
	flush();
	ck_assert_str_eq(pg_value(pg, EVENTS), "1:text:a 2:plan:");
}
END_TEST

/* Measurements */

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

START_TEST(the_flush_of_a_turns_end_is_quick)
{
	enum { TURNS = 300 };
	double spent = 0;

	for (int i = 0; i < TURNS; i++) {
		int64_t turn = run_turn("x");
		double from;

		flush();
		UNTIL(&node, !rec->notes_in_flight);
		say(turn, "an answer of one chunk");
		record_turn_end(chat, turn, "fake", &completed);
		from = seconds();
		flush();
		spent += seconds() - from;
		UNTIL(&node, !rec->notes_in_flight);
	}
	if (getenv("HEARTH_MEASURE"))
		fprintf(stderr, "end of a turn: %.3f ms per flush\n",
		    spent / TURNS * 1000);
	ck_assert_double_lt(spent / TURNS, 0.05);
}
END_TEST

START_TEST(many_rows_are_written_quickly)
{
	enum { ROWS = 100000, BATCH = 1000 };
	char text[65];
	double from = seconds(), rate;

	memset(text, 'x', 64);
	text[64] = '\0';
	for (int i = 0; i < ROWS; i += BATCH) {
		for (int j = 0; j < BATCH; j++)
			record_text(chat, 1, "fake", j % 2, "m1", text, 64,
			    false);
		/* What comes while a flush is under way makes up the next. */
		UNTIL(&node, rec->queued <= BATCH);
	}
	flush();
	rate = ROWS / (seconds() - from);
	if (getenv("HEARTH_MEASURE"))
		fprintf(stderr, "events: %.0f rows/s in batches of %d\n", rate,
		    BATCH);
	ck_assert_str_eq(pg_value(pg, "select count(*) from hearth.events"),
	    "100000");
	ck_assert_double_gt(rate, 10000);
}
END_TEST

/* One case for each of the parts above: CK_RUN_CASE runs it alone. */
static void
add_case(Suite *s, const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 120);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	suite_add_tcase(s, c);
}

int
main(void)
{
	Suite *s = suite_create("recorder");
	SRunner *sr;
	int failed;

	if (!pg_start())
		return 0;
	add_case(s, "stored", (const TTest *const []){
	    a_turn_leaves_events_messages_and_an_ended_row,
	    the_end_of_a_turn_closes_what_is_open,
	    rows_of_every_kind_are_stored,
	    setup_is_recorded_once_unless_it_ran_again,
	    snapshot_is_as_it_was_told_last,
	    events_stand_in_the_order_in_which_they_were_handed_in,
	    neighbouring_texts_of_one_message_are_one_event,
	    without_an_interval_every_text_is_an_event,
	    long_text_is_cut_into_events_and_nothing_is_lost,
	    NULL });
	add_case(s, "when", (const TTest *const []){
	    the_first_text_goes_at_once_and_more_waits,
	    a_flush_is_one_transaction_and_its_notifications_another,
	    a_barrier_runs_when_all_before_it_is_stored,
	    readers_are_told_what_is_visible,
	    NULL });
	add_case(s, "outages", (const TTest *const []){
	    a_killed_connection_loses_and_doubles_nothing,
	    an_uncertain_flush_that_was_stored_is_not_stored_twice,
	    writing_goes_on_when_the_server_was_started_anew,
	    too_much_in_memory_is_pressure_until_it_is_written,
	    one_chat_that_floods_fills_its_share_alone,
	    NULL });
	add_case(s, "poison", (const TTest *const []){
	    a_poison_event_does_not_hold_up_the_others,
	    a_group_with_poison_is_stored_as_a_whole,
	    a_poison_row_is_mended_or_dropped_alone,
	    what_belongs_to_a_deleted_chat_goes_and_the_rest_stays,
	    NULL });
	add_case(s, "fence", (const TTest *const []){
	    a_session_that_another_node_took_is_not_written,
	    a_command_ends_with_what_it_did_or_is_lost,
	    a_flush_without_events_is_fenced_too,
	    a_missing_right_is_fatal_and_says_so,
	    a_log_opened_again_goes_on_behind_what_is_still_queued,
	    NULL });
	add_case(s, "speed", (const TTest *const []){
	    the_flush_of_a_turns_end_is_quick,
	    many_rows_are_written_quickly,
	    NULL });
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
