/* SPDX-License-Identifier: MIT */
/*
 * Whose a change is: turns that run side by side, agents that change what
 * another changed, a daemon that was killed, a reading that failed. A row
 * never names one turn alone when it may have been another.
 *
 * Turns wait for a file (GATE), so that the order in which they begin, change
 * and end is the test's.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Waits in a turn's script until the test opens that gate. */
#define GATE(name) "run until test -f %s/" name "\\; do sleep 0.01\\; done;"

static const char *other_chat; /* of the same session */
static int64_t a, b;           /* two turns, of "fake" and of "other" */

/* Two chats whose turns may run side by side. */
static void
start_pair(void)
{
	prepare();
	add_agent("other", NULL);
	sql("select hearth.set_concurrent_turns('%s', true)",
	    session_of(chat));
	start(NULL);
	other_chat = new_chat(session_of(chat));
}

static void
open_gate(const char *name)
{
	shell("touch %s/%s", folder, name);
}

/* "a.txt fake 1 {2}": a file's agent, turn and the others, a and b for them. */
static void
check_whose(const char *path, const char *expected)
{
	const char *got = value("select concat_ws(' ', coalesce(agent, '-'), "
	    "case turn_id when %lld then 'a' when %lld then 'b' else "
	    "coalesce(turn_id::text, '-') end, case other_turns "
	    "when array[%lld::bigint] then 'or a' when array[%lld::bigint] "
	    "then 'or b' else other_turns::text end) "
	    "from hearth.pending_changes where status = 'pending' "
	    "and file_path = '%s'", (long long)a, (long long)b, (long long)a,
	    (long long)b, path);

	if (strcmp(got, expected) != 0)
		e2e_fail(__FILE__, __LINE__, "%s: \"%s\", not \"%s\"", path,
		    got, expected);
}

START_TEST(turns_side_by_side_are_both_named)
{
	start_pair();
	a = submit(chat, "fake", "write first.txt 1;say begun;" GATE("a")
	    "write last.txt 1", folder);
	wait_text(a, "begun");
	b = submit(other_chat, "other", "write both.txt 1;say begun;"
	    GATE("b"), folder);
	wait_text(b, "begun");
	/* what was there when b began is a's alone */
	check_whose("first.txt", "fake a");
	open_gate("b");
	wait_turn(b, "completed", LIMIT);
	check_whose("both.txt", "other b or a");
	check_value("true", "select ((payload -> 'other_turns') = "
	    "jsonb_build_array(%lld))::text from hearth.events where kind = "
	    "'change' and payload ->> 'file_path' = 'both.txt'", (long long)a);
	open_gate("a");
	wait_turn(a, "completed", LIMIT);
	check_whose("last.txt", "fake a");
	check_whose("first.txt", "fake a");
	check_value("both.txt/other/fake first.txt/fake/- last.txt/fake/-",
	    "select string_agg(concat_ws('/', file_path, agent, "
	    "coalesce(or_agents, '-')), ' ' order by file_path) "
	    "from hearth.files_changed");
	check_value("changes from fake, other", "select changed_by "
	    "from hearth.pending_review");
	/* the event of a change is in the chat of the turn that it names */
	check_value("0", "select count(*) from hearth.events e join "
	    "hearth.turns t on t.id = e.turn_id where e.chat_id <> t.chat_id");
	check_value("0", "select count(*) from hearth.pending_changes p join "
	    "hearth.turns t on t.id = p.turn_id where p.chat_id <> t.chat_id");
}
END_TEST

START_TEST(the_next_change_of_a_file_is_its_own_claim)
{
	start_pair();
	a = submit(chat, "fake", "say begun;" GATE("a") "write f.txt 2",
	    folder);
	wait_text(a, "begun");
	b = complete(other_chat, "other", "write f.txt 1");
	check_whose("f.txt", "other b or a");
	open_gate("a");
	wait_turn(a, "completed", LIMIT);
	check_whose("f.txt", "fake a");
	check_value("other superseded", "select agent || ' ' || status "
	    "from hearth.pending_changes where other_turns is not null");
}
END_TEST

START_TEST(a_session_runs_turns_one_by_one_again_when_it_is_told_to)
{
	start_pair();
	a = submit(chat, "fake", "say begun;" GATE("a"), folder);
	wait_text(a, "begun");
	b = submit(other_chat, "other", "say begun;" GATE("b"), folder);
	wait_text(b, "begun");
	sql("select hearth.set_concurrent_turns('%s', false)",
	    session_of(chat));
	open_gate("a");
	wait_turn(a, "completed", LIMIT);
	a = submit(chat, "fake", "say x");
	wait_value(keep(xasprintf("turn %lld of the session", (long long)b)),
	    LIMIT, "select waits_for from hearth.queue");
	open_gate("b");
	wait_turn(a, "completed", LIMIT);
	check_value("true", "select (t.started_at >= o.ended_at)::text from "
	    "hearth.turns t, hearth.turns o where t.id = %lld and o.id = %lld",
	    (long long)a, (long long)b);
}
END_TEST

