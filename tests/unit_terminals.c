/* SPDX-License-Identifier: MIT */
/*
 * worker/terminals by itself: which commands are lines for a shell, and what
 * is kept of an output. The requests and the process trees are in
 * e2e_terminals.c.
 */
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "worker/terminals.h"

#include <check.h> /* last: it has a macro fail() */

static const struct {
	const char *command;
	bool is_file, is_line;
} commands[] = {
	{ "ls", false, false },
	{ "/bin/ls", true, false },
	{ "/bin/ls", false, false },
	{ "./run-tests_2.sh", true, false },
	{ "npm test", false, true },
	{ "/opt/my tools/run", true, false },
	{ "/opt/my tools/run", false, true },
	{ "ls|wc", false, true },
	{ "a&&b", false, true },
	{ "$SHELL", false, true },
	{ "~/bin/x", false, true },
	{ "ls>f", false, true },
	{ "a\nb", false, true },
	{ "`x`", false, true },
};

START_TEST(lines_for_a_shell_are_known)
{
	ck_assert_int_eq(terminal_is_shell_line(commands[_i].command,
	    commands[_i].is_file), commands[_i].is_line);
}
END_TEST

static struct ev_loop *loop;
static struct terminals *terminals;
static struct terminal_end last_end;
static bool is_gone;

static void
on_ended(void *ctx, const char *id, const struct terminal_end *end)
{
	(void)ctx;
	ck_assert(terminals_is_open(terminals, id));
	last_end = *end;
}

static void
on_gone(void *ctx)
{
	(void)ctx;
	is_gone = true;
	terminals_free(&terminals);
}

static void
set_up(void)
{
	static const struct terminals_callbacks cb = { on_ended, on_gone };
	char **env = child_environment();

	loop = ev_loop_new(EVFLAG_AUTO);
	terminals = terminals_new(loop, &(struct terminals_spec){
		.label = "test", .serial = 7, .envp = env, .cwd = "/tmp" },
	    &cb, NULL);
	strv_free(&env);
	last_end.has_ended = is_gone = false;
}

static void
tear_down(void)
{
	terminals_free(&terminals);
	ck_assert_ptr_null(terminals);
	ev_loop_destroy(loop);
}

static const char *
create(const char *command, int64_t limit)
{
	const char *id = NULL;
	struct err e = { "" };

	ck_assert_int_eq(terminals_create(terminals,
	    &(struct terminal_command){ .command = command, .limit = limit },
	    &id, &e), TERMINAL_OK);
	return id;
}

static void
wait_for_end(void)
{
	while (!last_end.has_ended || terminals_alive(terminals) > 0)
		ev_run(loop, EVRUN_ONCE);
}

static const struct {
	const char *command;
	int64_t limit;
	const char *output;
	bool truncated;
} outputs[] = {
	{ "printf abc", -1, "abc", false },
	{ "printf abc", 3, "abc", false },
	{ "printf abc", 2, "bc", true },
	{ "printf abc", 0, "", true },
	{ "true", 0, "", false },
	{ "printf 'a\\303\\244'", 3, "a\303\244", false },
	{ "printf 'a\\303\\244'", 2, "\303\244", true },
	{ "printf 'a\\303\\244'", 1, "", true },
	{ "printf '\\360\\237\\230\\200b'", 4, "b", true },
	{ "printf '\\303'; sleep 0.05; printf '\\244'", -1, "\303\244",
	    false },
	{ "printf 'a\\000b'", -1, "a\357\277\275b", false },
	{ "printf 'a\\303'", -1, "a\357\277\275", false },
	{ "printf o; printf e >&2; printf o", -1, "oeo", false },
	{ "cat", -1, "", false },
};

START_TEST(the_tail_within_the_limit_is_kept)
{
	char *id = xstrdup(create(outputs[_i].command, outputs[_i].limit));
	bool truncated;
	char *text;

	wait_for_end();
	text = terminals_output(terminals, id, &truncated);
	ck_assert_str_eq(text, outputs[_i].output);
	ck_assert_int_eq(truncated, outputs[_i].truncated);
	free(text);
	free(id);
}
END_TEST

START_TEST(half_a_character_is_not_shown_while_more_may_come)
{
	char *id = xstrdup(create("printf 'a\\303'; exec sleep 600", -1));
	bool truncated;
	char *text = NULL;

	do {
		free(text);
		ev_run(loop, EVRUN_ONCE);
		text = terminals_output(terminals, id, &truncated);
	} while (*text == '\0');
	ck_assert_str_eq(text, "a");
	free(text);
	free(id);
}
END_TEST

START_TEST(ids_are_not_used_again_and_released_ones_are_forgotten_late)
{
	char *first = xstrdup(create("echo 1", -1)), *second, *text;
	bool truncated;

	wait_for_end();
	terminals_release(terminals, first);
	ck_assert(!terminals_is_open(terminals, first));
	second = xstrdup(create("echo 2", -1));
	ck_assert_str_ne(first, second);
	text = terminals_output(terminals, first, &truncated);
	ck_assert_str_eq(text, "1\n");
	free(text);
	terminals_forget(terminals);
	ck_assert_ptr_null(terminals_output(terminals, first, &truncated));
	ck_assert(terminals_is_open(terminals, second));
	free(first);
	free(second);
}
END_TEST

START_TEST(what_is_kept_of_released_ones_is_bounded)
{
	char *first = NULL;
	bool truncated;

	for (int i = 0; i < 6; i++) {
		char *id = xstrdup(create("head -c 1048576 /dev/zero", -1));

		last_end.has_ended = false;
		wait_for_end();
		terminals_release(terminals, id);
		if (first == NULL)
			first = id;
		else
			free(id);
	}
	ck_assert_ptr_null(terminals_output(terminals, first, &truncated));
	free(first);
}
END_TEST

START_TEST(closing_ends_all_and_allows_no_more)
{
	const char *id;
	struct err e;

	create("sleep 600", -1);
	create("sleep 600", -1);
	terminals_close(terminals, true);
	ck_assert_int_eq(terminals_create(terminals,
	    &(struct terminal_command){ .command = "true", .limit = -1 },
	    &id, &e), TERMINAL_FAILED);
	while (!is_gone)
		ev_run(loop, EVRUN_ONCE);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("terminals");
	TCase *t = tcase_create("terminals");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_loop_test(t, lines_for_a_shell_are_known, 0,
	    sizeof commands / sizeof *commands);
	tcase_add_loop_test(t, the_tail_within_the_limit_is_kept, 0,
	    sizeof outputs / sizeof *outputs);
	tcase_add_test(t, half_a_character_is_not_shown_while_more_may_come);
	tcase_add_test(t,
	    ids_are_not_used_again_and_released_ones_are_forgotten_late);
	tcase_add_test(t, what_is_kept_of_released_ones_is_bounded);
	tcase_add_test(t, closing_ends_all_and_allows_no_more);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
