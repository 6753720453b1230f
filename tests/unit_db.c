/* SPDX-License-Identifier: MIT */
/*
 * The other half of the daemon's side of PostgreSQL, against a real server:
 * how a node starts and ends, what it finds of an earlier life, claims,
 * waiting sessions and commands.
 *
 * Writing is in unit_recorder.c; the fixture is in db_fixture.h.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "tests/db_fixture.h"
#include "tests/pg_harness.h"

static const char *pg;
static struct node node;

static void
set_up(void)
{
	pg = pg_database();
	seed_world(pg);
	seed_session(pg, 1, false);
	seed_chat(pg, 1, 1);
}

static void
tear_down(void)
{
	node_stop(&node);
}

static void
on_done(void *ctx)
{
	++*(int *)ctx;
}

/* The last answer to a claim, kept. */
static struct {
	int answers;
	bool has_turn, more, failed;
	struct claimed_turn t;
	char chat[64], agent[64], hash[64], prompt[512], words[512];
	char path[64], worktree[64];
} got;

static void
on_claimed(void *ctx, const char *session, const struct claimed_turn *t,
    bool more, const struct err *e)
{
	(void)ctx;
	ck_assert_ptr_nonnull(session);
	got.answers++;
	got.has_turn = t != NULL;
	got.more = more;
	got.failed = e != NULL;
	if (!t)
		return;
	got.t = *t;
	snprintf(got.chat, sizeof got.chat, "%s", t->chat);
	snprintf(got.agent, sizeof got.agent, "%s", t->agent);
	snprintf(got.prompt, sizeof got.prompt, "%s", t->prompt);
	if (!t->command)
		return;
	snprintf(got.hash, sizeof got.hash, "%s", t->config_hash);
	snprintf(got.path, sizeof got.path, "%s", t->project_path);
	snprintf(got.worktree, sizeof got.worktree, "%s",
	    t->worktree_path ? t->worktree_path : "-");
	got.words[0] = '\0';
	for (char *const *w = t->command; *w; w++)
		snprintf(got.words + strlen(got.words), 100, "[%s]", *w);
	for (char *const *w = t->env; *w; w++)
		snprintf(got.words + strlen(got.words), 100, "<%s>", *w);
}

/* The turn that was claimed, 0 for none. */
static int64_t
claim(int session, const struct warm_seat *seats, size_t n)
{
	int before = got.answers;

	db_claim(node.db, session_id(session), seats, n, on_claimed, NULL);
	ck_assert_int_eq(got.answers, before);
	UNTIL(&node, got.answers == before + 1);
	ck_assert(!got.failed);
	return got.has_turn ? got.t.turn : 0;
}

/* The same for one turn, the short way. */
static int64_t
claim_warm(int64_t turn, const struct warm_seat *seat)
{
	int before = got.answers;

	db_claim_warm(node.db, session_id(1), turn, seat, on_claimed, NULL);
	UNTIL(&node, got.answers == before + 1);
	ck_assert(!got.failed);
	return got.has_turn ? got.t.turn : 0;
}

/* Claims */

/* What the short way must leave to the claim. */
static const char *const not_that_simple[] = {
	"update hearth.agents set enabled = false",
	"update hearth.agents set paused = true",
	"update hearth.agents set env = '{\"NEW\": \"1\"}'",
	"update hearth.chats set closed_at = now()",
	"update hearth.sessions set archived_at = now()",
	"update hearth.session_owners set epoch = epoch + 1",
	"delete from hearth.session_owners",
	"update hearth.turns set not_before = now() + interval '1 h'",
	"update hearth.turns set status = 'running' where id = 1",
	"insert into hearth.commands (kind, session_id, chat_id, agent) select "
	    "'reset_agent', session_id, chat_id, agent from hearth.turns "
	    "where id = 1",
};

START_TEST(the_short_claim_runs_a_known_turn_or_leaves_it_alone)
{
	struct warm_seat seat = { chat_id(1), "fake", 77, "" };
	int64_t first = seed_turn(pg, 1, 1, "fake", "1"), second;
	char hash[64];

	node_start(&node, pg, "one");
	ck_assert_int_eq(claim(1, NULL, 0), first);
	snprintf(hash, sizeof hash, "%s", got.hash);
	seat.config_hash = hash;
	pg_exec(pg, "update hearth.turns set status = 'completed'");
	second = seed_turn(pg, 1, 1, "fake", "2");
	if (_i < (int)(sizeof not_that_simple / sizeof *not_that_simple)) {
		pg_exec(pg, not_that_simple[_i]);
		ck_assert_int_eq(claim_warm(second, &seat), 0);
		ck_assert_str_eq(pg_value(pg, "select status from hearth.turns "
		    "where id = %lld", (long long)second), "queued");
		return;
	}
	ck_assert_int_eq(claim_warm(second, &seat), second);
	ck_assert(got.t.is_running && got.t.is_exclusive);
	ck_assert_int_eq(got.t.execution_id, 77);
	ck_assert_str_eq(got.prompt,
	    "[{\"text\": \"2\", \"type\": \"text\"}]");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, warm, "
	    "exclusive, execution_id) from hearth.turns where id = %lld",
	    (long long)second), "running t t 77");
	ck_assert_int_eq(claim_warm(second, &seat), 0);
}
END_TEST

static void
count_claimed(void *ctx, const char *session, const struct claimed_turn *t,
    bool more, const struct err *e)
{
	int *answered = ctx;

	(void)session, (void)more;
	ck_assert_ptr_null(e);
	answered[t != NULL]++;
}

/* The first goes alone, the others together; one of them finds its chat
 * closed, the last one its session with another live turn. */
START_TEST(short_claims_that_come_meanwhile_share_a_commit)
{
	bool is_in_way = _i == 1;
	int answered[2] = { 0 };
	int64_t turns[5];
	char hash[64];

	node_start(&node, pg, "one");
	for (int i = 1; i < 5; i++) {
		if (i > 1) {
			seed_session(pg, i, false);
			seed_chat(pg, i, i);
		}
		seed_turn(pg, i, i, "fake", "first");
		ck_assert_int_ne(claim(i, NULL, 0), 0);
		snprintf(hash, sizeof hash, "%s", got.hash);
	}
	pg_exec(pg, "update hearth.turns set status = 'completed'");
	for (int i = 1; i < 5; i++)
		turns[i] = seed_turn(pg, i, i, "fake", "second");
	pg_execf(pg, "update hearth.chats set closed_at = now() where id = "
	    "'%s'", chat_id(3));
	if (is_in_way)
		pg_execf(pg, "insert into hearth.turns (chat_id, session_id, "
		    "agent, prompt, status) values ('%s', '%s', 'other', "
		    "'[]', 'running')", chat_id(4), session_id(4));
	for (int i = 1; i < 5; i++)
		db_claim_warm(node.db, session_id(i), turns[i],
		    &(struct warm_seat){ chat_id(i), "fake", 70 + i, hash },
		    count_claimed, answered);
	UNTIL(&node, answered[0] + answered[1] == 4);
	ck_assert_int_eq(answered[1], is_in_way ? 1 : 3);
	ck_assert_str_eq(pg_value(pg, "select string_agg(execution_id::text, "
	    "' ' order by id) || ', ' || count(distinct started_at) from "
	    "hearth.turns where warm"), is_in_way ? "71, 1" : "71 72 74, 2");
}
END_TEST

