/* SPDX-License-Identifier: MIT */
/*
 * The embedded cluster: its files as pure cases, and its life with a real
 * server under a real keeper. The cluster is made once, before the tests, in a
 * folder that main() removes; each test starts it and leaves it stopped.
 */
#include <check.h>
#undef fail
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/programs.h"
#include "sql/cluster.h"
#include "sql/cluster_files.h"

#define LIMIT_MS 60000

static char folder[] = "/tmp/hearth-cluster-XXXXXX";
static char *state_dir, *data_dir;

struct life {
	struct ev_loop *loop;
	ev_timer tick;            /* so that turn() never waits for long */
	struct cluster *cluster;
	int readies, deaths, fatals, stops;
	char why[1024];
};

static void
on_ready(void *ctx)
{
	((struct life *)ctx)->readies++;
}

static void
on_died(void *ctx, const char *why)
{
	struct life *l = ctx;

	l->deaths++;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static void
on_fatal(void *ctx, const char *why)
{
	struct life *l = ctx;

	l->fatals++;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static void
on_stopped(void *ctx)
{
	((struct life *)ctx)->stops++;
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static void
begin(struct life *l, const char *dir)
{
	static const struct cluster_callbacks cb = {
		on_ready, on_died, on_fatal, on_stopped,
	};

	memset(l, 0, sizeof(*l));
	l->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&l->tick, on_tick, 0.05, 0.05);
	ev_timer_start(l->loop, &l->tick);
	l->cluster = cluster_new(l->loop, dir, &cb, l);
	cluster_start(l->cluster);
}

static void
end(struct life *l)
{
	cluster_free(&l->cluster);
	ck_assert_ptr_null(l->cluster);
	ev_timer_stop(l->loop, &l->tick);
	ev_loop_destroy(l->loop);
}

/* Until the counter has this value; what is fatal ends the wait for ready. */
static bool
reaches(struct life *l, const int *counter, int value)
{
	int64_t began = clock_ms();

	while (*counter < value && clock_ms() - began < LIMIT_MS &&
	    (counter != &l->readies || l->fatals == 0))
		ev_run(l->loop, EVRUN_ONCE);
	return *counter == value;
}

#define UNTIL(l, counter, value) ck_assert_msg( \
	reaches(l, &(l)->counter, value), \
	#counter " is %d; %s", (l)->counter, (l)->why)

static void
stop(struct life *l)
{
	cluster_stop(l->cluster);
	ck_assert_int_eq(l->stops, 0);
	UNTIL(l, stops, 1);
}

static pid_t
server_pid(void)
{
	bool ready;
	pid_t pid = cluster_server_pid(data_dir, &ready);

	return cluster_server_lives(data_dir, pid) ? pid : 0;
}

/* The parent: who is below the daemon. */
static pid_t
keeper_of(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *f;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	fclose(f);
	ck_assert_int_eq(sscanf(strrchr(line, ')') + 1, " %*c %d", &parent),
	    1);
	return parent;
}

/* One value as that user; "" when it cannot be had. The caller frees. */
static char *
value(const char *user, const char *sql)
{
	char *admin = embedded_conninfo(state_dir, user);
	char *conninfo = xasprintf("%s dbname=postgres", admin);
	PGconn *conn = PQconnectdb(conninfo);
	PGresult *res = PQexec(conn, sql);
	char *text = xstrdup(PQresultStatus(res) == PGRES_TUPLES_OK ?
	    PQgetvalue(res, 0, 0) : "");

	PQclear(res);
	PQfinish(conn);
	free(conninfo);
	free(admin);
	return text;
}

static void
must_be(const char *sql, const char *want)
{
	char *is = value("hearth_super", sql);

	ck_assert_str_eq(is, want);
	free(is);
}

static char *
scratch_dir(const char *name)
{
	char *dir = xasprintf("%s/%s", folder, name);

	ck_assert_int_eq(mkdir(dir, 0755), 0);
	return dir;
}

static void
write_text(const char *dir, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

static char *
read_text(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name), text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_msg(f != NULL, "%s", path);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	free(path);
	return xmemdupz(text, n);
}

static const struct {
	const char *text;
	pid_t pid;
	bool ready;
} pid_cases[] = {
	{ "", 0, false },
	{ "garbage\n", 0, false },
	{ "-5\n", 0, false },
	{ "17\n/d\n1\n5432\n/s\n\n 1 2\nready   \n", 17, true },
	{ "17\n/d\n1\n5432\n/s\n\n 1 2\nstarting\n", 17, false },
	{ "17\n/d\n1\n5432\n/s\n\n 1 2\nstopping\n", 17, false },
	{ "17\n/d\n1\n5432\n/s\n\n 1 2\n", 17, false },
	{ "17\nready\nready\nready\n", 17, false },
};

START_TEST(pid_file_says_ready_on_line_eight_only)
{
	char *dir = scratch_dir("pidfile");
	bool ready = true;

	write_text(dir, "postmaster.pid", pid_cases[_i].text);
	ck_assert_int_eq(cluster_server_pid(dir, &ready), pid_cases[_i].pid);
	ck_assert_int_eq(ready, pid_cases[_i].ready);
	free(dir);
}
END_TEST

START_TEST(process_that_works_elsewhere_is_not_the_server)
{
	ck_assert(!cluster_server_lives(data_dir, getpid()));
	ck_assert(!cluster_server_lives(data_dir, 0));
	ck_assert_int_eq(chdir(data_dir), 0);
	ck_assert(cluster_server_lives(data_dir, getpid()));
}
END_TEST

START_TEST(settings_are_included_once_and_quoted)
{
	char *dir = scratch_dir("config"), *text, *include;
	struct cluster_user user;
	struct err e = { "" };

	ck_assert_int_eq(cluster_pick_user(&user, &e), 0);
	write_text(dir, "postgresql.conf", "fsync = on\n");
	for (int i = 0; i < 2; i++)
		ck_assert_msg(cluster_write_config(dir, "/a'b\"c\\d", &user,
		    &e) == 0, "%s", e.text);
	text = read_text(dir, "postgresql.conf");
	include = strstr(text, "include 'hearth.conf'");
	ck_assert_ptr_eq(text, strstr(text, "fsync = on\n"));
	ck_assert_ptr_nonnull(include);
	ck_assert_ptr_null(strstr(include + 1, "include"));
	free(text);
	text = read_text(dir, "hearth.conf");
	ck_assert_ptr_nonnull(strstr(text,
	    "unix_socket_directories = '\"/a''b\"\"c\\\\d\"'\n"));
	ck_assert_ptr_nonnull(strstr(text, "listen_addresses = ''\n"));
	ck_assert_ptr_null(strstr(text, "fsync"));
	free(text);
	free(dir);
}
END_TEST

START_TEST(planted_link_in_the_data_folder_is_not_followed)
{
	char *dir = scratch_dir("planted"), *text;
	char *victim = xasprintf("%s/victim", folder);
	char *link_path = xasprintf("%s/hearth.conf", dir);
	char *fresh_path = xasprintf("%s/hearth.conf.new", dir);
	struct cluster_user user;
	struct err e;

	ck_assert_int_eq(cluster_pick_user(&user, &e), 0);
	write_text(folder, "victim", "mine");
	ck_assert_int_eq(symlink(victim, link_path), 0);
	ck_assert_int_eq(symlink(victim, fresh_path), 0);
	ck_assert_int_eq(cluster_write_config(dir, "/s", &user, &e), 0);
	text = read_text(folder, "victim");
	ck_assert_str_eq(text, "mine");
	free(text);
	free(fresh_path);
	free(link_path);
	free(victim);
	free(dir);
}
END_TEST

START_TEST(server_is_ready_and_stops)
{
	struct life l;
	pid_t pid;

	begin(&l, state_dir);
	ck_assert_int_eq(l.readies, 0);
	UNTIL(&l, readies, 1);
	pid = server_pid();
	ck_assert_int_ne(pid, 0);
	must_be("select current_user", "hearth_super");
	stop(&l);
	ck_assert_int_eq(l.deaths, 0);
	ck_assert_int_eq(server_pid(), 0);
	end(&l);
}
END_TEST

START_TEST(server_is_private_and_durable)
{
	char *socket_dir = options_socket_dir(state_dir);
	struct stat st;
	struct life l;

	begin(&l, state_dir);
	UNTIL(&l, readies, 1);
	must_be("show listen_addresses", "");
	must_be("show fsync", "on");
	must_be("show synchronous_commit", "on");
	must_be("show server_encoding", "UTF8");
	must_be("select count(*) from pg_hba_file_rules "
	    "where type <> 'local' or auth_method <> 'peer'", "0");
	ck_assert_int_eq(stat(socket_dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 077, 0);
	ck_assert_int_eq(stat(data_dir, &st), 0);
	ck_assert_int_eq(st.st_mode & 077, 0);
	stop(&l);
	end(&l);
	free(socket_dir);
}
END_TEST

START_TEST(server_that_is_killed_comes_back)
{
	struct life l;

	begin(&l, state_dir);
	UNTIL(&l, readies, 1);
	ck_assert_int_eq(kill(server_pid(), SIGKILL), 0);
	UNTIL(&l, deaths, 1);
	ck_assert_msg(strstr(l.why, "signal 9") != NULL, "%s", l.why);
	UNTIL(&l, readies, 2);
	must_be("select 1", "1");
	stop(&l);
	end(&l);
}
END_TEST

/* A daemon that is killed: its keeper ends the server, the next life waits. */
START_TEST(server_of_a_killed_daemon_is_waited_for)
{
	struct life l;
	pid_t daemon = fork(), before;
	int status;
	int64_t began = clock_ms();
	bool ready = false;

	ck_assert_int_ne(daemon, -1);
	if (daemon == 0) {
		begin(&l, state_dir);
		ev_run(l.loop, 0);
		_exit(0);
	}
	while (!ready && clock_ms() - began < LIMIT_MS) {
		cluster_server_pid(data_dir, &ready);
		usleep(20000);
	}
	before = server_pid();
	ck_assert_int_ne(before, 0);
	kill(daemon, SIGKILL);
	waitpid(daemon, &status, 0);
	begin(&l, state_dir);
	UNTIL(&l, readies, 1);
	ck_assert_int_eq(l.deaths, 0);
	ck_assert_int_ne(server_pid(), before);
	stop(&l);
	end(&l);
}
END_TEST

START_TEST(stop_before_anything_ran_is_told_later)
{
	struct life l;

	begin(&l, state_dir);
	stop(&l);
	ck_assert_int_eq(l.readies, 0);
	cluster_stop(l.cluster);
	end(&l);
}
END_TEST

START_TEST(unfinished_initdb_is_cleared_away)
{
	char *dir = xasprintf("%s/half", folder);
	char *half = xasprintf("%s/pg.new/base", dir);
	char *others = xasprintf("%s/pg.new16", dir);
	struct cluster_user user;
	struct err e;
	struct life l;

	ck_assert_int_eq(cluster_pick_user(&user, &e), 0);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	*strrchr(half, '/') = '\0';
	ck_assert_int_eq(mkdir(half, 0700), 0);
	ck_assert_int_eq(mkdir(others, 0700), 0);
	write_text(half, "PG_VERSION", "15\n");
	if (user.is_other)
		ck_assert_int_eq(chown(half, user.uid, user.gid), 0);
	begin(&l, dir);
	UNTIL(&l, readies, 1);
	ck_assert_int_eq(access(half, F_OK), -1);
	ck_assert_int_eq(access(others, F_OK), 0);
	stop(&l);
	end(&l);
	free(others);
	free(half);
	free(dir);
}
END_TEST

/* As an initdb whose folder is taken away under it. */
static void
go_on_working(const char *dir)
{
	char *sub = xasprintf("%s/base", dir);
	struct cluster_user user;
	struct err e;

	if (cluster_pick_user(&user, &e) == -1)
		_exit(1);
	for (;;) {
		mkdir(dir, 0700);
		mkdir(sub, 0700);
		if (user.is_other && (chown(sub, user.uid, user.gid) == -1 ||
		    chown(dir, user.uid, user.gid) == -1))
			continue;
		usleep(500);
	}
}

START_TEST(an_earlier_initdb_that_is_still_at_work_is_not_in_the_way)
{
	char *dir = scratch_dir("twice");
	char *other = xasprintf("%s/pg.new", dir);
	struct life l;
	pid_t earlier;

	ck_assert_int_eq(mkdir(other, 0700), 0);
	earlier = fork();
	ck_assert_int_ne(earlier, -1);
	if (earlier == 0)
		go_on_working(other);
	begin(&l, dir);
	UNTIL(&l, readies, 1);
	ck_assert_int_eq(kill(earlier, SIGKILL), 0);
	ck_assert_int_eq(waitpid(earlier, NULL, 0), earlier);
	stop(&l);
	end(&l);
	/* the next start sweeps up */
	begin(&l, dir);
	UNTIL(&l, readies, 1);
	ck_assert_int_eq(access(other, F_OK), -1);
	stop(&l);
	end(&l);
	free(other);
	free(dir);
}
END_TEST

/* No server begins beside processes of another one: each would overwrite what
 * the other writes. */
START_TEST(no_server_begins_beside_processes_of_a_killed_one)
{
	char *admin, *conninfo, *pid;
	struct life l;
	PGconn *busy;

	begin(&l, state_dir);
	UNTIL(&l, readies, 1);
	admin = embedded_conninfo(state_dir, "hearth_super");
	conninfo = xasprintf("%s dbname=postgres", admin);
	busy = PQconnectdb(conninfo);
	pid = value("hearth_super", "select pid from pg_stat_activity "
	    "where backend_type = 'client backend' and pid <> "
	    "pg_backend_pid()");
	ck_assert_int_eq(PQsendQuery(busy, "select count(*) from "
	    "generate_series(1, 100000000000)"), 1);
	ck_assert_int_eq(kill(keeper_of(server_pid()), SIGKILL), 0);
	UNTIL(&l, deaths, 1);
	UNTIL(&l, readies, 2);
	ck_assert_int_eq(kill(atoi(pid), 0), -1);
	stop(&l);
	end(&l);
	PQfinish(busy);
	free(pid);
	free(conninfo);
	free(admin);
}
END_TEST

START_TEST(data_of_a_version_that_is_not_installed_is_fatal)
{
	char *dir = scratch_dir("future");
	char *pg = scratch_dir("future/pg");
	struct life l;

	write_text(pg, "PG_VERSION", "99\n");
	begin(&l, dir);
	UNTIL(&l, fatals, 1);
	ck_assert_msg(strstr(l.why, "99") != NULL, "%s", l.why);
	stop(&l);
	end(&l);
	free(pg);
	free(dir);
}
END_TEST

START_TEST(state_dir_that_the_server_cannot_reach_is_fatal)
{
	char *closed = scratch_dir("closed");
	char *dir = xasprintf("%s/state", closed);
	struct life l;

	if (geteuid() == 0) {
		ck_assert_int_eq(chmod(closed, 0700), 0);
		begin(&l, dir);
		UNTIL(&l, fatals, 1);
		ck_assert_msg(strstr(l.why, closed) != NULL, "%s", l.why);
		end(&l);
	}
	free(dir);
	free(closed);
}
END_TEST

static int
on_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void
empty_scratch(void)
{
	static const char *const names[] = { "pidfile", "config", "planted",
		"victim", "half", "future", "closed" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = xasprintf("%s/%s", folder, names[i]);

		nftw(path, on_entry, 16, FTW_DEPTH | FTW_PHYS);
		free(path);
	}
}

static Suite *
suite(void)
{
	Suite *s = suite_create("cluster");
	TCase *t = tcase_create("cluster");

	tcase_set_timeout(t, LIMIT_MS / 1000 * 2);
	tcase_add_unchecked_fixture(t, NULL, empty_scratch);
	tcase_add_checked_fixture(t, empty_scratch, empty_scratch);
	tcase_add_loop_test(t, pid_file_says_ready_on_line_eight_only, 0,
	    sizeof(pid_cases) / sizeof(pid_cases[0]));
	tcase_add_test(t, process_that_works_elsewhere_is_not_the_server);
	tcase_add_test(t, settings_are_included_once_and_quoted);
	tcase_add_test(t, planted_link_in_the_data_folder_is_not_followed);
	tcase_add_test(t, server_is_ready_and_stops);
	tcase_add_test(t, server_is_private_and_durable);
	tcase_add_test(t, server_that_is_killed_comes_back);
	tcase_add_test(t, server_of_a_killed_daemon_is_waited_for);
	tcase_add_test(t, stop_before_anything_ran_is_told_later);
	tcase_add_test(t, unfinished_initdb_is_cleared_away);
	tcase_add_test(t,
	    an_earlier_initdb_that_is_still_at_work_is_not_in_the_way);
	tcase_add_test(t, no_server_begins_beside_processes_of_a_killed_one);
	tcase_add_test(t, data_of_a_version_that_is_not_installed_is_fatal);
	tcase_add_test(t, state_dir_that_the_server_cannot_reach_is_fatal);
	suite_add_tcase(s, t);
	return s;
}

/* Makes the cluster that the tests use; in a child, so that main() has no
 * part in it. */
static bool
make_cluster(void)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		struct life l;
		bool ok;

		begin(&l, state_dir);
		ok = reaches(&l, &l.readies, 1);
		cluster_stop(l.cluster);
		ok = ok && reaches(&l, &l.stops, 1);
		if (!ok)
			fprintf(stderr, "cluster: %s\n", l.why);
		cluster_free(&l.cluster);
		ev_loop_destroy(l.loop);
		_exit(ok ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(void)
{
	SRunner *runner;
	struct err e;
	char *programs = program_postgres_dir(0, &e);
	int failed = 1;

	if (programs == NULL) {
		printf("1..0 # SKIP %s\n", e.text);
		return 0;
	}
	free(programs);
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) == -1)
		return 1;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	state_dir = xasprintf("%s/state", folder);
	data_dir = xasprintf("%s/pg", state_dir);
	if (make_cluster()) {
		runner = srunner_create(suite());
		srunner_run_all(runner, CK_ENV);
		failed = srunner_ntests_failed(runner);
		srunner_free(runner);
	}
	nftw(folder, on_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(data_dir);
	free(state_dir);
	return failed != 0;
}
