/* SPDX-License-Identifier: MIT */
/* Which MCP servers an agent gets, and in what form. */
#include <check.h>
#undef fail /* check's old name, ours in base/err.h */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker/mcp.h"

static const struct {
	const char *servers, *capabilities;
	const char *taken;
	const char *skipped; /* names */
} cases[] = {
	{ NULL, "{}", "[]", "" },
	{ "[]", "{}", "[]", "" },
	{ "not JSON", "{}", "[]", "" },
	{ "{\"name\":\"no array\"}", "{}", "[]", "" },
	{ "[{\"name\":\"a\",\"command\":\"/a\"}]", "{}",
	  "[{\"name\":\"a\",\"command\":\"/a\",\"args\":[],\"env\":[]}]", "" },
	{ "[{\"name\":\"a\",\"type\":\"stdio\",\"command\":\"/a\","
	  "\"args\":[\"x\"],\"env\":[]}]", "{}", "[{\"name\":\"a\","
	  "\"command\":\"/a\",\"args\":[\"x\"],\"env\":[]}]", "" },
	{ "[{\"name\":\"h\",\"type\":\"http\",\"url\":\"u\"}]",
	  "{\"http\":true}",
	  "[{\"name\":\"h\",\"type\":\"http\",\"url\":\"u\",\"headers\":[]}]",
	  "" },
	{ "[{\"name\":\"h\",\"type\":\"http\",\"url\":\"u\",\"headers\":[]},"
	  "{\"name\":\"s\",\"type\":\"sse\",\"url\":\"u\",\"headers\":[]}]",
	  "{\"sse\":{},\"http\":false}",
	  "[{\"name\":\"s\",\"type\":\"sse\",\"url\":\"u\",\"headers\":[]}]",
	  "h " },
	/* as many write it */
	{ "[{\"name\":\"a\",\"command\":\"/a\",\"args\":[],"
	  "\"env\":{\"K\":\"v\",\"L\":\"\"}},{\"name\":\"h\","
	  "\"type\":\"http\",\"url\":\"u\",\"headers\":{\"X\":\"y\"}}]",
	  "{\"http\":true}",
	  "[{\"name\":\"a\",\"command\":\"/a\",\"args\":[],"
	  "\"env\":[{\"name\":\"K\",\"value\":\"v\"},"
	  "{\"name\":\"L\",\"value\":\"\"}]},{\"name\":\"h\","
	  "\"type\":\"http\",\"url\":\"u\",\"headers\":["
	  "{\"name\":\"X\",\"value\":\"y\"}]}]", "" },
	{ "[{\"name\":\"h\",\"type\":\"http\"},7,{\"type\":\"carrier\"}]",
	  "null", "[]", "h without a name without a name " },
};

static void
note(void *ctx, const char *name, const char *why)
{
	ck_assert_uint_gt(strlen(why), 0);
	buf_printf(ctx, "%s ", name);
}

START_TEST(an_agent_gets_what_it_takes)
{
	json_t *capabilities = json_loads(cases[_i].capabilities,
	    JSON_DECODE_ANY, NULL);
	struct buf skipped = { 0 };
	char *text;

	buf_adds(&skipped, "");
	text = mcp_servers_for(cases[_i].servers, capabilities, note,
	    &skipped);
	ck_assert_str_eq(text, cases[_i].taken);
	ck_assert_str_eq(skipped.data, cases[_i].skipped);
	free(text);
	buf_free(&skipped);
	json_decref(capabilities);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mcp");
	TCase *t = tcase_create("mcp");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, an_agent_gets_what_it_takes, 0,
	    (int)(sizeof cases / sizeof cases[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
