/* SPDX-License-Identifier: MIT */
/*
 * The client's pure parts as tables of cases (arguments, which database,
 * tables, events as text), and the registry's defaults on a real PostgreSQL:
 * they must follow what they were, and never what a person made of them.
 */
#include <check.h>
#undef fail
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/agents.h"
#include "cli/db.h"
#include "cli/diff.h"
#include "cli/registry.h"
#include "cli/render.h"
#include "cli/run.h"
#include "cli/screen.h"
#include "cli/show.h"
#include "cli/table.h"
#include "tests/pg_harness.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define WORDS 12

static int
count_words(const char *const *words)
{
	int n = 0;

	while (words[n] != NULL)
		n++;
	return n;
}

/* getopt_long() reorders: a copy that it may. The caller frees. */
static char **
copy_words(const char *const *words)
{
	return strv_copy((char *const *)words);
}

static const struct {
	const char *words[WORDS];
	const char *agent, *project, *chat, *prompt, *database;
} run_cases[] = {
	{ { "run", "-a", "x", "hello" }, "x", ".", NULL, "hello", NULL },
	{ { "run", "hello", "-a", "x", "-p", "/p" },
	    "x", "/p", NULL, "hello", NULL },
	{ { "run", "--agent=x", "--project", "p", "-d", "db", "hello" },
	    "x", "p", NULL, "hello", "db" },
	{ { "run", "--chat", "c", "hello" }, NULL, ".", "c", "hello", NULL },
	{ { "run", "-a", "x", "--", "--help" },
	    "x", ".", NULL, "--help", NULL },
	{ { "run", "-a", "x", "-" }, "x", ".", NULL, "-", NULL },
};

static void
same(const char *is, const char *want)
{
	if (want == NULL)
		ck_assert_ptr_null(is);
	else
		ck_assert_str_eq(is, want);
}

START_TEST(run_takes_its_arguments_in_any_order)
{
	char **argv = copy_words(run_cases[_i].words);
	struct cli cli = { NULL };
	struct run_arguments a;
	struct err e = { "" };

	ck_assert_msg(run_parse(&cli, count_words(run_cases[_i].words), argv,
	    &a, &e) == 0, "%s", e.text);
	same(a.agent, run_cases[_i].agent);
	same(a.project, run_cases[_i].project);
	same(a.chat, run_cases[_i].chat);
	same(a.prompt, run_cases[_i].prompt);
	same(cli.database, run_cases[_i].database);
	free(argv[0]);
	argv[0] = xstrdup("run");
	strv_free(&argv);
}
END_TEST

static const struct {
	const char *words[WORDS];
	const char *reason;
} bad_run_cases[] = {
	{ { "run" }, "no prompt" },
	{ { "run", "-a", "x" }, "no prompt" },
	{ { "run", "hello" }, "which agent" },
	{ { "run", "-a", "x", "two", "words" }, "put the prompt in quotes" },
	{ { "run", "-a" }, "-a needs a value" },
	{ { "run", "-z", "x" }, "-z" },
	{ { "run", "--bogus", "x" }, "unknown option --bogus" },
	{ { "run", "--chat", "c", "-p", "p", "x" }, "exclude each other" },
};

START_TEST(bad_run_says_what_is_wrong)
{
	char **argv = copy_words(bad_run_cases[_i].words);
	struct cli cli = { NULL };
	struct run_arguments a;
	struct err e = { "" };

	ck_assert_int_eq(run_parse(&cli, count_words(bad_run_cases[_i].words),
	    argv, &a, &e), -1);
	ck_assert_msg(strstr(e.text, bad_run_cases[_i].reason) != NULL, "%s",
	    e.text);
	strv_free(&argv);
}
END_TEST

