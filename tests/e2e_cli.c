/* SPDX-License-Identifier: MIT */
/*
 * The client in a terminal: hearth chat, top and close as a person uses them.
 * A pseudo-terminal plays the person's; what is waited for is what it shows.
 */
#include "tests/e2e.h"

#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"

#define CTRL_C "\003"
#define CTRL_D "\004"

/* ---- a terminal with a client in it */

static struct {
	pid_t pid;
	int fd;
	struct buf seen;
	size_t at;            /* what is before was expected already */
	struct termios last;  /* its settings when the client had ended */
} term;

#define term_start(...) start_in_terminal(xasprintf(__VA_ARGS__))

static void
start_in_terminal(char *args)
{
	struct winsize size = { .ws_row = 24, .ws_col = 100 };
	char *path = child_helper_path("hearth");
	char *line = xasprintf("exec %s -d '%s' %s", path, db, args);

	buf_reset(&term.seen, 0);
	buf_adds(&term.seen, "");
	term.at = 0;
	term.pid = forkpty(&term.fd, NULL, NULL, &size);
	if (term.pid == 0) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	check_true(term.pid > 0);
	free(line);
	free(path);
	free(args);
}

/* False at the end of what it shows. */
static bool
term_read(int64_t until)
{
	struct pollfd in = { .fd = term.fd, .events = POLLIN };
	int64_t left = until - now_ms();
	ssize_t n;

	if (left <= 0)
		e2e_fail(__FILE__, __LINE__, "the terminal shows: %s",
		    term.seen.data + term.at);
	if (poll(&in, 1, (int)left) <= 0)
		return true;
	n = read(term.fd, buf_room(&term.seen, 4096), 4096);
	if (n > 0)
		buf_grew(&term.seen, (size_t)n);
	return n > 0 || (n == -1 && errno == EINTR);
}

static void
term_expect(const char *text)
{
	int64_t until = now_ms() + LIMIT;
	const char *found;
	bool goes_on = true;

	while ((found = strstr(term.seen.data + term.at, text)) == NULL) {
		if (!goes_on)
			e2e_fail(__FILE__, __LINE__, "no \"%s\" in: %s", text,
			    term.seen.data + term.at);
		goes_on = term_read(until);
	}
	term.at = (size_t)(found - term.seen.data) + strlen(text);
}

static void
term_type(const char *keys)
{
	check_true(write(term.fd, keys, strlen(keys)) ==
	    (ssize_t)strlen(keys));
}

/* Its exit status, once it has ended. */
static int
term_end(void)
{
	int64_t until = now_ms() + LIMIT;
	int status;

	while (term_read(until))
		;
	check_true(waitpid(term.pid, &status, 0) == term.pid);
	check_true(tcgetattr(term.fd, &term.last) == 0);
	close(term.fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
}

/* The client without a terminal: its exit status, what it said in "out". */
static int
client(char *line)
{
	char *path = child_helper_path("hearth");

	shell("cd %s; h() { '%s' -d '%s' \"$@\"; }; %s > %s/out 2> %s/err; "
	    "echo $? > %s/status", folder, path, db, line, folder, folder,
	    folder);
	free(path);
	free(line);
	return atoi(file_text("%s/status", folder));
}

/* ---- chat */

START_TEST(a_conversation_goes_on_line_by_line)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	term_type("count 3;write made.txt x\n");
	term_expect("1 2 3 ");
	term_expect("create  made.txt  (fake)");
	term_expect("> ");
	term_type("echo-turn\n");
	term_expect("[turn 2]");
	term_expect("> ");
	term_type("count 1;\\\n");
	term_expect(". ");
	term_type("count 2\n");
	term_expect("1 1 2 ");
	/* what an earlier turn changed is not listed again */
	check_true(strstr(term.seen.data + term.at, "made.txt") == NULL);
	term_expect("> ");
	term_type("\n");
	term_expect("> ");
	term_type(CTRL_D);
	term_expect("chat ");
	ck_assert_int_eq(term_end(), 0);
	check_value("3/1/hearth chat", "select count(*) || '/' || count("
	    "distinct chat_id) || '/' || min(created_by) from hearth.turns");
	check_value("1", "select count(*) from hearth.executions");
}
END_TEST