START_TEST(the_pending_row_is_the_last_ones_and_the_others_keep_theirs)
{
	add_agent("other", NULL);
	start(NULL);
	a = complete(chat, "fake", "write f.txt one\\n");
	b = complete(chat, "other", "append f.txt two\\n");
	check_value("fake/superseded/+one other/pending/+one+two", "select "
	    "string_agg(concat_ws('/', agent, status, (select "
	    "string_agg(x, '') from regexp_split_to_table(diff, E'\\n') x "
	    "where x ~ '^[+][a-z]')), ' ' order by id) "
	    "from hearth.pending_changes");
	check_whose("f.txt", "other b");
	/* a person takes it over, and its row says so */
	shell("printf 'three\\n' >> $(ls -d %s/worktrees/*-*)/f.txt", state);
	complete(chat, "fake", "say x");
	check_whose("f.txt", "- -");
	check_value("fake other -", "select string_agg(coalesce(agent, '-'), "
	    "' ' order by id) from hearth.pending_changes");
	/* an agent takes it back to the base: nothing waits any more */
	complete(chat, "other", "delete f.txt");
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where status = 'pending'");
	check_value("superseded", "select payload ->> 'status' from "
	    "hearth.events where kind = 'change' order by created_at desc, "
	    "seq desc limit 1");
}
END_TEST

START_TEST(what_a_cut_off_turn_did_is_no_persons)
{
	start(NULL);
	complete(chat, "fake", "say x");
	a = submit(chat, "fake", "write lost.txt l\\n;say written;hang");
	wait_text(a, "written");
	daemon_crash();
	start(NULL);
	wait_turn(a, "interrupted", LIMIT);
	b = complete(chat, "fake", "write next.txt n\\n");
	check_whose("lost.txt", "fake a");
	check_whose("next.txt", "fake b");
	/* it is read now: what comes later is not its */
	stop();
	shell("touch $(ls -d %s/worktrees/*-*)/hand.txt", state);
	start(NULL);
	complete(chat, "fake", "say x");
	check_whose("hand.txt", "- -");
}
END_TEST

START_TEST(turns_that_were_cut_off_together_are_all_named)
{
	start_pair();
	a = submit(chat, "fake", "say begun;write lost.txt l\\n;hang");
	b = submit(other_chat, "other", "say begun;hang");
	wait_text(a, "begun");
	wait_text(b, "begun");
	wait_value("1", LIMIT, "select 1 from pg_stat_file('%s/worktrees/"
	    "%s/lost.txt', true) where size > 0", state, session_of(chat));
	daemon_crash();
	start(NULL);
	wait_turn(a, "interrupted", LIMIT);
	wait_turn(b, "interrupted", LIMIT);
	complete(chat, "fake", "say x");
	check_whose("lost.txt", "fake a or b");
}
END_TEST

START_TEST(what_could_not_be_read_after_a_turn_is_still_its)
{
	start(NULL);
	complete(chat, "fake", "say x");
	expect_error("could not be read");
	a = submit(chat, "fake", "write f.txt 1;say begun;" GATE("a"), folder);
	wait_text(a, "begun");
	shell("cd %s/snapshots && mv 1.git away", state);
	open_gate("a");
	wait_turn(a, "completed", LIMIT);
	check_value("0", "select count(*) from hearth.pending_changes");
	shell("cd %s/snapshots && mv away 1.git", state);
	b = complete(chat, "fake", "write g.txt 1");
	check_whose("f.txt", "fake a");
	check_whose("g.txt", "fake b");
}
END_TEST

START_TEST(an_agent_that_goes_on_beside_another_is_named_too)
{
	start_pair();
	a = complete(chat, "fake", "say x;stop;" GATE("a") "write late.txt l;"
	    "say finished", folder);
	b = submit(other_chat, "other", "say begun;" GATE("b"), folder);
	wait_text(b, "begun");
	open_gate("a");
	wait_value("1", LIMIT, "select count(*) from hearth.events "
	    "where payload ->> 'text' like '%%finished'");
	open_gate("b");
	wait_turn(b, "completed", LIMIT);
	check_whose("late.txt", "other b or a");
}
END_TEST

#define UNTIL(name) "until test -f %s/" name "\\; do sleep 0.01\\; done\\; "
/* In the background; where "pid" is, it has begun. */
#define LEFT(what) "run sh -c '" what "true' >/dev/null 2>&1 &"