START_TEST(chat_takes_options_and_no_prompt)
{
	static const char *const good[] = { "chat", "-a", "x", "--model", "m",
		NULL };
	static const char *const bad[][WORDS] = {
		{ "chat", "-a", "x", "hello" }, { "chat" },
		{ "chat", "--chat", "c", "-p", "p" },
	};
	static const char *const reasons[] = { "prompts are typed",
		"chat: which agent", "exclude each other" };
	char **argv = copy_words(good);
	struct cli cli = { NULL };
	struct run_arguments a;
	struct err e = { "" };

	ck_assert_int_eq(chat_parse(&cli, count_words(good), argv, &a, &e), 0);
	same(a.agent, "x");
	same(a.project, ".");
	same(a.model, "m");
	same(a.prompt, NULL);
	strv_free(&argv);
	for (int i = 0; i < COUNT(bad); i++) {
		argv = copy_words(bad[i]);
		ck_assert_int_eq(chat_parse(&cli, count_words(bad[i]), argv,
		    &a, &e), -1);
		ck_assert_msg(strstr(e.text, reasons[i]) != NULL, "%s",
		    e.text);
		strv_free(&argv);
	}
}
END_TEST

static const struct {
	const char *words[WORDS];
	const char *name, *permission, *env, *command;
} add_cases[] = {
	{ { "agents add", "x", "--", "cmd", "--acp" },
	    "x", "ask", "{}", "cmd --acp" },
	{ { "agents add", "x", "--env", "A=b=c", "--env", "D=", "--permission",
	    "deny", "--", "cmd" }, "x", "deny", "{\"A\":\"b=c\",\"D\":\"\"}",
	    "cmd" },
	{ { "agents add", "--title", "T", "x", "cmd", "arg" },
	    "x", "ask", "{}", "cmd arg" },
};

START_TEST(add_takes_name_environment_and_command)
{
	char **argv = copy_words(add_cases[_i].words), *env;
	struct cli cli = { NULL };
	struct agent_arguments a;
	struct err e = { "" };
	struct buf command = { 0 };

	ck_assert_msg(agents_parse_add(&cli, count_words(add_cases[_i].words),
	    argv, &a, &e) == 0, "%s", e.text);
	ck_assert_str_eq(a.name, add_cases[_i].name);
	ck_assert_str_eq(a.permission, add_cases[_i].permission);
	env = json_dumps(a.env, JSON_COMPACT | JSON_SORT_KEYS);
	ck_assert_str_eq(env, add_cases[_i].env);
	for (char **word = a.command; *word != NULL; word++)
		buf_printf(&command, "%s%s", command.len > 0 ? " " : "", *word);
	ck_assert_str_eq(command.data, add_cases[_i].command);
	buf_free(&command);
	free(env);
	json_decref(a.env);
	strv_free(&argv);
}
END_TEST

static const struct {
	const char *words[WORDS];
	const char *reason;
} bad_add_cases[] = {
	{ { "agents add" }, "a name and a command" },
	{ { "agents add", "x" }, "a name and a command" },
	{ { "agents add", "x", "--env", "A", "--", "c" }, "NAME=VALUE" },
	{ { "agents add", "x", "--env", "=b", "--", "c" }, "NAME=VALUE" },
	{ { "agents add", "x", "--env", "A=\xff", "--", "c" }, "UTF-8" },
	{ { "agents add", "x", "--permission", "maybe", "--", "c" },
	    "ask, allow or deny" },
	{ { "agents add", "x", "cmd", "--acp" }, "unknown option --acp" },
};

START_TEST(bad_add_says_what_is_wrong)
{
	char **argv = copy_words(bad_add_cases[_i].words);
	struct cli cli = { NULL };
	struct agent_arguments a;
	struct err e = { "" };

	ck_assert_int_eq(agents_parse_add(&cli,
	    count_words(bad_add_cases[_i].words), argv, &a, &e), -1);
	ck_assert_msg(strstr(e.text, bad_add_cases[_i].reason) != NULL, "%s",
	    e.text);
	json_decref(a.env);
	strv_free(&argv);
}
END_TEST