/* Anybody who may connect may notify. */
START_TEST(a_notification_that_lies_claims_nothing)
{
	struct warm_seat seat = { chat_id(1), "fake", 77, "" };
	char hash[64];
	int64_t turn;

	node_start(&node, pg, "one");
	seed_session(pg, 2, false);
	seed_chat(pg, 2, 2);
	seed_turn(pg, 1, 1, "fake", "1");
	ck_assert_int_ne(claim(1, NULL, 0), 0);
	snprintf(hash, sizeof hash, "%s", got.hash);
	seat.config_hash = hash;
	pg_exec(pg, "update hearth.turns set status = 'completed'");
	turn = seed_turn(pg, 2, 2, "fake", "of another session");
	ck_assert_int_eq(claim_warm(turn, &seat), 0);
	ck_assert_str_eq(pg_value(pg, "select status from hearth.turns "
	    "where id = %lld", (long long)turn), "queued");
}
END_TEST

START_TEST(a_cold_claim_has_everything_that_running_needs)
{
	int64_t turn = seed_turn(pg, 1, 1, "fake", "hi");

	pg_exec(pg, "update hearth.chats set last_seq = 41; "
	    "insert into hearth.worktrees (session_id, path, base_commit) "
	    "select id, '/w', 'abc' from hearth.sessions; "
	    "update hearth.agents set idle_timeout = '90 s'");
	node_start(&node, pg, "one");
	ck_assert_int_eq(claim(1, NULL, 0), turn);
	ck_assert(!got.t.is_running);
	ck_assert(got.t.is_exclusive);
	ck_assert(!got.more);
	ck_assert_int_gt(got.t.execution_id, 0);
	ck_assert_str_eq(got.chat, chat_id(1));
	ck_assert_str_eq(got.words,
	    "[nice][fake-agent][a b]<A=x=\"y><B>");
	ck_assert_str_eq(got.prompt,
	    "[{\"text\": \"hi\", \"type\": \"text\"}]");
	ck_assert_int_eq(got.t.chat_last_seq, 41);
	ck_assert_int_eq(got.t.project_id, 1);
	ck_assert_str_eq(got.path, "/p");
	ck_assert_str_eq(got.worktree, "/w");
	ck_assert_int_eq(got.t.idle_timeout, 90000);
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', status, warm, "
	    "exclusive, attempts, started_at is null) from hearth.turns"),
	    "starting f t 1 t");
	ck_assert_str_eq(pg_value(pg, "select status from "
	    "hearth.agent_sessions"), "warming");
	ck_assert_str_eq(pg_value(pg, "select node_id = %lld and epoch = 1 "
	    "from hearth.session_owners", (long long)db_node_id(node.db)),
	    "t");
	ck_assert_int_eq(claim(1, NULL, 0), 0);
}
END_TEST

START_TEST(a_warm_seat_runs_the_turn_at_once_if_its_config_is_current)
{
	struct warm_seat seat = { chat_id(1), "fake", 77, "stale" };
	int64_t first = seed_turn(pg, 1, 1, "fake", "1"), second;

	node_start(&node, pg, "one");
	ck_assert_int_eq(claim(1, &seat, 1), first);
	ck_assert(!got.t.is_running);
	pg_exec(pg, "update hearth.turns set status = 'completed'");
	second = seed_turn(pg, 1, 1, "fake", "2");
	seat.config_hash = got.hash;
	ck_assert_int_eq(claim(1, &seat, 1), second);
	ck_assert(got.t.is_running);
	ck_assert_int_eq(got.t.execution_id, 77);
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', t.status, t.warm, "
	    "t.started_at is not null, a.status) from hearth.turns t, "
	    "hearth.agent_sessions a where t.id = %lld", (long long)second),
	    "running t t active");
}
END_TEST

/*
 * Session 1 has chats 1 and 2; queued are turn A (chat 1, fake), B (chat 1,
 * fake), C (chat 2, other), in this order.
 */
static const struct {
	const char *what;
	const char *before;  /* SQL */
	char claimed;        /* 'A' 'B' 'C' or '-' */
} claims[] = {
	{ "nothing special", "", 'A' },
	{ "concurrent session", "update hearth.sessions set concurrent_turns "
	    "= true", 'A' },
	{ "a higher priority goes first", "update hearth.turns set priority = "
	    "1 where id = 3", 'C' },
	{ "interrupt goes before in its chat", "update hearth.turns set "
	    "priority = 1 where id = 2", 'B' },
	{ "a head that waits for its time does not block another chat, and "
	    "is not overtaken in its own", "update hearth.turns set not_before "
	    "= now() + interval '1 h' where id = 1", 'C' },
	{ "its time has come", "update hearth.turns set not_before = now() - "
	    "interval '1 s' where id = 1", 'A' },
	{ "paused agent", "update hearth.agents set paused = true where name "
	    "= 'fake'", 'C' },
	{ "disabled agent", "update hearth.agents set enabled = false where "
	    "name = 'fake'", 'C' },
	{ "agent that is gone", "delete from hearth.agents where name = "
	    "'fake'", 'C' },
	{ "back-off", "insert into hearth.agent_sessions (chat_id, agent, "
	    "session_id, backoff_until) select chat_id, agent, session_id, "
	    "now() + interval '1 min' from hearth.turns where id = 1", 'C' },
	{ "back-off is over", "insert into hearth.agent_sessions (chat_id, "
	    "agent, session_id, backoff_until) select chat_id, agent, "
	    "session_id, now() from hearth.turns where id = 1", 'A' },
	{ "reset that is asked for", "insert into hearth.commands (kind, "
	    "session_id, chat_id, agent) select 'reset_agent', session_id, "
	    "chat_id, agent from hearth.turns where id = 1", 'C' },
	{ "reset that has begun", "insert into hearth.commands (kind, "
	    "session_id, chat_id, agent, status) select 'reset_agent', "
	    "session_id, chat_id, agent, 'running' from hearth.turns where "
	    "id = 1", 'A' },
	{ "another's reset", "insert into hearth.commands (kind, session_id, "
	    "chat_id, agent) select 'reset_agent', session_id, chat_id, "
	    "'other' from hearth.turns where id = 1", 'A' },
	{ "closed chat", "update hearth.chats set closed_at = now() where id = "
	    "(select chat_id from hearth.turns where id = 1)", 'C' },
	{ "archived session", "update hearth.sessions set archived_at = now()",
	    '-' },
	{ "exclusive turn is live", "update hearth.turns set status = "
	    "'running' where id = 3", '-' },
	{ "turn that shares is live, this one would be exclusive", "update "
	    "hearth.turns set status = 'running', exclusive = false where id = "
	    "3", '-' },
	{ "exclusive turn is live in a session that has become concurrent",
	    "update hearth.sessions set concurrent_turns = true; update "
	    "hearth.turns set status = 'running' where id = 3", '-' },
	{ "turns share the session", "update hearth.sessions set "
	    "concurrent_turns = true; update hearth.turns set status = "
	    "'running', exclusive = false where id = 3", 'A' },
	{ "one live turn per chat and agent", "update hearth.sessions set "
	    "concurrent_turns = true; update hearth.turns set status = "
	    "'waiting_permission', exclusive = false where id = 1", 'C' },
	{ "owned by a node that is alive", "insert into hearth.nodes (id, "
	    "name) values (900, 'x'); insert into hearth.session_owners "
	    "select id, '', 900, 1 from hearth.sessions", '-' },
	{ "owned by a node that is dead", "insert into hearth.nodes (id, "
	    "name, heartbeat_at) values (900, 'x', now() - interval '61 s'); "
	    "insert into hearth.session_owners select id, '', 900, 1 from "
	    "hearth.sessions", 'A' },
	{ "owned by a node that there is not", "insert into "
	    "hearth.session_owners select id, '', 901, 1 from hearth.sessions",
	    'A' },
	{ "project of another node", "insert into hearth.nodes (id, name) "
	    "values (900, 'x'); update hearth.projects set node_id = 900",
	    '-' },
};

