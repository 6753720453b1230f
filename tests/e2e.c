/* SPDX-License-Identifier: MIT */
/*
 * The life of an end-to-end test: its folder and database, its daemon, and
 * what is checked when it is over.
 *
 * All folders lie in that of the program's cluster (tests/pg_harness.h), whose
 * guardian removes them whatever happens. hearthd dies with the process of its
 * test, and with it, by its keepers, everything below; every process of a test
 * has the test's folder in its environment or its command line, which is how
 * leftovers are found.
 *
 * Words for SQL, turns and files are in e2e_words.c.
 */
#include "tests/e2e.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"

#define TEST_SECONDS 60
#define STOP_MS 15000
#define ERRORS_MAX 16

const char *folder, *project, *state, *db, *chat, *daemon_file;

static struct {
	pid_t pid;          /* 0: none */
	bool may_end;
	bool is_elsewhere;  /* its database is not the test's */
	char *log;
} hearthd;
static const char *expected[ERRORS_MAX];
static int n_expected;
static bool all_errors;
static char **extra_env;

/* ---- failing */

static void
show_file(const char *path, size_t most)
{
	struct stat st;
	char *text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if ((size_t)st.st_size > most)
		lseek(fd, st.st_size - (off_t)most, SEEK_SET);
	text = xcalloc(1, most + 1);
	n = read(fd, text, most);
	fprintf(stderr, "---- %s\n%.*s", path, (int)(n > 0 ? n : 0), text);
	free(text);
	close(fd);
}

void
e2e_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	if (hearthd.log)
		show_file(hearthd.log, 12000);
	fprintf(stderr, "---- %s:%d: %s\n", file, line, text);
	ck_abort_msg("%s:%d: %.1500s", file, line, text);
	abort();
}

/* ---- the daemon */

void
daemon_setenv(const char *name, const char *content)
{
	char *entry = xasprintf("%s=%s", name, content);

	child_setenv(&extra_env, entry);
	free(entry);
}

/*
 * In the virtual machine of tests/vm: the daemons of a test are in a cgroup
 * that is theirs alone, as a service is; one after another in the same.
 */
static void
enter_cgroup(pid_t test)
{
	const char *above = getenv("HEARTH_TEST_CGROUP");
	char *dir, *file;
	int fd;

	if (!above)
		return;
	dir = xasprintf("%s/%d", above, (int)test);
	mkdir(dir, 0755);
	setxattr(dir, "user.delegate", "1", 1, 0);
	file = xasprintf("%s/.hearthd/cgroup.procs", dir);
	fd = open(file, O_WRONLY);
	if (fd < 0) {
		file = xasprintf("%s/cgroup.procs", dir);
		fd = open(file, O_WRONLY);
	}
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(125);
}

static void
become_hearthd(char *const *argv, const char *log, pid_t test)
{
	int in = open("/dev/null", O_RDONLY);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (in < 0 || out < 0)
		_exit(126);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	enter_cgroup(test);
	for (int i = 3; i < 256; i++)
		close(i);
	unsetenv("JOURNAL_STREAM");
	unsetenv("NOTIFY_SOCKET");
	unsetenv("HEARTH_DATABASE");
	for (char **entry = extra_env; entry && *entry; entry++)
		putenv(*entry);
	execv(argv[0], argv);
	_exit(127);
}

static pid_t
spawn(char **argv, const char *log)
{
	pid_t test = getpid(), pid = fork();

	if (pid < 0)
		e2e_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
	if (pid == 0)
		become_hearthd(argv, log, test);
	return pid;
}

static char *
program(const char *name)
{
	char *path = child_helper_path(name);

	if (!path)
		e2e_fail(__FILE__, __LINE__, "%s is not built", name);
	return path;
}

static void
add_option(char ***argv, const char *key, const char *content)
{
	char *option = xasprintf("%s=%s", key, content);

	strv_add(argv, "-o");
	strv_add(argv, option);
	free(option);
}

