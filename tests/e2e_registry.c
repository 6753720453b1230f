/* SPDX-License-Identifier: MIT */
/*
 * The client's words for what stays behind: projects, sessions, and changes of
 * several sessions, as somebody tidies up who has tried a few things.
 */
#include "tests/e2e.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"

/* Its exit status; what it said is in "out" and "err". h is the client. */
static int __attribute__((format(printf, 1, 2)))
client(const char *fmt, ...)
{
	char *path = child_helper_path("hearth"), line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	shell("cd %s; h() { '%s' -d '%s' \"$@\"; }; { %s; } > %s/out "
	    "2> %s/err; echo $? > %s/status", folder, path, db, line, folder,
	    folder, folder);
	free(path);
	return atoi(file_text("%s/status", folder));
}

#define check_client(...) ck_assert_msg(client(__VA_ARGS__) == 0, "%s", \
	file_text("%s/err", folder))
#define check_out(text) check_has(file_text("%s/out", folder), text)
#define check_err(text) check_has(file_text("%s/err", folder), text)

/* The beginning of an id that no chat and no session has. */
static const char *
nobodys(void)
{
	return keep(xstrdup(value("select b from (select lpad(to_hex(n), 4, "
	    "'0') from generate_series(0, 65535) n) x(b) where not exists "
	    "(select id from hearth.chats where left(id::text, 4) = b union "
	    "select id from hearth.sessions where left(id::text, 4) = b) "
	    "limit 1")));
}

START_TEST(projects_are_set_and_removed)
{
	start(NULL);
	check_client("mkdir new && h projects add --name fresh new");
	check_value(keep(xasprintf("%s/new", folder)), "select path from "
	    "hearth.projects where name = 'fresh'");
	check_client("h projects set fresh --branch main --snapshots 2 "
	    "--include .env --include '*.key' -- sh -c 'echo x'");
	check_value("main 2 {.env,*.key} {sh,-c,\"echo x\"}", "select "
	    "concat_ws(' ', default_branch, snapshots, include, setup_command) "
	    "from hearth.projects where name = 'fresh'");
	check_client("h projects");
	check_out("fresh");
	check_out("main    .env *.key  sh -c echo x  ");
	/* what is not said stays; from the folder it is named by that */
	check_client("cd new && h projects set . --name old --branch '' "
	    "--no-setup");
	check_value("2 {.env,*.key}", "select concat_ws(' ', default_branch, "
	    "snapshots, include, setup_command) from hearth.projects "
	    "where name = 'old'");
	check_client("h projects set old --include '' --snapshots 0");
	check_value("0 {}", "select concat_ws(' ', snapshots, include) "
	    "from hearth.projects where name = 'old'");
	ck_assert_int_eq(client("h projects set old --snapshots 21"), 1);
	check_err("0 to 20");
	ck_assert_int_eq(client("h projects set old --snapshots x"), 64);
	ck_assert_int_eq(client("h projects set old"), 64);
	ck_assert_int_eq(client("h projects list old"), 64);
	ck_assert_int_eq(client("h projects set none --branch x"), 1);
	check_err("no project none");
	/* the folder may be gone */
	check_client("rmdir new && h projects remove %s/new", folder);
	check_value("0", "select count(*) from hearth.projects "
	    "where name = 'old'");
}
END_TEST

START_TEST(a_project_in_use_is_not_removed)
{
	const char *other;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	other = keep(xstrdup(new_session(project)));
	check_client("h sessions archive %s", other);
	ck_assert_int_eq(client("h projects remove %s", project), 1);
	check_err("in use: 1 open and 1 archived sessions");
	check_err("hearth projects remove --sessions");
	ck_assert_str_eq(sqlstate("select hearth.remove_project('%s')",
	    project), "55006");
	check_client("h projects remove --sessions %s", project);
	check_value("0", "select count(*) from hearth.projects");
	check_value("0", "select count(*) from hearth.sessions");
	ck_assert_str_eq(file_text("%s/a.txt", project), "one\n");
	shell("test -z \"$(git -C %s branch --list 'hearth/*')\"", project);
	check_client("h projects");
	check_out("no projects");
}
END_TEST

