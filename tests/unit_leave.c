/* SPDX-License-Identifier: MIT */
/*
 * sql/db_leave: which sessions something is taken away of, what is recorded of
 * that, and which working copies are to be measured.
 *
 * Three sessions with a chat and a worktree each, of 1,000 kB, used one, two and
 * three hours ago.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/db_fixture.h"
#include "tests/pg_harness.h"

#define DAY ((int64_t)24 * 3600 * 1000)

static const char *pg;
static struct node node;
static struct buf told;     /* the last answer in words */
static int answers;
static bool more;

static void
set_up(void)
{
	pg = pg_database();
	seed_world(pg);
	for (int i = 1; i <= 3; i++) {
		seed_session(pg, i, false);
		seed_chat(pg, i, i);
	}
	node_start(&node, pg, "one");
	pg_execf(pg, "insert into hearth.worktrees (session_id, path, node_id, "
	    "size_kb, last_used_at, measured_at) select id, '/w', %lld, 1000, "
	    "now() - right(id::text, 1)::int * interval '1 hour', now() "
	    "from hearth.sessions", (long long)db_node_id(node.db));
}

static void
tear_down(void)
{
	node_stop(&node);
	buf_free(&told);
}

static void
on_leaving(void *ctx, const struct leaving_session *s, size_t n)
{
	static const char *const words[] = { "ended", "away", "deleted",
		"chat" };

	(void)ctx;
	answers++;
	buf_reset(&told, 0);
	buf_adds(&told, "");
	for (size_t i = 0; i < n; i++) {
		const char *id = s[i].copy.session;

		ck_assert_str_eq(s[i].copy.worktree_path, "/w");
		ck_assert_ptr_nonnull(s[i].copy.project_path);
		ck_assert(!s[i].chat == (s[i].why != LEAVING_CHAT));
		buf_printf(&told, "%s%s %c", told.len ? ", " : "",
		    words[s[i].why], id[strlen(id) - 1]);
	}
}

static const char *
leaving(const struct leaving_limits *limits)
{
	int before = answers;

	db_leaving_sessions(node.db, limits, 50, on_leaving, NULL);
	UNTIL(&node, answers == before + 1);
	return told.data;
}

#define OF(n) " where id = '00000000-0000-4000-8000-00000000000" #n "'"
#define IN(n) " where session_id = '00000000-0000-4000-8000-00000000000" #n "'"
#define ARCHIVED "update hearth.sessions set archived_at = now() - " \
	"interval '2 days'"
#define TURN(n, status, ago) ";insert into hearth.turns (session_id, chat_id, " \
	"agent, prompt, status, queued_at) select session_id, id, 'fake', '[]', '" \
	status "', now() - interval '" ago "' from hearth.chats" IN(n)

