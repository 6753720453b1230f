/* SPDX-License-Identifier: MIT */
/*
 * Decisions on changes: what is accepted is in the project's own checkout and
 * is not told again, what is rejected is gone from the worktree, what is
 * reverted waits again; never is a byte of anybody's work lost, and whatever is
 * killed on the way, files and rows say the same.
 */
#include "tests/e2e.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/tree.h"

/* Whoever runs the test. */
#define COMMIT "git -c user.name=t -c user.email=t@t commit -q"

#define CHANGE(columns) "select " columns " from hearth.pending_changes " \
	"where status = 'pending' and file_path = '%s'"

/* Calls a function that returns a command and waits for its end: "done", or
 * "failed: CODE". */
static const char *__attribute__((format(printf, 1, 2)))
ask(const char *fmt, ...)
{
	char call[4096];
	va_list ap;
	long long id;

	va_start(ap, fmt);
	vsnprintf(call, sizeof call, fmt, ap);
	va_end(ap);
	id = number("select hearth.%s", call);
	wait_value("true", LIMIT, "select (ended_at is not null)::text "
	    "from hearth.commands where id = %lld", id);
	return value("select concat_ws(': ', status, error_code) "
	    "from hearth.commands where id = %lld", id);
}

#define check_done(...) ck_assert_str_eq(ask(__VA_ARGS__), "done")
#define check_failed(code, ...) \
	ck_assert_str_eq(ask(__VA_ARGS__), "failed: " code)

/* The pending change of a file. */
static long long
pending(const char *path)
{
	return number(CHANGE("id"), path);
}

static const char *
status_of(long long change)
{
	return value("select concat_ws(' ', status, decision) from "
	    "hearth.pending_changes where id = %lld", change);
}

/* "a.txt/edit b.txt/delete" */
static void
check_pending(const char *expected)
{
	check_value(expected, "select string_agg(file_path || '/' || "
	    "operation, ' ' order by file_path) from hearth.pending_changes "
	    "where status = 'pending'");
}

static const char *
worktree(void)
{
	return value("select path from hearth.worktrees "
	    "where session_id = '%s'", session_of(chat));
}

#define check_project(name, text) \
	ck_assert_str_eq(file_text("%s/%s", project, name), text)
#define check_worktree(name, text) \
	ck_assert_str_eq(file_text("%s/%s", worktree(), name), text)

/* Nothing of ours is left beside the files. */
static void
check_tidy(void)
{
	shell("! find %s %s -name '.hearth-*' | grep .", project, worktree());
	shell("! ls %s/snapshots | grep -E 'journal|edit|ours|theirs'",
	    state);
}

/* ---- accept */

START_TEST(what_is_accepted_is_in_the_project_and_not_told_again)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt first\\n;write keep.txt k\\n");
	change = pending("a.txt");
	check_done("accept_change(%lld, 'ann')", change);
	check_project("a.txt", "first\n");
	ck_assert_str_eq(status_of(change), "applied");
	check_value("ann", "select decided_by from hearth.pending_changes "
	    "where id = %lld and decided_at is not null", change);
	check_pending("keep.txt/create");
	ck_assert(!file_exists("%s/keep.txt", project));
	/* asked again: nothing happens */
	check_done("accept_change(%lld)", change);
	/* a later change of it has only what is new */
	complete(chat, "fake", "append a.txt second\\n");
	check_pending("a.txt/edit keep.txt/create");
	check_has(value(CHANGE("diff"), "a.txt"), " first\n+second\n");
	check_done("accept_change(%lld)", pending("a.txt"));
	check_project("a.txt", "first\nsecond\n");
	/* back to the base is a change, too, now */
	complete(chat, "fake", "write a.txt one\\n");
	check_pending("a.txt/edit keep.txt/create");
	/* nobody touched what the user has staged */
	shell("cd %s && git diff --cached --quiet", project);
	check_tidy();
}
END_TEST

START_TEST(a_project_that_moved_on_is_merged)
{
	start(NULL);
	shell("cd %s && seq 1 20 > n.txt && git add n.txt && "
	    COMMIT " -m n", project);
	complete(chat, "fake", "run sed -i s/^18$/eighteen/ n.txt");
	shell("cd %s && sed -i 's/^2$/two/' n.txt", project);
	check_done("accept_change(%lld)", pending("n.txt"));
	shell("cd %s && seq 1 20 | sed 's/^2$/two/; s/^18$/eighteen/' | "
	    "cmp - n.txt", project);
}
END_TEST

