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
	/* nor are its sessions, by who may not remove it */
	ck_assert_int_eq(client("PGOPTIONS='-c role=hearth_app' h projects "
	    "remove --sessions %s", project), 1);
	check_err("only a member of hearth_admin");
	check_value("2", "select count(*) from hearth.sessions");
	check_client("h projects remove --sessions %s", project);
	check_value("0", "select count(*) from hearth.projects");
	check_value("0", "select count(*) from hearth.sessions");
	ck_assert_str_eq(file_text("%s/a.txt", project), "one\n");
	shell("test -z \"$(git -C %s branch --list 'hearth/*')\"", project);
	check_client("h projects");
	check_out("no projects");
}
END_TEST

/* Of two that one name may mean, as remove_project() chooses. */
START_TEST(one_project_is_set_and_removed)
{
	start(NULL);
	sql("insert into hearth.projects (name, path, node_id) select 'twin', "
	    "'%s', id from hearth.nodes", project);
	sql("select hearth.open_session('twin')");
	check_client("h projects set %s --snapshots 1", project);
	check_value("0", "select snapshots from hearth.projects "
	    "where name = 'twin'");
	check_client("h projects remove --sessions %s", project);
	check_value("twin", "select string_agg(p.name, ' ') from "
	    "hearth.sessions s join hearth.projects p on p.id = s.project_id");
}
END_TEST

START_TEST(sessions_are_archived_restored_and_deleted)
{
	const char *session;

	start(NULL);
	complete(chat, "fake", "write a.txt x\\n");
	session = keep(xstrdup(session_of(chat)));
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
	ck_assert_int_eq(client("h sessions delete -- ---- %.1s--- %.1s%032d",
	    session, session, 0), 1);
	check_err("\"----\" is no session");
	check_err("0\" is no session");
	check_value("1", "select count(*) from hearth.sessions");
	ck_assert_int_eq(client("h sessions delete %.8s %s zz %s", session,
	    *session == '0' ? "1111" : "0000", session), 1);
	check_err("no session ");
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

START_TEST(a_chat_is_named_by_the_beginning_of_its_id)
{
	const char *other;

	start(NULL);
	check_client("h run -a fake --chat %.8s 'say x'", chat);
	check_client("h turns %.8s", chat);
	check_out("completed");
	check_client("h events %.8s", chat);
	check_out("turn_ended");
	check_client("h warm %.8s fake", chat);
	check_client("h close %.8s fake", chat);
	check_client("h close --session %.8s", session_of(chat));
	ck_assert_int_eq(client("h turns 00000000"), 1);
	check_err("no chat 00000000");
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
	tcase_add_test(tc, one_project_is_set_and_removed);
	tcase_add_test(tc, sessions_are_archived_restored_and_deleted);
	tcase_add_test(tc, the_home_folder_is_no_project_by_accident);
	tcase_add_test(tc, a_chat_is_named_by_the_beginning_of_its_id);
	tcase_add_test(tc, changes_say_where_and_whose_they_are);
	tcase_add_test(tc, words_that_are_asked_for_explain_themselves);
}

int
main(void)
{
	return e2e_main("registry", add_tests);
}
