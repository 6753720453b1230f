/* SPDX-License-Identifier: MIT */
/*
 * The option table: every key's default, what each kind of value accepts, the
 * words of each error, the file format, and the texts that are printed.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/options.h"

#include <check.h> /* last: it has a macro fail() */

static const char *const keys[] = {
	"database", "state_dir", "node_name", "max_agents", "idle_timeout",
	"start_timeout", "turn_timeout", "silence_timeout", "cancel_timeout",
	"permission_timeout", "setup_timeout", "snapshot_interval",
	"drain_timeout", "crash_limit",
	"flush_interval", "project_roots", "log_level", "log_format",
	"max_memory", "archive_grace", "worktree_budget",
};
#define KEYS (sizeof keys / sizeof *keys)

START_TEST(defaults_are_those_of_the_contract)
{
	struct options o;
	double memory;

	options_init(&o);
	ck_assert_str_eq(o.database, "");
	ck_assert_str_eq(o.state_dir, "");
	ck_assert_str_eq(o.node_name, "");
	ck_assert_uint_eq(strv_len(o.project_roots), 0);
	ck_assert_int_eq(o.max_agents, 200);
	ck_assert_int_eq(o.idle_timeout, 30 * 60 * 1000);
	ck_assert_int_eq(o.start_timeout, 60 * 1000);
	ck_assert_int_eq(o.turn_timeout, 60 * 60 * 1000);
	ck_assert_int_eq(o.silence_timeout, 15 * 60 * 1000);
	ck_assert_int_eq(o.cancel_timeout, 10 * 1000);
	ck_assert_int_eq(o.permission_timeout, 15 * 60 * 1000);
	ck_assert_int_eq(o.setup_timeout, 15 * 60 * 1000);
	ck_assert_int_eq(o.snapshot_interval, 60 * 1000);
	ck_assert_int_eq(o.drain_timeout, 30 * 1000);
	ck_assert_int_eq(o.crash_limit, 3);
	ck_assert_int_eq(o.crash_window, 5 * 60 * 1000);
	ck_assert_int_eq(o.flush_interval, 20);
	ck_assert_int_eq(o.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(o.log_format, LOG_FORMAT_TEXT);
	memory = (double)sysconf(_SC_PHYS_PAGES) *
	    (double)sysconf(_SC_PAGESIZE);
	ck_assert_double_eq_tol((double)o.max_memory / memory, .75, .001);
	ck_assert_int_eq(o.archive_grace, 7 * 24 * 3600 * 1000);
	ck_assert_int_eq(o.worktree_budget, 0);
	options_free(&o);
	ck_assert_ptr_null(o.database);
	options_free(&o);
}
END_TEST

/* error: NULL when the value is good. */
static const struct {
	const char *arg, *error;
} value_cases[] = {
	{ "turn_timeout=90s", NULL },
	{ "turn_timeout = 90 min", NULL },
	{ "  turn_timeout\t=\t2h  ", NULL },
	{ "turn_timeout=720h", NULL },
	{ "turn_timeout=90",
	  "-o: turn_timeout: \"90\" has no unit (ms, s, min, h)" },
	{ "turn_timeout=90 sec", "-o: turn_timeout: \"90 sec\" has an unknown "
	  "unit (known: ms, s, min, h)" },
	{ "turn_timeout=", "-o: turn_timeout: \"\" is not a duration like "
	  "20ms, 30s, 15min or 1h" },
	{ "turn_timeout=-5s", "-o: turn_timeout: \"-5s\" is not a duration "
	  "like 20ms, 30s, 15min or 1h" },
	{ "turn_timeout=1ms",
	  "-o: turn_timeout: 1ms is out of range (10ms to 720h)" },
	{ "turn_timeout=721h",
	  "-o: turn_timeout: 721h is out of range (10ms to 720h)" },
	{ "turn_timeout=9223372036854775807h", "-o: turn_timeout: "
	  "\"9223372036854775807h\" is too long" },
	{ "turn_timeout=99999999999999999999h", "-o: turn_timeout: "
	  "\"99999999999999999999h\" is not a duration like 20ms, 30s, 15min "
	  "or 1h" },
	{ "flush_interval=0ms", NULL },
	{ "silence_timeout=0ms", NULL },
	{ "max_agents=1", NULL },
	{ "max_agents=0",
	  "-o: max_agents: 0 is out of range (1 to 100000)" },
	{ "max_agents=many", "-o: max_agents: \"many\" is not a whole number" },
	{ "max_agents=5 000",
	  "-o: max_agents: \"5 000\" is not a whole number" },
	{ "max_agents=1e3", "-o: max_agents: \"1e3\" is not a whole number" },
	{ "crash_limit=5 in 10s", NULL },
	{ "crash_limit=5 in 10 s", NULL },
	{ "crash_limit=5",
	  "-o: crash_limit: \"5\" is not like \"3 in 5min\"" },
	{ "crash_limit=5 within 10s",
	  "-o: crash_limit: \"5 within 10s\" is not like \"3 in 5min\"" },
	{ "crash_limit=5 in10s",
	  "-o: crash_limit: \"5 in10s\" is not like \"3 in 5min\"" },
	{ "crash_limit=5 in 10",
	  "-o: crash_limit: \"10\" has no unit (ms, s, min, h)" },
	{ "crash_limit=0 in 10s",
	  "-o: crash_limit: 0 is out of range (1 to 1000000)" },
	{ "crash_limit=1 in 0s",
	  "-o: crash_limit: 0s is out of range (10ms or more)" },
	{ "log_level=debug", NULL },
	{ "log_level=loud", "-o: log_level: \"loud\" is not one of error, "
	  "warning, info, debug" },
	{ "log_format=json", NULL },
	{ "log_format=JSON",
	  "-o: log_format: \"JSON\" is not one of text, json" },
	{ "state_dir=/srv/hearth/", NULL },
	{ "state_dir=", NULL },
	{ "state_dir=var/lib",
	  "-o: state_dir: \"var/lib\" is not an absolute path" },
	{ "project_roots=/home:/srv/git/", NULL },
	{ "project_roots=", NULL },
	{ "project_roots=/home:git",
	  "-o: project_roots: \"git\" is not an absolute path" },
	{ "project_roots=/home::/srv",
	  "-o: project_roots: \"\" is not an absolute path" },
	{ "database=postgresql://h/d?options=-c%20x=1", NULL },
	{ "database=host=/run dbname=d", NULL },
	{ "database=a\tb", "-o: database: the value has a control character" },
	{ "node_name=\xFF", "-o: node_name: the value is not valid UTF-8" },
	{ "idle_timout=1h",
	  "-o: unknown key \"idle_timout\" (did you mean idle_timeout?)" },
	{ "max_agent=5",
	  "-o: unknown key \"max_agent\" (did you mean max_agents?)" },
	{ "xyzzy=1", "-o: unknown key \"xyzzy\"" },
	{ "max_memory=0", NULL },
	{ "max_memory=512MiB", NULL },
	{ "max_memory=12 GiB", NULL },
	{ "max_memory=50%", NULL },
	{ "max_memory=100 %", NULL },
	{ "max_memory=0%",
	  "-o: max_memory: 0% is out of range (1% to 100%)" },
	{ "max_memory=101%",
	  "-o: max_memory: 101% is out of range (1% to 100%)" },
	{ "max_memory=1", "-o: max_memory: \"1\" has no unit (known: KiB, "
	  "MiB, GiB, TiB, %)" },
	{ "max_memory=1GB", "-o: max_memory: \"1GB\" has an unknown unit "
	  "(known: KiB, MiB, GiB, TiB, %)" },
	{ "worktree_budget=20GiB", NULL },
	{ "worktree_budget=50%", "-o: worktree_budget: \"50%\" has an unknown "
	  "unit (known: KiB, MiB, GiB, TiB)" },
	{ "worktree_budget=much", "-o: worktree_budget: \"much\" is not a size "
	  "like 512MiB or 8GiB" },
	{ "max_memory=half", "-o: max_memory: \"half\" is not a size like "
	  "512MiB, 8GiB, or 75% of the machine's memory" },
	{ "max_memory=99999999TiB", "-o: max_memory: \"99999999TiB\" is too "
	  "large" },
	{ "turn_timeout", "-o turn_timeout: it has no value: give -o "
	    "turn_timeout=VALUE (hearthd --help lists the options)" },
	{ "=5", "-o: expected \"key = value\"" },
	{ "", "-o: expected \"key = value\"" },
};

START_TEST(value_is_taken_or_the_error_says_why)
{
	struct options o;
	struct err e = { "" };
	int result;

	options_init(&o);
	result = options_set_arg(&o, value_cases[_i].arg, &e);
	ck_assert_str_eq(e.text, value_cases[_i].error ?
	    value_cases[_i].error : "");
	ck_assert_int_eq(result, value_cases[_i].error ? -1 : 0);
	options_free(&o);
}
END_TEST

START_TEST(each_kind_of_value_arrives_in_its_field)
{
	struct options o;
	static const char *const args[] = {
		"database = host=/run dbname=d", "state_dir=/srv//",
		"log_level=debug",
		"project_roots=/home:/srv/git/:/", "max_agents=7",
		"turn_timeout=90 min", "crash_limit=5 in 10s",
		"log_format=json", "flush_interval=3ms", "max_memory=3GiB",
	};

	options_init(&o);
	for (size_t i = 0; i < sizeof args / sizeof *args; i++)
		ck_assert_int_eq(options_set_arg(&o, args[i], NULL), 0);
	ck_assert_str_eq(o.database, "host=/run dbname=d");
	ck_assert_str_eq(o.state_dir, "/srv");
	ck_assert_uint_eq(strv_len(o.project_roots), 3);
	ck_assert_str_eq(o.project_roots[1], "/srv/git");
	ck_assert_str_eq(o.project_roots[2], "/");
	ck_assert_int_eq(o.max_agents, 7);
	ck_assert_int_eq(o.turn_timeout, 90 * 60 * 1000);
	ck_assert_int_eq(o.crash_limit, 5);
	ck_assert_int_eq(o.crash_window, 10000);
	ck_assert_int_eq(o.flush_interval, 3);
	ck_assert_int_eq(o.max_memory, (int64_t)3 << 30);
	ck_assert_int_eq(o.log_level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(o.log_format, LOG_FORMAT_JSON);
	options_free(&o);
}
END_TEST

START_TEST(refused_value_leaves_the_old_one)
{
	struct options o;

	options_init(&o);
	ck_assert_int_eq(options_set_arg(&o, "project_roots=/a", NULL), 0);
	ck_assert_int_eq(options_set_arg(&o, "project_roots=/b:c", NULL), -1);
	ck_assert_int_eq(options_set_arg(&o, "crash_limit=9 in 1", NULL), -1);
	ck_assert_str_eq(o.project_roots[0], "/a");
	ck_assert_int_eq(o.crash_limit, 3);
	options_free(&o);
}
END_TEST

/* Loads text as a file; in error texts the file is called FILE. */
static int
load(struct options *o, const char *text, size_t n, struct err *e)
{
	char path[] = "/tmp/hearth-options-XXXXXX";
	int fd = mkstemp(path), result;
	char *at;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
	close(fd);
	result = options_load(o, path, e);
	unlink(path);
	at = result == 0 ? NULL : strstr(e->text, path);
	if (at) {
		char *rest = xstrdup(at + strlen(path));

		strcpy(at, "FILE");
		strcat(at, rest);
		free(rest);
	}
	return result;
}

START_TEST(file_has_comments_blank_lines_and_pairs)
{
	static const char text[] =
	    "# a comment\n"
	    "\n"
	    "   \t\n"
	    "  max_agents=5   # five are enough\n"
	    "turn_timeout =  2h\r\n"
	    "database = postgresql://u:p#w@h/d\n"
	    "node_name = a b\t# c\n"
	    "project_roots =\n"
	    "max_agents = 6\n"
	    "log_level = debug";
	struct options o;
	struct err e = { "" };

	options_init(&o);
	ck_assert_msg(load(&o, text, sizeof text - 1, &e) == 0, "%s", e.text);
	ck_assert_int_eq(o.max_agents, 6);
	ck_assert_int_eq(o.turn_timeout, 7200000);
	ck_assert_str_eq(o.database, "postgresql://u:p#w@h/d");
	ck_assert_str_eq(o.node_name, "a b");
	ck_assert_int_eq(o.log_level, LOG_LEVEL_DEBUG);
	options_free(&o);
}
END_TEST

#define FILE_CASE(text, error) { text, sizeof(text) - 1, error }

static const struct {
	const char *text;
	size_t len;
	const char *error;
} file_cases[] = {
	FILE_CASE("\n# x\nidle_timout = 1h\n", "FILE:3: unknown key "
	    "\"idle_timout\" (did you mean idle_timeout?)"),
	FILE_CASE("max_agents = 5\nturn_timeout = 90\n",
	    "FILE:2: turn_timeout: \"90\" has no unit (ms, s, min, h)"),
	FILE_CASE("max_agents 5\n", "FILE:1: expected \"key = value\""),
	FILE_CASE("max_agents # = 5\n", "FILE:1: expected \"key = value\""),
	FILE_CASE("[section]\n", "FILE:1: expected \"key = value\""),
	FILE_CASE("max_agents = 5\0 0\n", "FILE:1: the line has a NUL byte"),
};

START_TEST(error_in_a_file_names_file_line_and_key)
{
	struct options o;
	struct err e = { "" };

	options_init(&o);
	ck_assert_int_eq(load(&o, file_cases[_i].text, file_cases[_i].len,
	    &e), -1);
	ck_assert_str_eq(e.text, file_cases[_i].error);
	options_free(&o);
}
END_TEST

START_TEST(file_that_cannot_be_read_is_an_error)
{
	struct options o;
	struct err e;

	options_init(&o);
	ck_assert_int_eq(options_load(&o, "/no/such/hearthd.conf", &e), -1);
	ck_assert_str_eq(e.text,
	    "/no/such/hearthd.conf: No such file or directory");
	ck_assert_int_eq(options_load(&o, "/tmp", &e), -1);
	ck_assert_str_eq(e.text, "/tmp: Is a directory");
	options_free(&o);
}
END_TEST

START_TEST(finish_fills_what_depends_on_the_machine)
{
	struct options o;
	struct err e;
	char host[256] = "", *dir = options_default_state_dir();

	gethostname(host, sizeof host - 1);
	options_init(&o);
	ck_assert_int_eq(options_finish(&o, &e), 0);
	ck_assert_str_eq(o.state_dir, dir);
	ck_assert_str_eq(o.node_name, host);
	free(dir);
	options_free(&o);
	options_init(&o);
	options_set_arg(&o, "state_dir=/x", NULL);
	options_set_arg(&o, "node_name=n", NULL);
	ck_assert_int_eq(options_finish(&o, &e), 0);
	ck_assert_str_eq(o.state_dir, "/x");
	ck_assert_str_eq(o.node_name, "n");
	options_set_arg(&o, "state_dir=//", NULL);
	ck_assert_int_eq(options_finish(&o, &e), -1);
	options_free(&o);
}
END_TEST

/* For a person, as whom a test run by root goes on. */
static const struct {
	const char *state_home, *home, *dir;
} dir_cases[] = {
	{ "/x/state", "/home/u", "/x/state/hearth" },
	{ NULL, "/home/u", "/home/u/.local/state/hearth" },
	{ "", "/home/u", "/home/u/.local/state/hearth" },
	{ "relative", "/home/u", "/home/u/.local/state/hearth" },
};

START_TEST(state_dir_is_the_persons_unless_root)
{
	char *dir;

	if (geteuid() == 0) {
		dir = options_default_state_dir();
		ck_assert_str_eq(dir, "/var/lib/hearth");
		free(dir);
		ck_assert_int_eq(seteuid(65533), 0);
	}
	if (dir_cases[_i].state_home)
		setenv("XDG_STATE_HOME", dir_cases[_i].state_home, 1);
	else
		unsetenv("XDG_STATE_HOME");
	setenv("HOME", dir_cases[_i].home, 1);
	dir = options_default_state_dir();
	ck_assert_str_eq(dir, dir_cases[_i].dir);
	free(dir);
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(socket_dir_always_fits_an_address)
{
	char path[300] = "/";
	char *first = options_socket_dir("/var/lib/hearth"), *other;
	bool was_long = false;

	ck_assert_str_eq(first, "/var/lib/hearth/run");
	free(first);
	for (size_t n = 1; n < sizeof path - 1; n++) {
		char *dir = options_socket_dir(path);
		bool is_long = strncmp(dir, path, n) != 0 ||
		    strncmp(dir, "/tmp/hearth-", 12) == 0;

		ck_assert_uint_le(strlen(dir) + sizeof "/.s.PGSQL.65535",
		    sizeof ((struct sockaddr_un *)0)->sun_path);
		ck_assert_msg(is_long || !was_long, "%s", path);
		was_long = is_long;
		free(dir);
		path[n] = 'a';
	}
	ck_assert(was_long);
	first = options_socket_dir(path);
	path[sizeof path - 2] = 'b';
	other = options_socket_dir(path);
	ck_assert_str_ne(first, other);
	free(first);
	free(other);
}
END_TEST

static const struct {
	int64_t ms;
	const char *text;
} duration_cases[] = {
	{ 0, "0 ms" }, { 1, "1 ms" }, { 250, "250 ms" }, { 1000, "1 s" },
	{ 1500, "1500 ms" }, { 9999, "9999 ms" }, { 12345, "12.3 s" },
	{ 90000, "90 s" }, { 900000, "15 min" }, { 3600000, "1 h" },
	{ 754321, "12.6 min" }, { 5400000, "90 min" }, { 9000001, "2.5 h" },
	{ 720 * 3600000LL, "720 h" }, { -5, "-5 ms" },
};

START_TEST(duration_is_written_for_people)
{
	ck_assert_str_eq(duration_text(duration_cases[_i].ms),
	    duration_cases[_i].text);
}
END_TEST

START_TEST(four_durations_fit_one_message)
{
	char *text = xasprintf("%s %s %s %s", duration_text(1),
	    duration_text(2), duration_text(3), duration_text(4));

	ck_assert_str_eq(text, "1 ms 2 ms 3 ms 4 ms");
	free(text);
}
END_TEST

static char *
printed(void (*print)(FILE *f))
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	print(f);
	fclose(f);
	return text;
}

START_TEST(every_key_is_in_every_text)
{
	void (*const prints[])(FILE *) = { options_print_help,
		options_print_sample, options_print_manual };
	static const char *const forms[] = { "\n  %s (default: ", "\n#%s =",
		"\n.BR %s \" (default: " };
	char *text = printed(prints[_i]), *all = xasprintf("\n%s", text);

	for (size_t i = 0; i < KEYS; i++) {
		char want[100];

		snprintf(want, sizeof want, forms[_i], keys[i]);
		ck_assert_msg(strstr(all, want) != NULL, "%s", keys[i]);
	}
	free(text);
	free(all);
}
END_TEST

START_TEST(printed_lines_are_not_wider_than_a_terminal)
{
	char *text = printed(_i ? options_print_sample : options_print_help);

	for (char *line = text; *line; line += strcspn(line, "\n") + 1)
		ck_assert_msg(strcspn(line, "\n") <= 80, "%.*s",
		    (int)strcspn(line, "\n"), line);
	free(text);
}
END_TEST

START_TEST(sample_is_a_valid_file_and_shows_the_defaults)
{
	char *text = printed(options_print_sample);
	struct options o, preset;
	struct err e = { "" };
	int pairs = 0;

	options_init(&o);
	options_init(&preset);
	ck_assert_msg(load(&o, text, strlen(text), &e) == 0, "%s", e.text);
	/* and with each pair taken in */
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z') {
			line[0] = ' ';
			pairs++;
		}
	}
	ck_assert_uint_eq(pairs, KEYS);
	ck_assert_msg(load(&o, text, strlen(text), &e) == 0, "%s", e.text);
	ck_assert_int_eq(o.turn_timeout, preset.turn_timeout);
	ck_assert_int_eq(o.crash_window, preset.crash_window);
	ck_assert_str_eq(o.state_dir, preset.state_dir);
	free(text);
	options_free(&o);
	options_free(&preset);
}
END_TEST

