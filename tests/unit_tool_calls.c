/* SPDX-License-Identifier: MIT */
/*
 * worker/tool_calls and worker/permission: protocol 1's merge rules, with what
 * agents do in spite of them, and the choice among permission options.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/permission.h"
#include "worker/tool_calls.h"

static struct tool_calls *calls;

static void
set_up(void)
{
	calls = tool_calls_new();
}

static void
tear_down(void)
{
	tool_calls_free(&calls);
	ck_assert_ptr_null(calls);
	tool_calls_free(&calls);
}

static json_t *
load(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(j);
	return j;
}

/* The update is gone when the merged state is looked at. */
static const struct agent_tool *
merge(const char *text)
{
	json_t *update = load(text);
	const struct agent_tool *tool = tool_calls_merge(calls, update);

	json_decref(update);
	return tool;
}

START_TEST(first_update_creates_with_defaults)
{
	const struct agent_tool *t = merge("{\"toolCallId\":\"a\"}");

	ck_assert_str_eq(t->tool_call_id, "a");
	ck_assert_str_eq(t->title, "Tool call");
	ck_assert_str_eq(t->kind, "other");
	ck_assert_str_eq(t->status, "pending");
	ck_assert(t->is_new);
	ck_assert(!t->is_final);
	ck_assert_ptr_null(t->raw_input);
	ck_assert_ptr_null(t->locations);
	ck_assert_int_eq(tool_calls_open(calls), 1);
	ck_assert_int_eq(tool_calls_count(calls), 1);
}
END_TEST

static const char *const without_id[] = {
	"{}", "{\"toolCallId\":null}", "{\"toolCallId\":\"\"}",
	"{\"toolCallId\":{}}", "{\"title\":\"x\"}", "[]", "7", "null",
};

START_TEST(without_an_id_there_is_nothing_to_merge)
{
	ck_assert_ptr_null(merge(without_id[_i]));
	ck_assert_int_eq(tool_calls_count(calls), 0);
	ck_assert_ptr_null(tool_calls_merge(calls, NULL));
}
END_TEST

START_TEST(absent_and_null_keep_what_was)
{
	const struct agent_tool *t;

	merge("{\"toolCallId\":\"a\",\"title\":\"Read x\",\"kind\":\"read\","
	    "\"status\":\"in_progress\",\"rawInput\":{\"p\":1},"
	    "\"locations\":[{\"path\":\"/x\",\"line\":3}]}");
	t = merge("{\"toolCallId\":\"a\",\"title\":null,\"kind\":null,"
	    "\"status\":null,\"rawInput\":null,\"locations\":null}");
	ck_assert(!t->is_new);
	ck_assert_str_eq(t->title, "Read x");
	ck_assert_str_eq(t->kind, "read");
	ck_assert_str_eq(t->status, "in_progress");
	ck_assert_str_eq(t->raw_input, "{\"p\":1}");
	ck_assert_str_eq(t->locations, "[{\"path\":\"/x\",\"line\":3}]");
	t = merge("{\"toolCallId\":\"a\",\"title\":\"\"}");
	ck_assert_str_eq(t->title, "Read x");
	ck_assert_str_eq(t->raw_input, "{\"p\":1}");
}
END_TEST

START_TEST(lists_are_replaced_as_a_whole)
{
	const struct agent_tool *t;

	merge("{\"toolCallId\":\"a\",\"content\":[{\"type\":\"content\"},"
	    "{\"type\":\"diff\"}],\"locations\":[{\"path\":\"/x\"}]}");
	t = merge("{\"toolCallId\":\"a\",\"content\":[{\"type\":\"text\","
	    "\"text\":\"bare\"}],\"locations\":[],\"status\":\"completed\"}");
	ck_assert_str_eq(t->content, "[{\"type\":\"text\",\"text\":\"bare\"}]");
	ck_assert_str_eq(t->locations, "[]");
}
END_TEST

START_TEST(output_is_told_only_when_final_and_only_the_last)
{
	const struct agent_tool *t;

	t = merge("{\"toolCallId\":\"a\",\"rawOutput\":\"one\",\"content\":"
	    "[1]}");
	ck_assert_ptr_null(t->raw_output);
	ck_assert_ptr_null(t->content);
	t = merge("{\"toolCallId\":\"a\",\"rawOutput\":\"one two\"}");
	ck_assert_ptr_null(t->raw_output);
	t = merge("{\"toolCallId\":\"a\",\"status\":\"failed\"}");
	ck_assert(t->is_final);
	ck_assert_str_eq(t->raw_output, "\"one two\"");
	ck_assert_str_eq(t->content, "[1]");
	ck_assert_int_eq(tool_calls_open(calls), 0);
	ck_assert_int_eq(tool_calls_count(calls), 1);
}
END_TEST

