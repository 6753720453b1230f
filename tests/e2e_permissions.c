/* SPDX-License-Identifier: MIT */
/*
 * Permission rules as a user meets them: a row is inserted, and what an agent
 * asks from then on is decided by it, in a child that was warm before, too.
 */
#include "tests/e2e.h"

#include <stdio.h>

#define EXECUTE "call \"kind\":\"execute\",\"rawInput\":{\"command\":\"%s\"};"
#define EDIT "call \"kind\":\"edit\",\"locations\":[{\"path\":\"%s\"}];"

/* How the newest request ended: status/option/by. */
#define LAST "select concat_ws('/', status, option_id, answered_by) " \
	"from hearth.permission_requests order by id desc limit 1"

static long long
rule(const char *columns, const char *values)
{
	return number("insert into hearth.permission_rules (%s) values (%s) "
	    "returning id", columns, values);
}

static void
check_answer(const char *said, const char *script, const char *arg)
{
	char *text = NULL;
	int64_t turn;

	ck_assert_int_ge(asprintf(&text, script, arg), 0);
	turn = complete(chat, "fake", "%s permission", keep(text));
	ck_assert_str_eq(text_of(turn), said);
}

START_TEST(a_warm_child_obeys_a_rule_with_its_next_turn)
{
	pid_t pid;
	long long id;

	start(NULL);
	complete(chat, "fake", "say warm");
	pid = agent_pid(chat, "fake");
	id = rule("command_pattern, decision", "'git *', 'allow'");
	check_answer("[permission allow-once]", EXECUTE, "git log");
	wait_value("t", LIMIT, "select (" LAST ") = 'answered/allow-once/rule "
	    "%lld'", id);
	check_value("t", "select payload ->> 'answered_by' = 'rule %lld' from "
	    "hearth.events where kind = 'permission_answer'", id);
	sql("update hearth.permission_rules set decision = 'deny'");
	check_answer("[permission reject-once]", EXECUTE, "git log");
	wait_value("t", LIMIT, "select (" LAST ") = 'answered/reject-once/rule "
	    "%lld'", id);
	ck_assert_int_eq(agent_pid(chat, "fake"), pid);
}
END_TEST

START_TEST(a_rule_that_is_gone_decides_nothing)
{
	start(NULL);
	sql("update hearth.agents set permission_mode = 'allow'");
	rule("decision", "'deny'");
	check_answer("[permission reject-once]", EDIT, "a.txt");
	sql("delete from hearth.permission_rules");
	check_answer("[permission allow-once]", EDIT, "a.txt");
	check_value("answered/allow-once/policy", LAST);
}
END_TEST

START_TEST(a_rule_asks_where_the_agent_may_do_all)
{
	int64_t turn;

	start(NULL);
	sql("update hearth.agents set permission_mode = 'allow'");
	rule("path_pattern, decision", "'*.env', 'ask'");
	check_answer("[permission allow-once]", EDIT, "src/a.txt");
	turn = submit(chat, "fake", EDIT "permission", "src/.env");
	wait_turn(turn, "waiting_permission", LIMIT);
	wait_value("1", LIMIT, "select count(*) from "
	    "hearth.pending_permissions");
	check_value("t", "select hearth.answer_permission(id, 'reject-once', "
	    "'ann') from hearth.permission_requests where status = 'pending'");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[permission reject-once]");
	check_value("answered/reject-once/ann", LAST);
}
END_TEST

START_TEST(an_allowed_command_does_not_carry_another)
{
	start("permission_timeout=300ms", NULL);
	rule("command_pattern, decision", "'git *', 'allow'");
	check_answer("[permission reject-once]", EXECUTE,
	    "git log\\; rm -rf x");
	check_value("expired/reject-once", LAST);
}
END_TEST

START_TEST(a_rule_holds_for_its_agent_project_and_tenant)
{
	add_agent("second", NULL);
	start(NULL);
	sql("update hearth.agents set permission_mode = 'deny'");
	rule("agent, decision", "'second', 'allow'");
	sql("insert into hearth.projects (name, path) values ('elsewhere', "
	    "'/nowhere')");
	rule("project_id, decision", "(select id from hearth.projects where "
	    "name = 'elsewhere'), 'allow'");
	rule("tenant, decision", "'acme', 'allow'");
	check_answer("[permission reject-once]", EDIT, "a.txt");
	rule("project_id, decision", "(select id from hearth.projects where "
	    "name <> 'elsewhere'), 'allow'");
	check_answer("[permission allow-once]", EDIT, "a.txt");
}
END_TEST

START_TEST(the_highest_priority_comes_first_then_the_oldest)
{
	start(NULL);
	rule("decision", "'deny'");
	rule("decision", "'allow'");
	check_answer("[permission reject-once]", EDIT, "a.txt");
	rule("priority, decision", "1, 'allow'");
	check_answer("[permission allow-once]", EDIT, "a.txt");
}
END_TEST