START_TEST(a_conflict_leaves_both_sides_as_they_are)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt theirs\\n;delete b.txt;"
	    "write new.txt n\\n");
	shell("cd %s && echo ours > a.txt && echo more >> b.txt && "
	    "echo mine > new.txt", project);
	change = pending("a.txt");
	check_failed("conflict", "accept_change(%lld)", change);
	check_project("a.txt", "ours\n");
	check_worktree("a.txt", "theirs\n");
	ck_assert_str_eq(status_of(change), "pending");
	check_has(value(CHANGE("error"), "a.txt"), "same lines");
	check_failed("conflict", "accept_change(%lld)", pending("b.txt"));
	check_project("b.txt", "two\nmore\n");
	check_failed("conflict", "accept_change(%lld)", pending("new.txt"));
	check_project("new.txt", "mine\n");
	/* and when it is out of the way */
	shell("cd %s && echo one > a.txt", project);
	check_done("accept_change(%lld)", change);
	check_project("a.txt", "theirs\n");
	check_value("true", "select (error is null)::text from "
	    "hearth.pending_changes where id = %lld", change);
	check_tidy();
}
END_TEST

START_TEST(files_of_every_kind_are_accepted)
{
	start(NULL);
	shell("cd %s && ln -s a.txt link && printf 'x\\0y' > bin && "
	    "git add -A && " COMMIT " -m more", project);
	complete(chat, "fake", "write deep/er/new.txt hello\\n;delete b.txt;"
	    "run chmod +x a.txt;run ln -sf b.txt link;"
	    "run head -c 3 /dev/zero > bin");
	check_pending("a.txt/edit b.txt/delete bin/edit deep/er/new.txt/create"
	    " link/edit");
	check_done("accept_changes('%s')", session_of(chat));
	check_pending("");
	check_project("deep/er/new.txt", "hello\n");
	ck_assert(!file_exists("%s/b.txt", project));
	shell("cd %s && test -x a.txt && test $(readlink link) = b.txt && "
	    "head -c 3 /dev/zero | cmp - bin", project);
	/* the whole worktree, so nothing differs */
	shell("diff -r --no-dereference -x .git %s %s", project, worktree());
	check_tidy();
}
END_TEST

START_TEST(names_that_are_no_text_are_decided_on)
{
	start(NULL);
	complete(chat, "fake", "say hello");
	shell("cd %s && echo n > \"$(printf 'caf\\351')\" && "
	    "echo q > '\"q'", worktree());
	complete(chat, "fake", "say hello");
	check_value("2", "select count(*) from hearth.pending_changes "
	    "where file_path ~ '^\"'");
	check_done("accept_changes('%s')", session_of(chat));
	shell("diff -r -x .git %s %s", project, worktree());
	shell("cd %s && rm caf* && echo r > '\"q'", worktree());
	complete(chat, "fake", "say hello");
	check_done("reject_changes('%s')", session_of(chat));
	shell("diff -r -x .git %s %s", project, worktree());
	shell("test $(ls %s | wc -l) = 4", project);
}
END_TEST

START_TEST(permissions_and_owners_of_the_users_file_stay)
{
	start(NULL);
	shell("chmod 640 %s/a.txt", project);
	complete(chat, "fake", "write a.txt x\\n");
	check_done("accept_change(%lld)", pending("a.txt"));
	shell("test $(stat -c %%a %s/a.txt) = 640", project);
}
END_TEST

START_TEST(a_link_in_the_project_never_leads_out_of_it)
{
	start(NULL);
	shell("mkdir %s/sub && echo s > %s/sub/s.txt && cd %s && "
	    "git add -A && " COMMIT " -m sub", project, project, project);
	complete(chat, "fake", "write sub/s.txt changed\\n;"
	    "write sub/new.txt n\\n");
	shell("mkdir %s/outside && echo s > %s/outside/s.txt && "
	    "rm -r %s/sub && ln -s %s/outside %s/sub", folder, folder,
	    project, folder, project);
	check_failed("failed", "accept_change(%lld)", pending("sub/s.txt"));
	check_failed("failed", "accept_change(%lld)", pending("sub/new.txt"));
	check_has(value(CHANGE("error"), "sub/s.txt"), "no folder");
	shell("test $(ls %s/outside) = s.txt && grep -qx s "
	    "%s/outside/s.txt", folder, folder);
	check_pending("sub/new.txt/create sub/s.txt/edit");
}
END_TEST

