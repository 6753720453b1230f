/* SPDX-License-Identifier: MIT */
/*
 * hearthd and PostgreSQL: outages in the middle of a stream, roles, schemas
 * that are missing or newer, rows that are refused, a session that another
 * node has taken. No text may be lost or doubled; the invariants that every
 * test is checked for (tests/e2e.h) do most of the asserting.
 *
 * The tests share one server and stop it; they run one after the other.
 */
#include "tests/e2e.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/alloc.h"

/* The text of `count N` as SQL. */
#define COUNTED(n) "(select string_agg(i || ' ', '' order by i) " \
	"from generate_series(1, " n ") i)"

static void
check_counted(int64_t turn)
{
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (content = " COUNTED("800") ")::text "
	    "from hearth.messages where role = 'assistant' "
	    "and turn_id = %lld", (long long)turn);
	check_value("1", "select count(*) from hearth.executions");
}

static void
outage(const char *mode)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "count 800 2");
	wait_text(turn, "20 ");
	pg_server_stop(mode);
	wait_log("PostgreSQL is away");
	pg_server_start();
	check_counted(turn);
	complete(chat, "fake", "say and on");
}

START_TEST(a_stream_goes_on_over_a_restart_of_the_server)
{
	outage("fast");
}
END_TEST

START_TEST(a_stream_goes_on_over_a_crash_of_the_server)
{
	outage("immediate");
}
END_TEST

START_TEST(a_turn_that_ends_while_the_server_is_away_is_recorded)
{
	int64_t turn, next;

	start(NULL);
	turn = submit(chat, "fake", "say a;sleep 300;write f.txt x;say b;"
	    "run touch %s/ended", folder);
	wait_text(turn, "a");
	next = submit(chat, "fake", "say next");
	pg_server_stop("fast");
	while (!file_exists("%s/ended", folder))
		blink();
	poll(NULL, 0, 300); /* its end, and git, may come in the outage */
	pg_server_start();
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "ab[run 0]");
	check_value("f.txt", "select file_path "
	    "from hearth.pending_changes");
	wait_turn(next, "completed", LIMIT);
}
END_TEST

START_TEST(a_stream_goes_on_when_backends_are_ended)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "count 800 3");
	for (int i = 1; i <= 4; i++) {
		char *shown = xasprintf("%d ", 100 * i);

		wait_text(turn, shown);
		sql("select pg_terminate_backend(pid) from pg_stat_activity "
		    "where datname = current_database() "
		    "and pid <> pg_backend_pid()");
		free(shown);
	}
	check_counted(turn);
	complete(chat, "fake", "say and on");
}
END_TEST

START_TEST(an_agent_is_not_read_while_too_much_waits)
{
	int64_t turn;

	start(NULL);
	turn = submit(chat, "fake", "say begin;sleep 300;chunks 100 1000000;"
	    "say end;run touch %s/ended", folder);
	wait_text(turn, "begin");
	pg_server_stop("fast");
	wait_log("agents are not read until it has caught up");
	check_true(!file_exists("%s/ended", folder));
	pg_server_start();
	wait_turn(turn, "completed", 2 * LIMIT);
	check_value("100000015", "select length(content) "
	    "from hearth.messages where role = 'assistant'");
	check_value("true", "select (content like 'beginaaaa%%' and content "
	    "like '%%vvvvend[run 0]')::text from hearth.messages "
	    "where role = 'assistant'");
}
END_TEST

START_TEST(the_server_may_come_later_than_the_daemon)
{
	prepare();
	pg_server_stop("fast");
	launch(NULL, NULL);
	wait_log("trying again");
	pg_server_start();
	wait_serving();
	complete(chat, "fake", "say x");
}
END_TEST

START_TEST(a_daemon_that_finds_no_server_can_be_stopped)
{
	prepare();
	launch("host=/nowhere dbname=x", NULL);
	wait_log("trying again");
	stop();
}
END_TEST

/* ---- roles and schemas */