START_TEST(the_claim_takes_the_turn_that_may_start)
{
	int64_t want;

	seed_chat(pg, 1, 2);
	pg_exec(pg, "alter table hearth.turns alter id restart 1");
	seed_turn(pg, 1, 1, "fake", "A");
	seed_turn(pg, 1, 1, "fake", "B");
	seed_turn(pg, 1, 2, "other", "C");
	if (*claims[_i].before)
		pg_exec(pg, claims[_i].before);
	node_start(&node, pg, "one");
	want = claims[_i].claimed == '-' ? 0 : claims[_i].claimed - 'A' + 1;
	ck_assert_msg(claim(1, NULL, 0) == want, "%s: turn %lld",
	    claims[_i].what, (long long)(got.has_turn ? got.t.turn : 0));
	/* Two others are queued, or all three. */
	ck_assert_msg(got.more, "%s", claims[_i].what);
	if (want)
		ck_assert_str_eq(pg_value(pg, "select o.node_id = %lld from "
		    "hearth.session_owners o",
		    (long long)db_node_id(node.db)), "t");
}
END_TEST

START_TEST(a_claim_is_told_to_readers)
{
	PGconn *c = pg_connect(pg);
	int64_t turn = seed_turn(pg, 1, 1, "fake", "hi");
	int64_t end = clock_ms() + 5000;
	char want[256];
	PGnotify *n;

	PQclear(PQexec(c, "listen hearth_status"));
	node_start(&node, pg, "one");
	claim(1, NULL, 0);
	while (!(n = PQnotifies(c))) {
		ck_assert(clock_ms() < end);
		turn_loop(&node);
		PQconsumeInput(c);
	}
	snprintf(want, sizeof want, "{\"id\": %lld, \"chat\": \"%s\", \"what\":"
	    " \"turn\", \"agent\": \"fake\", \"status\": \"starting\"}",
	    (long long)turn, chat_id(1));
	ck_assert_str_eq(n->extra, want);
	PQfreemem(n);
	PQfinish(c);
}
END_TEST

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
measure_claims(const char *what, int n, int64_t want)
{
	double spent = 0;

	for (int i = 0; i < n; i++) {
		double from = seconds();
		int64_t turn = claim(1, NULL, 0);

		spent += seconds() - from;
		ck_assert_msg((turn != 0) == (want != 0), "%s", what);
		pg_execf(pg, "update hearth.turns set status = 'completed' "
		    "where id = %lld", (long long)turn);
	}
	if (getenv("HEARTH_MEASURE"))
		fprintf(stderr, "%s: %.3f ms per claim\n", what,
		    spent / n * 1000);
	/* The first one is planned; the others cost a few milliseconds even on
	 * a machine that is busy. */
	ck_assert_double_lt(spent / n, n == 1 ? 1 : 0.02);
}

START_TEST(ten_thousand_queued_turns_cost_the_claim_nothing)
{
	node_start(&node, pg, "one");
	seed_turn(pg, 1, 1, "fake", "one");
	measure_claims("empty queue but one", 1, 1);
	pg_execf(pg, "insert into hearth.turns (chat_id, session_id, agent, "
	    "prompt) select '%s', '%s', 'fake', '[]' from "
	    "generate_series(1, 10000)", chat_id(1), session_id(1));
	measure_claims("10,000 queued", 100, 1);
	/* None of them may start, but the one behind them may. */
	pg_exec(pg, "update hearth.agents set paused = true where name = "
	    "'fake'");
	seed_chat(pg, 1, 2);
	for (int i = 0; i < 100; i++)
		seed_turn(pg, 1, 2, "other", "x");
	measure_claims("behind 10,000 that wait", 100, 1);
	measure_claims("10,000 that wait", 100, 0);
}
END_TEST

static struct {
	int answers;
	size_t n;
	int64_t next_ms;
	char first[64], all[512];
} waiting;

