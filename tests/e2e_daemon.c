/* SPDX-License-Identifier: MIT */
/*
 * hearthd as a program: its command line, its log, signals, systemd, the lock
 * of its folder and its name, the embedded PostgreSQL, its client, and many
 * chats at once.
 */
#include "tests/e2e.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "base/programs.h"

/* ---- the command line */

START_TEST(the_command_line_is_checked_before_anything_is_done)
{
	static const struct {
		const char *arg[4];
		int status;
		const char *words;
	} cases[] = {
		{ { "--version" }, 0, "hearthd " },
		{ { "--help" }, 0, "cancel_timeout" },
		{ { "--sample" }, 0, "#" },
		{ { "--check", "-o", "max_agents=3" }, 0, "fine" },
		{ { "--check", "-o", "max_agents=none" }, 78, "max_agents" },
		{ { "--check", "-o", "max_agents=0" }, 78, "max_agents" },
		{ { "--check", "-o", "turn_timeout=5" }, 78, "turn_timeout" },
		{ { "--check", "-o", "no_such=1" }, 78, "no_such" },
		{ { "--check", "-o", "crash_limit=often" }, 78,
		    "crash_limit" },
		{ { "--check", "-c", "/nowhere/x.conf" }, 78,
		    "/nowhere/x.conf" },
		{ { "--nonsense" }, 64, "nonsense" },
		{ { "argument" }, 64, "argument" },
	};

	prepare();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *words;
		int status = e2e_run(&words, cases[i].arg);

		if (status != cases[i].status)
			e2e_fail(__FILE__, __LINE__, "%s: status %d: %s",
			    cases[i].arg[0], status, words);
		check_has(words, cases[i].words);
	}
	check_true(!file_exists("%s", state));
}
END_TEST

START_TEST(a_bad_file_is_refused_with_its_line)
{
	const char *words;
	char *path;

	prepare();
	path = xasprintf("%s/hearthd.conf", folder);
	shell("printf '# fine\\nmax_agents = 4\\nidle_timeout = soon\\n' > %s",
	    path);
	ck_assert_int_eq(run_hearthd(&words, "--check", "-c", path, NULL),
	    78);
	check_has(words, path);
	check_has(words, ":3");
	check_has(words, "idle_timeout");
	free(path);
}
END_TEST

START_TEST(sighup_reads_the_file_again)
{
	const char *other, *path;
	int64_t turn;

	prepare();
	path = keep(xasprintf("%s/hearthd.conf", folder));
	shell("echo 'turn_timeout = 1h' > %s", path);
	daemon_file = path;
	launch(NULL, NULL);
	wait_serving();
	turn = submit(chat, "fake", "say x;sleep 1000;say y");
	wait_text(turn, "x");
	shell("echo 'turn_timeout = 250ms' > %s", path);
	daemon_signal(SIGHUP);
	wait_log("reloaded");
	wait_turn(turn, "completed", LIMIT);
	sql("select hearth.close_agent('%s', 'fake')", chat);
	wait_value("closed", LIMIT, "select status "
	    "from hearth.agent_sessions");
	turn = submit(chat, "fake", "say x;hang");
	wait_turn(turn, "failed", LIMIT);
	check_has(turn_of(turn, "error"), "turn_timeout (250 ms)");
	expect_error("not reloaded");
	shell("echo 'turn_timeout = never' > %s", path);
	daemon_signal(SIGHUP);
	wait_log("not reloaded");
	other = new_chat(new_session(project));
	complete(other, "fake", "say still here");
}
END_TEST

/* ---- one of its kind */

START_TEST(a_state_folder_has_one_daemon)
{
	const char *words;
	char *dir, *database;

	start(NULL);
	dir = xasprintf("state_dir=%s", state);
	database = xasprintf("database=%s", db);
	ck_assert_int_eq(run_hearthd(&words, "-o", dir, "-o", database, "-o",
	    "node_name=second", NULL), 73);
	check_has(words, "in use by another hearthd");
	check_has(words, state);
	check_value("e2e", "select string_agg(name, ' ') from hearth.nodes");
	complete(chat, "fake", "say unharmed");
	free(dir);
	free(database);
}
END_TEST

static bool
has_open(pid_t pid, const char *path)
{
	char link[64], target[PATH_MAX];

	for (int fd = 0; fd < 32; fd++) {
		ssize_t n;

		snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, fd);
		n = readlink(link, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (strcmp(target, path) == 0)
			return true;
	}
	return false;
}

