/* SPDX-License-Identifier: MIT */
/*
 * The throw-away cluster. The folder is /tmp/hearth-test-XXXXXX with data/,
 * the socket and the server's log; it belongs to the user that the server runs
 * as. The guardian watches a pidfd of the program and a pipe from it; it is a
 * session of its own, so that Ctrl-C reaches it last.
 */
#include "tests/pg_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/programs.h"
#include "sql/migrate.h"

enum { KEPT = 8 };

static char folder[64];
static char *bin_dir;
static pid_t owner, guardian;
static int guardian_pipe = -1;

static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pg_harness: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static void
nap(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* In a child: as root become postgres, which the server insists on. */
static void
drop_root(void)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return;
	pw = getpwnam("postgres");
	if (!pw)
		pw = getpwnam("nobody");
	if (!pw || initgroups(pw->pw_name, pw->pw_gid) < 0 ||
	    setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		_exit(126);
}

/* Runs a program of PostgreSQL to its end; output goes to the log. */
static int
run(char *const argv[])
{
	char *path = xasprintf("%s/%s", bin_dir, argv[0]);
	char *log = xasprintf("%s/log", folder);
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		int fd, null = open("/dev/null", O_RDONLY);

		setsid();
		drop_root();
		fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		if (fd < 0 || null < 0 || chdir(folder) < 0)
			_exit(126);
		dup2(null, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		for (int i = 3; i < 256; i++)
			close(i);
		unsetenv("PGDATA");
		unsetenv("PGPORT");
		execv(path, argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	free(path);
	free(log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void
show_log(void)
{
	char *path = xasprintf("%s/log", folder), line[1024];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof line, f))
		fputs(line, stderr);
	if (f)
		fclose(f);
	free(path);
}

static void
must_run(char *const argv[])
{
	if (run(argv) == 0)
		return;
	show_log();
	die("%s failed", argv[0]);
}

static void
stop_for_good(void)
{
	char *data = xasprintf("%s/data", folder);
	char *stop[] = { "pg_ctl", "-D", data, "-m", "immediate", "-w", "-s",
	    "stop", NULL };
	pid_t pid;

	run(stop);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	free(data);
}

static void
guard(int pipe_end, pid_t program)
{
	struct pollfd fds[2] = {
		{ .fd = (int)syscall(SYS_pidfd_open, program, 0),
		    .events = POLLIN },
		{ .fd = pipe_end, .events = POLLIN },
	};
	sigset_t all;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (fds[0].fd >= 0)
		while (poll(fds, 2, -1) <= 0)
			continue;
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	stop_for_good();
	_exit(0);
}

static void
end(void)
{
	/* Not in the processes that check forks. */
	if (getpid() != owner)
		return;
	if (write(guardian_pipe, "x", 1) == 1)
		waitpid(guardian, NULL, 0);
}

static void
start_guardian(void)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	owner = getpid();
	guardian = fork();
	if (guardian < 0)
		die("fork: %s", strerror(errno));
	if (guardian == 0) {
		close(fd[1]);
		guard(fd[0], owner);
	}
	close(fd[0]);
	guardian_pipe = fd[1];
	atexit(end);
}

static void
make_folder(void)
{
	const struct passwd *pw = getpwnam("postgres");

	strcpy(folder, "/tmp/hearth-test-XXXXXX");
	if (!mkdtemp(folder))
		die("%s: %s", folder, strerror(errno));
	if (!pw)
		pw = getpwnam("nobody");
	if (geteuid() == 0 && (!pw || chown(folder, pw->pw_uid,
	    pw->pw_gid) < 0))
		die("chown %s: %s", folder, strerror(errno));
}

static void
add_settings(void)
{
	char *path = xasprintf("%s/data/postgresql.conf", folder);
	FILE *f = fopen(path, "a");

	if (!f)
		die("%s: %s", path, strerror(errno));
	fprintf(f, "listen_addresses = ''\n"
	    "unix_socket_directories = '%s'\n"
	    "fsync = off\nfull_page_writes = off\nshared_buffers = 64MB\n"
	    "max_wal_size = 1GB\nmax_connections = 60\nautovacuum = off\n"
	    "log_min_messages = warning\nwal_level = minimal\n"
	    "max_wal_senders = 0\nlc_messages = 'C'\n", folder);
	fclose(f);
	free(path);
}

void
pg_server_start(void)
{
	char *data = xasprintf("%s/data", folder);
	char *start[] = { "pg_ctl", "-D", data, "-w", "-s", "start", NULL };

	must_run(start);
	free(data);
}

void
pg_server_stop(const char *mode)
{
	char *data = xasprintf("%s/data", folder);
	char *stop[] = { "pg_ctl", "-D", data, "-m", (char *)mode, "-w", "-s",
	    "stop", NULL };

	must_run(stop);
	free(data);
}

static char *
conninfo_of(const char *database)
{
	return xasprintf("host=%s dbname=%s user=postgres", folder, database);
}

/* One connection per process, to the database asked last. */
static struct {
	PGconn *conn;
	char *conninfo;
	pid_t by;
} kept;

static void
forget_connection(void)
{
	/* That of a parent process is not ours to close. */
	if (kept.conn && kept.by == getpid())
		PQfinish(kept.conn);
	kept.conn = NULL;
	free(kept.conninfo);
	kept.conninfo = NULL;
}

static void
make_template(void)
{
	char *conninfo = conninfo_of("hearth_template");
	int from, to;
	struct err e;

	if (migrate(conninfo, 1, &from, &to, &e) < 0)
		die("migrate: %s", e.text);
	free(conninfo);
	conninfo = conninfo_of("postgres");
	pg_exec(conninfo, "create database empty_template");
	free(conninfo);
	forget_connection();
}

bool
pg_start(void)
{
	char *data;
	struct err e;

	bin_dir = program_postgres_dir(0, &e);
	if (!bin_dir) {
		printf("1..0 # SKIP %s\n", e.text);
		return false;
	}
	make_folder();
	start_guardian();
	data = xasprintf("%s/data", folder);
	must_run((char *[]){ "initdb", "-N", "-A", "trust", "-U", "postgres",
	    "-E", "UTF8", "--locale=C.UTF-8", "-D", data, NULL });
	free(data);
	add_settings();
	pg_server_start();
	make_template();
	return true;
}

static const char *
copy_database(const char *template)
{
	static char **databases;  /* what was returned stays reachable */
	static int count;
	char *name = xasprintf("t_%d_%d", (int)getpid(), ++count);
	char *admin = conninfo_of("postgres"), *conninfo = conninfo_of(name);

	pg_execf(admin, "create database %s template %s strategy file_copy",
	    name, template);
	strv_add(&databases, conninfo);
	free(name);
	free(admin);
	free(conninfo);
	return databases[count - 1];
}

const char *
pg_database(void)
{
	return copy_database("hearth_template");
}

const char *
pg_empty_database(void)
{
	return copy_database("empty_template");
}

PGconn *
pg_connect(const char *conninfo)
{
	PGconn *c = PQconnectdb(conninfo);

	if (PQstatus(c) != CONNECTION_OK)
		die("%s: %s", conninfo, PQerrorMessage(c));
	return c;
}

static PGconn *
connection(const char *conninfo)
{
	if (kept.conn && kept.by == getpid() &&
	    strcmp(kept.conninfo, conninfo) == 0 &&
	    PQstatus(kept.conn) == CONNECTION_OK)
		return kept.conn;
	forget_connection();
	kept.conn = pg_connect(conninfo);
	kept.conninfo = xstrdup(conninfo);
	kept.by = getpid();
	return kept.conn;
}

static bool
is_good(const PGresult *res)
{
	return PQresultStatus(res) == PGRES_COMMAND_OK ||
	    PQresultStatus(res) == PGRES_TUPLES_OK;
}

static PGresult *
query(const char *conninfo, const char *sql)
{
	PGconn *c = connection(conninfo);
	PGresult *res = PQexec(c, sql);

	/* Without SQLSTATE: the server has been started anew since. */
	if (!is_good(res) && !PQresultErrorField(res, PG_DIAG_SQLSTATE)) {
		PQclear(res);
		PQreset(c);
		res = PQexec(c, sql);
	}
	if (!is_good(res))
		die("%s\nin: %s", PQerrorMessage(c), sql);
	return res;
}

void
pg_exec(const char *conninfo, const char *sql)
{
	PQclear(query(conninfo, sql));
}

static char *
format(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		die("no memory");
	return s;
}

void
pg_execf(const char *conninfo, const char *fmt, ...)
{
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	sql = format(fmt, ap);
	va_end(ap);
	pg_exec(conninfo, sql);
	free(sql);
}

static const char *
value_of(const char *conninfo, const char *sql)
{
	static char *values[KEPT];
	static unsigned n;
	char **slot = &values[n++ % KEPT];
	PGresult *res = query(conninfo, sql);

	free(*slot);
	*slot = xstrdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	return *slot;
}

const char *
pg_value(const char *conninfo, const char *fmt, ...)
{
	const char *value;
	va_list ap;
	char *sql;

	va_start(ap, fmt);
	sql = format(fmt, ap);
	va_end(ap);
	value = value_of(conninfo, sql);
	free(sql);
	return value;
}

bool
pg_wait(const char *conninfo, const char *sql, const char *value,
    int limit_ms, void (*idle)(void *ctx), void *ctx)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (;;) {
		if (strcmp(value_of(conninfo, sql), value) == 0)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - from.tv_sec) * 1000 +
		    (now.tv_nsec - from.tv_nsec) / 1000000 > limit_ms)
			return false;
		if (idle)
			idle(ctx);
		else
			nap(5);
	}
}

const char *
pg_socket_dir(void)
{
	return folder;
}