START_TEST(a_folder_that_is_no_repository_is_decided_on_likewise)
{
	const char *plain, *other;

	start(NULL);
	plain = keep(xasprintf("%s/plain", folder));
	shell("mkdir %s && echo p > %s/p.txt", plain, plain);
	other = new_chat(new_session(plain));
	complete(other, "fake", "write p.txt q\\n;write x/y.txt z\\n");
	check_done("accept_changes('%s')", session_of(other));
	shell("cd %s && test \"$(cat p.txt x/y.txt)\" = \"q\nz\"", plain);
	check_done("revert_change((select id from hearth.pending_changes "
	    "where file_path = 'x/y.txt'))");
	shell("cd %s && ! test -e x", plain);
	check_pending("x/y.txt/create");
}
END_TEST

START_TEST(a_bare_repository_has_nothing_to_accept_into)
{
	const char *bare, *other;

	start(NULL);
	bare = keep(xasprintf("%s/bare.git", folder));
	shell("git clone -q --bare %s %s", project, bare);
	other = new_chat(new_session(bare));
	complete(other, "fake", "write a.txt x\\n");
	check_failed("no_checkout", "accept_change(%lld)", pending("a.txt"));
	check_has(value(CHANGE("error"), "a.txt"), "bare repository");
	check_done("reject_change(%lld)", pending("a.txt"));
	check_pending("");
}
END_TEST

START_TEST(what_a_sparse_checkout_leaves_out_is_not_said_to_be_done)
{
	long long change;

	start(NULL);
	shell("cd %s && git update-index -q --refresh && "
	    "git sparse-checkout set --no-cone '/*' '!b.txt' && ! test -e b.txt",
	    project);
	complete(chat, "fake", "delete b.txt");
	change = pending("b.txt");
	check_failed("left_out", "accept_change(%lld)", change);
	check_has(value(CHANGE("error"), "b.txt"), "git sparse-checkout add");
	ck_assert_str_eq(status_of(change), "pending");
	shell("git -C %s sparse-checkout disable", project);
	check_done("accept_change(%lld)", change);
	check_true(!file_exists("%s/b.txt", project));
}
END_TEST

/* ---- reject */

START_TEST(what_is_rejected_is_gone_from_the_worktree)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n;delete b.txt;"
	    "write new/deep.txt d\\n;run chmod +x .gitignore");
	change = pending("a.txt");
	check_done("reject_change(%lld, 'ann')", change);
	ck_assert_str_eq(status_of(change), "rejected");
	check_worktree("a.txt", "one\n");
	check_project("a.txt", "one\n");
	check_done("reject_change(%lld)", change);
	check_done("reject_changes('%s')", session_of(chat));
	check_worktree("b.txt", "two\n");
	ck_assert(!file_exists("%s/new", worktree()));
	shell("cd %s && git status --porcelain | cmp - /dev/null",
	    worktree());
	/* our own writes are nobody's changes */
	complete(chat, "fake", "say hello");
	check_pending("");
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where agent is null");
	check_tidy();
}
END_TEST

START_TEST(what_moved_on_is_not_rejected)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	change = pending("a.txt");
	shell("echo mine >> %s/a.txt", worktree());
	check_failed("changed", "reject_change(%lld)", change);
	check_worktree("a.txt", "x\nmine\n");
	/* it is told what came in between, and whose it is */
	ck_assert_str_eq(status_of(change), "superseded");
	check_value("true", CHANGE("(agent is null)::text"), "a.txt");
	ck_assert_str_eq(sqlstate("select hearth.reject_change(%lld)",
	    change), "55000");
	check_done("reject_change(%lld)", pending("a.txt"));
	check_worktree("a.txt", "one\n");
}
END_TEST

START_TEST(what_is_rejected_goes_back_to_what_was_accepted)
{
	start(NULL);
	complete(chat, "fake", "write a.txt x\\n;write n.txt 1\\n");
	check_done("accept_changes('%s')", session_of(chat));
	complete(chat, "fake", "write a.txt y\\n;delete n.txt");
	check_pending("a.txt/edit n.txt/delete");
	check_done("reject_changes('%s')", session_of(chat));
	check_worktree("a.txt", "x\n");
	check_worktree("n.txt", "1\n");
	check_project("a.txt", "x\n");
	check_pending("");
}
END_TEST

/* ---- revert */