static void
on_waiting(void *ctx, const char *const *sessions, size_t n, int64_t next_ms,
    const struct err *e)
{
	(void)ctx;
	ck_assert_ptr_null(e);
	waiting.answers++;
	waiting.n = n;
	waiting.next_ms = next_ms;
	waiting.all[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(waiting.all + strlen(waiting.all), 8, "%s ",
		    sessions[i] + 34);
}

static void
ask_waiting(int limit)
{
	int before = waiting.answers;

	db_waiting_sessions(node.db, limit, on_waiting, NULL);
	UNTIL(&node, waiting.answers == before + 1);
}

START_TEST(waiting_sessions_are_told_oldest_first_with_the_next_time)
{
	for (int i = 2; i <= 6; i++) {
		seed_session(pg, i, false);
		seed_chat(pg, i, i);
	}
	node_start(&node, pg, "one");
	ask_waiting(10);
	ck_assert_uint_eq(waiting.n, 0);
	ck_assert_int_eq(waiting.next_ms, -1);
	seed_turn(pg, 3, 3, "fake", "x");
	seed_turn(pg, 1, 1, "fake", "x");
	seed_turn(pg, 2, 2, "fake", "x");
	seed_turn(pg, 3, 3, "other", "x");
	seed_turn(pg, 4, 4, "fake", "x");
	seed_turn(pg, 5, 5, "fake", "x");
	seed_turn(pg, 6, 6, "fake", "x");
	pg_execf(pg, "update hearth.turns set not_before = now() + interval "
	    "'10 s' where session_id = '%s'", session_id(4));
	pg_execf(pg, "insert into hearth.agent_sessions (chat_id, agent, "
	    "session_id, backoff_until) values ('%s', 'fake', '%s', now() + "
	    "interval '20 s')", chat_id(5), session_id(5));
	pg_execf(pg, "insert into hearth.nodes (id, name) values (900, 'x'); "
	    "insert into hearth.session_owners values ('%s', '', 900, 1)",
	    session_id(6));
	ask_waiting(10);
	ck_assert_str_eq(waiting.all, "03 01 02 ");
	ck_assert_int_gt(waiting.next_ms, 8000);
	ck_assert_int_le(waiting.next_ms, 10000);
	ask_waiting(2);
	ck_assert_str_eq(waiting.all, "03 01 ");
}
END_TEST

/* Commands and what comes on hearth_work */

static struct {
	int answers;
	size_t n;
	char all[1024];
} taken;

static const char *
or_dash(const char *s)
{
	return s ? s : "-";
}

static void
on_commands(void *ctx, const struct command *c, size_t n, const struct err *e)
{
	(void)ctx;
	ck_assert_ptr_null(e);
	taken.answers++;
	taken.n = n;
	taken.all[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(taken.all + strlen(taken.all), 200,
		    "%s %s %s %d %s %s %s %d %d %s; ", c[i].kind,
		    c[i].chat ? c[i].chat + 34 : "-", or_dash(c[i].agent),
		    (int)c[i].turn, or_dash(c[i].turn_status),
		    or_dash(c[i].requested_by), or_dash(c[i].reason),
		    (int)c[i].execution_id, (int)c[i].serial,
		    or_dash(c[i].option_id));
}

static void
take(void)
{
	int before = taken.answers;

	db_take_commands(node.db, on_commands, NULL);
	UNTIL(&node, taken.answers == before + 1);
}

START_TEST(commands_are_taken_once_with_what_they_are_about)
{
	struct recorder *rec;
	char all[192];
	int done = 0;

	pg_exec(pg, "alter table hearth.turns alter id restart 1");
	seed_session(pg, 2, false);
	seed_chat(pg, 2, 2);
	node_start(&node, pg, "one");
	rec = db_recorder(node.db);
	pg_execf(pg, "select hearth.submit('%s', 'fake', 'x')", chat_id(1));
	UNTIL(&node, node.works == 1);
	snprintf(all, sizeof all, "%s 1 %s fake", session_id(1), chat_id(1));
	ck_assert_str_eq(node.worked, all);
	pg_execf(pg, "insert into hearth.permission_requests (turn_id, chat_id,"
	    " agent, execution_id, serial, options) values (1, '%s', 'fake', "
	    "70, 3, '[{\"optionId\":\"yes\"}]')", chat_id(1));
	pg_exec(pg, "select hearth.cancel(1, 'ann')");
	pg_exec(pg, "select hearth.answer_permission(id, 'yes', 'bob') from "
	    "hearth.permission_requests");
	/* of a session that another live node has */
	pg_execf(pg, "insert into hearth.nodes (id, name) values (900, 'x'); "
	    "insert into hearth.session_owners values ('%s', '', 900, 1)",
	    session_id(2));
	pg_execf(pg, "select hearth.close_chat('%s')", chat_id(2));
	UNTIL(&node, node.commands >= 3);
	pg_exec(pg, "update hearth.agents set spares = 1");
	UNTIL(&node, node.agents == 1);
	take();
	ck_assert_str_eq(taken.all, "cancel 01 fake 1 queued ann - 0 0 -; "
	    "answer_permission 01 fake 1 queued bob - 70 3 yes; ");
	take();
	ck_assert_uint_eq(taken.n, 0);
	record_command(rec, NULL, 1, "done", NULL, NULL);
	record_command(rec, NULL, 2, "failed", "late", "too late");
	record_barrier(rec, on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', kind, "
	    "status, error_code, error, ended_at is not null), ', ' order by "
	    "id) from hearth.commands"), "cancel done t, answer_permission "
	    "failed late too late t, close_chat pending f");
	/* An answer to a queued turn's cancel needs the session: it is ours. */
	ck_assert_str_eq(pg_value(pg, "select node_id = %lld from "
	    "hearth.session_owners where session_id = '%s'",
	    (long long)db_node_id(node.db), session_id(1)), "t");
}
END_TEST

START_TEST(a_queued_turn_can_be_ended)
{
	int64_t turn = seed_turn(pg, 1, 1, "fake", "x");
	struct turn_end end = { .status = "cancelled", .cancelled_by = "ann",
	    .input_tokens = -1, .output_tokens = -1 };
	struct chat_log *log;
	int done = 0;

	node_start(&node, pg, "one");
	node_own(&node, 1);
	log = chat_log_open(db_recorder(node.db), session_id(1), chat_id(1),
	    0);
	record_queued_turn_end(log, turn, "fake", &end);
	record_barrier(db_recorder(node.db), on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select t.status || cancelled_by || kind "
	    "from hearth.turns t, hearth.events"), "cancelledannturn_ended");
	chat_log_close(&log);
}
END_TEST

/* Working copies */

static void
on_copy(void *ctx, const char *session, const struct claimed_turn *t,
    const struct err *e)
{
	(void)ctx;
	ck_assert(!e && strcmp(session, session_id(1)) == 0);
	got.answers++;
	got.has_turn = t != NULL;
	if (!t)
		return;
	snprintf(got.path, sizeof got.path, "%s", t->project_path);
	snprintf(got.worktree, sizeof got.worktree, "%s",
	    t->worktree_path ? t->worktree_path : "-");
}

static bool
ask_copy(void)
{
	int before = got.answers;

	db_session_copy(node.db, session_id(1), on_copy, NULL);
	UNTIL(&node, got.answers == before + 1);
	return got.has_turn;
}

START_TEST(a_copy_is_made_of_its_project_and_told_to_its_owner_alone)
{
	node_start(&node, pg, "one");
	ck_assert(!ask_copy());
	node_own(&node, 1);
	ck_assert(ask_copy());
	ck_assert_str_eq(got.worktree, "-");
	ck_assert_str_eq(got.path, pg_value(pg, "select path from "
	    "hearth.projects"));
	pg_exec(pg, "insert into hearth.worktrees (session_id, path, node_id) "
	    "select id, '/w', (select node_id from hearth.session_owners) "
	    "from hearth.sessions");
	ck_assert(ask_copy());
	ck_assert_str_eq(got.worktree, "/w");
	pg_exec(pg, "update hearth.session_owners set epoch = epoch + 1");
	ck_assert(!ask_copy());
}
END_TEST

/* Decisions */

static struct {
	int answers;
	size_t n;
	char words[512];
} decided;