void
launch(const char *database, const char *const *options)
{
	char **argv = NULL, *path = program("hearthd");

	MUST(hearthd.pid == 0);
	prepare();
	strv_add(&argv, path);
	free(path);
	if (daemon_file) {
		strv_add(&argv, "-c");
		strv_add(&argv, daemon_file);
	}
	add_option(&argv, "database", database ? database : db);
	add_option(&argv, "state_dir", state);
	add_option(&argv, "node_name", "e2e");
	add_option(&argv, "log_level",
	    getenv("HEARTH_E2E_DEBUG") ? "debug" : "info");
	for (; options && *options; options++) {
		strv_add(&argv, "-o");
		strv_add(&argv, *options);
	}
	free(hearthd.log);
	hearthd.log = xasprintf("%s/log", folder);
	hearthd.may_end = false;
	hearthd.is_elsewhere = database != NULL;
	hearthd.pid = spawn(argv, hearthd.log);
	strv_free(&argv);
}

void
e2e_start(const char *const *options)
{
	launch(NULL, options);
	wait_serving();
}

pid_t
daemon_pid(void)
{
	return hearthd.pid;
}

void
daemon_signal(int sig)
{
	MUST(hearthd.pid > 0);
	kill(hearthd.pid, sig);
}

/* Its wait status, or -1 while it runs. */
static int
reap(void)
{
	int status;

	if (hearthd.pid <= 0 || waitpid(hearthd.pid, &status, WNOHANG) == 0)
		return -1;
	hearthd.pid = 0;
	return status;
}

void
blink(void)
{
	int status = hearthd.may_end ? -1 : reap();

	if (status != -1)
		e2e_fail(__FILE__, __LINE__, "hearthd ended by itself, wait "
		    "status 0x%x", (unsigned)status);
	poll(NULL, 0, 10);
}

int
daemon_wait(int limit)
{
	int64_t until = now_ms() + limit;
	int status;

	hearthd.may_end = true;
	while ((status = reap()) == -1) {
		if (now_ms() > until)
			e2e_fail(__FILE__, __LINE__, "hearthd did not end "
			    "within %d ms", limit);
		blink();
	}
	return status;
}

void
stop(void)
{
	int status;

	if (hearthd.pid == 0)
		return;
	daemon_signal(SIGTERM);
	status = daemon_wait(STOP_MS);
	if (status != 0)
		e2e_fail(__FILE__, __LINE__, "hearthd ended with wait status "
		    "0x%x", (unsigned)status);
}

void
daemon_crash(void)
{
	daemon_signal(SIGKILL);
	daemon_wait(STOP_MS);
}

int
e2e_run(const char **words, const char *const *args)
{
	static int count;
	char **argv = NULL, *path = program("hearthd");
	char *log = xasprintf("%s/other.%d", folder, count++);
	int64_t until = now_ms() + LIMIT;
	int status;
	pid_t pid;

	strv_add(&argv, path);
	for (; *args; args++)
		strv_add(&argv, *args);
	pid = spawn(argv, log);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > until) {
			kill(pid, SIGKILL);
			e2e_fail(__FILE__, __LINE__, "the other hearthd goes "
			    "on: %s", file_text("%s", log));
		}
		blink();
	}
	*words = file_text("%s", log);
	strv_free(&argv);
	free(path);
	free(log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 +
	    WTERMSIG(status);
}

/* ---- its log */

void
expect_error(const char *text)
{
	MUST(n_expected < ERRORS_MAX);
	expected[n_expected++] = text;
}

void
ignore_errors(void)
{
	all_errors = true;
}

bool
log_has(const char *text)
{
	return hearthd.log && strstr(file_text("%s", hearthd.log), text);
}

void
wait_log(const char *text)
{
	int64_t until = now_ms() + LIMIT;

	while (!log_has(text)) {
		if (now_ms() > until)
			e2e_fail(__FILE__, __LINE__, "not logged: %s", text);
		blink();
	}
}

/* The fact is the node's row where there is a database to look at. */
void
wait_serving(void)
{
	char *line = xasprintf("node e2e serves; state in %s", state);
	int64_t until = now_ms() + LIMIT;
	long long pid = hearthd.pid;

	while (hearthd.is_elsewhere ? !log_has(line) :
	    number("select count(*) from hearth.nodes where name = 'e2e' "
	    "and pid = %lld", pid) == 0) {
		if (now_ms() > until)
			e2e_fail(__FILE__, __LINE__, "hearthd does not serve");
		blink();
	}
	free(line);
}