START_TEST(what_is_reverted_waits_again)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n;write new/n.txt n\\n");
	change = pending("a.txt");
	check_done("accept_changes('%s')", session_of(chat));
	check_done("revert_change(%lld, 'ann')", change);
	ck_assert_str_eq(status_of(change), "reverted");
	check_project("a.txt", "one\n");
	check_worktree("a.txt", "x\n");
	/* the worktree still has it, so it can be decided on again */
	check_pending("a.txt/edit");
	check_value("fake", CHANGE("agent"), "a.txt");
	ck_assert(pending("a.txt") != change);
	check_done("revert_change(%lld)", change);
	check_done("accept_change(%lld)", pending("a.txt"));
	check_project("a.txt", "x\n");
	check_done("revert_change((select id from hearth.pending_changes "
	    "where file_path = 'new/n.txt'))");
	ck_assert(!file_exists("%s/new", project));
	check_tidy();
}
END_TEST

START_TEST(a_revert_keeps_what_came_after)
{
	long long first;

	start(NULL);
	shell("cd %s && seq 1 20 > n.txt && git add n.txt && "
	    COMMIT " -m n", project);
	complete(chat, "fake", "run sed -i s/^18$/eighteen/ n.txt");
	first = pending("n.txt");
	check_done("accept_change(%lld)", first);
	complete(chat, "fake", "run sed -i s/^10$/ten/ n.txt");
	check_done("accept_change(%lld)", pending("n.txt"));
	shell("cd %s && sed -i 's/^2$/two/' n.txt", project);
	check_done("revert_change(%lld)", first);
	shell("cd %s && seq 1 20 | sed 's/^2$/two/; s/^10$/ten/' | "
	    "cmp - n.txt", project);
	check_has(value(CHANGE("diff"), "n.txt"), "-18\n+eighteen\n");
	ck_assert(!strstr(value(CHANGE("diff"), "n.txt"), "ten\n+"));
	/* one that a later one builds on */
	complete(chat, "fake", "run sed -i s/^ten$/TEN/ n.txt");
	check_done("accept_change(%lld)", pending("n.txt"));
	check_failed("conflict", "revert_change((select min(id) from "
	    "hearth.pending_changes where status = 'applied'))");
}
END_TEST

/* ---- parts, and many at once */

START_TEST(hunks_are_accepted_one_by_one)
{
	long long change;

	start(NULL);
	shell("cd %s && seq 1 40 > n.txt && git add n.txt && "
	    COMMIT " -m n", project);
	complete(chat, "fake", "run sed -i -e s/^3$/three/ -e s/^20$/twenty/ "
	    "-e s/^38$/last/ n.txt");
	change = pending("n.txt");
	ck_assert_str_eq(sqlstate("select hearth.accept_hunks(%lld, "
	    "array[2, 4])", change), "22023");
	ck_assert_str_eq(sqlstate("select hearth.accept_hunks(%lld, "
	    "array[]::int[])", change), "22023");
	check_done("accept_hunks(%lld, array[3, 1], 'ann')", change);
	shell("cd %s && seq 1 40 | sed 's/^3$/three/; s/^38$/last/' | "
	    "cmp - n.txt", project);
	ck_assert_str_eq(status_of(change), "applied");
	check_value("2", "select count(*) from regexp_matches((select diff "
	    "from hearth.pending_changes where id = %lld), '^@@ ', 'gn')",
	    change);
	check_value("1", "select count(*) from regexp_matches((" CHANGE("diff")
	    "), '^@@ ', 'gn')", "n.txt");
	check_has(value(CHANGE("diff"), "n.txt"), "-20\n+twenty\n");
	check_value("fake", CHANGE("agent"), "n.txt");
	check_done("accept_hunks(%lld, array[1])", pending("n.txt"));
	check_pending("");
	shell("diff %s/n.txt %s/n.txt", project, worktree());
	check_done("revert_change(%lld)", change);
	shell("cd %s && seq 1 40 | sed 's/^20$/twenty/' | cmp - n.txt",
	    project);
	check_value("2", "select count(*) from regexp_matches((" CHANGE("diff")
	    "), '^@@ ', 'gn')", "n.txt");
}
END_TEST

START_TEST(of_many_each_has_its_own_outcome)
{
	start(NULL);
	complete(chat, "fake", "write a.txt x\\n;write b.txt y\\n;"
	    "write c.txt z\\n");
	shell("echo mine > %s/b.txt", project);
	check_failed("conflict", "accept_changes('%s', 'ann')",
	    session_of(chat));
	check_has(value("select error from hearth.commands "
	    "where kind = 'accept_changes'"), "1 of 3 changes: b.txt");
	check_pending("b.txt/edit");
	check_project("a.txt", "x\n");
	check_project("b.txt", "mine\n");
	check_project("c.txt", "z\n");
	/* none is none */
	check_done("reject_changes('%s')", session_of(chat));
	check_done("accept_changes('%s')", session_of(chat));
}
END_TEST

