/* SPDX-License-Identifier: MIT */
/*
 * The words that end-to-end tests are written in: queries, turns, files,
 * processes. The life of a test is in e2e.c.
 */
#include "tests/e2e.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"

static char *
format(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	return text;
}

const char *
keep(char *text)
{
	struct kept {
		struct kept *next;
		char *text;
	} *k = xcalloc(1, sizeof *k);
	static struct kept *all;

	k->text = text;
	k->next = all;
	all = k;
	return text;
}

int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* ---- SQL */

const char *
value(const char *fmt, ...)
{
	const char *result;
	va_list ap;
	char *query;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	result = pg_value(db, "%s", query);
	free(query);
	return result;
}

long long
number(const char *fmt, ...)
{
	va_list ap;
	char *query;
	long long n;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	n = atoll(pg_value(db, "%s", query));
	free(query);
	return n;
}

void
sql(const char *fmt, ...)
{
	va_list ap;
	char *query;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	pg_exec(db, query);
	free(query);
}

const char *
sqlstate(const char *fmt, ...)
{
	static char state_code[8];
	PGconn *conn = pg_connect(db);
	PGresult *res;
	const char *found;
	va_list ap;
	char *query;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	res = PQexec(conn, query);
	found = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	snprintf(state_code, sizeof state_code, "%s", found ? found : "00000");
	PQclear(res);
	PQfinish(conn);
	free(query);
	return state_code;
}

static bool
becomes(const char *query, const char *wanted, int limit)
{
	int64_t until = now_ms() + limit;

	while (strcmp(pg_value(db, "%s", query), wanted) != 0) {
		if (now_ms() > until)
			return false;
		blink();
	}
	return true;
}

bool
comes_true(int limit, const char *wanted, const char *fmt, ...)
{
	va_list ap;
	char *query;
	bool good;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	good = becomes(query, wanted, limit);
	free(query);
	return good;
}

void
e2e_value(const char *file, int line, int limit, const char *wanted,
    const char *fmt, ...)
{
	va_list ap;
	char *query;

	va_start(ap, fmt);
	query = format(fmt, ap);
	va_end(ap);
	if (limit > 0 ? !becomes(query, wanted, limit) :
	    strcmp(pg_value(db, "%s", query), wanted) != 0)
		e2e_fail(file, line, "\"%.500s\" instead of \"%.500s\" from %s",
		    pg_value(db, "%s", query), wanted, query);
	free(query);
}

void
e2e_has(const char *file, int line, const char *what, const char *part)
{
	if (!strstr(what, part))
		e2e_fail(file, line, "\"%s\" is not in \"%.1000s\"", part,
		    what);
}

/* ---- agents, chats, turns */

static void
insert_agent(const char *name, const char *const *argv)
{
	struct buf b = { 0 };

	buf_printf(&b, "insert into hearth.agents (name, command, "
	    "permission_mode) values ('%s', array[", name);
	for (const char *const *arg = argv; *arg; arg++)
		buf_printf(&b, "%s$e$%s$e$", arg == argv ? "" : ", ", *arg);
	buf_adds(&b, "], 'ask') on conflict (name) do update set command = "
	    "excluded.command");
	pg_exec(db, b.data);
	buf_free(&b);
}

void
e2e_agent(const char *name, const char *const *options)
{
	char **argv = NULL, *path;

	prepare();
	path = child_helper_path("fake_agent");
	if (!path)
		e2e_fail(__FILE__, __LINE__, "fake_agent is not built");
	strv_add(&argv, path);
	free(path);
	for (; *options; options++)
		strv_add(&argv, *options);
	insert_agent(name, (const char *const *)argv);
	strv_free(&argv);
}

void
e2e_command(const char *name, const char *const *argv)
{
	prepare();
	insert_agent(name, argv);
}

const char *
new_session(const char *path)
{
	sql("select hearth.add_project('%s')", path);
	return keep(xstrdup(value("select hearth.open_session(p.name) "
	    "from hearth.projects p where p.path = '%s'", path)));
}

const char *
new_chat(const char *session)
{
	return keep(xstrdup(value("select hearth.open_chat('%s')",
	    session)));
}

const char *
session_of(const char *chat_id)
{
	return value("select session_id from hearth.chats where id = '%s'",
	    chat_id);
}

int
hold_copy(const char *session_id)
{
	const char *path = keep(xasprintf("%s/snapshots/%s.lock", state,
	    session_id));
	int fd;

	shell("mkdir -p -m 0777 '%s/snapshots'", state);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	check_true(fd >= 0 && fchmod(fd, 0666) == 0);
	check_true(flock(fd, LOCK_EX) == 0);
	return fd;
}

static int64_t
submit_script(const char *chat_id, const char *agent, const char *script)
{
	return number("select hearth.submit('%s', '%s', $e2e$%s$e2e$)",
	    chat_id, agent, script);
}