START_TEST(a_pattern_is_relative_to_the_worktree)
{
	start("permission_timeout=300ms", NULL);
	rule("path_pattern, decision", "'src/**', 'allow'");
	check_answer("[permission allow-once]", EDIT, "src/a.txt");
	check_answer("[permission reject-once]", EDIT, "src/../../x");
	complete(chat, "fake", "say warm");
	check_answer("[permission allow-once]", EDIT, value("select path || "
	    "'/src/a.txt' from hearth.worktrees"));
}
END_TEST

/* Rules that changed while nobody could say so. */
START_TEST(rules_are_read_again_after_an_outage)
{
	start(NULL);
	sql("update hearth.agents set permission_mode = 'deny'");
	complete(chat, "fake", "say warm");
	pg_server_stop("fast");
	wait_log("PostgreSQL is away");
	pg_server_start();
	/* hearthd may or may not be back before this is committed */
	rule("decision", "'allow'");
	check_answer("[permission allow-once]", EDIT, "a.txt");
}
END_TEST

START_TEST(rules_made_before_the_start_hold_from_the_first_turn)
{
	prepare();
	rule("decision", "'allow'");
	start(NULL);
	check_answer("[permission allow-once]", EDIT, "a.txt");
}
END_TEST

START_TEST(of_two_answers_at_once_the_first_wins)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "permission");
	wait_turn(turn, "waiting_permission", LIMIT);
	wait_value("1", LIMIT, "select count(*) from "
	    "hearth.pending_permissions");
	/* the same moment: neither is carried out before both are there */
	check_value("true false", "select concat_ws(' ', "
	    "hearth.answer_permission(id, 'reject-once', 'ann')::text, "
	    "hearth.answer_permission(id, 'allow-once', 'bob')::text) "
	    "from hearth.permission_requests");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "[permission reject-once]");
	check_value("answered/reject-once/ann", LAST);
}
END_TEST

/* Takes what has come; how many of the test's two notifications were in it. */
static int
take_notes(PGconn *conn)
{
	PGnotify *note;
	int n = 0;

	PQconsumeInput(conn);
	while ((note = PQnotifies(conn)) != NULL) {
		if (strstr(note->extra, "\"permission\"") != NULL &&
		    (strstr(note->extra, "\"pending\"") != NULL ||
		    strstr(note->extra, "\"answered\"") != NULL))
			n++;
		PQfreemem(note);
	}
	return n;
}

START_TEST(listeners_hear_of_questions_and_answers)
{
	int64_t turn, until = now_ms() + LIMIT;
	PGconn *conn;
	int heard = 0;

	start(NULL);
	conn = pg_connect(db);
	PQclear(PQexec(conn, "listen hearth_status"));
	turn = submit(chat, "fake", "permission");
	while (heard == 0 && now_ms() < until) {
		heard += take_notes(conn);
		blink();
	}
	check_true(heard == 1);
	sql("select hearth.answer_permission(id, 'allow-once') "
	    "from hearth.permission_requests");
	wait_turn(turn, "completed", LIMIT);
	while (heard == 1 && now_ms() < until) {
		heard += take_notes(conn);
		blink();
	}
	check_true(heard == 2);
	PQfinish(conn);
}
END_TEST

START_TEST(nobody_can_fill_in_a_form_so_it_is_declined)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "elicit;say on");
	ck_assert_str_eq(text_of(turn), "[elicit decline]on");
}
END_TEST

/* The request itself says nothing of the file. */
START_TEST(a_rule_sees_the_diff_that_came_before_the_question)
{
	start(NULL);
	sql("update hearth.agents set permission_mode = 'allow'");
	rule("path_pattern, decision", "'*.env', 'deny'");
	check_answer("[permission reject-once]", "call \"kind\":\"edit\";"
	    "raw {\"jsonrpc\":\"2.0\",\"method\":\"session/update\","
	    "\"params\":{\"sessionId\":\"@S@\",\"update\":{"
	    "\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"perm-0\","
	    "\"title\":\"Edit\",\"kind\":\"edit\",\"content\":[{\"type\":"
	    "\"diff\",\"path\":\"%s\",\"newText\":\"x\"}]}}};", ".env");
	check_answer("[permission allow-once]", EDIT, "a.txt");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_warm_child_obeys_a_rule_with_its_next_turn);
	tcase_add_test(tc, a_rule_that_is_gone_decides_nothing);
	tcase_add_test(tc, a_rule_asks_where_the_agent_may_do_all);
	tcase_add_test(tc, an_allowed_command_does_not_carry_another);
	tcase_add_test(tc, a_rule_holds_for_its_agent_project_and_tenant);
	tcase_add_test(tc,
	    the_highest_priority_comes_first_then_the_oldest);
	tcase_add_test(tc, a_pattern_is_relative_to_the_worktree);
	tcase_add_test(tc, rules_are_read_again_after_an_outage);
	tcase_add_test(tc,
	    rules_made_before_the_start_hold_from_the_first_turn);
	tcase_add_test(tc, of_two_answers_at_once_the_first_wins);
	tcase_add_test(tc, listeners_hear_of_questions_and_answers);
	tcase_add_test(tc, nobody_can_fill_in_a_form_so_it_is_declined);
	tcase_add_test(tc,
	    a_rule_sees_the_diff_that_came_before_the_question);
}

int
main(void)
{
	return e2e_main("permissions", add_tests);
}