/* On another node the same folder is another project, and a name may be the
 * path of one. */
START_TEST(only_the_project_that_is_named_is_meant)
{
	start(NULL);
	sql("insert into hearth.projects (name, path, node_id) "
	    "select 'twin', '%s', id from hearth.nodes limit 1", project);
	sql("select hearth.open_session('twin')");
	check_client("h projects set %s --branch x", project);
	check_value("1", "select count(*) from hearth.projects "
	    "where default_branch = 'x' and node_id is null");
	check_value("0", "select count(*) from hearth.projects "
	    "where default_branch = 'x' and node_id is not null");
	check_client("h projects remove --sessions %s", project);
	check_value("twin 1", "select string_agg(p.name || ' ' || (select "
	    "count(*) from hearth.sessions s where s.project_id = p.id), ',') "
	    "from hearth.projects p");
	sql("insert into hearth.projects (name, path) values "
	    "('%s', '/elsewhere')", project);
	check_client("h projects set %s --branch y", project);
	check_value("/elsewhere", "select string_agg(path, ' ') "
	    "from hearth.projects where default_branch = 'y'");
	check_client("h projects remove --sessions %s", project);
	check_value("twin 1", "select string_agg(p.name || ' ' || (select "
	    "count(*) from hearth.sessions s where s.project_id = p.id), ',') "
	    "from hearth.projects p");
	ck_assert_int_eq(client("h projects remove none"), 1);
	check_err("no project none");
}
END_TEST

START_TEST(who_may_not_remove_a_project_deletes_nothing)
{
	start(NULL);
	ck_assert_int_eq(client("PGOPTIONS='-c role=hearth_app' "
	    "h projects remove --sessions %s", project), 1);
	check_err("may not remove a project, so no session is deleted");
	check_value("1", "select count(*) from hearth.sessions "
	    "where archived_at is null and deleted_at is null");
}
END_TEST

START_TEST(one_session_that_stays_does_not_keep_the_others)
{
	const char *stays;

	start(NULL);
	stays = keep(xstrdup(session_of(chat)));
	new_session(project);
	new_session(project);
	sql("create function public.refuse() returns trigger "
	    "language plpgsql as 'begin raise exception ''it stays''; end'");
	sql("create trigger refuse before insert on hearth.commands "
	    "for each row when (new.session_id = '%s') "
	    "execute function public.refuse()", stays);
	ck_assert_int_eq(client("h projects remove --sessions %s", project),
	    1);
	check_err("it stays");
	check_err("is not removed: 1 of its 3 sessions is left");
	check_value(stays, "select string_agg(id::text, ' ') "
	    "from hearth.sessions");
}
END_TEST

START_TEST(sessions_are_archived_restored_and_deleted)
{
	const char *session, *none;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	session = keep(xstrdup(session_of(chat)));
	none = nobodys();
	check_client("h sessions -p %s", project);
	check_out(session);
	check_out("on disk");
	/* by the beginning of its id */
	check_client("h sessions archive %.8s && h sessions", session);
	check_out("is archived\nno sessions\n");
	check_client("h sessions list --archived");
	check_out(session);
	check_client("h sessions restore %.8s && h sessions", session);
	check_out("on disk");
	ck_assert_int_eq(client("h sessions delete %.8s %s zz %s", session,
	    none, session), 1);
	check_err(keep(xasprintf("no session %s", none)));
	check_err("\"zz\" is no session");
	check_err("does not exist");
	check_out("is deleted");
	check_value("0", "select count(*) from hearth.sessions");
	ck_assert_int_eq(client("h sessions delete"), 64);
	ck_assert_int_eq(client("h sessions forget %s", session), 64);
}
END_TEST

