/* SPDX-License-Identifier: MIT */
/*
 * What becomes of sessions that are over: archived ones lose their worktree
 * after a while and get it back, deleted ones are gone, the least recently used
 * make room, and nobody's work is lost by any of it, whatever dies meanwhile.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TREE "select status from hearth.worktrees where session_id = '%s'"
#define COMMAND(column) "select " column " from hearth.commands " \
	"where id = %lld"
#define SAVED "refs/hearth/saved/"

static const char *
session_kept(const char *chat_id)
{
	return keep(strdup(session_of(chat_id)));
}

static const char *
worktree(const char *session)
{
	return keep(strdup(value("select path from hearth.worktrees "
	    "where session_id = '%s'", session)));
}

/* Asks, and waits for the answer. */
static long long
ask(const char *function, const char *id, const char *status)
{
	long long command = number("select hearth.%s('%s')", function, id);

	wait_value(status, LIMIT, COMMAND("status"), command);
	return command;
}

static void
branches_are(const char *expected)
{
	shell("cd '%s' && test \"$(git branch --list 'hearth/*' | wc -l)\" = "
	    "%s", project, expected);
}

START_TEST(an_archived_session_goes_and_comes_back)
{
	const char *session, *tree;
	long long command;

	start("archive_grace=0ms", NULL);
	session = session_kept(chat);
	complete(chat, "fake", "write a.txt other\\n;write n/new.txt new\\n;"
	    "delete b.txt");
	tree = worktree(session);
	command = ask("archive_session", session, "done");
	check_value("{\"pending_changes\": 3, \"unmerged_commits\": 0, "
	    "\"uncommitted_files\": 3}", COMMAND("result"), command);
	wait_value("saved", LIMIT, TREE, session);
	check_true(!file_exists("%s", tree));
	branches_are("0");
	check_value("t", "select saved_commit ~ '^[0-9a-f]{40}$' and "
	    "size_kb = 0 from hearth.worktrees");
	shell("cd '%s' && test \"$(git rev-parse " SAVED "%s)\" = %s &&"
	    "test \"$(git show " SAVED "%s:n/new.txt)\" = new", project,
	    session, value("select saved_commit from hearth.worktrees"),
	    session);
	check_value("3", "select count(*) from hearth.pending_changes "
	    "where status = 'pending'");
	ask("restore_session", session, "done");
	check_value("active", TREE, session);
	ck_assert_str_eq(file_text("%s/a.txt", tree), "other\n");
	ck_assert_str_eq(file_text("%s/n/new.txt", tree), "new\n");
	check_true(!file_exists("%s/b.txt", tree));
	branches_are("1");
	/* nothing of it is told twice, and the conversation goes on */
	complete(chat, "fake", "write a.txt third\\n");
	check_value("3", "select count(*) from hearth.pending_changes "
	    "where status = 'pending'");
}
END_TEST

/* Of what was accepted, never committed, and lost with the folder. */
START_TEST(a_lost_worktree_with_commits_shows_no_reversal)
{
	const char *session, *tree;

	start(NULL);
	session = session_kept(chat);
	complete(chat, "fake", "write c.txt c\\n;run git add c.txt && git "
	    "-c user.name=t -c user.email=t@t commit -qm c;"
	    "write a.txt other\\n;write n/new.txt new\\n");
	sql("select hearth.accept_change(id) from hearth.pending_changes "
	    "where file_path = 'a.txt'");
	wait_value("applied", LIMIT, "select status from "
	    "hearth.pending_changes where file_path = 'a.txt'");
	tree = worktree(session);
	daemon_crash();
	shell("rm -rf '%s'", tree);
	start(NULL);
	complete(chat, "fake", "say x");
	ck_assert_str_eq(file_text("%s/a.txt", tree), "other\n");
	ck_assert_str_eq(file_text("%s/n/new.txt", tree), "new\n");
	check_value("c.txt n/new.txt", "select string_agg(file_path, ' ' "
	    "order by file_path) from hearth.pending_changes "
	    "where status = 'pending'");
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where agent is null");
}
END_TEST

/* What agents have left there would run as hearthd does. */
START_TEST(a_copy_that_comes_back_gets_its_files_but_no_setup)
{
	const char *session, *tree;

	prepare();
	shell("echo key > '%s/key.o'", project);
	sql("update hearth.projects set include = '{key.o}', setup_command = "
	    "array['sh', '-c', 'echo ran >> %s/ran']", folder);
	start("archive_grace=0ms", NULL);
	session = session_kept(chat);
	complete(chat, "fake", "write a.txt other\\n");
	tree = worktree(session);
	ask("archive_session", session, "done");
	wait_value("saved", LIMIT, TREE, session);
	ask("restore_session", session, "done");
	check_value("active", TREE, session);
	ck_assert_str_eq(file_text("%s/key.o", tree), "key\n");
	complete(chat, "fake", "say on");
	ck_assert_str_eq(file_text("%s/ran", folder), "ran\n");
	check_value("0", "select setup_exit_code from hearth.worktrees");
}
END_TEST

