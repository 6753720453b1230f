/* SPDX-License-Identifier: MIT */
/*
 * What is lost, and what is told of it: conversations that begin anew, children
 * that are not to be trusted any more, sessions that another node takes, working
 * copies that cannot be made.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"

#define HOW "select resumed_by from hearth.agent_sessions"

static void
close_child(const char *agent)
{
	sql("select hearth.close_agent('%s', '%s')", chat, agent);
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where pid is null and agent = '%s'", agent);
}

/* ---- conversations that begin anew */

/* In the ways in which an agent can lose its session. */
enum { IN_MID_LIFE, BROKEN, GONE, WAYS };

/* The agent reopens its sessions, but has just lost that of the chat. */
static void
lose_conversation(int way)
{
	const char *code = way == BROKEN ? "resume_failed" : "session_lost";
	int64_t turn;

	prepare();
	shell("mkdir -m 0777 %s/sessions", folder);
	add_agent("forgets", "--resume", "--store",
	    keep(xasprintf("%s/sessions", folder)), NULL);
	start(NULL);
	complete(chat, "forgets", "say remember me");
	if (way != IN_MID_LIFE)
		close_child("forgets");
	shell("rm %s/sessions/*", folder);
	if (way == GONE) /* the next turn finds it out, and goes on */
		return;
	if (way == BROKEN)
		add_agent("forgets", "--resume", "--session-lost", "-32603",
		    "--lost-words", "The disk is full", NULL);
	turn = submit(chat, "forgets", "error -32002 Resource not found");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), code);
	wait_value("", LIMIT, "select pid from hearth.agent_sessions");
	check_value(code, "select last_error_code from hearth.agent_sessions "
	    "where crash_count = 1");
}

static void
cancel(int64_t turn)
{
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
}

START_TEST(a_new_conversation_outlives_a_first_turn_that_is_cancelled)
{
	int64_t turn;

	lose_conversation(_i);
	turn = submit(chat, "forgets", "echo-block 0;hang");
	wait_text(turn, "remember me");
	check_value("", "select last_error_code from hearth.agent_sessions");
	cancel(turn);
	/* from here on it is reopened */
	add_agent("forgets", "--resume", NULL);
	close_child("forgets");
	turn = complete(chat, "forgets", "echo-blocks");
	ck_assert_str_eq(text_of(turn), "[blocks 1]");
	check_value("resume", HOW);
}
END_TEST

/* It has said nothing of the old one yet, so it is none to go on with. */
START_TEST(one_that_nothing_was_said_in_is_told_the_record_again)
{
	int64_t turn;

	lose_conversation(_i);
	sql("select hearth.warm('%s', 'forgets')", chat);
	wait_value("idle/new", LIMIT, "select status || '/' || resumed_by "
	    "from hearth.agent_sessions");
	close_child("forgets");
	turn = complete(chat, "forgets", "echo-block 0");
	check_has(text_of(turn), "remember me");
	check_value("replay", HOW);
}
END_TEST

/* ---- children that are not to be trusted any more */

static const struct {
	const char *name, *version;
	bool is_replaced;
} versions[] = {
	{ "@zed-industries/claude-agent-acp", "0.20.0", true },
	{ "claude-agent-acp", "0.39.2", true },
	{ "claude-agent-acp", "0.40.0", false },
	{ "claude-agent-acp", "0.100.0", false },
	{ "claude-agent-acp", "0.200.1", false },
	{ "claude-agent-acp", "0.2.5", false },
	{ "fake-agent", "0.25.0", false },
};

/* After an error of the provider these answer a prompt with what belonged to
 * the one before. */
