/* SPDX-License-Identifier: MIT */
/*
 * Launchers: the placeholders as a table, what a shell makes of the quoted
 * ones, and the words that the client writes.
 */
#include <check.h>
#undef fail
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/launcher.h"
#include "supervisor/launcher.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define WORDS 8

static const struct launcher_place place = { "/s/work tree", "/p{command}",
	"/s", "/home/it's" };
static const char *const env[] = { "B=x y", "A", "C=", NULL };

static char *
joined(char **list)
{
	struct buf b = { 0 };

	buf_adds(&b, "");
	for (char **word = list; *word != NULL; word++)
		buf_printf(&b, "[%s]", *word);
	strv_free(&list);
	return buf_take(&b);
}

static const struct {
	const char *argv[WORDS];
	size_t n;           /* of the launcher */
	const char *want;
} cases[] = {
	{ { "agent", "--acp" }, 0, "[agent][--acp]" },
	{ { "nice", "agent" }, 1, "[nice][agent]" },
	{ { "b", "{worktree}", "agent" }, 1 + 1, "[b][/s/work tree][agent]" },
	{ { "--x={state_dir}:{home}", "agent" }, 1,
	    "[--x=/s:/home/it's][agent]" },
	{ { "{worktree:sh} {home:sh}", "agent" }, 1,
	    "['/s/work tree' '/home/it'\\''s'][agent]" },
	{ { "{project}{project}", "agent" }, 1,
	    "[/p{command}/p{command}][agent]" },
	{ { "sh", "-c", "exec {command}", "agent", "a b", "it's" }, 3,
	    "[sh][-c][exec 'agent' 'a b' 'it'\\''s']" },
	{ { "env {env} {command}", "agent" }, 1,
	    "[env -u 'A' 'B=x y' 'C=' 'agent']" },
	{ { "{{worktree}}", "{", "}", "{}", "{worktree", "{nothing}", "agent" },
	    6, "[{/s/work tree}][{][}][{}][{worktree][{nothing}][agent]" },
	{ { "{:sh}{sh}{command:sh}", "agent" }, 1,
	    "[{:sh}{sh}{command:sh}][agent]" },
	{ { "nice", "{worktree}", "{command}" }, 1,
	    "[nice][{worktree}][{command}]" },
};

START_TEST(placeholders_of_the_launcher_are_expanded)
{
	char *is = joined(launcher_expand((char *const *)cases[_i].argv,
	    cases[_i].n, (char *const *)env, &place));

	ck_assert_str_eq(is, cases[_i].want);
	free(is);
}
END_TEST

START_TEST(nothing_is_unset_in_an_empty_environment)
{
	static const char *const argv[] = { "[{env}]", "agent", NULL };
	static const char *const none[] = { NULL };
	char *is = joined(launcher_expand((char *const *)argv, 1,
	    (char *const *)none, &place));

	ck_assert_str_eq(is, "[[]][agent]");
	free(is);
}
END_TEST

START_TEST(what_differs_between_working_copies_is_found)
{
	static char *argv[] = { "env", "{home}", "{state_dir}/{command}",
		"{worktree", "{env}", "-C{worktree}", "{project:sh}/x" };

	ck_assert(!launcher_names_place(argv, 0));
	ck_assert(!launcher_names_place(argv, 5));
	ck_assert(launcher_names_place(argv, 6));
	ck_assert(launcher_names_place(argv + 6, 1));
}
END_TEST

/* Whatever is in a word, a shell gives it back as it was. */
START_TEST(shell_reads_quoted_words_as_they_were)
{
	static const char *const argv[] = { "printf '[%s]' {command}",
		"a b", "$HOME `id` $(id) \\", "it's \"x\"", "*", "",
		"new\nline\ttab;&|<>#~!", NULL };
	char **list = launcher_expand((char *const *)argv, 1,
	    (char *const *)env, &place);
	char *want, is[512];
	FILE *shell;
	size_t n;

	ck_assert_uint_eq(strv_len(list), 1);
	shell = popen(list[0], "r");
	ck_assert_ptr_nonnull(shell);
	n = fread(is, 1, sizeof(is) - 1, shell);
	is[n] = '\0';
	ck_assert_int_eq(pclose(shell), 0);
	want = joined(strv_copy((char *const *)argv + 1));
	ck_assert_str_eq(is, want);
	strv_free(&list);
	free(want);
}
END_TEST