START_TEST(the_agent_is_warm_before_the_first_prompt)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	wait_value("idle/warmed", LIMIT, "select a.status || '/' || e.origin "
	    "from hearth.agent_sessions a join hearth.executions e "
	    "using (chat_id, agent)");
	term_type("count 2\n");
	term_expect("1 2 ");
	term_expect("> ");
	term_type(CTRL_D);
	ck_assert_int_eq(term_end(), 0);
	check_value("true", "select warm::text from hearth.turns");
}
END_TEST

START_TEST(a_question_is_answered_in_the_terminal)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	term_type("permission\n");
	term_expect("answer: ");
	term_type("maybe\n");
	term_expect("a number of the list");
	term_type("2\n");
	term_expect("[permission reject-once]");
	term_expect("> ");
	/* a line that was typed too early answers nothing */
	term_type("sleep 300;permission;count 2\n1\n");
	term_expect("answer: ");
	term_type("1\n");
	term_expect("[permission allow-once]1 2 ");
	term_expect("> ");
	term_type(CTRL_D);
	ck_assert_int_eq(term_end(), 0);
	check_value("reject-once by hearth chat, allow-once by hearth chat",
	    "select string_agg(option_id || ' by ' || answered_by, ', ' "
	    "order by id) from hearth.permission_requests");
}
END_TEST

START_TEST(what_an_agent_calls_its_files_does_not_speak_to_the_terminal)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	term_type("write x\033y z\n");
	term_expect("  x y  (fake)");
	term_expect("> ");
	term_type(CTRL_D);
	ck_assert_int_eq(term_end(), 0);
	ck_assert_ptr_null(strstr(term.seen.data, "\033y"));
}
END_TEST

START_TEST(an_interrupt_cancels_the_turn_and_the_chat_goes_on)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	term_type("count 2;hang\n");
	term_expect("1 2 ");
	term_type(CTRL_C);
	term_expect("cancelling turn");
	term_expect("was cancelled");
	term_expect("> ");
	term_type("count 3\n");
	term_expect("1 2 3 ");
	term_expect("> ");
	term_type(CTRL_C);
	ck_assert_int_eq(term_end(), 0);
	check_value("cancelled by hearth chat, completed", "select string_agg("
	    "concat_ws(' by ', status, cancelled_by), ', ' order by id) "
	    "from hearth.turns");
}
END_TEST