START_TEST(a_file_that_became_a_folder_is_decided_on_as_a_whole)
{
	start(NULL);
	complete(chat, "fake", "delete b.txt;write b.txt/in.txt i\\n");
	check_pending("b.txt/delete b.txt/in.txt/create");
	check_done("reject_changes('%s')", session_of(chat));
	check_worktree("b.txt", "two\n");
	complete(chat, "fake", "delete b.txt;write b.txt/in.txt i\\n");
	check_done("accept_changes('%s')", session_of(chat));
	check_project("b.txt/in.txt", "i\n");
	check_pending("");
}
END_TEST

/* ---- when, and what others see */

START_TEST(decisions_wait_for_the_running_turn)
{
	const char *other;
	int64_t turn;
	long long change, second;

	start(NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "write a.txt x\\n;write b.txt y\\n");
	change = number("select hearth.reject_change(%lld)",
	    pending("a.txt"));
	wait_value("done", LIMIT, "select status from hearth.commands "
	    "where id = %lld", change);
	turn = submit(chat, "fake", "say go;append c.txt c\\n;sleep 700");
	wait_text(turn, "go");
	second = number("select hearth.reject_change(%lld)",
	    pending("b.txt"));
	wait_value("running", LIMIT, "select status from hearth.commands "
	    "where id = %lld", second);
	check_worktree("b.txt", "y\n");
	/* asked for before it, so it is done before it */
	complete(other, "fake", "run test $(cat b.txt) = two;say after");
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (c.ended_at >= t.ended_at)::text from "
	    "hearth.commands c, hearth.turns t where c.id = %lld "
	    "and t.id = %lld", second, (long long)turn);
	check_value("done", "select status from hearth.commands "
	    "where id = %lld", second);
	check_has(value("select string_agg(payload ->> 'text', '' order by "
	    "seq) from hearth.events where chat_id = '%s' and kind = 'text'",
	    other), "[run 0]");
	check_pending("c.txt/create");
}
END_TEST

START_TEST(readers_are_told)
{
	long long change, command;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	change = pending("a.txt");
	shell("echo mine > %s/a.txt", project);
	check_failed("conflict", "accept_change(%lld, 'ann')", change);
	check_value("ann pending t", "select concat_ws(' ', payload ->> "
	    "'decided_by', payload ->> 'status', payload ->> 'error' ~ 'same "
	    "lines') from hearth.events where kind = 'change' "
	    "order by seq desc limit 1");
	sql("listen hearth_status");
	command = number("select hearth.reject_change(%lld)", change);
	wait_value("done", LIMIT, "select status from hearth.commands "
	    "where id = %lld", command);
	check_value("rejected", "select payload ->> 'status' from "
	    "hearth.events where kind = 'change' and (payload ->> "
	    "'change')::bigint = %lld order by seq desc limit 1", change);
}
END_TEST

START_TEST(contradictions_are_refused_with_a_hint)
{
	long long change;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n;write b.txt y\\n");
	ck_assert_str_eq(sqlstate("select hearth.accept_change(0)"),
	    "42704");
	change = pending("a.txt");
	ck_assert_str_eq(sqlstate("select hearth.revert_change(%lld)",
	    change), "55000");
	check_done("accept_change(%lld)", change);
	ck_assert_str_eq(sqlstate("select hearth.reject_change(%lld)",
	    change), "55000");
	change = pending("b.txt");
	check_done("reject_change(%lld)", change);
	ck_assert_str_eq(sqlstate("select hearth.accept_change(%lld)",
	    change), "55000");
}
END_TEST

START_TEST(what_a_one_shot_left_can_be_accepted)
{
	int64_t turn;

	start(NULL);
	turn = number("select hearth.submit_once('%s', 'fake', 'write a.txt "
	    "x\\n;write n/o.txt y\\n')", project);
	wait_turn(turn, "completed", LIMIT);
	wait_value("removed", LIMIT, "select w.status from hearth.worktrees w "
	    "join hearth.turns t using (session_id) where t.id = %lld",
	    (long long)turn);
	check_done("accept_change(%lld)", pending("a.txt"));
	check_project("a.txt", "x\n");
	check_done("revert_change((select id from hearth.pending_changes "
	    "where status = 'applied'))");
	check_project("a.txt", "one\n");
	check_done("reject_change(%lld)", pending("n/o.txt"));
	ck_assert(!file_exists("%s/worktrees/%s", state, value("select "
	    "session_id from hearth.turns where id = %lld",
	    (long long)turn)));
}
END_TEST

/* ---- changes that are asked for */