static const struct {
	const char *before;
	const char *said;
	const char *after;
	bool is_final;
} statuses[] = {
	{ "pending", "in_progress", "in_progress", false },
	{ "in_progress", "pending", "in_progress", false },
	{ "pending", "completed", "completed", true },
	{ "completed", "in_progress", "completed", true },
	{ "completed", "pending", "completed", true },
	{ "completed", "failed", "completed", true },
	{ "failed", "completed", "failed", true },
	{ "completed", "strange", "completed", true },
	{ "pending", "strange", "strange", false },
	{ "in_progress", "strange", "strange", false },
	{ "strange", "in_progress", "in_progress", false },
	{ "strange", "pending", "strange", false },
	{ "strange", "completed", "completed", true },
	{ "in_progress", "cancelled", "cancelled", true },
	{ "cancelled", "in_progress", "cancelled", true },
};

START_TEST(status_never_goes_back)
{
	const struct agent_tool *t;
	char text[100];

	snprintf(text, sizeof text, "{\"toolCallId\":\"a\",\"status\":\"%s\"}",
	    statuses[_i].before);
	merge(text);
	snprintf(text, sizeof text, "{\"toolCallId\":\"a\",\"status\":\"%s\"}",
	    statuses[_i].said);
	t = merge(text);
	ck_assert_str_eq(t->status, statuses[_i].after);
	ck_assert_int_eq(t->is_final, statuses[_i].is_final);
	ck_assert_int_eq(tool_calls_open(calls), statuses[_i].is_final ? 0 : 1);
}
END_TEST

START_TEST(late_content_of_a_finished_call_is_taken)
{
	const struct agent_tool *t;

	merge("{\"toolCallId\":\"a\",\"status\":\"completed\","
	    "\"rawOutput\":1}");
	t = merge("{\"toolCallId\":\"a\",\"content\":[2],\"title\":\"Late\"}");
	ck_assert(t->is_final);
	ck_assert_str_eq(t->title, "Late");
	ck_assert_str_eq(t->content, "[2]");
	/* told before, and not kept */
	ck_assert_ptr_null(t->raw_output);
}
END_TEST

START_TEST(empty_input_never_wipes_a_filled_one)
{
	const struct agent_tool *t;

	t = merge("{\"toolCallId\":\"a\",\"rawInput\":{}}");
	ck_assert_str_eq(t->raw_input, "{}");
	t = merge("{\"toolCallId\":\"a\",\"rawInput\":{\"x\":1}}");
	ck_assert_str_eq(t->raw_input, "{\"x\":1}");
	t = merge("{\"toolCallId\":\"a\",\"rawInput\":{}}");
	ck_assert_str_eq(t->raw_input, "{\"x\":1}");
	t = merge("{\"toolCallId\":\"a\",\"rawInput\":\"text\"}");
	ck_assert_str_eq(t->raw_input, "\"text\"");
}
END_TEST

START_TEST(second_tool_call_with_an_id_is_an_update)
{
	const struct agent_tool *t;

	merge("{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"a\","
	    "\"title\":\"One\",\"kind\":\"edit\"}");
	t = merge("{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"a\","
	    "\"title\":\"Two\"}");
	ck_assert(!t->is_new);
	ck_assert_str_eq(t->title, "Two");
	ck_assert_str_eq(t->kind, "edit");
	ck_assert_int_eq(tool_calls_count(calls), 1);
}
END_TEST

START_TEST(odd_types_are_read_leniently)
{
	const struct agent_tool *t;

	t = merge("{\"toolCallId\":17,\"title\":[],\"kind\":\"my_kind\","
	    "\"status\":4,\"content\":\"text\","
	    "\"locations\":{\"path\":\"x\"}}");
	ck_assert_str_eq(t->tool_call_id, "17");
	ck_assert_str_eq(t->title, "Tool call");
	ck_assert_str_eq(t->kind, "my_kind");
	ck_assert_str_eq(t->status, "4");
	ck_assert_str_eq(t->locations, "{\"path\":\"x\"}");
	t = merge("{\"toolCallId\":\"17\",\"status\":\"completed\","
	    "\"title\":3}");
	ck_assert(!t->is_new);
	ck_assert_str_eq(t->title, "3");
	ck_assert_str_eq(t->content, "\"text\"");
}
END_TEST

START_TEST(numbers_keep_their_look)
{
	const struct agent_tool *t = merge("{\"toolCallId\":\"a\","
	    "\"rawInput\":{\"i\":120000,\"r\":0.1,\"n\":-1.5e-7}}");

	ck_assert_str_eq(t->raw_input,
	    "{\"i\":120000,\"r\":0.1,\"n\":-1.5e-7}");
	t = merge("{\"toolCallId\":\"a\","
	    "\"rawInput\":[-1.7976931348623157e308]}");
	ck_assert_str_eq(t->raw_input, "[-1.7976931348623157e308]");
}
END_TEST