START_TEST(what_a_turn_left_running_is_not_said_to_be_a_person)
{
	const char *copy;
	pid_t left;

	start(NULL);
	a = complete(chat, "fake", "write f.txt 1;" LEFT("echo $$ > %s/pid\\; "
	    UNTIL("go") "echo l > late.txt\\; " UNTIL("end")), folder, folder,
	    folder);
	check_whose("f.txt", "fake a");
	open_gate("go");
	copy = keep(xstrdup(value("select path from hearth.worktrees")));
	wait_value("1", LIMIT, "select 1 from pg_stat_file('%s/late.txt', "
	    "true) where size > 0", copy);
	b = complete(chat, "fake", "write g.txt 1");
	check_whose("late.txt", "fake - or a");
	check_value("a person", "select or_agents from hearth.files_changed "
	    "where file_path = 'late.txt'");
	check_value("changes from a person, fake", "select changed_by "
	    "from hearth.pending_review");
	/* its own in its own turn */
	check_whose("g.txt", "fake b");
	/* it lives still, so nobody knows */
	shell("echo h > %s/hand.txt", copy);
	complete(chat, "fake", "say x");
	check_whose("hand.txt", "fake - or b");
	/* and now it does not */
	left = atoi(file_text("%s/pid", folder));
	ck_assert_int_gt(left, 1);
	open_gate("end");
	wait_gone(left, LIMIT);
	complete(chat, "fake", "write g.txt 2");
	shell("echo i > %s/hand.txt", copy);
	complete(chat, "fake", "say x");
	check_whose("hand.txt", "- -");
}
END_TEST

START_TEST(what_another_turn_left_running_is_named_too)
{
	add_agent("other", NULL);
	start(NULL);
	a = complete(chat, "fake", "write f.txt 1;" LEFT(UNTIL("never")),
	    folder);
	b = complete(chat, "other", "write g.txt 1");
	check_whose("g.txt", "other b or a");
	check_whose("f.txt", "fake a");
	/* however many turns of others there were since */
	b = complete(chat, "other", "write g.txt 2");
	check_whose("g.txt", "other b or a");
	/* it goes with its agent */
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions where agent = 'fake'");
	complete(chat, "other", "write h.txt 1");
	b = complete(chat, "other", "write h.txt 2");
	check_whose("h.txt", "other b");
}
END_TEST

/* Nobody's row can name the chat any more; the change is shown all the same. */
START_TEST(what_a_deleted_chats_agent_did_is_still_told)
{
	start(NULL);
	other_chat = new_chat(session_of(chat));
	complete(other_chat, "fake", "say hello");
	a = complete(chat, "fake", "say x;stop;" GATE("a") "write late.txt l;"
	    "say finished", folder);
	open_gate("a");
	wait_value("1", LIMIT, "select count(*) from hearth.events "
	    "where payload ->> 'text' like '%%finished'");
	sql("select hearth.delete_chat('%s')", chat);
	wait_value("0", LIMIT, "select count(*) from hearth.chats "
	    "where id = '%s'", chat);
	b = complete(other_chat, "fake", "say hello");
	check_whose("late.txt", "fake -");
}
END_TEST

START_TEST(what_is_left_of_a_change_names_the_same_turns)
{
	prepare();
	shell("cd %s && seq 30 >long && git add long && git -c user.name=T "
	    "-c user.email=t@localhost commit -qm long", project);
	start_pair();
	a = submit(chat, "fake", "say begun;" GATE("a"), folder);
	wait_text(a, "begun");
	b = complete(other_chat, "other", "run sed -i -e 's/^2$/two/' "
	    "-e 's/^29$/x/' long");
	open_gate("a");
	wait_turn(a, "completed", LIMIT);
	check_whose("long", "other b or a");
	sql("select hearth.accept_hunks(id, array[1]) from "
	    "hearth.pending_changes where status = 'pending'");
	wait_value("applied pending", LIMIT, "select string_agg(status, ' ' "
	    "order by status) from hearth.pending_changes");
	check_whose("long", "other b or a");
	check_has(value("select diff from hearth.pending_changes "
	    "where status = 'pending'"), "+x");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, turns_side_by_side_are_both_named);
	tcase_add_test(tc, the_next_change_of_a_file_is_its_own_claim);
	tcase_add_test(tc,
	    a_session_runs_turns_one_by_one_again_when_it_is_told_to);
	tcase_add_test(tc,
	    the_pending_row_is_the_last_ones_and_the_others_keep_theirs);
	tcase_add_test(tc, what_a_cut_off_turn_did_is_no_persons);
	tcase_add_test(tc, turns_that_were_cut_off_together_are_all_named);
	tcase_add_test(tc, what_could_not_be_read_after_a_turn_is_still_its);
	tcase_add_test(tc, an_agent_that_goes_on_beside_another_is_named_too);
	tcase_add_test(tc, what_a_turn_left_running_is_not_said_to_be_a_person);
	tcase_add_test(tc, what_another_turn_left_running_is_named_too);
	tcase_add_test(tc, what_a_deleted_chats_agent_did_is_still_told);
	tcase_add_test(tc, what_is_left_of_a_change_names_the_same_turns);
}

int
main(void)
{
	return e2e_main("whose", add_tests);
}