START_TEST(files_are_changed_for_an_agent_or_a_person)
{
	const char *session;

	start(NULL);
	session = keep(xstrdup(session_of(chat)));
	check_done("queue_create('%s', 'src/new.txt', E'n\\n')", session);
	check_done("queue_edit('%s', 'a.txt', 'on', 'ON', 'fake')", session);
	check_done("queue_delete('%s', 'b.txt')", session);
	check_worktree("src/new.txt", "n\n");
	check_worktree("a.txt", "ONe\n");
	ck_assert(!file_exists("%s/b.txt", worktree()));
	check_value("a.txt/edit/fake b.txt/delete/- src/new.txt/create/-",
	    "select string_agg(concat_ws('/', file_path, operation, "
	    "coalesce(agent, '-')), ' ' order by file_path) from "
	    "hearth.pending_changes where status = 'pending'");
	check_project("a.txt", "one\n");
	complete(chat, "fake", "say hello");
	check_pending("a.txt/edit b.txt/delete src/new.txt/create");
	check_done("accept_changes('%s')", session);
	check_project("a.txt", "ONe\n");
}
END_TEST

START_TEST(what_is_asked_for_may_take_a_change_back)
{
	const char *session;

	start(NULL);
	session = keep(xstrdup(session_of(chat)));
	complete(chat, "fake", "write a.txt x\\n;write new.txt n\\n");
	check_done("queue_edit('%s', 'a.txt', 'x', 'one')", session);
	check_pending("new.txt/create");
	check_done("queue_delete('%s', 'new.txt', 'fake')", session);
	check_pending("");
	check_value("superseded superseded", "select string_agg(status, ' ') "
	    "from hearth.pending_changes");
	/* a name that is shown otherwise than it is written */
	check_done("queue_create('%s', '\"q', 'x')", session);
	check_value("1", "select count(*) from hearth.pending_changes "
	    "where status = 'pending' and file_path ~ 'q'");
	check_done("queue_delete('%s', '\"q')", session);
	check_pending("");
}
END_TEST

static const struct {
	const char *call, *code;
} bad_files[] = {
	{ "queue_create('%s', 'a.txt', 'x')", "exists" },
	{ "queue_create('%s', 'x.o', 'x')", "ignored" },
	{ "queue_create('%s', 'a.txt/x', 'x')", "failed" },
	{ "queue_edit('%s', 'none.txt', 'x', 'y')", "missing" },
	{ "queue_edit('%s', 'a.txt', 'x', 'y')", "not_found" },
	{ "queue_edit('%s', 'twice.txt', 'aa', 'y')", "ambiguous" },
	{ "queue_delete('%s', 'none.txt')", "missing" },
};

START_TEST(what_cannot_be_changed_is_told_and_left)
{
	start(NULL);
	shell("cd %s && echo aaa > twice.txt && git add -A && "
	    COMMIT " -m t", project);
	for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
		char *call = xasprintf(bad_files[i].call, session_of(chat));
		char *expected = xasprintf("failed: %s", bad_files[i].code);

		ck_assert_str_eq(ask("%s", call), expected);
		free(call);
		free(expected);
	}
	check_has(value("select error from hearth.commands "
	    "where error_code = 'ambiguous'"), "twice.txt 2 times");
	/* there, but never shown: it could not be taken back */
	shell("echo secret > %s/y.o", worktree());
	ck_assert_str_eq(ask("queue_edit('%s', 'y.o', 'secret', 'x')",
	    session_of(chat)), "failed: ignored");
	ck_assert_str_eq(ask("queue_delete('%s', 'y.o')", session_of(chat)),
	    "failed: ignored");
	shell("grep -x secret %s/y.o", worktree());
	check_value("0", "select count(*) from hearth.pending_changes");
	check_pending("");
	shell("cd %s && git status --porcelain | cmp - /dev/null",
	    worktree());
}
END_TEST

/* ---- the client */

static void __attribute__((format(printf, 2, 3)))
client(const char *expected, const char *fmt, ...)
{
	char arguments[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arguments, sizeof arguments, fmt, ap);
	va_end(ap);
	shell("cd %s && '%s/hearth' -d '%s' %s > said 2>&1; "
	    "echo $? >> said; grep -q '%s' said || { cat said >&2; false; }",
	    folder, getenv("top_builddir"), db, arguments, expected);
}