static void
on_decide(void *ctx, const struct decision_row *rows, size_t n,
    const struct err *e)
{
	(void)ctx;
	ck_assert_ptr_null(e);
	decided.answers++;
	decided.n = n;
	decided.words[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(decided.words + strlen(decided.words), 100,
		    "%s %s%s%s %s %s;", rows[i].verb ? rows[i].verb : "-",
		    rows[i].path ? rows[i].path : "-",
		    rows[i].is_fit ? " fit" : "",
		    rows[i].has_pending ? " pending" : "",
		    rows[i].agent ? rows[i].agent : "-",
		    rows[i].hunks ? rows[i].hunks : "-");
}

static const char *
ask_decide(const char *args)
{
	int before = decided.answers;
	int64_t id;

	pg_exec(pg, "delete from hearth.commands");
	pg_exec(pg, args);
	id = atoll(pg_value(pg, "select id from hearth.commands"));
	db_decide(node.db, id, on_decide, NULL);
	UNTIL(&node, decided.answers == before + 1);
	return decided.words;
}

#define COMMAND(args) "insert into hearth.commands (kind, session_id, " \
	"status, requested_by, args) select 'x', id, 'running', 'ann', '" \
	args "' from hearth.sessions"

START_TEST(decisions_are_noted_where_they_can_be_carried_out)
{
	node_start(&node, pg, "one");
	node_own(&node, 1);
	pg_exec(pg, "insert into hearth.pending_changes (id, session_id, "
	    "file_path, operation, status, agent) select n, s.id, path, "
	    "'edit', status, agent from hearth.sessions s, (values "
	    "(1, 'a', 'pending', 'fake'), (2, 'b', 'applied', 'fake'), "
	    "(3, 'b', 'pending', null)) v (n, path, status, agent)");
	ck_assert_str_eq(ask_decide(COMMAND("{\"decision\": \"accept\", "
	    "\"changes\": [1, 2, 9], \"hunks\": [1, 3]}")),
	    "accept a fit fake 1,3;accept b fake 1,3;");
	ck_assert_str_eq(pg_value(pg, "select string_agg(id || decision, ' ') "
	    "from hearth.pending_changes where decision is not null"),
	    "1accept");
	/* what comes back joins what waits there: a person's */
	ck_assert_str_eq(ask_decide(COMMAND("{\"decision\": \"revert\", "
	    "\"changes\": [2]}")), "revert b fit pending - -;");
	ck_assert_str_eq(ask_decide(COMMAND("{\"decision\": \"accept\", "
	    "\"changes\": []}")), "- - fit - -;");
	ck_assert_str_eq(ask_decide(COMMAND("{\"verb\": \"delete\", "
	    "\"path\": \"c\"}")), "delete c fit - -;");
	pg_exec(pg, "update hearth.session_owners set epoch = epoch + 1");
	ck_assert_str_eq(ask_decide(COMMAND("{\"verb\": \"delete\", "
	    "\"path\": \"c\"}")), "");
}
END_TEST

START_TEST(an_outcome_is_stored_once_and_told)
{
	struct chat_log *log, *own;
	struct change_row part = { .path = "a", .operation = 'e',
		.diff = "@@ part", .new_oid = "22", .new_mode = "100644" };
	struct decided_row row = { .change = 1, .before = "pending",
		.status = "applied", .decided_by = "ann", .part = &part };
	int done = 0;

	node_start(&node, pg, "one");
	node_own(&node, 1);
	pg_exec(pg, "insert into hearth.pending_changes (id, session_id, "
	    "file_path, operation, decision) select n, s.id, 'f' || n, 'edit',"
	    " 'accept' from hearth.sessions s, generate_series(1, 3) n");
	log = chat_log_open(db_recorder(node.db), session_id(1), chat_id(1),
	    0);
	own = chat_log_open(db_recorder(node.db), session_id(1),
	    session_id(1), 0);
	record_decided(log, &row);
	row.status = "rejected"; /* a second time: it is decided */
	record_decided(log, &row);
	row = (struct decided_row){ .change = 2, .before = "pending",
		.error = "why", .decided_by = "ann" };
	record_decided(log, &row);
	/* where there is no chat there is no event */
	row.change = 3;
	record_decided(own, &row);
	record_barrier(db_recorder(node.db), on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', id, "
	    "status, decision, error, decided_by, diff, new_oid, new_mode), "
	    "', ' order by id) from hearth.pending_changes"),
	    "1 applied ann @@ part 22 100644, 2 pending why, 3 pending why");
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', seq, "
	    "payload ->> 'change', payload ->> 'status', payload ->> "
	    "'error'), ', ' order by seq) from hearth.events"),
	    "1 1 applied, 2 1, 3 2 pending why");
	chat_log_close(&log);
	chat_log_close(&own);
}
END_TEST

struct wished {
	int answers;
	struct buf all;
};

static void
on_wishes(void *ctx, const struct snapshot_wish *w, size_t n)
{
	struct wished *wished = ctx;

	ck_assert_ptr_nonnull(w);
	wished->answers++;
	buf_reset(&wished->all, 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&wished->all, "%lld %s %zu:%s %zu:%s %lld; ",
		    (long long)w[i].project_id, w[i].project_path,
		    strv_len(w[i].include), w[i].include[0] ?
		    w[i].include[0] : "-", strv_len(w[i].setup_command),
		    w[i].setup_command[0] ? w[i].setup_command[0] : "-",
		    (long long)w[i].count);
	buf_adds(&wished->all, "");
}

static void
check_wishes(struct wished *w, const char *expected)
{
	int before = w->answers;

	db_snapshot_wishes(node.db, on_wishes, w);
	UNTIL(&node, w->answers == before + 1);
	ck_assert_str_eq(w->all.data, expected);
}

START_TEST(snapshots_are_wished_for_and_unwished_for)
{
	struct wished w = { .answers = 0 };

	node_start(&node, pg, "one");
	check_wishes(&w, "");
	pg_exec(pg, "update hearth.projects set id = 1, snapshots = 2, "
	    "include = '{\"a, b\"}', setup_command = '{make,deps}', "
	    "path = '/p'");
	check_wishes(&w, "1 /p 1:a, b 2:make 2; ");
	/* of another node; but there are some here */
	pg_exec(pg, "update hearth.projects set node_id = 900");
	check_wishes(&w, "");
	for (int i = 0; i < 4; i++)
		pg_execf(pg, "insert into hearth.snapshots (id, project_id, "
		    "node_id, path, status) values (gen_random_uuid(), %d, "
		    "%lld, '/s', '%s')", i < 1 ? 1 : 77 + i, i == 3 ? 900LL :
		    (long long)db_node_id(node.db), i == 2 ? "claimed" :
		    i == 1 ? "preparing" : "ready");
	check_wishes(&w, "1 / 0:- 0:- 0; 78 / 0:- 0:- 0; ");
	buf_free(&w.all);
}
END_TEST

/* The life of a node */

START_TEST(a_node_registers_and_says_goodbye)
{
	int done = 0;

	node_start(&node, pg, "one");
	ck_assert_int_eq(node.first_ups, 1);
	ck_assert(db_is_up(node.db));
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', id = %lld, epoch, "
	    "pid = %d, version, project_roots, hearth.is_alive(heartbeat_at)) "
	    "from hearth.nodes", (long long)db_node_id(node.db), (int)getpid()),
	    "t 1 t test {/a,/b} t");
	record_heartbeat(db_recorder(node.db), true);
	db_close(node.db, 5000, on_done, &done);
	ck_assert_int_eq(done, 0);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', draining, pid, "
	    "hearth.is_alive(heartbeat_at)) from hearth.nodes"), "t f");
	node_stop(&node);
	node_start(&node, pg, "one");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', count(*), "
	    "max(epoch), bool_or(draining)) from hearth.nodes"), "1 2 f");
}
END_TEST

