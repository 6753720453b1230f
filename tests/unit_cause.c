/* SPDX-License-Identifier: MIT */
/*
 * worker/cause: last words of agents, shells and launchers as they come, and
 * what they are taken for.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/cause.h"

static const struct {
	const char *said;
	int exit_code;
	const char *cause;   /* a part of it; NULL: none */
} cases[] = {
	{ "", -1, NULL },
	{ "", 1, NULL },
	{ "starting", 3, NULL },
	/* wrong flag */
	{ "", 0, "ACP flag" },
	{ "Unknown arguments: acp", 1, "ACP flag" },
	{ "error: unexpected argument '--acp' found", 2, "ACP flag" },
	{ "node: bad option: --acp", 9, "ACP flag" },
	{ "error: unknown option '--experimental-acp'", 1, "ACP flag" },
	{ "usage: git [-v | --version]", 1, "ACP flag" },
	/* missing */
	{ "", 127, "not installed" },
	{ "env: 'node': No such file or directory", 127, "not installed" },
	{ "sh: 1: gemini: not found", 127, "not installed" },
	{ "Error: Cannot find module '/x/index.js'", 1, "not installed" },
	{ "", 126, "not executable" },
	{ "gemini requires Node >= 20", 1, "Node.js" },
	/* login */
	{ "Please LOG IN first", 1, "login" },
	{ "OPENAI: invalid api key", 1, "login" },
	/* launchers */
	{ "bwrap: setting up uid map: Permission denied", 1, "sandbox" },
	{ "me@far: Permission denied (publickey).", 255, "ssh" },
	/* network */
	{ "npm error code EAI_AGAIN", 1, "network" },
	{ "FATAL ERROR: Reached heap limit Allocation failed - JavaScript "
	    "heap out of memory", -1, "memory" },
};

START_TEST(last_words_name_a_cause)
{
	const char *cause = cause_find(cases[_i].said, cases[_i].exit_code,
	    false);

	if (cases[_i].cause == NULL)
		ck_assert_msg(cause == NULL, "%s", cause);
	else
		ck_assert_msg(cause != NULL &&
		    strstr(cause, cases[_i].cause) != NULL, "\"%s\": %s",
		    cases[_i].said, cause != NULL ? cause : "none");
}
END_TEST

/* It may have said anything while it worked. */
START_TEST(who_had_begun_to_work_was_started_rightly)
{
	ck_assert_ptr_null(cause_find("usage: x; please log in; : not found",
	    127, true));
	ck_assert_ptr_nonnull(cause_find("JavaScript heap out of memory", -1,
	    true));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("cause");
	TCase *t = tcase_create("cause");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, last_words_name_a_cause, 0,
	    (int)(sizeof cases / sizeof *cases));
	tcase_add_test(t, who_had_begun_to_work_was_started_rightly);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