/* A keeper that is just being started when its hearthd is killed has it. */
START_TEST(a_lock_that_is_let_go_soon_is_waited_for)
{
	const char *path;
	int64_t began;
	int fd;

	start(NULL);
	stop();
	path = keep(xasprintf("%s/hearthd.lock", state));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check_true(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	launch(NULL, NULL);
	for (began = now_ms(); !has_open(daemon_pid(), path); blink())
		check_true(now_ms() < began + LIMIT);
	close(fd);
	wait_serving();
}
END_TEST

START_TEST(a_node_name_has_one_daemon)
{
	const char *words;
	char *dir, *database;
	int64_t turn;

	start(NULL);
	dir = xasprintf("state_dir=%s/second", folder);
	database = xasprintf("database=%s", db);
	turn = submit(chat, "fake", "say a;sleep 300;say b");
	ck_assert_int_eq(run_hearthd(&words, "-o", dir, "-o", database, "-o",
	    "node_name=e2e", NULL), 69);
	check_has(words, "node name e2e is in use");
	wait_turn(turn, "completed", LIMIT);
	ck_assert_str_eq(text_of(turn), "ab");
	check_value("1", "select epoch from hearth.nodes");
	complete(chat, "fake", "say unharmed");
	free(dir);
	free(database);
}
END_TEST

/* ---- what others see of it */

static void
check_line(const char *line)
{
	static const char *const keys[] = { "ts", "level", "object", "msg" };
	json_error_t e;
	json_t *o = json_loads(line, 0, &e);

	if (!o)
		e2e_fail(__FILE__, __LINE__, "%s in: %s", e.text, line);
	for (int i = 0; i < 4; i++)
		check_true(json_is_string(json_object_get(o, keys[i])));
	json_decref(o);
}

START_TEST(every_line_of_a_json_log_is_json)
{
	char *text, *line, *save = NULL;
	int lines = 0;

	start("log_format=json", "log_level=debug", NULL);
	complete(chat, "fake", "noise a \"quote\" and \\\\ \\t;raw-bytes "
	    "ff0a;error-null-id;say x");
	wait_turn(submit(chat, "fake", "stderr \"bad\" \303\251;exit 3"),
	    "failed", LIMIT);
	stop();
	text = xstrdup(file_text("%s/log", folder));
	for (line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save), lines++)
		check_line(line);
	check_true(lines > 10);
	free(text);
}
END_TEST