static const struct {
	const char *before;
	int64_t grace_days, budget_kb;
	const char *expected;
} cases[] = {
	{ "select 1", 0, 0, "" },
	/* archived */
	{ ARCHIVED OF(1), 1, 0, "away 1" },
	{ ARCHIVED OF(1), 3, 0, "" },
	{ ARCHIVED OF(1) TURN(1, "completed", "0"), 1, 0, "away 1" },
	{ ARCHIVED OF(1) TURN(1, "queued", "0"), 1, 0, "" },
	{ ARCHIVED OF(1) TURN(1, "running", "0"), 1, 0, "" },
	{ ARCHIVED OF(1) TURN(2, "running", "0"), 1, 0, "away 1" },
	{ ARCHIVED OF(1) ";update hearth.worktrees set status = 'saved'" IN(1),
	    1, 0, "" },
	{ ARCHIVED OF(1) ";update hearth.worktrees set node_id = 99" IN(1), 1,
	    0, "" },
	{ ARCHIVED OF(1) ";update hearth.worktrees set kept_at = now()" IN(1),
	    1, 0, "" },
	{ ARCHIVED OF(1) ";update hearth.worktrees set kept_at = now() - "
	    "interval '61 min'" IN(1), 1, 0, "away 1" },
	{ ARCHIVED OF(1) ";insert into hearth.commands (kind, session_id) "
	    "select 'restore_session', id from hearth.sessions" OF(1), 1, 0,
	    "" },
	{ ARCHIVED OF(1) ";insert into hearth.nodes (name) values ('two');"
	    "insert into hearth.session_owners (session_id, node_id, epoch) "
	    "select id, (select max(id) from hearth.nodes), 1 "
	    "from hearth.sessions" OF(1), 1, 0, "" },
	/* the budget: the least recently used go first */
	{ "select 1", 9, 3000, "" },
	{ "select 1", 9, 2999, "away 3" },
	{ "select 1", 9, 1500, "away 3, away 2" },
	{ "select 1" TURN(3, "completed", "5 min"), 9, 2500, "away 2" },
	{ "select 1" TURN(3, "queued", "4 hours"), 9, 1500, "away 2" },
	{ "insert into hearth.agent_sessions (chat_id, session_id, agent, pid) "
	    "select id, session_id, 'fake', 7 from hearth.chats" IN(3), 9, 2500,
	    "" },
	{ "update hearth.worktrees set size_kb = null" IN(3), 9, 2500, "" },
	{ ARCHIVED OF(3), 9, 2500, "" },
	{ ARCHIVED OF(3), 1, 2500, "away 3" },
	/* one-shots */
	{ "update hearth.sessions set ephemeral = true", 9, 2500, "" },
	{ "update hearth.sessions set ephemeral = true" TURN(2, "failed", "0"),
	    9, 0, "ended 2" },
	/* deleted */
	{ "update hearth.sessions set deleted_at = now(), archived_at = now()"
	    OF(2), 0, 0, "deleted 2" },
	{ "update hearth.sessions set deleted_at = now(), archived_at = now()"
	    OF(2) TURN(2, "running", "0"), 0, 0, "" },
	{ "update hearth.chats set deleted_at = now()" IN(2)
	    TURN(1, "running", "0"), 9, 0, "chat 2" },
	{ "update hearth.chats set deleted_at = now()" IN(2)
	    TURN(2, "running", "0"), 9, 0, "" },
	{ "update hearth.chats set deleted_at = now()" IN(2) ";insert into "
	    "hearth.executions (chat_id, agent) select id, 'fake' "
	    "from hearth.chats" IN(2), 9, 0, "" },
};

START_TEST(what_is_over_leaves_and_nothing_else)
{
	const struct leaving_limits limits = {
		.archive_grace = cases[_i].grace_days * DAY,
		.worktree_budget = cases[_i].budget_kb * 1024,
	};
	const char *found;

	pg_exec(pg, cases[_i].before);
	found = leaving(&limits);
	ck_assert_msg(strcmp(found, cases[_i].expected) == 0,
	    "after <%s> found <%s>, not <%s>", cases[_i].before, found,
	    cases[_i].expected);
	/* they are this node's now */
	if (*found)
		ck_assert_str_eq(pg_value(pg, "select bool_and(node_id = %lld)"
		    "::text from hearth.session_owners",
		    (long long)db_node_id(node.db)), "true");
}
END_TEST

static void
on_left(void *ctx, const char *session, bool there_is_more)
{
	(void)ctx;
	ck_assert_str_eq(session, session_id(1));
	answers++;
	more = there_is_more;
}

static void
left(const struct left_session *l)
{
	int before = answers;

	db_session_left(node.db, l, on_left, NULL);
	UNTIL(&node, answers == before + 1);
}

#define ROW "select concat_ws(' ', status, saved_commit, size_kb, " \
	"kept_reason, kept_at is not null) from hearth.worktrees" IN(1)