static const struct {
	const char *given, *environment, *want; /* NULL: the embedded one */
} database_cases[] = {
	{ "dbname=g", "dbname=e", "dbname=g" },
	{ "dbname=g", NULL, "dbname=g" },
	{ NULL, "postgresql://h/e", "postgresql://h/e" },
	{ "", "dbname=e", "dbname=e" },
	{ NULL, NULL, NULL },
	{ NULL, "", NULL },
	{ "", "", NULL },
};

START_TEST(option_goes_before_environment_before_embedded)
{
	char *is = db_conninfo(database_cases[_i].given,
	    database_cases[_i].environment, "hearth");

	if (database_cases[_i].want != NULL)
		ck_assert_str_eq(is, database_cases[_i].want);
	else {
		ck_assert_ptr_nonnull(strstr(is, " user='hearth' "));
		ck_assert_ptr_nonnull(strstr(is, "dbname=hearth"));
	}
	free(is);
}
END_TEST

/* What table_print() makes of these cells; the caller frees. */
static char *
printed(int columns, const char *const *headers, const char *const *cells,
    int width)
{
	struct table *t = table_new(columns, headers);
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	for (; *cells != NULL; cells++)
		table_add(t, *cells);
	table_print(t, f, width);
	fclose(f);
	table_free(&t);
	return text;
}

START_TEST(columns_are_aligned_by_characters)
{
	static const char *const headers[] = { "name", ">n", "what" };
	static const char *const cells[] = { "w\xc3\xb6rld", "7", "a\nb",
		"x", "1234", "", NULL };
	char *text = printed(3, headers, cells, 0);

	ck_assert_str_eq(text,
	    "name      n  what\n"
	    "w\xc3\xb6rld     7  a b\n"
	    "x      1234  \n");
	free(text);
}
END_TEST

START_TEST(last_column_is_cut_at_the_width)
{
	static const char *const headers[] = { "a", "b" };
	static const char *const cells[] = { "1", "\xc3\xa4\xc3\xb6\xc3\xbc",
		NULL };
	char *text = printed(2, headers, cells, 5);

	ck_assert_str_eq(text, "a  b\n1  \xc3\xa4\xc3\xb6\n");
	free(text);
}
END_TEST

#define END "\033[K\n"

static const struct {
	const char *text;
	int width, height;
	const char *shown;
} screen_cases[] = {
	{ "one\ntwo\n", 80, 24, "one" END "two" END },
	{ "one\n\ntwo", 80, 24, "one" END END "two" END },
	{ "", 80, 24, "" },
	{ "1\n2\n3\n4\n", 80, 3, "1" END "2" END },
	{ "abcdef\ngh\n", 3, 24, "abc" END "gh" END },
	/* by characters, and never half of one */
	{ "\xc3\xa4\xc3\xb6\xc3\xbc\nx\n", 2, 24,
	    "\xc3\xa4\xc3\xb6" END "x" END },
};

START_TEST(text_is_fitted_to_the_screen)
{
	char *want = xasprintf("%s\033[J", screen_cases[_i].shown);
	struct buf b = { 0 };

	screen_fit(&b, screen_cases[_i].text, screen_cases[_i].width,
	    screen_cases[_i].height);
	ck_assert_str_eq(b.data, want);
	buf_free(&b);
	free(want);
}
END_TEST

static const struct {
	const char *kind, *payload, *line;
} event_cases[] = {
	{ "text", "{\"text\":\"two\\nlines\"}", "two lines" },
	{ "text", "{}", "" },
	{ "text", "[]", "" },
	{ "tool_call", "{\"title\":\"Edit\",\"kind\":\"edit\","
	    "\"status\":\"pending\"}", "Edit [edit] pending" },
	{ "tool_update", "{\"toolCallId\":\"t1\",\"status\":\"failed\"}",
	    "t1 failed" },
	{ "tool_call", "{\"title\":7}", "" },
	{ "turn_started", "{\"prompt\":[{\"type\":\"text\","
	    "\"text\":\"hi\"},{\"type\":\"image\"}]}", "hi" },
	{ "turn_ended", "{\"status\":\"failed\",\"error\":\"no\"}",
	    "failed: no" },
	{ "turn_ended", "{\"status\":\"completed\","
	    "\"stop_reason\":\"end_turn\"}", "completed: end_turn" },
	{ "from_the_future", "{\"a\":1}", "{\"a\":1}" },
};