START_TEST(an_agent_that_mixes_up_answers_is_replaced_after_an_error)
{
	int64_t turn;

	start(NULL);
	add_agent("mixes", "--resume", "--agent-name", versions[_i].name,
	    "--agent-version", versions[_i].version, NULL);
	complete(chat, "mixes", "say one");
	turn = submit(chat, "mixes", "error -32603 API Error: 529 Overloaded");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, "error_code"), "agent_error");
	complete(chat, "mixes", "say two");
	check_value(versions[_i].is_replaced ? "2" : "1",
	    "select count(*) from hearth.executions");
	check_value(versions[_i].is_replaced ? "resume/0" : "new/0",
	    "select resumed_by || '/' || crash_count "
	    "from hearth.agent_sessions");
}
END_TEST

/* ---- sessions that another node takes */

/* One that is alive, so that nobody takes it back. */
static void
give_away(void)
{
	sql("insert into hearth.nodes (id, name) values (900, 'other')");
	sql("update hearth.session_owners set node_id = 900, epoch = 1");
}

/* As the other node does: ours may not say how its children have ended. */
static void
settle_children(void)
{
	wait_value("1", LIMIT, "select count(*) from hearth.nodes "
	    "where name = 'e2e'");
	sql("update hearth.executions set ended_at = now()");
	sql("update hearth.agent_sessions set status = 'closed', pid = null");
}

#define COMMAND(kind) "select concat_ws('/', status, error_code) from " \
	"hearth.commands where kind = '" kind "'"

static void
lose_by_the_decision(void)
{
}

static void
lose_before_its_end(void)
{
	kill(agent_pid(chat, "fake"), SIGKILL);
	wait_log("another node has taken the session");
}

static void (*const notices[])(void) = {
	lose_by_the_decision, lose_before_its_end
};

/* However hearthd learns of it while the files are written. */
START_TEST(a_decision_that_cannot_be_recorded_is_not_said_to_be_done)
{
	int lock;

	start(NULL);
	complete(chat, "fake", "write a.txt first\\n");
	lock = hold_copy(session_of(chat));
	sql("select hearth.accept_change(id) from hearth.pending_changes");
	wait_value("accept", LIMIT, "select decision from "
	    "hearth.pending_changes");
	give_away();
	notices[_i]();
	close(lock);
	wait_value("failed/lost", LIMIT, COMMAND("accept_change"));
	/* it is the other node's now, and so the row is as it was */
	check_value("pending", "select status from hearth.pending_changes");
	check_value("1", "select count(*) from hearth.events "
	    "where kind = 'change'");
	settle_children();
}
END_TEST

/* ---- working copies that cannot be made */

START_TEST(what_needs_no_working_copy_is_done_without)
{
	int lock;

	start(NULL);
	complete(chat, "fake", "write a.txt first\\n");
	stop();
	sql("update hearth.worktrees set path = '/dev/null/gone'");
	start(NULL);
	lock = hold_copy(session_of(chat));
	sql("select hearth.queue_create('%s', 'c.txt', 'x')",
	    session_of(chat));
	wait_value("running", LIMIT, COMMAND("queue_create"));
	sql("select hearth.accept_change(id) from hearth.pending_changes");
	wait_value("running", LIMIT, COMMAND("accept_change"));
	close(lock);
	wait_value("failed/workspace_failed", LIMIT, COMMAND("queue_create"));
	wait_value("done", LIMIT, COMMAND("accept_change"));
	ck_assert_str_eq(file_text("%s/a.txt", project), "first\n");
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_loop_test(tc,
	    a_new_conversation_outlives_a_first_turn_that_is_cancelled, 0, WAYS);
	tcase_add_loop_test(tc,
	    one_that_nothing_was_said_in_is_told_the_record_again, 0, WAYS);
	tcase_add_loop_test(tc,
	    an_agent_that_mixes_up_answers_is_replaced_after_an_error, 0,
	    (int)(sizeof versions / sizeof versions[0]));
	tcase_add_loop_test(tc,
	    a_decision_that_cannot_be_recorded_is_not_said_to_be_done, 0,
	    (int)(sizeof notices / sizeof notices[0]));
	tcase_add_test(tc, what_needs_no_working_copy_is_done_without);
}

int
main(void)
{
	return e2e_main("lost", add);
}