static bool
is_expected(const char *line)
{
	for (int i = 0; i < n_expected; i++)
		if (strstr(line, expected[i]))
			return true;
	return all_errors;
}

static void
check_log(void)
{
	char *text, *line, *save = NULL;

	if (!hearthd.log)
		return;
	text = xstrdup(file_text("%s", hearthd.log));
	for (line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save)) {
		bool is_error = strstr(line, "Z error ") ||
		    strstr(line, "\"level\":\"error\"") ||
		    strstr(line, "Sanitizer") ||
		    strstr(line, "runtime error") ||
		    strstr(line, "MUST");

		if (is_error && !is_expected(line))
			e2e_fail(__FILE__, __LINE__, "unexpected in the log: "
			    "%s", line);
	}
	free(text);
}

/* ---- processes */

/* True when /proc/PID/FILE has the test's folder in it. */
static bool
names_folder(const char *pid, const char *file)
{
	char *path = xasprintf("/proc/%s/%s", pid, file);
	char room[32768];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, room, sizeof room);

	free(path);
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(room, (size_t)n, folder, strlen(folder));
}

bool
is_of_test(const char *pid)
{
	return atoi(pid) != getpid() && (names_folder(pid, "environ") ||
	    names_folder(pid, "cmdline"));
}

static int
each_process(void (*fn)(const char *pid))
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (proc && (d = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)d->d_name[0]) ||
		    !is_of_test(d->d_name))
			continue;
		n++;
		if (fn)
			fn(d->d_name);
	}
	closedir(proc);
	return n;
}

int
count_processes(void)
{
	return each_process(NULL);
}

static void
end_leftover(const char *pid)
{
	char *path = xasprintf("/proc/%s/cmdline", pid);
	char room[300] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, room, sizeof room - 1);

	for (ssize_t i = 0; i + 1 < n; i++)
		if (room[i] == '\0')
			room[i] = ' ';
	fprintf(stderr, "---- left: %s %s\n", pid, room);
	if (fd >= 0)
		close(fd);
	kill(atoi(pid), SIGKILL);
	free(path);
}

static void
check_processes(void)
{
	int64_t until = now_ms() + 5000;

	while (folder && count_processes() > 0) {
		if (now_ms() > until)
			e2e_fail(__FILE__, __LINE__, "%d processes were left",
			    each_process(end_leftover));
		poll(NULL, 0, 20);
	}
}

/* ---- rows that always hold */

/* Each query gives what is wrong, or no row. */
static const char *const invariants[] = {
	"select 'chat ' || c.id || ': last_seq ' || c.last_seq || ', ' || "
	"count(e.seq) || ' events up to ' || coalesce(max(e.seq), 0) "
	"from hearth.chats c left join hearth.events e on e.chat_id = c.id "
	"group by c.id, c.last_seq, c.first_seq having c.last_seq <> "
	"coalesce(max(e.seq), 0) or count(e.seq) <> "
	"coalesce(max(e.seq) - c.first_seq + 1, 0)",

	"select 'turn ' || m.turn_id || ': the message has ' || "
	"octet_length(m.content) || ' bytes, the events have ' || "
	"coalesce(octet_length(s.text), 0) from hearth.messages m, lateral "
	"(select string_agg(e.payload ->> 'text', '' order by e.seq) as text "
	"from hearth.events e where e.chat_id = m.chat_id and e.turn_id = "
	"m.turn_id and e.kind = 'text' and e.seq <= m.last_seq) s "
	"where m.role = 'assistant' and m.status <> 'streaming' "
	"and m.content is distinct from coalesce(s.text, '')",

	"select 'turn ' || t.id || ' is ' || t.status || ' with ended_at ' || "
	"coalesce(t.ended_at::text, 'null') || ', error_code ' || "
	"coalesce(t.error_code, 'null') || ', error ' || "
	"coalesce(t.error, 'null') || ', end_reason ' || "
	"coalesce(t.end_reason, 'null') from hearth.turns t where "
	"(t.status in ('completed', 'failed', 'cancelled', 'interrupted')) "
	"<> (t.ended_at is not null) "
	"or t.status in ('failed', 'interrupted') and "
	"(t.error is null or t.error_code is null) "
	"or t.status = 'cancelled' and t.end_reason is null",

	"select 'turn ' || t.id || ' (' || t.status || ') has ' || "
	"count(*) filter (where e.kind = 'turn_started') || ' turn_started, ' "
	"|| count(*) filter (where e.kind = 'turn_ended') || ' turn_ended' "
	"from hearth.turns t left join hearth.events e on "
	"e.chat_id = t.chat_id and e.turn_id = t.id "
	"where t.ended_at is not null group by t.id having "
	"count(*) filter (where e.kind = 'turn_started') > 1 or "
	"count(*) filter (where e.kind = 'turn_ended') <> 1",

	"select 'turn ' || t.id || ' has an open tool call or question' "
	"from hearth.turns t where t.ended_at is not null and (exists "
	"(select from hearth.tool_calls c where c.turn_id = t.id and "
	"c.ended_at is null and c.status <> 'completed') or exists (select "
	"from hearth.permission_requests p where p.turn_id = t.id "
	"and p.status = 'pending'))",

	"select 'message of turn ' || m.turn_id || ' is still streaming' "
	"from hearth.messages m join hearth.turns t on t.id = m.turn_id "
	"where t.ended_at is not null and m.status = 'streaming'",
};

