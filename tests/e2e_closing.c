/* SPDX-License-Identifier: MIT */
/*
 * What ends an agent, or asks for its memory, while its turn has begun and has
 * no child yet.
 */
#include "tests/e2e.h"

#include <unistd.h>

/* The turn waits for its working copy. */
static int64_t
wait_for_copy(int *lock)
{
	int64_t turn;

	start(NULL);
	*lock = hold_copy(session_of(chat));
	turn = submit(chat, "fake", "echo-turn");
	wait_turn(turn, "starting", LIMIT);
	return turn;
}

/* Behind one that has the only room that there is. */
static int64_t
wait_for_room(int *lock)
{
	int64_t turn;

	*lock = -1;
	start("max_agents=1", NULL);
	wait_text(submit(new_chat(new_session(project)), "fake", "say x;hang"), "x");
	turn = submit(chat, "fake", "echo-turn");
	wait_turn(turn, "starting", LIMIT);
	return turn;
}

static int64_t (*const waits[])(int *lock) = { wait_for_copy, wait_for_room };

enum { WAITS = sizeof waits / sizeof waits[0] };

static void
go_on(int lock)
{
	if (lock >= 0)
		close(lock);
	sql("select hearth.cancel(t.id) from hearth.turns t "
	    "where t.status = 'running'");
}

static void
wait_done(const char *status, const char *kind)
{
	wait_value(status, LIMIT, "select concat_ws('/', status, error_code) "
	    "from hearth.commands where kind = '%s'", kind);
}

START_TEST(close_agent_cancels_it)
{
	int lock;
	int64_t turn = waits[_i](&lock), next;

	sql("update hearth.agents set paused = true");
	next = submit(chat, "fake", "echo-turn");
	sql("select hearth.close_agent('%s', 'fake', 'ann')", chat);
	/* at once: nothing that it waits for has come */
	wait_turn(turn, "cancelled", LIMIT);
	ck_assert_str_eq(turn_of(turn, "end_reason"), "closed");
	ck_assert_str_eq(turn_of(turn, "cancelled_by"), "ann");
	wait_done("done", "close_agent");
	check_value("closed", "select status from hearth.agent_sessions "
	    "where chat_id = '%s'", chat);
	/* what is queued is not ended */
	ck_assert_str_eq(turn_of(next, "status"), "queued");
	sql("update hearth.agents set paused = false");
	go_on(lock);
	wait_turn(next, "completed", LIMIT);
	check_value("0", "select count(*) from hearth.executions x "
	    "join hearth.turns t on t.execution_id = x.id "
	    "where t.id = %lld", (long long)turn);
}
END_TEST

START_TEST(reset_agent_lets_it_begin_anew)
{
	int lock;
	int64_t turn = waits[_i](&lock);

	sql("select hearth.reset_agent('%s', 'fake')", chat);
	wait_done("done", "reset_agent");
	ck_assert_str_eq(turn_of(turn, "status"), "starting");
	go_on(lock);
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[turn 1]");
}
END_TEST

START_TEST(suspend_agent_is_refused)
{
	int lock;
	int64_t turn = waits[_i](&lock);

	sql("select hearth.suspend_agent('%s', 'fake')", chat);
	wait_done("failed/agent_busy", "suspend_agent");
	go_on(lock);
	wait_turn(turn, "completed", LIMIT);
}
END_TEST

/* One that is warmed is no turn, but there will be a child. */
START_TEST(suspend_agent_is_refused_while_it_is_being_warmed)
{
	int lock;

	start(NULL);
	lock = hold_copy(session_of(chat));
	sql("select hearth.warm('%s', 'fake')", chat);
	wait_value("warming", LIMIT, "select status "
	    "from hearth.agent_sessions");
	sql("select hearth.suspend_agent('%s', 'fake')", chat);
	wait_done("failed/agent_busy", "suspend_agent");
	close(lock);
	wait_done("done", "warm");
}
END_TEST

/* What ends more than the agent cancels the turn, too. */
static const struct {
	const char *kind;
	bool is_of_chat, is_deleting;
} ends[] = {
	{ "close_chat", true, false },
	{ "archive_session", false, false },
	{ "delete_session", false, true },
	{ "delete_chat", true, true },
};

enum { ENDS = sizeof ends / sizeof ends[0] };

START_TEST(what_ends_chat_or_session_cancels_it)
{
	const char *kind = ends[_i / WAITS].kind;
	int lock;
	int64_t turn = waits[_i % WAITS](&lock);

	sql("select hearth.%s('%s')", kind, ends[_i / WAITS].is_of_chat ?
	    chat : session_of(chat));
	/* of one that is deleted nothing is left to be looked at */
	if (!ends[_i / WAITS].is_deleting) {
		wait_turn(turn, "cancelled", LIMIT);
		ck_assert_str_eq(turn_of(turn, "end_reason"), "closed");
	}
	go_on(lock);
	wait_done("done", kind);
	check_value("0", "select count(*) from hearth.executions "
	    "where chat_id = '%s'", chat);
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_loop_test(tc, close_agent_cancels_it, 0, WAITS);
	tcase_add_loop_test(tc, reset_agent_lets_it_begin_anew, 0, WAITS);
	tcase_add_loop_test(tc, suspend_agent_is_refused, 0, WAITS);
	tcase_add_test(tc, suspend_agent_is_refused_while_it_is_being_warmed);
	tcase_add_loop_test(tc, what_ends_chat_or_session_cancels_it, 0,
	    WAITS * ENDS);
}

int
main(void)
{
	return e2e_main("closing", add);
}