START_TEST(closing_writes_what_is_left)
{
	struct chat_log *log;
	int done = 0;

	node_start(&node, pg, "one");
	node_own(&node, 1);
	log = chat_log_open(db_recorder(node.db), session_id(1), chat_id(1),
	    0);
	for (int i = 0; i < 100; i++)
		record_event(log, 0, "fake", "plan", NULL, 0, false);
	chat_log_close(&log);
	db_close(node.db, 5000, on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select count(*) from hearth.events"),
	    "100");
}
END_TEST

START_TEST(closing_without_a_server_ends_in_time)
{
	int64_t from;
	int done = 0;

	node_begin(&node, "host=/nonexistent dbname=x", "one");
	turn_loop(&node);
	record_command(db_recorder(node.db), NULL, 1, "done", NULL, NULL);
	from = clock_ms();
	db_close(node.db, 200, on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_int_lt(clock_ms() - from, 2000);
}
END_TEST

START_TEST(what_an_earlier_life_left_open_is_settled)
{
	PGconn *c = pg_connect(pg);
	PGnotify *n;

	node_start(&node, pg, "one");
	node_own(&node, 1);
	node_stop(&node);
	seed_session(pg, 2, false);
	seed_chat(pg, 2, 2);
	seed_chat(pg, 1, 3);
	pg_exec(pg, "alter table hearth.turns alter id restart 1");
	seed_turn(pg, 1, 1, "fake", "a");
	seed_turn(pg, 1, 1, "other", "b");
	seed_turn(pg, 1, 3, "fake", "c");
	seed_turn(pg, 2, 2, "fake", "of another node");
	seed_turn(pg, 1, 1, "fake", "d");
	pg_execf(pg, "update hearth.turns set exclusive = false, status = case "
	    "id when 1 then 'running' when 2 then 'waiting_permission' when 3 "
	    "then 'starting' when 4 then 'running' else 'queued' end; "
	    "update hearth.chats set last_seq = 3 where id = '%s'; "
	    "insert into hearth.messages (session_id, chat_id, turn_id, role, "
	    "first_seq) values ('%s', '%s', 1, 'assistant', 1); "
	    "insert into hearth.events (chat_id, seq, turn_id, kind, payload) "
	    "values ('%s', 1, 1, 'turn_started', '{}'), ('%s', 2, 1, 'text', "
	    "'{\"text\": \"half an \"}'), ('%s', 3, 1, 'text', '{\"text\": "
	    "\"answer\"}')", chat_id(1), session_id(1), chat_id(1), chat_id(1),
	    chat_id(1), chat_id(1));
	pg_execf(pg, "insert into hearth.tool_calls (chat_id, turn_id, "
	    "tool_call_id, status) values ('%s', 1, 't', 'in_progress'); "
	    "insert into hearth.permission_requests (chat_id, turn_id) values "
	    "('%s', 2); insert into hearth.executions (agent, node_id) values "
	    "('fake', 1); insert into hearth.agent_sessions (chat_id, agent, "
	    "session_id, node_id, pid, status) values ('%s', 'fake', '%s', 1, "
	    "9, 'active'); insert into hearth.commands (kind, status, node_id) "
	    "values ('x', 'running', 1)", chat_id(1), chat_id(1), chat_id(1),
	    session_id(1));
	PQclear(PQexec(c, "listen hearth_events"));
	node_start(&node, pg, "one");
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', id, "
	    "status, error_code), ', ' order by id) from hearth.turns"),
	    "1 interrupted interrupted, 2 interrupted interrupted, 3 queued, "
	    "4 running, 5 queued");
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', seq, "
	    "turn_id, kind), ', ' order by seq) from hearth.events where seq > "
	    "3"), "4 1 turn_ended, 5 2 turn_ended");
	ck_assert_str_eq(pg_value(pg, "select last_seq from hearth.chats where "
	    "id = '%s'", chat_id(1)), "5");
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', m.status, "
	    "m.content, m.last_seq, t.status, p.status, x.end_reason, a.status,"
	    " a.end_reason, a.pid, c.status) from hearth.messages m, "
	    "hearth.tool_calls t, hearth.permission_requests p, "
	    "hearth.executions x, hearth.agent_sessions a, hearth.commands c"),
	    "failed half an answer 4 cancelled cancelled daemon died closed "
	    "daemon restarted pending");
	ck_assert_str_eq(pg_value(pg, "select epoch from hearth.session_owners"
	    ), "2");
	PQconsumeInput(c);
	n = PQnotifies(c);
	ck_assert_ptr_nonnull(n);
	ck_assert_ptr_nonnull(strstr(n->extra, "\"seq\": 5"));
	PQfreemem(n);
	PQfinish(c);
}
END_TEST

#define COMMANDS "select string_agg(concat_ws(' ', kind, status, " \
	"error_code, error), ', ' order by id) from hearth.commands"

START_TEST(commands_of_a_dead_node_end)
{
	struct node old;
	PGconn *holder;
	int done = 0;

	node_start(&old, pg, "old");
	node_start(&node, pg, "new");
	pg_execf(pg, "insert into hearth.commands (id, kind, status, node_id) "
	    "values (1, 'warm', 'running', %lld), (2, 'answer_permission', "
	    "'running', %lld), (3, 'warm', 'running', %lld)",
	    (long long)db_node_id(old.db), (long long)db_node_id(old.db),
	    (long long)db_node_id(node.db));
	take();
	ck_assert_str_eq(pg_value(pg, COMMANDS), "warm running, "
	    "answer_permission running, warm running");
	pg_exec(pg, "update hearth.nodes set heartbeat_at = now() - interval "
	    "'61 s' where name = 'old'");
	/* what its last transaction still holds keeps nobody waiting */
	pg_execf(pg, "insert into hearth.pending_changes (id, session_id, "
	    "file_path, operation, decision) select n, id, 'f' || n, 'edit', "
	    "'accept' from hearth.sessions, generate_series(1, 3) n; insert "
	    "into hearth.commands (id, kind, status, node_id, args) select n, "
	    "'decide', 'running', %lld, jsonb_build_object('changes', "
	    "jsonb_build_array(n - 3)) from generate_series(5, 6) n; "
	    "insert into hearth.commands (id, kind) values (4, 'warm')",
	    (long long)db_node_id(old.db));
	holder = pg_connect(pg);
	PQclear(PQexec(holder, "begin; select from hearth.commands "
	    "where id = 1 for update"));
	PQclear(PQexec(holder, "select from hearth.pending_changes "
	    "where id = 3 for update"));
	take();
	ck_assert_uint_eq(taken.n, 1);
	/* and what was to be decided on is free again */
	ck_assert_str_eq(pg_value(pg, "select string_agg(concat_ws(' ', id, "
	    "decision, left(error, 8)), ', ' order by id) "
	    "from hearth.pending_changes"),
	    "1 accept, 2 node old, 3 accept");
	ck_assert_str_eq(pg_value(pg, "select string_agg(status, ' ' "
	    "order by id) from hearth.commands where id > 4"),
	    "failed running");
	pg_exec(pg, "delete from hearth.commands where id in (4, 5)");
	PQclear(PQexec(holder, "rollback"));
	PQfinish(holder);
	take();
	ck_assert_uint_eq(taken.n, 0);
	ck_assert_str_eq(pg_value(pg, "select c.status || coalesce(p.decision, "
	    "'') from hearth.commands c, hearth.pending_changes p "
	    "where c.id = 6 and p.id = 3"), "failed");
	pg_exec(pg, "delete from hearth.commands where id > 3");
#define GONE "failed node_gone node old, which was to do it, is gone: " \
	"nobody knows how far it got"
	ck_assert_str_eq(pg_value(pg, COMMANDS), "warm " GONE ", "
	    "answer_permission " GONE ", warm running");
	/* it was only away, and says what became of it */
	record_command(db_recorder(old.db), NULL, 1, "done", NULL, NULL);
	record_command(db_recorder(old.db), NULL, 2, "done", NULL, NULL);
	record_barrier(db_recorder(old.db), on_done, &done);
	UNTIL(&old, done == 1);
	ck_assert_str_eq(pg_value(pg, COMMANDS), "warm done, "
	    "answer_permission " GONE ", warm running");
	node_stop(&old);
}
END_TEST