START_TEST(a_second_interrupt_leaves)
{
	start("cancel_timeout=3s", NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	term_type("on-cancel never;count 2;hang;hang\n");
	term_expect("1 2 ");
	term_type(CTRL_C);
	term_expect("interrupt again to leave");
	term_type(CTRL_C);
	ck_assert_int_eq(term_end(), 130);
	wait_value("cancelled", LIMIT, "select status from hearth.turns");
}
END_TEST

START_TEST(an_old_chat_is_gone_on_with)
{
	start(NULL);
	complete(chat, "fake", "count 4");
	term_start("chat --chat %s", chat);
	term_expect("> count 4");
	term_expect("1 2 3 4 ");
	term_expect("> ");
	term_type("echo-turn\n");
	term_expect("[turn 2]");
	term_expect("> ");
	term_type(CTRL_D);
	ck_assert_int_eq(term_end(), 0);
	check_value("2", "select count(*) from hearth.turns "
	    "where chat_id = '%s'", chat);
}
END_TEST

START_TEST(a_chat_that_takes_no_prompts_asks_for_none)
{
	start(NULL);
	complete(chat, "fake", "count 4");
	ck_assert_int_eq(client(xasprintf("h close %s", chat)), 0);
	ck_assert_int_eq(client(xasprintf("h chat --chat %s", chat)), 1);
	check_has(file_text("%s/err", folder), "is closed");
	ck_assert_int_eq(client(xasprintf("h close --session %s",
	    session_of(chat))), 0);
	ck_assert_int_eq(client(xasprintf("h chat --chat %s", chat)), 1);
	check_has(file_text("%s/err", folder), "restore_session()");
}
END_TEST

START_TEST(a_tool_call_that_fails_is_named_by_its_title)
{
	start(NULL);
	add_command("demo", keep(child_helper_path("hearth-demo-agent")),
	    NULL);
	ck_assert_int_eq(client(xasprintf("h run -a demo -p %s "
	    "'read nowhere.txt'", project)), 0);
	check_has(file_text("%s/err", folder), "! Read nowhere.txt failed");
}
END_TEST

START_TEST(who_loses_the_database_is_told_where_the_turn_is_found)
{
	start(NULL);
	term_start("chat --chat %s -a fake", chat);
	term_expect("> ");
	term_type("hang\n");
	wait_value("running", LIMIT, "select status from hearth.turns");
	check_value("true", "select bool_and(pg_terminate_backend(pid))::text "
	    "from pg_stat_activity where application_name = 'hearth'");
	term_expect("the database is gone: once it is back, hearth turns ");
	ck_assert_int_eq(term_end(), 1);
	check_value("true", "select hearth.cancel(id)::text from hearth.turns");
	wait_value("cancelled", LIMIT, "select status from hearth.turns");
}
END_TEST

START_TEST(each_way_to_call_a_command_has_a_line)
{
	prepare();
	ck_assert_int_eq(client(xstrdup("h changes --help")), 0);
	check_has(file_text("%s/out", folder),
	    "usage: hearth changes [list [--applied] [CHAT]]\n"
	    "       hearth changes show ID...\n");
	check_has(file_text("%s/out", folder), "--all CHAT\nchanged files");
	ck_assert_int_eq(client(xstrdup("h agents --help")), 0);
	check_has(file_text("%s/out", folder), "\n       LAUNCHER: ");
	ck_assert_int_eq(client(xstrdup("h status -h")), 0);
	check_has(file_text("%s/out", folder), "usage: hearth status\nnodes");
}
END_TEST

START_TEST(a_chat_in_which_nothing_was_said_leaves_nothing)
{
	start(NULL);
	term_start("chat -a fake -p %s", project);
	term_expect("> ");
	wait_value("idle", LIMIT, "select status from hearth.agent_sessions");
	term_type(CTRL_D);
	ck_assert_int_eq(term_end(), 0);
	wait_value("closed", LIMIT, "select status from "
	    "hearth.agent_sessions");
	check_value("true", "select (archived_at is not null)::text from "
	    "hearth.sessions s join hearth.agent_sessions a "
	    "on a.session_id = s.id");
	/* nor does one that could not begin */
	ck_assert_int_eq(client(xasprintf("h chat -a nobody -p %s",
	    project)), 1);
	check_has(file_text("%s/err", folder), "nobody");
	check_value("2", "select count(*) from hearth.sessions");
	ck_assert_int_eq(client(xasprintf("h chat --chat %s", chat)), 1);
	check_has(file_text("%s/err", folder), "give -a AGENT");
}
END_TEST

START_TEST(prompts_may_come_from_a_pipe)
{
	start(NULL);
	ck_assert_int_eq(client(xasprintf("printf 'say one\\n\\nsay two' | "
	    "h chat -a fake -p %s", project)), 0);
	ck_assert_str_eq(file_text("%s/out", folder), "one\ntwo\n");
	ck_assert_int_eq(client(xasprintf("printf 'say half;exit 3\\n"
	    "say still here\\nexit 4\\n' | h chat -a fake -p %s",
	    project)), 1);
	check_has(file_text("%s/out", folder), "still here\n");
	check_has(file_text("%s/err", folder), "code 3");
	check_has(file_text("%s/err", folder), "code 4");
}
END_TEST

/* ---- top */

START_TEST(top_is_drawn_again_and_again)
{
	struct termios now;
	int64_t turn;

	start(NULL);
	term_start("top -n 1");
	term_expect("hearth top");
	term_expect("turns, running");
	check_true(tcgetattr(term.fd, &now) == 0);
	check_true((now.c_lflag & (ICANON | ECHO)) == 0);
	turn = submit(chat, "fake", "count 1;hang");
	term_expect(chat);
	term_expect("running");
	sql("select hearth.cancel(%lld)", (long long)turn);
	wait_turn(turn, "cancelled", LIMIT);
	term_expect("idle");
	term_type("q");
	ck_assert_int_eq(term_end(), 0);
	/* a terminal's settings outlive who set them */
	check_true((term.last.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO));
}
END_TEST

START_TEST(top_is_plain_where_there_is_no_terminal)
{
	start(NULL);
	complete(chat, "fake", "say x");
	ck_assert_int_eq(client(xstrdup("h top")), 0);
	check_has(file_text("%s/out", folder), "nodes");
	check_has(file_text("%s/out", folder), chat);
	check_true(strchr(file_text("%s/out", folder), '\033') == NULL);
}
END_TEST

/* ---- close */

START_TEST(what_is_closed_ends)
{
	const char *other, *session;
	pid_t pid;

	start(NULL);
	other = new_chat(session_of(chat));
	complete(chat, "fake", "say x");
	pid = agent_pid(chat, "fake");
	ck_assert_int_eq(client(xasprintf("h close %s fake", chat)), 0);
	check_has(file_text("%s/out", folder), "agent fake in chat");
	wait_gone(pid, LIMIT);
	complete(chat, "fake", "say the chat goes on");
	ck_assert_int_eq(client(xasprintf("h close %s", chat)), 0);
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'x')",
	    chat), "55000");
	complete(other, "fake", "say the session goes on");
	session = session_of(chat);
	ck_assert_int_eq(client(xasprintf("h close --session %s",
	    session)), 0);
	ck_assert_str_eq(sqlstate("select hearth.submit('%s', 'fake', 'x')",
	    other), "55000");
	wait_value("0", LIMIT, "select count(*) from hearth.pool");
	check_value("hearth close", "select string_agg(distinct requested_by, "
	    "',') from hearth.commands");
}
END_TEST