/* A URI for a role that may no more than hearthd needs. */
static char *
daemon_uri(void)
{
	const char *p = pg_socket_dir();
	char *host = xstrdup(""), *uri;

	sql("do $$ begin create role e2e_daemon login in role hearth_daemon; "
	    "exception when duplicate_object then null; end $$");
	for (; *p; p++) {
		char *more = *p == '/' ? xasprintf("%s%%2F", host) :
		    xasprintf("%s%c", host, *p);

		free(host);
		host = more;
	}
	uri = xasprintf("postgresql://e2e_daemon@/%s?host=%s",
	    value("select current_database()"), host);
	free(host);
	return uri;
}

/* As an application; the first value, or the SQLSTATE. */
static const char *
as_app(const char *query)
{
	PGconn *conn = pg_connect(db);
	const char *result;
	PGresult *res;

	PQclear(PQexec(conn, "set role hearth_app"));
	res = PQexec(conn, query);
	result = keep(xstrdup(PQresultStatus(res) == PGRES_TUPLES_OK ?
	    PQntuples(res) ? PQgetvalue(res, 0, 0) : "" :
	    PQresultErrorField(res, PG_DIAG_SQLSTATE)));
	PQclear(res);
	PQfinish(conn);
	return result;
}

START_TEST(least_rights_are_enough_for_daemon_and_application)
{
	const char *query;
	int64_t turn;
	char *uri;

	prepare();
	uri = daemon_uri();
	launch(uri, NULL);
	wait_serving();
	query = keep(xasprintf("select hearth.submit('%s', 'fake', "
	    "'say x;plan 2;permission;write a.txt y;tool read z;exit 3')",
	    chat));
	turn = atoll(as_app(query));
	wait_turn(turn, "waiting_permission", LIMIT);
	ck_assert_str_eq(as_app("select hearth.answer_permission((select id "
	    "from hearth.permission_requests), 'allow-once')"), "t");
	wait_turn(turn, "failed", LIMIT);
	complete(chat, "fake", "say again");
	query = keep(xasprintf("select hearth.cancel(hearth.submit('%s', 'fake', "
	    "'say never;hang'))", chat));
	ck_assert_str_eq(as_app(query), "t");
	wait_value("cancelled", LIMIT, "select status from hearth.turns "
	    "order by id desc limit 1");
	query = keep(xasprintf("select hearth.close_chat('%s')", chat));
	check_true(atoll(as_app(query)) > 0);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions");
	ck_assert_str_eq(as_app("select command from hearth.agents"),
	    "42501");
	ck_assert_str_eq(as_app("delete from hearth.events"), "42501");
	query = keep(xasprintf("select count(*) > 10 from hearth.events_since("
	    "'%s', 0)", chat));
	ck_assert_str_eq(as_app(query), "t");
	free(uri);
}
END_TEST

START_TEST(an_empty_database_gets_its_schema)
{
	prepare();
	db = keep((char *)pg_empty_database());
	launch(db, NULL);
	wait_serving();
	check_value("true", "select (hearth.schema_version() > 0)::text");
	add_agent("fake", NULL);
	chat = new_chat(new_session(project));
	complete(chat, "fake", "say x");
}
END_TEST

/* It must give up by itself and say so. */
static void
check_refused(const char *database, const char *words, const char *advice)
{
	int status;

	ignore_errors();
	launch(database, NULL);
	status = daemon_wait(LIMIT);
	check_true(WIFEXITED(status) && WEXITSTATUS(status) == 69);
	check_true(log_has("Z error "));
	if (!log_has(words) || !log_has(advice))
		e2e_fail(__FILE__, __LINE__, "not said: %s, %s", words,
		    advice);
}

START_TEST(a_newer_schema_is_refused)
{
	prepare();
	sql("insert into hearth.schema_migrations select (jsonb_populate_"
	    "record(m, '{\"version\": 999}')).* from "
	    "hearth.schema_migrations m order by version desc limit 1");
	check_refused(NULL, "999", "newer hearth");
	check_value("0", "select count(*) from hearth.nodes");
}
END_TEST

START_TEST(a_schema_that_may_not_be_made_is_asked_for)
{
	const char *whole;
	char *uri;

	prepare();
	whole = db;
	db = keep((char *)pg_empty_database());
	uri = daemon_uri();
	check_refused(uri, "init:", "administrator");
	db = whole;
	free(uri);
}
END_TEST