#define CASES(table) (int)(sizeof table / sizeof *table)

static Suite *
suite(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("values");

	tcase_add_test(t, defaults_are_those_of_the_contract);
	tcase_add_loop_test(t, value_is_taken_or_the_error_says_why, 0,
	    CASES(value_cases));
	tcase_add_test(t, each_kind_of_value_arrives_in_its_field);
	tcase_add_test(t, refused_value_leaves_the_old_one);
	suite_add_tcase(s, t);

	t = tcase_create("files");
	tcase_add_test(t, file_has_comments_blank_lines_and_pairs);
	tcase_add_loop_test(t, error_in_a_file_names_file_line_and_key, 0,
	    CASES(file_cases));
	tcase_add_test(t, file_that_cannot_be_read_is_an_error);
	suite_add_tcase(s, t);

	t = tcase_create("machine and texts");
	tcase_add_test(t, finish_fills_what_depends_on_the_machine);
	tcase_add_loop_test(t, state_dir_is_the_persons_unless_root, 0,
	    CASES(dir_cases));
	tcase_add_test(t, socket_dir_always_fits_an_address);
	tcase_add_loop_test(t, duration_is_written_for_people, 0,
	    CASES(duration_cases));
	tcase_add_test(t, four_durations_fit_one_message);
	tcase_add_loop_test(t, every_key_is_in_every_text, 0, 3);
	tcase_add_loop_test(t, printed_lines_are_not_wider_than_a_terminal,
	    0, 2);
	tcase_add_test(t, sample_is_a_valid_file_and_shows_the_defaults);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