/* ---- what the client writes */

static const struct {
	int option;
	const char *value, *program;
	const char *has[4], *lacks;
} made[] = {
	{ 'S', NULL, "/usr/bin/qwen", { "\"bwrap\",\"--ro-bind\",\"/\",\"/\"",
	    "\"--bind-try\",\"{home}/.qwen\",\"{home}/.qwen\"",
	    "\"--tmpfs\",\"{state_dir}\"",
	    "\"--bind\",\"{worktree}\",\"{worktree}\",\"--chdir\"" },
	    ".claude" },
	{ 'S', NULL, "unheard-of", { "--die-with-parent", "--unshare-pid",
	    "\"--cap-drop\",\"ALL\"" },
	    "--bind-try" },
	{ 'H', "me@far", "qwen", { "\"--\",\"me@far\",\"exec ",
	    "--remote -C {worktree:sh} -- env {env} {command}\"]" }, "bwrap" },
	{ 'L', "nice", "qwen", { "[\"nice\"]" }, "bwrap" },
	{ 0, NULL, "qwen", { "[]" }, "bwrap" },
};

START_TEST(client_writes_the_words_of_a_launcher)
{
	struct launcher_choice l = { 0 };
	struct err e = { "" };
	json_t *words;
	char *text;

	if (made[_i].option != 0)
		ck_assert_int_eq(launcher_option(&l, made[_i].option,
		    made[_i].value, &e), 0);
	ck_assert_int_eq(launcher_check(&l, &e), 0);
	words = launcher_make(&l, made[_i].program);
	text = json_dumps(words, JSON_COMPACT);
	for (int i = 0; i < 4 && made[_i].has[i] != NULL; i++)
		ck_assert_msg(strstr(text, made[_i].has[i]) != NULL, "%s",
		    text);
	ck_assert_msg(strstr(text, made[_i].lacks) == NULL, "%s", text);
	free(text);
	json_decref(words);
	launcher_clear(&l);
}
END_TEST

static const struct {
	int options[2];
	const char *values[2];
	const char *reason;
} refused[] = {
	{ { 'S', 'H' }, { NULL, "far" }, "exclude each other" },
	{ { 'L', 'S' }, { "nice", NULL }, "exclude each other" },
	{ { 'W', 0 }, { "/x", NULL }, "--writable is for --sandbox" },
	{ { 'S', 'W' }, { NULL, "x" }, "absolute path" },
	{ { 'H', 0 }, { "-oProxyCommand=id", NULL }, "takes a host" },
	{ { 'L', 0 }, { "\xff", NULL }, "UTF-8" },
};

START_TEST(client_refuses_what_does_not_go_together)
{
	struct launcher_choice l = { 0 };
	struct err e = { "" };
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0 && refused[_i].options[i] != 0; i++)
		rc = launcher_option(&l, refused[_i].options[i],
		    refused[_i].values[i], &e);
	if (rc == 0)
		rc = launcher_check(&l, &e);
	ck_assert_int_eq(rc, -1);
	ck_assert_msg(strstr(e.text, refused[_i].reason) != NULL, "%s",
	    e.text);
	launcher_clear(&l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("launcher");
	TCase *t = tcase_create("launcher");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, placeholders_of_the_launcher_are_expanded, 0,
	    COUNT(cases));
	tcase_add_test(t, nothing_is_unset_in_an_empty_environment);
	tcase_add_test(t, what_differs_between_working_copies_is_found);
	tcase_add_test(t, shell_reads_quoted_words_as_they_were);
	tcase_add_loop_test(t, client_writes_the_words_of_a_launcher, 0,
	    COUNT(made));
	tcase_add_loop_test(t, client_refuses_what_does_not_go_together, 0,
	    COUNT(refused));
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