/* ---- rows */

START_TEST(a_chat_that_vanishes_takes_no_other_with_it)
{
	const char *doomed;
	int64_t turn;

	start(NULL);
	doomed = new_chat(new_session(project));
	submit(doomed, "fake", "count 300 5");
	turn = submit(chat, "fake", "count 800 2");
	wait_value("running", LIMIT, "select status from hearth.turns "
	    "where chat_id = '%s'", doomed);
	wait_text(turn, "20 ");
	ignore_errors();
	sql("delete from hearth.chats where id = '%s'", doomed);
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (content = " COUNTED("800") ")::text "
	    "from hearth.messages where role = 'assistant' "
	    "and turn_id = %lld", (long long)turn);
	complete(chat, "fake", "say and on");
	sql("delete from hearth.events where chat_id = '%s'", doomed);
	sql("delete from hearth.turns where chat_id = '%s'", doomed);
	sql("delete from hearth.messages where chat_id = '%s'", doomed);
}
END_TEST

START_TEST(text_that_a_constraint_refuses_stops_nobody_else)
{
	const char *other;
	int64_t bad, turn;

	prepare();
	sql("alter table hearth.tool_calls add check (title <> 'poison')");
	start(NULL);
	other = new_chat(new_session(project));
	ignore_errors();
	turn = submit(chat, "fake", "count 800 1");
	bad = submit(other, "fake", "say a;tool-start t1 read poison;say b");
	wait_turn(bad, "completed", LIMIT);
	ck_assert_str_eq(text_of(bad), "ab");
	wait_turn(turn, "completed", LIMIT);
	check_value("true", "select (content = " COUNTED("800") ")::text "
	    "from hearth.messages where role = 'assistant' "
	    "and turn_id = %lld", (long long)turn);
	check_true(log_has("poison") || log_has("tool"));
}
END_TEST

START_TEST(a_session_that_another_node_has_taken_is_left_to_it)
{
	int64_t turn;
	long long seq;
	pid_t pid;

	start(NULL);
	ignore_errors();
	turn = submit(chat, "fake", "count 100000 5");
	wait_text(turn, "20 ");
	pid = agent_pid(chat, "fake");
	sql("insert into hearth.nodes (name, epoch) values ('other', 1)");
	sql("update hearth.session_owners set epoch = 1, node_id = "
	    "(select id from hearth.nodes where name = 'other')");
	seq = number("select last_seq from hearth.chats");
	wait_gone(pid, LIMIT);
	wait_log("another node has taken");
	check_true(number("select last_seq from hearth.chats") == seq);
	ck_assert_str_eq(turn_of(turn, "status"), "running");
	/* the other one would tidy up; it is not there */
	sql("delete from hearth.turns");
	sql("delete from hearth.agent_sessions");
	sql("delete from hearth.messages");
	sql("delete from hearth.executions");
	complete(new_chat(new_session(project)), "fake", "say x");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_stream_goes_on_over_a_restart_of_the_server);
	tcase_add_test(tc, a_stream_goes_on_over_a_crash_of_the_server);
	tcase_add_test(tc,
	    a_turn_that_ends_while_the_server_is_away_is_recorded);
	tcase_add_test(tc, a_stream_goes_on_when_backends_are_ended);
	tcase_add_test(tc, an_agent_is_not_read_while_too_much_waits);
	tcase_add_test(tc, the_server_may_come_later_than_the_daemon);
	tcase_add_test(tc, a_daemon_that_finds_no_server_can_be_stopped);
	tcase_add_test(tc, least_rights_are_enough_for_daemon_and_application);
	tcase_add_test(tc, an_empty_database_gets_its_schema);
	tcase_add_test(tc, a_newer_schema_is_refused);
	tcase_add_test(tc, a_schema_that_may_not_be_made_is_asked_for);
	tcase_add_test(tc, a_chat_that_vanishes_takes_no_other_with_it);
	tcase_add_test(tc, text_that_a_constraint_refuses_stops_nobody_else);
	tcase_add_test(tc,
	    a_session_that_another_node_has_taken_is_left_to_it);
}

int
main(void)
{
	return e2e_main("database", add_tests);
}