START_TEST(what_a_node_has_not_done_when_it_stops_is_for_others)
{
	struct node old;
	int done = 0;

	node_start(&old, pg, "old");
	pg_execf(pg, "insert into hearth.commands (id, kind, status, node_id) "
	    "values (1, 'warm', 'running', %lld)",
	    (long long)db_node_id(old.db));
	db_close(old.db, 5000, on_done, &done);
	UNTIL(&old, done == 1);
	node_stop(&old);
	ck_assert_str_eq(pg_value(pg, COMMANDS), "warm pending");
	node_start(&node, pg, "new");
	take();
	ck_assert_uint_eq(taken.n, 1);
}
END_TEST

START_TEST(a_dead_nodes_session_is_taken_over_and_its_writes_are_fenced)
{
	struct node old;
	struct chat_log *log;
	int64_t turn = seed_turn(pg, 1, 1, "fake", "x");
	int done = 0;

	node_start(&old, pg, "old");
	node_own(&old, 1);
	log = chat_log_open(db_recorder(old.db), session_id(1), chat_id(1), 0);
	record_event(log, 0, "fake", "plan", NULL, 0, false);
	record_barrier(db_recorder(old.db), on_done, &done);
	UNTIL(&old, done == 1);
	node_start(&node, pg, "new");
	ck_assert_int_eq(claim(1, NULL, 0), 0);
	pg_exec(pg, "update hearth.nodes set heartbeat_at = now() - interval "
	    "'2 min' where name = 'old'");
	ck_assert_int_eq(claim(1, NULL, 0), turn);
	ck_assert_int_eq(got.t.chat_last_seq, 1);
	record_event(log, 0, "fake", "plan", NULL, 0, false);
	UNTIL(&old, old.fences == 1);
	ck_assert_str_eq(old.fenced, session_id(1));
	ck_assert_str_eq(pg_value(pg, "select count(*) from hearth.events"),
	    "1");
	chat_log_close(&log);
	node_stop(&old);
}
END_TEST

START_TEST(a_name_in_use_is_refused_with_the_process_that_has_it)
{
	struct node second;
	char want[128];

	node_start(&node, pg, "one");
	node_begin(&second, pg, "one");
	/* It waits five seconds for an old connection to vanish. */
	UNTIL(&second, second.fatal[0]);
	snprintf(want, sizeof want, "node name one is in use by pid %d on ",
	    (int)getpid());
	ck_assert_msg(strncmp(second.fatal, want, strlen(want)) == 0, "%s",
	    second.fatal);
	ck_assert_int_eq(second.ups, 0);
	node_stop(&second);
	ck_assert(db_is_up(node.db));
}
END_TEST

START_TEST(an_old_connection_that_still_ends_is_waited_for)
{
	PGconn *c = pg_connect(pg);

	PQclear(PQexec(c, "select pg_advisory_lock(hashtext('hearth.node'), "
	    "hashtext('one'))"));
	node_begin(&node, pg, "one");
	for (int i = 0; i < 100; i++)
		turn_loop(&node);
	ck_assert_int_eq(node.ups, 0);
	PQfinish(c);
	UNTIL(&node, node.ups == 1);
}
END_TEST

START_TEST(a_name_taken_while_away_ends_the_node)
{
	node_start(&node, pg, "one");
	pg_exec(pg, "update hearth.nodes set epoch = epoch + 1, pid = 12");
	pg_execf(pg, "select pg_terminate_backend(%d)",
	    conn_backend_pid(node.db->writer));
	UNTIL(&node, node.fatal[0]);
	ck_assert_ptr_nonnull(strstr(node.fatal, "was taken by pid 12"));
}
END_TEST

START_TEST(a_claim_whose_answer_was_lost_is_undone)
{
	int64_t turn = seed_turn(pg, 1, 1, "fake", "x");
	int before = got.answers;

	node_start(&node, pg, "one");
	claim(1, NULL, 0);
	pg_exec(pg, "update hearth.turns set status = 'queued'");
	db_claim(node.db, session_id(1), NULL, 0, on_claimed, NULL);
	ck_assert(pg_wait(pg, "select status from hearth.turns", "starting",
	    5000, NULL, NULL));
	/* It was committed, but we never read the answer. */
	conn_drop(node.db->asker, "the test says so");
	UNTIL(&node, node.ups == 2);
	ck_assert_int_eq(got.answers, before + 2);
	ck_assert(got.failed);
	ck_assert_str_eq(pg_value(pg, "select status from hearth.turns"),
	    "queued");
	ck_assert_int_eq(claim(1, NULL, 0), turn);
}
END_TEST

START_TEST(a_question_without_a_connection_is_answered_with_an_error)
{
	int before = got.answers;

	node_begin(&node, "host=/nonexistent dbname=x", "one");
	db_claim(node.db, session_id(1), NULL, 0, on_claimed, NULL);
	UNTIL(&node, got.answers == before + 1);
	ck_assert(got.failed);
	/* One that is still open at the end is nobody's leak. */
	db_claim(node.db, session_id(1), NULL, 0, on_claimed, NULL);
}
END_TEST