START_TEST(an_archived_session_is_kept_for_a_while)
{
	const char *session;

	start(NULL);
	session = session_kept(chat);
	complete(chat, "fake", "say x");
	ask("archive_session", session, "done");
	check_true(file_exists("%s", worktree(session)));
	/* longer ago than the default of seven days */
	sql("update hearth.sessions set archived_at = now() - "
	    "interval '167 hours'");
	wait_value("t", LIMIT, "select measured_at is not null "
	    "from hearth.worktrees");
	check_value("active", TREE, session);
	sql("update hearth.sessions set archived_at = now() - "
	    "interval '169 hours'");
	wait_value("removed", LIMIT, TREE, session);
	check_true(!file_exists("%s", worktree(session)));
	/* also when hearthd is down in between */
	stop();
	sql("select hearth.restore_session('%s')", session);
	start(NULL);
	wait_value("active", LIMIT, TREE, session);
	check_true(file_exists("%s/a.txt", worktree(session)));
}
END_TEST

START_TEST(the_least_recently_used_make_room_and_come_back_with_a_turn)
{
	const char *first, *second, *other;

	start("worktree_budget=1500KiB", NULL);
	first = session_kept(chat);
	second = new_session(project);
	other = new_chat(second);
	complete(chat, "fake", "run head -c 1000000 /dev/urandom >big;"
	    "write mine.txt mine\\n");
	complete(other, "fake", "run head -c 1000000 /dev/urandom >big");
	wait_value("2", LIMIT, "select count(*) from hearth.worktrees "
	    "where size_kb > 900 and measured_at is not null");
	/* it has an agent */
	check_value("active", TREE, first);
	sql("select hearth.close_agent('%s', 'fake')", other);
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("saved", LIMIT, TREE, first);
	check_value("active", TREE, second);
	check_true(!file_exists("%s", worktree(first)));
	complete(chat, "fake", "append mine.txt more\\n");
	ck_assert_str_eq(file_text("%s/mine.txt", worktree(first)),
	    "mine\nmore\n");
	check_value("2", "select count(*) from hearth.pending_changes "
	    "where session_id = '%s' and status = 'pending'", first);
	check_value("active", TREE, first);
}
END_TEST

START_TEST(what_cannot_be_saved_stays_and_says_why)
{
	const char *session;

	start("archive_grace=0ms", NULL);
	session = session_kept(chat);
	complete(chat, "fake", "run git init -q own && echo 1 >own/f");
	ask("archive_session", session, "done");
	wait_value("t", LIMIT, "select kept_reason like '%%cannot be saved%%' "
	    "and kept_at is not null from hearth.worktrees");
	check_value("active", TREE, session);
	ck_assert_str_eq(file_text("%s/own/f", worktree(session)), "1\n");
	shell("rm -r '%s/own'", worktree(session));
	sql("update hearth.worktrees set kept_at = now() - interval '2 hours'");
	wait_value("removed", LIMIT, TREE, session);
	check_value("t", "select kept_reason is null from hearth.worktrees");
}
END_TEST

START_TEST(a_live_turn_keeps_its_worktree)
{
	const char *session;
	int64_t turn;

	start("archive_grace=0ms", NULL);
	session = session_kept(chat);
	turn = submit(chat, "fake", "on-cancel finish;say begun;sleep 1500;"
	    "write late.txt late\\n");
	wait_text(turn, "begun");
	sql("select hearth.archive_session('%s')", session);
	/* it works on for a while, and is waited for */
	wait_turn(turn, "cancelled", LIMIT);
	check_value("active", TREE, session);
	wait_value("saved", LIMIT, TREE, session);
	shell("cd '%s' && git show " SAVED "%s:late.txt", project, session);
}
END_TEST

START_TEST(a_deleted_session_is_gone)
{
	const char *session, *tree, *kept;
	long long command;

	start(NULL);
	session = session_kept(chat);
	kept = new_chat(new_session(project));
	complete(kept, "fake", "write k.txt k\\n");
	complete(chat, "fake", "write a.txt x\\n;run git add -A && "
	    "git -c user.name=T -c user.email=t@l commit -qm work");
	submit(chat, "fake", "hang");
	submit(chat, "fake", "say never");
	tree = worktree(session);
	command = ask("delete_session", session, "done");
	check_value("0", "select (select count(*) from hearth.sessions "
	    "where id = '%s') + (select count(*) from hearth.turns where "
	    "session_id = '%s') + (select count(*) from hearth.events where "
	    "chat_id = '%s') + (select count(*) from hearth.executions where "
	    "chat_id = '%s')", session, session, chat, chat);
	check_true(!file_exists("%s", tree));
	branches_are("1");
	check_value("delete_session", COMMAND("kind"), command);
	/* the others are as they were */
	complete(kept, "fake", "say still here");
	check_value("1", "select count(*) from hearth.pending_changes");
}
END_TEST