START_TEST(what_cannot_be_closed_is_named)
{
	prepare();
	ck_assert_int_eq(client(xstrdup("h close "
	    "00000000-0000-0000-0000-000000000000")), 1);
	check_has(file_text("%s/err", folder), "does not exist");
	ck_assert_int_eq(client(xasprintf("h close %s nobody", chat)), 1);
	check_has(file_text("%s/err", folder), "nobody");
	ck_assert_int_eq(client(xasprintf("h close --session %s x",
	    session_of(chat))), 64);
	/* nobody is there to do the rest, and it says so */
	ck_assert_int_eq(client(xasprintf("h close %s", chat)), 0);
	check_has(file_text("%s/out", folder), "no hearthd is up");
	check_value("true", "select (closed_at is not null)::text "
	    "from hearth.chats");
}
END_TEST

/* ---- agents test */

START_TEST(an_agent_is_tested)
{
	start(NULL);
	add_command("demo", keep(child_helper_path("hearth-demo-agent")),
	    NULL);
	ck_assert_int_eq(client(xstrdup("h agents test demo")), 0);
	check_has(file_text("%s/out", folder), "initialize");
	check_has(file_text("%s/out", folder), " ms\n");
	check_has(file_text("%s/out", folder), "\ncommands       ");
	check_has(file_text("%s/out", folder), "\nok\n");
	/* nothing of it goes on, nor stays */
	wait_value("0", LIMIT, "select count(*) from hearth.pool");
	check_value("removed", "select status from hearth.worktrees");
	/* its prompt is none for the fake agent, which is asked what it offers */
	ck_assert_int_eq(client(xstrdup("h agents test fake")), 1);
	check_has(file_text("%s/out", folder), "\n  model        2: small, "
	    "large\n");
	add_agent("mute", "--exit-at-init", "3", "--stderr",
	    "unknown option --acp", NULL);
	ck_assert_int_eq(client(xstrdup("h agents test mute")), 1);
	check_has(file_text("%s/err", folder), "is its ACP flag wrong");
	check_has(file_text("%s/out", folder), "FAIL\n");
	/* what was never asked is not told */
	ck_assert_ptr_null(strstr(file_text("%s/out", folder), "sessions"));
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_conversation_goes_on_line_by_line);
	tcase_add_test(tc, the_agent_is_warm_before_the_first_prompt);
	tcase_add_test(tc, a_question_is_answered_in_the_terminal);
	tcase_add_test(tc,
	    what_an_agent_calls_its_files_does_not_speak_to_the_terminal);
	tcase_add_test(tc,
	    an_interrupt_cancels_the_turn_and_the_chat_goes_on);
	tcase_add_test(tc, a_second_interrupt_leaves);
	tcase_add_test(tc, an_old_chat_is_gone_on_with);
	tcase_add_test(tc, a_chat_that_takes_no_prompts_asks_for_none);
	tcase_add_test(tc, a_tool_call_that_fails_is_named_by_its_title);
	tcase_add_test(tc,
	    who_loses_the_database_is_told_where_the_turn_is_found);
	tcase_add_test(tc, each_way_to_call_a_command_has_a_line);
	tcase_add_test(tc, a_chat_in_which_nothing_was_said_leaves_nothing);
	tcase_add_test(tc, prompts_may_come_from_a_pipe);
	tcase_add_test(tc, top_is_drawn_again_and_again);
	tcase_add_test(tc, top_is_plain_where_there_is_no_terminal);
	tcase_add_test(tc, an_agent_is_tested);
	tcase_add_test(tc, what_is_closed_ends);
	tcase_add_test(tc, what_cannot_be_closed_is_named);
}

int
main(void)
{
	return e2e_main("cli", add_tests);
}