START_TEST(event_is_one_line_whatever_is_in_it)
{
	json_t *payload = json_loads(event_cases[_i].payload, 0, NULL);
	char *line = render_event(event_cases[_i].kind, payload);

	ck_assert_str_eq(line, event_cases[_i].line);
	free(line);
	json_decref(payload);
}
END_TEST

START_TEST(text_cannot_command_the_terminal)
{
	struct buf b = { 0 };

	render_for_terminal(&b, "a\033[2Jb\x7f\tc\xc2\x9b" "d\n\xc3\xa4");
	ck_assert_str_eq(b.data, "a[2Jb\tcd\n\xc3\xa4");
	buf_free(&b);
}
END_TEST

/* Nor can what agents call their tools, their options and their files. */
START_TEST(a_name_cannot_command_the_terminal)
{
	json_t *options = json_loads("[{\"optionId\":\"a\\u009b1K\","
	    "\"name\":\"x\\r1) No\\u001b[2J\"}]", 0, NULL);
	json_t *call = json_loads("{\"title\":\"a\\u001bb\\u009b1Kc\"}", 0,
	    NULL);
	char *list = render_options(options, false);
	char *ids = render_options(options, true);
	char *line = render_event("tool_call", call);
	static const char *const headers[] = { "x" };
	static const char *const cells[] = { "a\xc2\x9b" "1Kb\033", NULL };
	char *text = printed(1, headers, cells, 0);

	ck_assert_str_eq(list, "1) x 1) No [2J");
	ck_assert_str_eq(ids, "a  1K (x 1) No [2J)");
	ck_assert_str_eq(line, "a b  1Kc");
	ck_assert_ptr_null(strpbrk(text, "\033\xc2"));
	free(list);
	free(ids);
	free(line);
	free(text);
	json_decref(options);
	json_decref(call);
}
END_TEST

/* The registry */

static json_t *
entry(const char *path, const char *demo, const char *name)
{
	json_t *all = registry_defaults(path, demo), *one, *found = NULL;
	size_t i;

	json_array_foreach(all, i, one)
		if (strcmp(render_text(one, "name"), name) == 0)
			found = json_incref(one);
	json_decref(all);
	return found;
}

START_TEST(default_is_enabled_when_it_is_on_the_path)
{
	json_t *qwen = entry("/nonexistent", NULL, "qwen");
	json_t *demo = entry("/nonexistent", "/bin/sh", "demo");

	ck_assert(json_is_false(json_object_get(qwen, "enabled")));
	ck_assert(json_is_true(json_object_get(demo, "enabled")));
	ck_assert_str_eq(render_text(demo, "permission_mode"), "allow");
	ck_assert_str_eq(render_text(qwen, "permission_mode"), "ask");
	ck_assert_ptr_null(entry(NULL, NULL, "demo"));
	json_decref(qwen);
	json_decref(demo);
}
END_TEST

START_TEST(markers_of_other_agents_are_unset)
{
	json_t *claude = entry(NULL, NULL, "claude");
	const json_t *env = json_object_get(claude, "env");

	ck_assert(json_is_null(json_object_get(env, "CLAUDECODE")));
	ck_assert(json_is_null(json_object_get(env,
	    "CLAUDE_CODE_ENTRYPOINT")));
	ck_assert_str_eq(render_text(env, "NO_BROWSER"), "1");
	ck_assert_str_eq(render_text(env, "NO_COLOR"), "1");
	json_decref(claude);
}
END_TEST

static void
write_defaults(const char *db, const char *path, const char *demo)
{
	PGconn *conn = pg_connect(db);
	json_t *all = registry_defaults(path, demo);

	ck_assert_int_eq(registry_write(conn, all), 0);
	json_decref(all);
	PQfinish(conn);
}

