/* SPDX-License-Identifier: MIT */
/*
 * worker/secrets: what an agent was given and must not be seen in what it says
 * about its errors.
 */
#include <check.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "worker/secrets.h"

static const char *const env[] = { "API_KEY=sk-abcdef0123", "MODEL=tiny",
	"TOKEN=abcdef0123", "EMPTY=", "UNSET", "QUOTED=a\"b\\c/d\té\U0001F511",
	"PATTERN=\\d+\\.\\w+", NULL };
static const char mcp[] = "[{\"name\":\"m\",\"env\":[{\"name\":\"PASSWORD\","
	"\"value\":\"correct horse\"}]},7,{\"headers\":[{\"name\":"
	"\"Authorization\",\"value\":\"Bearer 0011223344\"},{\"name\":\"X\"},"
	"{\"value\":\"longenough\"},null]},{\"env\":{\"PIN\":\"12345678\","
	"\"N\":7}}]";

static const struct {
	const char *text, *shown;
} cases[] = {
	{ "", "" },
	{ "nothing of it", "nothing of it" },
	{ "key sk-abcdef0123 is bad", "key [API_KEY] is bad" },
	/* one that is part of another, alone and in it */
	{ "abcdef0123 sk-abcdef0123", "[TOKEN] [API_KEY]" },
	{ "abcdef0123abcdef0123", "[TOKEN][TOKEN]" },
	/* short values are words */
	{ "model tiny is unknown", "model tiny is unknown" },
	{ "password: correct horse.", "password: [PASSWORD]." },
	/* a header with its scheme and without */
	{ "{\"authorization\":\"Bearer 0011223344\"}",
	    "{\"authorization\":\"[Authorization]\"}" },
	{ "token 0011223344", "token [Authorization]" },
	/* of an environment that is written as an object */
	{ "pin 12345678", "pin [PIN]" },
	/* as it is, and as one or another writes it in JSON */
	{ "is a\"b\\c/d\té\U0001F511 bad", "is [QUOTED] bad" },
	{ "{\"key\":\"a\\\"b\\\\c/d\\té\U0001F511\"}",
	    "{\"key\":\"[QUOTED]\"}" },
	{ "a\\u0022b\\u005Cc\\/d\\u0009\\u00e9\\ud83d\\udd11.", "[QUOTED]." },
	{ "\\u0073k-abcdef0123", "[API_KEY]" },
	{ "\\d+\\.\\w+ \\\\d+\\\\.\\\\w+", "[PATTERN] [PATTERN]" },
	/* what only begins so, or is no escape */
	{ "a\\\"b\\\\c/d\\t", "a\\\"b\\\\c/d\\t" },
	{ "a\\\"b\\u00", "a\\\"b\\u00" },
	{ "a\\\"b\\", "a\\\"b\\" },
	{ "\\q sk-\\uabcdef0123", "\\q sk-\\u[TOKEN]" },
};

START_TEST(secrets_are_shown_by_their_names)
{
	struct secrets *s = secrets_new((char *const *)env, mcp);
	char *text = secrets_hide(s, xstrdup(cases[_i].text));

	ck_assert_str_eq(text, cases[_i].shown);
	free(text);
	secrets_free(&s);
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(without_any_text_stays_as_it_is)
{
	struct secrets *s = secrets_new(NULL, "no JSON");
	char *text = secrets_hide(s, xstrdup("sk-abcdef0123"));

	ck_assert_str_eq(text, "sk-abcdef0123");
	ck_assert_ptr_null(secrets_hide(s, NULL));
	free(text);
	secrets_free(&s);
	secrets_free(&s);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("secrets");
	TCase *t = tcase_create("secrets");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, secrets_are_shown_by_their_names, 0,
	    (int)(sizeof cases / sizeof *cases));
	tcase_add_test(t, without_any_text_stays_as_it_is);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