int64_t
submit(const char *chat_id, const char *agent, const char *fmt, ...)
{
	int64_t turn;
	va_list ap;
	char *script;

	va_start(ap, fmt);
	script = format(fmt, ap);
	va_end(ap);
	turn = submit_script(chat_id, agent, script);
	free(script);
	return turn;
}

int64_t
complete(const char *chat_id, const char *agent, const char *fmt, ...)
{
	int64_t turn;
	va_list ap;
	char *script;

	va_start(ap, fmt);
	script = format(fmt, ap);
	va_end(ap);
	turn = submit_script(chat_id, agent, script);
	free(script);
	wait_turn(turn, "completed", LIMIT);
	return turn;
}

void
e2e_turn(const char *file, int line, int64_t turn, const char *status,
    int limit)
{
	int64_t until = now_ms() + limit;

	while (strcmp(turn_of(turn, "status"), status) != 0) {
		if (now_ms() > until || (turn_of(turn, "ended_at")[0] &&
		    strcmp(turn_of(turn, "status"), status) != 0))
			e2e_fail(file, line, "turn %lld is not %s: %s",
			    (long long)turn, status, value("select t::text "
			    "from hearth.turns t where id = %lld",
			    (long long)turn));
		blink();
	}
}

const char *
turn_of(int64_t turn, const char *column)
{
	return value("select (%s)::text from hearth.turns where id = %lld",
	    column, (long long)turn);
}

const char *
text_of(int64_t turn)
{
	return value("select string_agg(e.payload ->> 'text', '' order by "
	    "e.seq) from hearth.turns t join hearth.events e on e.chat_id = "
	    "t.chat_id and e.turn_id = t.id where e.kind = 'text' and "
	    "t.id = %lld", (long long)turn);
}

void
e2e_text(const char *file, int line, int64_t turn, const char *part)
{
	int64_t until = now_ms() + LIMIT;

	while (!strstr(text_of(turn), part)) {
		if (now_ms() > until || (turn_of(turn, "ended_at")[0] &&
		    !strstr(text_of(turn), part)))
			e2e_fail(file, line, "turn %lld (%s) said \"%.1000s\" "
			    "and never \"%s\"", (long long)turn,
			    turn_of(turn, "status"), text_of(turn), part);
		blink();
	}
}

/* ---- processes and files */

pid_t
agent_pid(const char *chat_id, const char *agent)
{
	return (pid_t)number("select coalesce(pid, 0) from "
	    "hearth.agent_sessions where chat_id = '%s' and agent = '%s'",
	    chat_id, agent);
}

bool
is_gone(pid_t pid)
{
	const char *stat, *end;

	if (kill(pid, 0) < 0)
		return errno == ESRCH;
	stat = file_text("/proc/%d/stat", (int)pid);
	end = strrchr(stat, ')');
	return !end || end[2] == 'Z' || end[2] == 'X';
}

void
e2e_gone(const char *file, int line, pid_t pid, int limit)
{
	int64_t until = now_ms() + limit;

	if (pid <= 0)
		e2e_fail(file, line, "no process is named");
	while (!is_gone(pid)) {
		if (now_ms() > until)
			e2e_fail(file, line, "process %d is there after %d ms",
			    (int)pid, limit);
		blink();
	}
}

long
daemon_kb(const char *key)
{
	const char *at = strstr(file_text("/proc/%d/status",
	    (int)daemon_pid()), key);

	ck_assert_ptr_nonnull(at);
	return atol(at + strlen(key));
}

int
daemon_fds(void)
{
	char *path = xasprintf("/proc/%d/fd", (int)daemon_pid());
	DIR *dir = opendir(path);
	struct dirent *d;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir)) != NULL)
		n += d->d_name[0] != '.';
	closedir(dir);
	free(path);
	return n;
}

pid_t
pid_in(const char *text, const char *word)
{
	char *begin = xasprintf("[%s ", word);
	const char *at = strstr(text, begin);
	pid_t pid = at ? (pid_t)atoi(at + strlen(begin)) : 0;

	free(begin);
	return pid;
}

void
shell(const char *fmt, ...)
{
	va_list ap;
	char *line;

	va_start(ap, fmt);
	line = format(fmt, ap);
	va_end(ap);
	if (system(line) != 0)
		e2e_fail(__FILE__, __LINE__, "failed: %s", line);
	free(line);
}

bool
file_exists(const char *fmt, ...)
{
	va_list ap;
	char *path;
	bool found;

	va_start(ap, fmt);
	path = format(fmt, ap);
	va_end(ap);
	found = access(path, F_OK) == 0;
	free(path);
	return found;
}

const char *
file_text(const char *fmt, ...)
{
	static struct buf content;
	char room[4096], *path;
	va_list ap;
	size_t n;
	FILE *f;

	va_start(ap, fmt);
	path = format(fmt, ap);
	va_end(ap);
	f = fopen(path, "re");
	free(path);
	buf_reset(&content, 0);
	while (f && (n = fread(room, 1, sizeof room, f)) > 0)
		buf_add(&content, room, n);
	if (f)
		fclose(f);
	return content.data ? content.data : "";
}