START_TEST(rows_beyond_the_limit_are_counted)
{
	char *text = NULL;
	size_t n;
	struct show to = { .rows = 2, .f = open_memstream(&text, &n) };
	PGconn *conn = PQconnectdb(pg_database());

	ck_assert_int_eq(show_query_to(&to, conn, "numbers", "none",
	    "select * from generate_series(1, 5) n"), 0);
	ck_assert_int_eq(show_query_to(&to, conn, "pair", "none",
	    "select * from generate_series(1, 2) n"), 0);
	ck_assert_int_eq(show_query_to(&to, conn, "nothing", "none",
	    "select 1 where false"), 0);
	fclose(to.f);
	ck_assert_str_eq(text, "numbers\nn\n1\n2\n... and 3 more\n"
	    "pair\nn\n1\n2\nnothing\nnone\n");
	PQfinish(conn);
	free(text);
}
END_TEST

START_TEST(empty_registry_gets_the_defaults)
{
	const char *db = pg_database();

	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select string_agg(name, ' ' "
	    "order by name) from hearth.agents"), "claude codex copilot demo "
	    "gemini goose opencode qwen");
	ck_assert_str_eq(pg_value(db, "select string_agg(name, ' ') "
	    "from hearth.agents where enabled"), "demo");
	ck_assert_str_eq(pg_value(db, "select command from hearth.agents "
	    "where name = 'copilot'"), "{copilot,--acp,--stdio}");
}
END_TEST

START_TEST(untouched_default_follows)
{
	const char *db = pg_database();

	write_defaults(db, "/nonexistent", "/old/demo");
	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select command || enabled::text "
	    "from hearth.agents where name = 'demo'"), "{/bin/sh,true}");
}
END_TEST

START_TEST(what_a_person_changed_stays)
{
	const char *db = pg_database();

	write_defaults(db, "/nonexistent", "/bin/cat");
	pg_exec(db, "update hearth.agents set enabled = false, title = 'Mine', "
	    "env = '{}' where name = 'demo'");
	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select concat_ws(' ', enabled, title, "
	    "env, command) from hearth.agents where name = 'demo'"),
	    "f Mine {} {/bin/sh}");
	pg_exec(db, "update hearth.agents set command = '{/mine}' "
	    "where name = 'demo'");
	write_defaults(db, "/nonexistent", "/bin/cat");
	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select concat_ws(' ', enabled, title, "
	    "env, command) from hearth.agents where name = 'demo'"),
	    "f Mine {} {/mine}");
}
END_TEST

START_TEST(agent_of_the_same_name_that_was_there_stays)
{
	const char *db = pg_database();

	pg_exec(db, "insert into hearth.agents (name, command) "
	    "values ('demo', '{mine}')");
	write_defaults(db, "/nonexistent", "/bin/cat");
	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select command from hearth.agents "
	    "where name = 'demo'"), "{mine}");
}
END_TEST

START_TEST(agent_that_was_removed_does_not_come_back)
{
	const char *db = pg_database();

	write_defaults(db, "/nonexistent", "/bin/cat");
	pg_exec(db, "delete from hearth.agents where name = 'demo'");
	write_defaults(db, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select count(*) from hearth.agents "
	    "where name = 'demo'"), "0");
}
END_TEST

START_TEST(agent_that_left_the_path_stays_enabled)
{
	const char *db = pg_database();

	write_defaults(db, "/nonexistent", "/bin/sh");
	write_defaults(db, "/nonexistent", "/nonexistent/demo");
	ck_assert_str_eq(pg_value(db, "select enabled from hearth.agents "
	    "where name = 'demo'"), "t");
}
END_TEST