START_TEST(the_client_decides)
{
	start(NULL);
	client("create  new.txt  (fake)", "run -a fake --chat %s 'write a.txt "
	    "x\\n;write new.txt y'", chat);
	client("  edit  *fake  .*  a.txt$", "changes list %s", chat);
	client("^+x$", "changes show %lld", pending("a.txt"));
	/* into a pipe: plain */
	shell("! grep -q \"$(printf '\\033')\" %s/said", folder);
	client("accepted$", "changes accept %lld", pending("a.txt"));
	check_project("a.txt", "x\n");
	client("reverted$", "changes revert %lld", number("select id from "
	    "hearth.pending_changes where status = 'applied'"));
	check_project("a.txt", "one\n");
	client("^0$", "changes reject --all %s", chat);
	check_pending("");
	client("rejected: it cannot be accepted", "changes accept %lld",
	    number("select max(id) from hearth.pending_changes "
	    "where status = 'rejected'"));
	client("^64$", "changes accept");
	client("^64$", "changes revert --all %s --hunks 1", chat);
	client("no change 999", "changes show 999");
	complete(chat, "fake", "write a.txt z\\n");
	client("accepted$", "changes accept --hunks 1 %lld",
	    pending("a.txt"));
	check_project("a.txt", "z\n");
}
END_TEST

/* ---- killed on the way */

#define FILES 5