/* Nobody means to have an agent copy all that they have. */
START_TEST(the_home_folder_is_no_project_by_accident)
{
	start(NULL);
	ck_assert_int_eq(client("cd %s && HOME=$PWD h run -a fake 'say x'",
	    project), 64);
	check_err("your home folder");
	ck_assert_int_eq(client("cd / && h chat -a fake </dev/null"), 64);
	check_err("the whole disk");
	check_value("0", "select count(*) from hearth.turns");
	/* when it is meant, and where it does not matter */
	check_client("cd %s && HOME=$PWD h run -a fake -p . 'say x'", project);
	check_client("cd / && h run --chat %s -a fake 'say x'", chat);
	/* others are registered as before */
	check_client("cd %s && HOME=%s h run -a fake 'say x'", project,
	    folder);
}
END_TEST

/* With one session, whatever is read as the beginning of any id is its. */
START_TEST(what_is_no_id_names_nothing)
{
	const char *session, *digits, *bad[6];

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	session = keep(xstrdup(session_of(chat)));
	digits = keep(xstrdup(value("select replace('%s', '-', '')",
	    session)));
	bad[0] = "----";
	bad[1] = keep(xasprintf("%.1s---", session));
	bad[2] = keep(xasprintf("%.3s-", session));
	bad[3] = keep(xasprintf("%s0", digits));
	bad[4] = keep(xasprintf("%s0000", digits));
	bad[5] = "------------------------------------";
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(client("h sessions delete -- %s", bad[i]), 1);
		check_err(keep(xasprintf("\"%s\" is no session: give its id",
		    bad[i])));
		ck_assert_int_eq(client("h changes reject --all %s", bad[i]),
		    1);
		check_err("is no chat or session: give its id");
	}
	check_value("1", "select count(*) from hearth.sessions "
	    "where archived_at is null and deleted_at is null");
	check_value("pending", "select status from hearth.pending_changes");
	/* all of its digits, and a part that ends where a dash is */
	check_client("h changes list %s && h changes reject --all %.9s",
	    digits, session);
	check_value("rejected", "select status from hearth.pending_changes");
}
END_TEST

START_TEST(a_chat_is_named_by_the_beginning_of_its_id)
{
	const char *other, *none;

	start(NULL);
	check_client("h run -a fake --chat %.8s 'say x'", chat);
	check_client("h turns %.8s", chat);
	check_out("completed");
	check_client("h events %.8s", chat);
	check_out("turn_ended");
	check_client("h warm %.8s fake", chat);
	check_client("h close %.8s fake", chat);
	check_client("h close --session %.8s", session_of(chat));
	none = nobodys();
	ck_assert_int_eq(client("h turns %s", none), 1);
	check_err(keep(xasprintf("no chat %s", none)));
	/* two that begin alike */
	for (int i = 1; i <= 2; i++)
		sql("select hearth.open_chat(id => 'ffffffff-0000-0000-0000-"
		    "00000000000%d', session => '%s')", i,
		    keep(xstrdup(new_session(project))));
	ck_assert_int_eq(client("h turns ffffffff"), 1);
	check_err("more than one chat");
	other = "ffffffff-0000-0000-0000-000000000002";
	check_client("h events %s; h turns %s", other, other);
}
END_TEST