/* These hold once the daemon has stopped in order. */
static const char *const after_stop[] = {
	"select 'execution ' || x.id || ' has not ended' "
	"from hearth.executions x where x.ended_at is null",
	"select 'agent session of ' || a.agent || ' is ' || a.status || "
	"' with pid ' || coalesce(a.pid::text, 'null') "
	"from hearth.agent_sessions a where a.pid is not null "
	"or a.status in ('warming', 'active', 'idle')",
	"select 'turn ' || t.id || ' is ' || t.status from hearth.turns t "
	"where t.status in ('starting', 'running', 'waiting_permission')",
	"select 'command ' || c.id || ' ' || c.kind || ' is ' || c.status "
	"from hearth.commands c where c.status = 'running'",
};

static void
check_rows(const char *const *queries, size_t n)
{
	for (size_t i = 0; db && i < n; i++) {
		const char *wrong = value("%s", queries[i]);

		if (wrong[0])
			e2e_fail(__FILE__, __LINE__, "%s", wrong);
	}
}

/* ---- a test's begin and end */

void
prepare(void)
{
	if (folder)
		return;
	folder = keep(xasprintf("%s/e2e-XXXXXX", pg_socket_dir()));
	if (!mkdtemp((char *)folder) || chmod(folder, 0755) < 0)
		e2e_fail(__FILE__, __LINE__, "%s: %s", folder,
		    strerror(errno));
	state = keep(xasprintf("%s/state", folder));
	project = keep(xasprintf("%s/project", folder));
	shell("cp -a %s/project-template %s", pg_socket_dir(), project);
	daemon_setenv("XDG_HEARTH_E2E", folder);
	db = keep((char *)pg_database());
	add_agent("fake", NULL);
	chat = new_chat(new_session(project));
}

static void
tear_down(void)
{
	bool was_running = hearthd.pid != 0;

	stop();
	check_log();
	check_processes();
	check_rows(invariants, sizeof invariants / sizeof *invariants);
	if (was_running)
		check_rows(after_stop, sizeof after_stop /
		    sizeof *after_stop);
	if (folder)
		shell("rm -rf %s", folder);
	folder = project = state = db = chat = daemon_file = NULL;
	free(hearthd.log);
	hearthd.log = NULL;
	strv_free(&extra_env);
	n_expected = 0;
	all_errors = false;
}

/* Copied for every test, so that git's part of it is done once. */
static void
make_template(void)
{
	shell("mkdir %s/project-template && cd %s/project-template && "
	    "printf 'one\\n' > a.txt && printf 'two\\n' > b.txt && "
	    "printf '*.o\\n' > .gitignore && export HOME=/nonexistent "
	    "GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t "
	    "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t && "
	    "git -c init.defaultBranch=main init -q && git add -A && "
	    "git commit -qm begin", pg_socket_dir(), pg_socket_dir());
}

int
e2e_main(const char *name, void (*add)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	if (!pg_start())
		return 0;
	make_template();
	tcase_set_timeout(tc, TEST_SECONDS);
	tcase_add_checked_fixture(tc, NULL, tear_down);
	add(tc);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