static void
sleep_us(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/* Each of the files f1 … is what it was or what it is to be. */
static void
check_old_or_new(const char *where, const char *old, const char *new)
{
	for (int i = 1; i <= FILES; i++) {
		const char *now = file_text("%s/f%d", where, i);

		ck_assert_msg(strcmp(now, old) == 0 || strcmp(now, new) == 0,
		    "f%d: %s", i, now);
	}
}

static void
check_all(const char *where, const char *expected)
{
	for (int i = 1; i <= FILES; i++)
		ck_assert_str_eq(file_text("%s/f%d", where, i), expected);
}

/* No row says that something is under way, and none is in error. */
static void
check_settled(const char *status, int n)
{
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where decision is not null or error is not null");
	check_value(keep(xasprintf("%d", n)), "select count(*) from "
	    "hearth.pending_changes where status = '%s' and agent = 'fake'",
	    status);
}

static void
change_files(const char *text)
{
	prepare();
	for (int i = 1; i <= FILES; i++)
		shell("echo old > %s/f%d", project, i);
	shell("cd %s && git add -A && " COMMIT " -m f", project);
	start(NULL);
	complete(chat, "fake", "run for i in 1 2 3 4 5\\; do echo %s > f$i"
	    "\\; done", text);
}

/* The daemon, and with it all that it runs. */
static void
crash_after(long us)
{
	sleep_us(us);
	daemon_crash();
}

static void
wait_commands(void)
{
	wait_value("0", LIMIT, "select count(*) from hearth.commands "
	    "where ended_at is null");
	check_value("0", "select count(*) from hearth.commands "
	    "where status <> 'done'");
}

START_TEST(a_daemon_that_is_killed_ends_its_decisions_later)
{
	long long change;

	change_files("new");
	for (int i = 0; i < 8; i++) {
		sql("select hearth.accept_changes('%s')", session_of(chat));
		crash_after(i * 12000);
		check_old_or_new(project, "old\n", "new\n");
		start(NULL);
		wait_commands();
		check_all(project, "new\n");
		check_settled("applied", FILES);
		check_pending("");
		check_tidy();
		/* the way back, one by one, likewise */
		for (int k = 0; k < FILES; k++) {
			change = number("select min(id) from "
			    "hearth.pending_changes where status = "
			    "'applied'");
			sql("select hearth.revert_change(%lld)", change);
			if (k == i % FILES) {
				crash_after(i * 7000);
				check_old_or_new(project, "new\n", "old\n");
				start(NULL);
			}
			wait_commands();
		}
		check_all(project, "old\n");
		check_all(worktree(), "new\n");
		check_settled("applied", 0);
		check_settled("pending", FILES);
	}
}
END_TEST

START_TEST(a_daemon_that_is_killed_takes_changes_back_later)
{
	change_files("new");
	for (int i = 0; i < 6; i++) {
		sql("select hearth.reject_changes('%s')", session_of(chat));
		crash_after(i * 15000);
		check_old_or_new(worktree(), "new\n", "old\n");
		start(NULL);
		/* a turn that was asked for later finds it done */
		complete(chat, "fake", "say hello");
		wait_commands();
		check_all(worktree(), "old\n");
		check_pending("");
		check_value("0", "select count(*) from hearth.pending_changes "
		    "where agent is null or decision is not null");
		check_tidy();
		complete(chat, "fake", "run for i in 1 2 3 4 5\\; do echo "
		    "new > f$i\\; done");
		check_settled("pending", FILES);
	}
}
END_TEST

START_TEST(what_is_asked_for_is_done_once_though_hearthd_is_killed)
{
	start(NULL);
	complete(chat, "fake", "say hello");
	for (int i = 0; i < 6; i++) {
		sql("select hearth.queue_edit('%s', 'a.txt', 'one', "
		    "'one, and one', 'fake')", session_of(chat));
		crash_after(i * 12000);
		start(NULL);
		wait_commands();
		check_worktree("a.txt", "one, and one\n");
		check_pending("a.txt/edit");
		check_value("fake", CHANGE("agent"), "a.txt");
		check_done("reject_change(%lld)", pending("a.txt"));
		check_worktree("a.txt", "one\n");
	}
}
END_TEST

static bool
kill_helper(pid_t pid, pid_t parent, void *ctx)
{
	int *times = ctx;

	if (strcmp(file_text("/proc/%d/comm", (int)pid),
	    "hearth-worktree\n") == 0 && tree_signal(pid, parent, SIGKILL) == 0)
		--*times;
	return true;
}

/* Kills the helper whenever it is seen, so often. */
static void
kill_helpers(int times)
{
	int64_t since = now_ms();

	while (times > 0 && now_ms() - since < 2000) {
		tree_walk(daemon_pid(), kill_helper, &times);
		sleep_us(500);
	}
}

START_TEST(a_helper_that_is_killed_is_asked_again)
{
	change_files("new");
	for (int i = 0; i < 6; i++) {
		sql("select hearth.accept_changes('%s')", session_of(chat));
		kill_helpers(1 + i % 2);
		wait_commands();
		check_all(project, "new\n");
		check_settled("applied", FILES);
		check_tidy();
		for (int k = 0; k < FILES; k++)
			check_done("revert_change((select min(id) from "
			    "hearth.pending_changes where status = "
			    "'applied'))");
		check_settled("pending", FILES);
	}
}
END_TEST

static void
add(TCase *tc)
{
	tcase_add_test(tc, the_client_decides);
	tcase_add_test(tc, a_daemon_that_is_killed_ends_its_decisions_later);
	tcase_add_test(tc, a_daemon_that_is_killed_takes_changes_back_later);
	tcase_add_test(tc,
	    what_is_asked_for_is_done_once_though_hearthd_is_killed);
	tcase_add_test(tc, a_helper_that_is_killed_is_asked_again);
	tcase_add_test(tc,
	    what_is_accepted_is_in_the_project_and_not_told_again);
	tcase_add_test(tc, a_project_that_moved_on_is_merged);
	tcase_add_test(tc, a_conflict_leaves_both_sides_as_they_are);
	tcase_add_test(tc, files_of_every_kind_are_accepted);
	tcase_add_test(tc, names_that_are_no_text_are_decided_on);
	tcase_add_test(tc, permissions_and_owners_of_the_users_file_stay);
	tcase_add_test(tc, a_link_in_the_project_never_leads_out_of_it);
	tcase_add_test(tc,
	    a_folder_that_is_no_repository_is_decided_on_likewise);
	tcase_add_test(tc,
	    what_a_sparse_checkout_leaves_out_is_not_said_to_be_done);
	tcase_add_test(tc, a_bare_repository_has_nothing_to_accept_into);
	tcase_add_test(tc, what_is_rejected_is_gone_from_the_worktree);
	tcase_add_test(tc, what_moved_on_is_not_rejected);
	tcase_add_test(tc, what_is_rejected_goes_back_to_what_was_accepted);
	tcase_add_test(tc, what_is_reverted_waits_again);
	tcase_add_test(tc, a_revert_keeps_what_came_after);
	tcase_add_test(tc, hunks_are_accepted_one_by_one);
	tcase_add_test(tc, of_many_each_has_its_own_outcome);
	tcase_add_test(tc,
	    a_file_that_became_a_folder_is_decided_on_as_a_whole);
	tcase_add_test(tc, decisions_wait_for_the_running_turn);
	tcase_add_test(tc, readers_are_told);
	tcase_add_test(tc, contradictions_are_refused_with_a_hint);
	tcase_add_test(tc, what_a_one_shot_left_can_be_accepted);
	tcase_add_test(tc, files_are_changed_for_an_agent_or_a_person);
	tcase_add_test(tc, what_is_asked_for_may_take_a_change_back);
	tcase_add_test(tc, what_cannot_be_changed_is_told_and_left);
}

int
main(void)
{
	return e2e_main("decisions", add);
}