START_TEST(calls_are_kept_apart_and_forgotten_together)
{
	char text[100];
	const struct agent_tool *t;

	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof text, "{\"toolCallId\":\"id-%d\","
		    "\"title\":\"%d\",\"rawOutput\":[%d]}", i, i, i);
		ck_assert(merge(text)->is_new);
	}
	t = merge("{\"toolCallId\":\"id-1234\",\"status\":\"completed\"}");
	ck_assert_str_eq(t->title, "1234");
	ck_assert_str_eq(t->raw_output, "[1234]");
	ck_assert_int_eq(tool_calls_count(calls), 3000);
	ck_assert_int_eq(tool_calls_open(calls), 2999);
	tool_calls_reset(calls);
	ck_assert_int_eq(tool_calls_count(calls), 0);
	ck_assert_int_eq(tool_calls_open(calls), 0);
	ck_assert(merge("{\"toolCallId\":\"id-1234\"}")->is_new);
}
END_TEST

#define OPTION(id, kind) \
	"{\"optionId\":\"" id "\",\"name\":\"n\",\"kind\":\"" kind "\"}"

static const struct {
	const char *options;
	const char *allow;
	const char *deny;
} choices[] = {
	{ "[" OPTION("aa", "allow_always") "," OPTION("a1", "allow_once") ","
	  OPTION("r1", "reject_once") "," OPTION("ra", "reject_always") "]",
	  "a1", "r1" },
	{ "[" OPTION("aa", "allow_always") "," OPTION("ra", "reject_always")
	  "]", "aa", "ra" },
	{ "[" OPTION("cancel", "reject_once") ","
	  OPTION("decline", "reject_once") "]", NULL, "decline" },
	{ "[" OPTION("Abort", "reject_once") ","
	  OPTION("ra", "reject_always") "]", NULL, "Abort" },
	{ "[" OPTION("reject", "allow_once") "]", "reject", NULL },
	{ "[" OPTION("allow", "unknown") "]", NULL, NULL },
	{ "[{\"optionId\":3,\"kind\":\"allow_once\"},{\"kind\":\"allow_once\"},"
	  "{\"optionId\":\"x\"},7,null," OPTION("y", "allow_once") "]",
	  "y", NULL },
	{ "[]", NULL, NULL },
	{ "{\"optionId\":\"x\",\"kind\":\"allow_once\"}", NULL, NULL },
	{ "null", NULL, NULL },
};

START_TEST(option_is_chosen_by_its_kind)
{
	json_t *options = load(choices[_i].options);

	ck_assert_pstr_eq(permission_choose(options, true), choices[_i].allow);
	ck_assert_pstr_eq(permission_choose(options, false), choices[_i].deny);
	ck_assert_ptr_null(permission_choose(NULL, true));
	json_decref(options);
}
END_TEST

START_TEST(only_an_offered_option_can_be_answered)
{
	json_t *options = load("[3,{}," OPTION("x", "allow_once") "]");

	ck_assert(permission_has_option(options, "x"));
	ck_assert(!permission_has_option(options, "X"));
	ck_assert(!permission_has_option(options, ""));
	ck_assert(!permission_has_option(NULL, "x"));
	json_decref(options);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tool_calls");
	TCase *t = tcase_create("merge");
	TCase *p = tcase_create("permission");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, first_update_creates_with_defaults);
	tcase_add_loop_test(t, without_an_id_there_is_nothing_to_merge, 0,
	    sizeof without_id / sizeof *without_id);
	tcase_add_test(t, absent_and_null_keep_what_was);
	tcase_add_test(t, lists_are_replaced_as_a_whole);
	tcase_add_test(t, output_is_told_only_when_final_and_only_the_last);
	tcase_add_loop_test(t, status_never_goes_back, 0,
	    sizeof statuses / sizeof *statuses);
	tcase_add_test(t, late_content_of_a_finished_call_is_taken);
	tcase_add_test(t, empty_input_never_wipes_a_filled_one);
	tcase_add_test(t, second_tool_call_with_an_id_is_an_update);
	tcase_add_test(t, odd_types_are_read_leniently);
	tcase_add_test(t, numbers_keep_their_look);
	tcase_add_test(t, calls_are_kept_apart_and_forgotten_together);
	tcase_add_loop_test(p, option_is_chosen_by_its_kind, 0,
	    sizeof choices / sizeof *choices);
	tcase_add_test(p, only_an_offered_option_can_be_answered);
	suite_add_tcase(s, t);
	suite_add_tcase(s, p);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