START_TEST(what_became_of_a_worktree_is_recorded_by_its_owner)
{
	struct left_session l = { .why = LEAVING_AWAY,
		.session = session_id(1), .is_removed = true, .saved = "c0" };

	left(&l);
	ck_assert_str_eq(pg_value(pg, ROW), "active 1000 f");
	node_own(&node, 1);
	l.is_removed = false;
	l.saved = NULL;
	l.reason = "why";
	left(&l);
	ck_assert_str_eq(pg_value(pg, ROW), "active 1000 why t");
	l.is_removed = true;
	l.reason = NULL;
	left(&l);
	ck_assert_str_eq(pg_value(pg, ROW), "removed 0 f");
	l.saved = "c0";
	left(&l);
	ck_assert_str_eq(pg_value(pg, ROW), "saved c0 0 f");
}
END_TEST

START_TEST(a_deleted_session_is_erased_piece_by_piece)
{
	struct left_session l = { .why = LEAVING_DELETED,
		.session = session_id(1), .is_removed = false,
		.reason = "no" };
	int calls = 0;

	node_own(&node, 1);
	pg_execf(pg, "insert into hearth.events (chat_id, seq, kind) select "
	    "'%s', n, 'text' from generate_series(1, 12000) n; update "
	    "hearth.sessions set deleted_at = now()" OF(1) "; insert into "
	    "hearth.commands (kind, session_id, status) values "
	    "('delete_session', '%s', 'running')", chat_id(1), session_id(1));
	left(&l);
	ck_assert(!more);
	ck_assert_str_eq(pg_value(pg, "select status || error from "
	    "hearth.commands"), "failedno");
	l.is_removed = true;
	l.reason = NULL;
	do {
		left(&l);
		calls++;
	} while (more);
	ck_assert_int_eq(calls, 3);
	ck_assert_str_eq(pg_value(pg, "select (select count(*) from "
	    "hearth.events) || status from hearth.commands"), "0done");
	ck_assert_str_eq(pg_value(pg, "select count(*) from hearth.sessions"),
	    "2");
}
END_TEST

static void
on_unmeasured(void *ctx, const struct claimed_turn *t)
{
	(void)ctx;
	answers++;
	buf_reset(&told, 0);
	buf_adds(&told, t ? t->session : "");
}

static const char *
unmeasured(void)
{
	int before = answers;

	db_unmeasured(node.db, on_unmeasured, NULL);
	UNTIL(&node, answers == before + 1);
	return told.data ? told.data : "";
}

static void
on_done(void *ctx)
{
	++*(int *)ctx;
}

START_TEST(what_was_used_since_is_measured_again)
{
	int done = 0;

	ck_assert_str_eq(unmeasured(), "");
	pg_exec(pg, "update hearth.worktrees set measured_at = now() - "
	    "interval '90 min'" IN(1));
	ck_assert_str_eq(unmeasured(), session_id(1));
	record_measured(db_recorder(node.db), session_id(1),
	    &(struct measure_row){ .at = clock_ms() - 100, .behind = -1,
	    .ahead = 2, .changed_files = 3, .size_kb = 4 });
	record_barrier(db_recorder(node.db), on_done, &done);
	UNTIL(&node, done == 1);
	ck_assert_str_eq(pg_value(pg, "select concat_ws(' ', behind is null, "
	    "ahead, changed_files, size_kb) from hearth.worktrees" IN(1)),
	    "t 2 3 4");
	ck_assert_str_eq(unmeasured(), "");
	pg_exec(pg, "select 1" TURN(2, "completed", "-1 min"));
	ck_assert_str_eq(unmeasured(), session_id(2));
	pg_exec(pg, "update hearth.worktrees set status = 'saved'" IN(2));
	ck_assert_str_eq(unmeasured(), "");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("leave");
	TCase *t = tcase_create("leave");
	SRunner *sr;
	int failed;

	if (!pg_start())
		return 0;
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, what_is_over_leaves_and_nothing_else, 0,
	    (int)(sizeof cases / sizeof *cases));
	tcase_add_test(t, what_became_of_a_worktree_is_recorded_by_its_owner);
	tcase_add_test(t, a_deleted_session_is_erased_piece_by_piece);
	tcase_add_test(t, what_was_used_since_is_measured_again);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