static int
listen_as_systemd(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = LIMIT / 1000 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/notify", folder);
	daemon_setenv("NOTIFY_SOCKET", sa.sun_path);
	check_true(bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

/* Reads messages up to one that begins so. */
static void
wait_notify(int fd, const char *begin)
{
	char text[1024];
	ssize_t n;

	do {
		n = recv(fd, text, sizeof text - 1, 0);
		if (n < 0)
			e2e_fail(__FILE__, __LINE__, "systemd was not told "
			    "%s", begin);
		text[n] = '\0';
	} while (strncmp(text, begin, strlen(begin)) != 0);
}

START_TEST(systemd_is_told)
{
	int64_t turn;
	int fd;

	prepare();
	fd = listen_as_systemd();
	daemon_setenv("WATCHDOG_USEC", "200000");
	start(NULL);
	wait_notify(fd, "STATUS=");
	wait_notify(fd, "READY=1");
	wait_notify(fd, "WATCHDOG=1");
	turn = complete(chat, "fake", "echo-env NOTIFY_SOCKET;"
	    "echo-env WATCHDOG_USEC");
	ck_assert_str_eq(text_of(turn), "[env NOTIFY_SOCKET unset]"
	    "[env WATCHDOG_USEC unset]");
	stop();
	wait_notify(fd, "STOPPING=1");
	wait_notify(fd, "STATUS=");
	close(fd);
}
END_TEST

START_TEST(agents_see_a_chosen_environment)
{
	int64_t turn;

	prepare();
	daemon_setenv("PGPASSWORD", "secret");
	daemon_setenv("SOME_TOKEN", "secret");
	daemon_setenv("LANG", "C.UTF-8");
	sql("update hearth.agents set env = '{\"MINE\": \"1\", \"LANG\": "
	    "null}'");
	start(NULL);
	turn = complete(chat, "fake", "echo-env PGPASSWORD;echo-env SOME_TOKEN;"
	    "echo-env MINE;echo-env LANG;echo-env HEARTH_DATABASE");
	ck_assert_str_eq(text_of(turn), "[env PGPASSWORD unset]"
	    "[env SOME_TOKEN unset][env MINE=1][env LANG unset]"
	    "[env HEARTH_DATABASE unset]");
	turn = complete(chat, "fake", "run test -n \"$PATH\" -a -n \"$HOME\"");
	ck_assert_str_eq(text_of(turn), "[run 0]");
}
END_TEST

START_TEST(project_roots_open_folders_by_path)
{
	const char *session;
	char *option;

	prepare();
	option = xasprintf("project_roots=%s/roots", folder);
	shell("mkdir -p %s/roots/mine && echo x > %s/roots/mine/x.txt",
	    folder, folder);
	start(option, NULL);
	session = keep(xstrdup(value("select hearth.open_session("
	    "'%s/roots/mine')", folder)));
	complete(new_chat(session), "fake", "append x.txt y");
	check_value("x.txt", "select file_path "
	    "from hearth.pending_changes");
	ck_assert_str_eq(sqlstate("select hearth.open_session('/etc')"),
	    "42704");
	ck_assert_str_eq(sqlstate("select hearth.open_session("
	    "'%s/roots/../x')", folder), "22023");
	free(option);
}
END_TEST

/* Runs the client; its output and status are in files of the folder. */
static int
run_client(const char *args)
{
	char *path = child_helper_path("hearth");

	shell("%s %s -d '%s' > %s/client.out 2>&1; echo $? > %s/client.status",
	    path, args, db, folder, folder);
	free(path);
	return atoi(file_text("%s/client.status", folder));
}

START_TEST(the_client_runs_a_turn_and_shows_it)
{
	char *args;

	start(NULL);
	args = xasprintf("run -a fake -p %s 'say hello there;write a.txt "
	    "changed'", project);
	ck_assert_int_eq(run_client(args), 0);
	check_has(file_text("%s/client.out", folder), "hello there");
	check_has(file_text("%s/client.out", folder), "a.txt");
	free(args);
	args = xasprintf("run -a fake -p %s 'say half;exit 3'", project);
	check_true(run_client(args) != 0);
	check_has(file_text("%s/client.out", folder), "code 3");
	free(args);
	args = xasprintf("run -a nobody -p %s 'x'", project);
	check_true(run_client(args) != 0);
	check_has(file_text("%s/client.out", folder), "nobody");
	ck_assert_int_eq(run_client("status"), 0);
	check_has(file_text("%s/client.out", folder), "e2e");
	free(args);
}
END_TEST

/* ---- memory */

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define KEEPS_WHAT_IS_FREED true
#else
#define KEEPS_WHAT_IS_FREED false
#endif

/* The load waits in memory while somebody holds the chat's row. */
static void
load(void)
{
	const char *busy = new_chat(new_session(project));
	int64_t deadline, turn = submit(busy, "fake", "chunks 150000 64");
	PGconn *other = pg_connect(db);

	wait_text(turn, "x");
	PQclear(PQexec(other, "begin; select from hearth.chats "
	    "for no key update"));
	for (deadline = now_ms() + LIMIT;
	    daemon_kb("VmRSS:") < 16 * 1024; blink())
		ck_assert_msg(now_ms() < deadline, "only %ld kB",
		    daemon_kb("VmRSS:"));
	PQclear(PQexec(other, "commit"));
	PQfinish(other);
	wait_turn(turn, "completed", 2 * LIMIT);
	check_value("150000", "select count(*) from hearth.events "
	    "where kind = 'text' and turn_id = %lld", (long long)turn);
}

START_TEST(memory_is_given_back_when_the_load_is_over)
{
	int64_t deadline;

	start("flush_interval=0ms", "log_level=error", NULL);
	/* the second time, too */
	for (int i = 0; i < 2; i++) {
		load();
		if (KEEPS_WHAT_IS_FREED)
			return;
		for (deadline = now_ms() + 2 * LIMIT;
		    daemon_kb("VmRSS:") > 12 * 1024; blink())
			ck_assert_msg(now_ms() < deadline, "still %ld kB",
			    daemon_kb("VmRSS:"));
	}
}
END_TEST

/* ---- many */

enum { CHATS = 30, ROUNDS = 3, CHILDREN = 8 };

START_TEST(many_chats_share_few_children)
{
	const char *chats[CHATS];

	start("max_agents=8", "flush_interval=5ms", NULL);
	for (int i = 0; i < CHATS; i++)
		chats[i] = i % 3 ? new_chat(session_of(chats[i - 1])) :
		    new_chat(new_session(project));
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < CHATS; i++)
			submit(chats[i], "fake", "chunks 5 20;tool read x;"
			    "say  done");
	wait_value("0", 2 * LIMIT, "select count(*) from hearth.turns "
	    "where ended_at is null");
	check_value("", "select concat_ws(' ', status, error_code, error) "
	    "from hearth.turns where status <> 'completed' limit 1");
	check_value("90", "select count(*) from hearth.messages where "
	    "content like 'aaaa%%eeee done' and octet_length(content) = 105");
	check_value("true", "select (count(*) <= %d)::text from hearth.pool",
	    CHILDREN);
}
END_TEST

/* ---- the embedded PostgreSQL */

/* From now on the test's database is the embedded one. */
static void
use_embedded(void)
{
	prepare();
	launch("", NULL);
	wait_serving();
	db = keep(embedded_conninfo(state, "hearth_super"));
}

static void
complete_demo(const char *words)
{
	int64_t turn;

	if (strcmp(value("select count(*) from hearth.chats"), "0") == 0)
		chat = new_chat(new_session(project));
	turn = complete(chat, "demo", "%s", words);
	check_true(text_of(turn)[0] != '\0');
}

static pid_t
postmaster(void)
{
	return (pid_t)atoi(file_text("%s/pg/postmaster.pid", state));
}

START_TEST(the_embedded_server_serves_and_leaves_with_the_daemon)
{
	pid_t pid;

	use_embedded();
	check_value("true", "select enabled::text from hearth.agents "
	    "where name = 'demo'");
	complete_demo("help");
	pid = postmaster();
	check_true(pid > 0 && !is_gone(pid));
	check_true(file_exists("%s/pg.log", state));
	stop();
	check_true(is_gone(pid));
	launch("", NULL);
	wait_log("node e2e is number 1, epoch 2");
	wait_serving();
	complete_demo("help");
	stop();
	db = NULL;
}
END_TEST

/* Such as a client that reads the end of its turn. */
START_TEST(who_uses_the_embedded_server_may_finish)
{
	PGconn *client;
	PGresult *res;
	char *conninfo;

	use_embedded();
	conninfo = embedded_conninfo(state, "hearth_super");
	client = PQconnectdb(conninfo);
	free(conninfo);
	ck_assert_int_eq(PQstatus(client), CONNECTION_OK);
	daemon_signal(SIGTERM);
	wait_log("draining");
	while (PQping(db) == PQPING_OK)
		blink();
	res = PQexec(client, "select count(*) from hearth.turns");
	ck_assert_int_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	PQclear(res);
	PQfinish(client);
	ck_assert_int_eq(daemon_wait(LIMIT), 0);
	db = NULL;
}
END_TEST

START_TEST(a_killed_embedded_server_is_started_again)
{
	int64_t turn;
	pid_t pid;

	use_embedded();
	expect_error("the embedded cluster died");
	add_agent("fake", NULL);
	complete_demo("help");
	turn = submit(chat, "fake", "count 300 5");
	wait_text(turn, "10 ");
	pid = postmaster();
	kill(pid, SIGKILL);
	wait_log("the embedded cluster died");
	wait_log("PostgreSQL is back");
	check_true(postmaster() != pid);
	wait_turn(turn, "completed", LIMIT);
	check_value("300", "select array_length(regexp_split_to_array("
	    "trim(content), ' '), 1) from hearth.messages "
	    "where turn_id = %lld and role = 'assistant'", (long long)turn);
	stop();
	db = NULL;
}
END_TEST

START_TEST(a_killed_daemon_leaves_no_server)
{
	int64_t since, turn;
	pid_t pid;

	use_embedded();
	add_agent("fake", NULL);
	complete_demo("help");
	turn = submit(chat, "fake", "say x;hang");
	wait_text(turn, "x");
	pid = postmaster();
	daemon_crash();
	since = now_ms();
	wait_gone(pid, LIMIT);
	while (count_processes() > 0) {
		check_true(now_ms() - since < LIMIT);
		blink();
	}
	launch("", NULL);
	wait_log("node e2e is number 1, epoch 2");
	wait_serving();
	wait_turn(turn, "interrupted", LIMIT);
	complete_demo("help");
	stop();
	db = NULL;
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc,
	    the_command_line_is_checked_before_anything_is_done);
	tcase_add_test(tc, a_bad_file_is_refused_with_its_line);
	tcase_add_test(tc, sighup_reads_the_file_again);
	tcase_add_test(tc, a_state_folder_has_one_daemon);
	tcase_add_test(tc, a_lock_that_is_let_go_soon_is_waited_for);
	tcase_add_test(tc, a_node_name_has_one_daemon);
	tcase_add_test(tc, every_line_of_a_json_log_is_json);
	tcase_add_test(tc, systemd_is_told);
	tcase_add_test(tc, agents_see_a_chosen_environment);
	tcase_add_test(tc, project_roots_open_folders_by_path);
	tcase_add_test(tc, the_client_runs_a_turn_and_shows_it);
	tcase_add_test(tc, memory_is_given_back_when_the_load_is_over);
	tcase_add_test(tc, many_chats_share_few_children);
	tcase_add_test(tc,
	    the_embedded_server_serves_and_leaves_with_the_daemon);
	tcase_add_test(tc, who_uses_the_embedded_server_may_finish);
	tcase_add_test(tc, a_killed_embedded_server_is_started_again);
	tcase_add_test(tc, a_killed_daemon_leaves_no_server);
}

int
main(void)
{
	return e2e_main("daemon", add_tests);
}