START_TEST(what_is_deleted_while_no_node_is_up_goes_later)
{
	const char *session, *tree;
	long long command;

	start(NULL);
	session = session_kept(chat);
	complete(chat, "fake", "write a.txt x\\n");
	tree = worktree(session);
	stop();
	command = number("select hearth.delete_session('%s')", session);
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'x')",
	    chat), "55000");
	check_true(file_exists("%s", tree));
	start(NULL);
	wait_value("done", LIMIT, COMMAND("status"), command);
	check_true(!file_exists("%s", tree));
	check_value("0", "select count(*) from hearth.sessions "
	    "where id = '%s'", session);
}
END_TEST

START_TEST(a_deleted_chat_leaves_the_files)
{
	const char *session, *other;

	start(NULL);
	session = session_kept(chat);
	other = new_chat(session);
	complete(chat, "fake", "write a.txt x\\n;say http://localhost:3000");
	complete(other, "fake", "say hello");
	submit(chat, "fake", "hang");
	ask("delete_chat", chat, "done");
	check_value("0", "select (select count(*) from hearth.chats where "
	    "id = '%s') + (select count(*) from hearth.turns where chat_id = "
	    "'%s') + (select count(*) from hearth.events where chat_id = "
	    "'%s') + (select count(*) from hearth.artifacts)", chat, chat,
	    chat);
	check_value("a.txt pending fake", "select concat_ws(' ', file_path, "
	    "status, agent, chat_id) from hearth.pending_changes");
	ck_assert_str_eq(file_text("%s/a.txt", worktree(session)), "x\n");
	/* its sister has its child and goes on */
	complete(other, "fake", "echo-turn");
	check_value("[turn 2]", "select content from hearth.messages "
	    "where role = 'assistant' order by id desc limit 1");
}
END_TEST

START_TEST(a_copy_is_measured_after_its_turns)
{
	start(NULL);
	complete(chat, "fake", "write n.txt n\\n;run git add -A && "
	    "git -c user.name=T -c user.email=t@l commit -qm work && "
	    "echo 2 >>a.txt");
	wait_value("1 0 1", LIMIT, "select concat_ws(' ', ahead, behind, "
	    "changed_files) from hearth.worktrees where size_kb > 0");
	check_value("+1 -0 *1", "select git from hearth.worktree_status");
	complete(chat, "fake", "write m.txt m\\n");
	wait_value("1 0 2", LIMIT, "select concat_ws(' ', ahead, behind, "
	    "changed_files) from hearth.worktrees");
}
END_TEST

/* Killed again and again on the way; the row always says what there is. */
START_TEST(a_killed_daemon_loses_nothing)
{
	const char *session, *tree;

	start("archive_grace=0ms", NULL);
	ignore_errors();
	session = session_kept(chat);
	complete(chat, "fake", "write a.txt other\\n;write n/new.txt new\\n");
	tree = worktree(session);
	for (int i = 0; i < 6; i++) {
		sql("select hearth.archive_session('%s')", session);
		if (i % 3 == 1)
			wait_value("done", LIMIT, "select status from "
			    "hearth.commands order by id desc limit 1");
		if (i % 3 == 2)
			wait_value("saved", LIMIT, TREE, session);
		daemon_crash();
		start("archive_grace=0ms", NULL);
		wait_value("saved", LIMIT, TREE, session);
		sql("select hearth.restore_session('%s')", session);
		if (i % 2) {
			daemon_crash();
			start("archive_grace=0ms", NULL);
		}
		wait_value("active", LIMIT, TREE, session);
		ck_assert_str_eq(file_text("%s/a.txt", tree), "other\n");
		ck_assert_str_eq(file_text("%s/n/new.txt", tree), "new\n");
	}
	sql("select hearth.delete_session('%s')", session);
	daemon_crash();
	start(NULL);
	wait_value("0", LIMIT, "select count(*) from hearth.sessions "
	    "where id = '%s'", session);
	check_true(!file_exists("%s", tree));
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, an_archived_session_goes_and_comes_back);
	tcase_add_test(tc, a_copy_that_comes_back_gets_its_files_but_no_setup);
	tcase_add_test(tc, a_lost_worktree_with_commits_shows_no_reversal);
	tcase_add_test(tc, an_archived_session_is_kept_for_a_while);
	tcase_add_test(tc,
	    the_least_recently_used_make_room_and_come_back_with_a_turn);
	tcase_add_test(tc, what_cannot_be_saved_stays_and_says_why);
	tcase_add_test(tc, a_live_turn_keeps_its_worktree);
	tcase_add_test(tc, a_deleted_session_is_gone);
	tcase_add_test(tc, what_is_deleted_while_no_node_is_up_goes_later);
	tcase_add_test(tc, a_deleted_chat_leaves_the_files);
	tcase_add_test(tc, a_copy_is_measured_after_its_turns);
	tcase_add_test(tc, a_killed_daemon_loses_nothing);
}

int
main(void)
{
	return e2e_main("reaper", add_tests);
}