static const struct {
	const char *diff;
	enum diff_look look;
	const char *expected;
} diff_cases[] = {
	{ "", DIFF_AS_IT_IS, "" },
	{ "Binary file, 3 bytes\n", DIFF_AS_IT_IS,
	    "Binary file, 3 bytes\n" },
	{ "a\033[2Jb", DIFF_AS_IT_IS, "a\033[2Jb\n" },
	{ "@@ -1 +1 @@\n+\033[2Jb", DIFF_VISIBLE,
	    "@@ -1 +1 @@\n+^[[2Jb\n" },
	{ "Binary file, 3 bytes\n", DIFF_IN_COLOURS,
	    "\033[1mBinary file, 3 bytes\033[0m\n" },
	{ "diff --git a/x b/x\n--- a/x\n@@ -1 +1,2 @@ f\n a\n-b\n+c\td\n",
	    DIFF_IN_COLOURS, "\033[1mdiff --git a/x b/x\033[0m\n\033[1m--- a/x\033[0m\n"
	    "\033[36m@@ -1 +1,2 @@ f\033[0m\n a\n\033[31m-b\033[0m\n"
	    "\033[32m+c\td\033[0m\n" },
	/* what an agent wrote does not speak to the terminal */
	{ "@@ -1 +1 @@\n+\033]0;x\007\177\302\233m \303\244\r\n", DIFF_IN_COLOURS,
	    "\033[36m@@ -1 +1 @@\033[0m\n"
	    "\033[32m+^[]0;x^G^?^[m \303\244^M\033[0m\n" },
};

START_TEST(diffs_are_plain_or_in_colours)
{
	struct buf out = { 0 };

	diff_render(diff_cases[_i].diff, diff_cases[_i].look, &out);
	ck_assert_str_eq(out.data, diff_cases[_i].expected);
	buf_free(&out);
}
END_TEST

START_TEST(user_without_rights_changes_nothing)
{
	const char *db = pg_database();
	char *weak = xasprintf("%s user=cli_weak", db);

	pg_exec(db, "create role cli_weak login in role hearth_app");
	write_defaults(weak, "/nonexistent", "/bin/sh");
	ck_assert_str_eq(pg_value(db, "select count(*) from hearth.agents"),
	    "0");
	pg_exec(db, "drop role cli_weak");
	free(weak);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("cli");
	TCase *t = tcase_create("pure");

	tcase_add_loop_test(t, run_takes_its_arguments_in_any_order,
	    0, COUNT(run_cases));
	tcase_add_loop_test(t, diffs_are_plain_or_in_colours,
	    0, COUNT(diff_cases));
	tcase_add_loop_test(t, bad_run_says_what_is_wrong,
	    0, COUNT(bad_run_cases));
	tcase_add_test(t, chat_takes_options_and_no_prompt);
	tcase_add_loop_test(t, add_takes_name_environment_and_command,
	    0, COUNT(add_cases));
	tcase_add_loop_test(t, bad_add_says_what_is_wrong,
	    0, COUNT(bad_add_cases));
	tcase_add_loop_test(t, option_goes_before_environment_before_embedded,
	    0, COUNT(database_cases));
	tcase_add_test(t, columns_are_aligned_by_characters);
	tcase_add_test(t, last_column_is_cut_at_the_width);
	tcase_add_loop_test(t, text_is_fitted_to_the_screen,
	    0, COUNT(screen_cases));
	tcase_add_loop_test(t, event_is_one_line_whatever_is_in_it,
	    0, COUNT(event_cases));
	tcase_add_test(t, text_cannot_command_the_terminal);
	tcase_add_test(t, a_name_cannot_command_the_terminal);
	tcase_add_test(t, default_is_enabled_when_it_is_on_the_path);
	tcase_add_test(t, markers_of_other_agents_are_unset);
	suite_add_tcase(s, t);

	t = tcase_create("registry");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, rows_beyond_the_limit_are_counted);
	tcase_add_test(t, empty_registry_gets_the_defaults);
	tcase_add_test(t, untouched_default_follows);
	tcase_add_test(t, what_a_person_changed_stays);
	tcase_add_test(t, agent_of_the_same_name_that_was_there_stays);
	tcase_add_test(t, agent_that_was_removed_does_not_come_back);
	tcase_add_test(t, agent_that_left_the_path_stays_enabled);
	tcase_add_test(t, user_without_rights_changes_nothing);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner *runner;
	int failed;

	if (!pg_start())
		return 0;
	runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