START_TEST(changes_say_where_and_whose_they_are)
{
	const char *other;

	add_agent("other", NULL);
	start(NULL);
	other = new_chat(new_session(project));
	complete(chat, "fake", "write a.txt x\\n");
	complete(other, "other", "write b.txt y\\n;write c.txt z\\n");
	check_client("h changes");
	check_out("project  ");
	check_out(keep(xasprintf("%.8s  a.txt\n", chat)));
	check_out(keep(xasprintf("%.8s  b.txt\n", other)));
	check_client("h changes show 1");
	check_out("change 1: edit a.txt, pending\nby fake in turn 1, ");
	check_out(keep(xasprintf("chat %s\n", chat)));
	/* what the list shows is taken, and of this session alone */
	check_client("h changes accept --all %.8s", other);
	check_out("2 changes accepted\n");
	ck_assert_str_eq(file_text("%s/b.txt", project), "y\n");
	check_client("h changes list %.8s", other);
	check_out("no changes wait");
	check_client("h changes list --applied");
	check_out("c.txt");
	check_client("h changes revert --all %.8s", other);
	ck_assert_str_eq(file_text("%s/b.txt", project), "two\n");
	ck_assert(!file_exists("%s/c.txt", project));
	check_client("h changes reject --all %s", session_of(other));
	check_client("h changes");
	ck_assert_ptr_null(strstr(file_text("%s/out", folder), "b.txt"));
	check_out("a.txt");
	ck_assert_int_eq(client("h changes show 1 --all %s", chat), 64);
	ck_assert_int_eq(client("h changes accept --applied 1"), 64);
}
END_TEST

START_TEST(other_turns_of_a_change_are_told)
{
	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	complete(chat, "fake", "say x");
	/* as when they had been side by side in two chats */
	sql("update hearth.pending_changes set other_turns = '{2}'");
	check_client("h changes show 1");
	check_out("\nby fake in turn 1 or fake in turn 2, ");
	check_client("h changes");
	check_out("fake or fake");
	/* what the last turn has left running, or somebody */
	sql("update hearth.pending_changes set turn_id = null");
	check_client("h changes show 1");
	check_out("\nby fake or a person, ");
	sql("update hearth.pending_changes set agent = null");
	check_client("h changes show 1");
	check_out("\nby a person or fake in turn 2, ");
}
END_TEST

/* A trigger stands for what was decided elsewhere in between. */
START_TEST(as_many_changes_are_counted_as_were_decided)
{
	start(NULL);
	complete(chat, "fake", "write b.txt y\\n;write c.txt z\\n");
	sql("create function public.shorten() returns trigger "
	    "language plpgsql as 'begin new.args := jsonb_set(new.args, "
	    "''{changes}'', (new.args -> ''changes'') - 0); return new; end'");
	sql("create trigger shorten before update of args "
	    "on hearth.commands for each row "
	    "when (new.kind = 'accept_changes') execute "
	    "function public.shorten()");
	check_client("h changes accept --all %s", chat);
	check_value("1", "select count(*) from hearth.pending_changes "
	    "where status = 'applied'");
	check_out("1 change accepted\n");
}
END_TEST

START_TEST(words_that_are_asked_for_explain_themselves)
{
	prepare();
	check_client("h help");
	check_out("\n  projects ");
	check_client("h help changes");
	check_out("usage: hearth changes [list ");
	ck_assert_int_eq(client("h help nothing"), 64);
	check_err("no command \"nothing\"");
	ck_assert_int_eq(client("h -o novalue"), 64);
	check_err("unknown option -o;");
	ck_assert_int_eq(client("h -d"), 64);
	check_err("-d needs a value;");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, projects_are_set_and_removed);
	tcase_add_test(tc, a_project_in_use_is_not_removed);
	tcase_add_test(tc, only_the_project_that_is_named_is_meant);
	tcase_add_test(tc, who_may_not_remove_a_project_deletes_nothing);
	tcase_add_test(tc, one_session_that_stays_does_not_keep_the_others);
	tcase_add_test(tc, sessions_are_archived_restored_and_deleted);
	tcase_add_test(tc, the_home_folder_is_no_project_by_accident);
	tcase_add_test(tc, what_is_no_id_names_nothing);
	tcase_add_test(tc, a_chat_is_named_by_the_beginning_of_its_id);
	tcase_add_test(tc, changes_say_where_and_whose_they_are);
	tcase_add_test(tc, other_turns_of_a_change_are_told);
	tcase_add_test(tc, as_many_changes_are_counted_as_were_decided);
	tcase_add_test(tc, words_that_are_asked_for_explain_themselves);
}

int
main(void)
{
	return e2e_main("registry", add_tests);
}