static const struct {
	const char *before;   /* SQL, or NULL: a database without schema */
	const char *conninfo; /* or NULL: the test's database */
	const char *says;
} hopeless[] = {
	{ NULL, NULL, "run `hearth init`" },
	{ "insert into hearth.schema_migrations (version, name) values (999, "
	    "'x')", NULL, "install a newer hearthd" },
	{ "delete from hearth.schema_migrations", NULL, "run `hearth init`" },
	{ "", "nonsense", "database: " },
	{ "", "dbname=nothere", "database \"nothere\" does not exist" },
	{ "", "user=nobody_at_all", "role \"nobody_at_all\" does not exist" },
	{ "create role stranger login", "user=stranger",
	    "permission denied for schema hearth" },
};

START_TEST(what_makes_no_sense_is_fatal_and_says_what_to_do)
{
	const char *conninfo = hopeless[_i].before ? pg : pg_empty_database();
	char *other = NULL;

	if (hopeless[_i].before && *hopeless[_i].before)
		pg_exec(pg, hopeless[_i].before);
	if (hopeless[_i].conninfo && asprintf(&other, "%s %s", pg,
	    hopeless[_i].conninfo) < 0)
		ck_abort();
	node_begin(&node, other ? other : conninfo, "one");
	UNTIL(&node, node.fatal[0]);
	ck_assert_msg(strstr(node.fatal, hopeless[_i].says) != NULL, "%s",
	    node.fatal);
	for (int i = 0; i < 200; i++)
		turn_loop(&node);
	ck_assert_int_eq(node.ups, 0);
	free(other);
}
END_TEST

START_TEST(the_daemons_own_rights_are_enough)
{
	struct chat_log *log;
	struct recorder *r;
	char *other = NULL;
	int done = 0;

	/* Roles are the cluster's, and tests may run side by side. */
	pg_exec(pg, "do $$ begin create role plain_daemon login in role "
	    "hearth_daemon; exception when duplicate_object or "
	    "unique_violation then null; end $$");
	if (asprintf(&other, "%s user=plain_daemon", pg) < 0)
		ck_abort();
	seed_turn(pg, 1, 1, "fake", "x");
	node_start(&node, other, "one");
	ck_assert_int_ne(claim(1, NULL, 0), 0);
	take();
	ask_waiting(5);
	r = db_recorder(node.db);
	log = chat_log_open(r, session_id(1), chat_id(1), 0);
	record_turn_started(log, got.t.turn, "fake",
	    &(struct turn_start){ .prompt = "[]" });
	record_turn_running(log, got.t.turn, "fake", 7, false);
	record_worktree(log, "/w", "b", "c");
	record_execution_start(r, log, 7, "fake", 1, 1, "cold");
	record_execution_ready(r, log, 7, 1, 1);
	record_execution_end(r, log, 7, &(struct execution_end){
	    .end_reason = "done", .peak_rss_kb = 1, .stderr_tail = "" });
	record_execution_start(r, NULL, 8, "fake", 1, 1, "spare");
	record_execution_claimed(log, 8);
	record_tool_call(log, got.t.turn, "fake", &(struct tool_call_row){
	    .tool_call_id = "t", .title = "x", .status = "pending" });
	record_permission(log, got.t.turn, "fake", 7, 1, "t", "{}", "[]");
	record_permission_end(log, got.t.turn, "fake", 7, 1, "answered", "y",
	    "ann");
	record_change(log, got.t.turn, "fake", &(struct change_row){ "a",
	    'c', "@@", NULL, "1", NULL, "100644", NULL });
	db_decide(node.db, 1, on_decide, NULL);
	db_session_copy(node.db, session_id(1), on_copy, NULL);
	record_decided(log, &(struct decided_row){ .change = 1,
	    .before = "pending", .status = "applied" });
	record_agent_session(log, "fake", &(struct agent_session_row){
	    .status = "idle" });
	record_agent_update(log, "fake", "mode", "{\"modeId\":\"x\"}");
	record_turn_end(log, got.t.turn, "fake", &(struct turn_end){
	    .status = "completed", .agent_status = "idle" });
	record_heartbeat(db_recorder(node.db), false);
	record_command(db_recorder(node.db), NULL, 1, "done", NULL, NULL);
	record_barrier(db_recorder(node.db), on_done, &done);
	UNTIL(&node, (done == 1 && decided.answers == 1) || node.fatal[0]);
	ck_assert_str_eq(node.fatal, "");
	ck_assert_str_eq(pg_value(pg, "select status from hearth.turns"),
	    "completed");
	chat_log_close(&log);
	free(other);
}
END_TEST

static void
add_case(Suite *s, const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	suite_add_tcase(s, c);
}

static void
add_table(Suite *s, const char *name, const TTest *test, int n)
{
	TCase *c = tcase_create(name);

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, test, 0, n);
	suite_add_tcase(s, c);
}

int
main(void)
{
	Suite *s = suite_create("db");
	SRunner *sr;
	int failed;

	if (!pg_start())
		return 0;
	add_case(s, "claim", (const TTest *const []){
	    a_cold_claim_has_everything_that_running_needs,
	    a_warm_seat_runs_the_turn_at_once_if_its_config_is_current,
	    a_claim_is_told_to_readers,
	    a_notification_that_lies_claims_nothing,
	    waiting_sessions_are_told_oldest_first_with_the_next_time,
	    NULL });
	add_table(s, "shared", short_claims_that_come_meanwhile_share_a_commit,
	    2);
	add_table(s, "short", the_short_claim_runs_a_known_turn_or_leaves_it_alone,
	    (int)(sizeof not_that_simple / sizeof *not_that_simple) + 1);
	add_table(s, "claims", the_claim_takes_the_turn_that_may_start,
	    sizeof claims / sizeof *claims);
	add_case(s, "speed", (const TTest *const []){
	    ten_thousand_queued_turns_cost_the_claim_nothing,
	    NULL });
	add_case(s, "commands", (const TTest *const []){
	    commands_are_taken_once_with_what_they_are_about,
	    a_queued_turn_can_be_ended,
	    a_copy_is_made_of_its_project_and_told_to_its_owner_alone,
	    decisions_are_noted_where_they_can_be_carried_out,
	    an_outcome_is_stored_once_and_told,
	    snapshots_are_wished_for_and_unwished_for,
	    NULL });
	add_case(s, "life", (const TTest *const []){
	    a_node_registers_and_says_goodbye,
	    closing_writes_what_is_left,
	    closing_without_a_server_ends_in_time,
	    what_an_earlier_life_left_open_is_settled,
	    commands_of_a_dead_node_end,
	    what_a_node_has_not_done_when_it_stops_is_for_others,
	    a_dead_nodes_session_is_taken_over_and_its_writes_are_fenced,
	    a_name_in_use_is_refused_with_the_process_that_has_it,
	    an_old_connection_that_still_ends_is_waited_for,
	    a_name_taken_while_away_ends_the_node,
	    a_claim_whose_answer_was_lost_is_undone,
	    a_question_without_a_connection_is_answered_with_an_error,
	    the_daemons_own_rights_are_enough,
	    NULL });
	add_table(s, "hopeless",
	    what_makes_no_sense_is_fatal_and_says_what_to_do,
	    sizeof hopeless / sizeof *hopeless);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
