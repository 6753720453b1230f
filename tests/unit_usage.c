/* SPDX-License-Identifier: MIT */
/*
 * worker/usage: what agents say that they used, in all the forms that they
 * say it, and what must not get into a sum.
 */
#include <check.h>
#include <stdlib.h>

#include "worker/usage.h"

static json_t *
load(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_msg(v != NULL, "no JSON: %s", text);
	return v;
}

#define CODEX "\"inputTokens\":60,\"cachedInputTokens\":40," \
	"\"outputTokens\":10,\"reasoningOutputTokens\":5,\"totalTokens\":110"

static const struct {
	const char *result;
	int64_t in, out;
} answers[] = {
	{ "{}", -1, -1 },
	{ "{\"usage\":null}", -1, -1 },
	{ "{\"usage\":[]}", -1, -1 },
	{ "{\"usage\":{}}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":5,\"outputTokens\":7}}", 5, 7 },
	{ "{\"usage\":{\"inputTokens\":0,\"outputTokens\":0,"
	    "\"totalTokens\":0}}", 0, 0 },
	/* cache and thoughts beside: claude */
	{ "{\"usage\":{\"inputTokens\":3,\"outputTokens\":22,"
	    "\"cachedReadTokens\":100,\"cachedWriteTokens\":42653,"
	    "\"totalTokens\":42778}}", 42756, 22 },
	{ "{\"usage\":{\"inputTokens\":5,\"outputTokens\":7,"
	    "\"cachedReadTokens\":10,\"cachedWriteTokens\":20,"
	    "\"thoughtTokens\":3,\"totalTokens\":45}}", 35, 10 },
	/* both within */
	{ "{\"usage\":{\"inputTokens\":35,\"outputTokens\":10,"
	    "\"cachedReadTokens\":10,\"thoughtTokens\":4,"
	    "\"totalTokens\":45}}", 35, 10 },
	/* cache beside, thoughts within: codex */
	{ "{\"usage\":{\"inputTokens\":60,\"cachedReadTokens\":40,"
	    "\"outputTokens\":10,\"thoughtTokens\":5,\"totalTokens\":110}}",
	    100, 10 },
	{ "{\"usage\":null,\"_meta\":{\"quota\":{\"token_count\":{" CODEX
	    "},\"model_usage\":[]}}}", 100, 10 },
	{ "{\"_meta\":{\"usage\":{" CODEX "}}}", 100, 10 },
	/* cache within, thoughts beside */
	{ "{\"usage\":{\"inputTokens\":60,\"cachedReadTokens\":40,"
	    "\"outputTokens\":10,\"thoughtTokens\":5,\"totalTokens\":75}}",
	    60, 15 },
	/* a total that fits nothing, and none */
	{ "{\"usage\":{\"inputTokens\":1,\"cachedReadTokens\":2,"
	    "\"outputTokens\":4,\"thoughtTokens\":8,\"totalTokens\":99}}",
	    3, 12 },
	{ "{\"usage\":{\"inputTokens\":1,\"cachedReadTokens\":2,"
	    "\"outputTokens\":4,\"thoughtTokens\":null}}", 3, 4 },
	/* one alone, and what belongs to one that is not there */
	{ "{\"usage\":{\"inputTokens\":4}}", 4, -1 },
	{ "{\"usage\":{\"outputTokens\":4,\"cachedReadTokens\":9}}", -1, 4 },
	/* gemini */
	{ "{\"_meta\":{\"quota\":{\"token_count\":{\"input_tokens\":1,"
	    "\"output_tokens\":2},\"model_usage\":[{\"model\":\"m\","
	    "\"token_count\":{\"input_tokens\":1,\"output_tokens\":2}}]}}}",
	    1, 2 },
	{ "{\"_meta\":{\"quota\":{\"token_count\":null,\"model_usage\":["
	    "{\"token_count\":{\"input_tokens\":1,\"output_tokens\":2}},7,"
	    "{\"token_count\":{\"input_tokens\":-1,\"output_tokens\":4}},"
	    "{\"token_count\":{\"input_tokens\":10}}]}}}", 11, 6 },
	{ "{\"_meta\":{\"quota\":{\"token_count\":null,\"model_usage\":[]}}}",
	    -1, -1 },
	{ "{\"_meta\":{\"quota\":7}}", -1, -1 },
	{ "{\"_meta\":null}", -1, -1 },
	/* the protocol's own goes first; one without a count does not */
	{ "{\"usage\":{\"inputTokens\":1,\"outputTokens\":2},\"_meta\":{"
	    "\"quota\":{\"token_count\":{\"input_tokens\":8}}}}", 1, 2 },
	{ "{\"usage\":{\"inputTokens\":-1},\"_meta\":{\"quota\":{"
	    "\"token_count\":{\"input_tokens\":8}}}}", 8, -1 },
	/* numbers in strings, and what is no count */
	{ "{\"usage\":{\"inputTokens\":\"12\",\"outputTokens\":\"1e3\"}}",
	    12, 1000 },
	{ "{\"usage\":{\"inputTokens\":1e3,\"outputTokens\":2.0}}", 1000, 2 },
	{ "{\"usage\":{\"inputTokens\":-5,\"outputTokens\":1e30}}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":1.5,\"outputTokens\":\"1.5\"}}",
	    -1, -1 },
	{ "{\"usage\":{\"inputTokens\":\"NaN\",\"outputTokens\":\"nan\"}}",
	    -1, -1 },
	{ "{\"usage\":{\"inputTokens\":\"Infinity\",\"outputTokens\":"
	    "\"1e999\"}}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":\"\",\"outputTokens\":\"0x10\"}}",
	    -1, -1 },
	{ "{\"usage\":{\"inputTokens\":\" 1\",\"outputTokens\":\"1-1\"}}",
	    -1, -1 },
	{ "{\"usage\":{\"inputTokens\":true,\"outputTokens\":[1]}}", -1, -1 },
	{ "{\"usage\":{\"inputTokens\":1000000000000,"
	    "\"outputTokens\":1000000000001}}", 1000000000000, -1 },
	{ "{\"usage\":{\"inputTokens\":9223372036854775807,"
	    "\"outputTokens\":\"00000000000000000000000000000000000001\"}}",
	    -1, -1 },
	/* parts that are fine, and a sum that is not */
	{ "{\"usage\":{\"inputTokens\":1000000000000,\"outputTokens\":1,"
	    "\"cachedReadTokens\":1}}", -1, 1 },
	/* a bad part does not spoil the others */
	{ "{\"usage\":{\"inputTokens\":1,\"outputTokens\":2,"
	    "\"cachedReadTokens\":-7,\"thoughtTokens\":\"NaN\"}}", 1, 2 },
};

START_TEST(an_answer_is_read_with_care)
{
	json_t *result = load(answers[_i].result);
	struct usage u = usage_of_answer(result);

	ck_assert_int_eq(u.input_tokens, answers[_i].in);
	ck_assert_int_eq(u.output_tokens, answers[_i].out);
	json_decref(result);
}
END_TEST

START_TEST(an_answer_that_is_none_has_no_usage)
{
	struct usage u = usage_of_answer(NULL);

	ck_assert_int_eq(u.input_tokens, -1);
	ck_assert_int_eq(u.output_tokens, -1);
}
END_TEST

static const struct {
	const char *update;
	int64_t used, size, cost;
} updates[] = {
	{ "{}", -1, -1, -1 },
	{ "{\"used\":10,\"size\":100}", 10, 100, -1 },
	{ "{\"used\":\"10\",\"size\":-1,\"cost\":null}", 10, -1, -1 },
	{ "{\"used\":1e30,\"size\":1.5,\"cost\":7}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":0.1,\"currency\":\"USD\"}}", -1, -1,
	    100000000 },
	{ "{\"cost\":{\"amount\":0,\"currency\":\"usd\"}}", -1, -1, 0 },
	{ "{\"cost\":{\"amount\":\"0.25\"}}", -1, -1, 250000000 },
	{ "{\"cost\":{\"amount\":2,\"currency\":null}}", -1, -1, 2000000000 },
	{ "{\"cost\":{\"amount\":0.000000001}}", -1, -1, 1 },
	{ "{\"cost\":{\"amount\":1e6}}", -1, -1, 1000000000000000 },
	{ "{\"cost\":{\"amount\":1000001}}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":-0.1}}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":\"NaN\"}}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":3,\"currency\":\"credits\"}}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":3,\"currency\":\"EUR\"}}", -1, -1, -1 },
	{ "{\"cost\":{\"amount\":3,\"currency\":7}}", -1, -1, -1 },
};

START_TEST(an_update_is_read_with_care)
{
	json_t *update = load(updates[_i].update);
	struct usage_report r = usage_of_update(update);

	ck_assert_int_eq(r.context_used, updates[_i].used);
	ck_assert_int_eq(r.context_size, updates[_i].size);
	ck_assert_int_eq(r.cost, updates[_i].cost);
	json_decref(update);
}
END_TEST

/* Costs of the session as they are told; -2: a turn begins. */
static const struct {
	const char *what;
	int64_t told[8];
	int n;
	int64_t turn;
} meters[] = {
	{ "nothing is known at first", { -2 }, 1, -1 },
	{ "a new session starts at zero", { -2, 5 }, 2, 5 },
	{ "what is told is the session's", { -2, 5, 8 }, 3, 8 },
	{ "a turn has the increase alone", { -2, 5, -2, 8 }, 4, 3 },
	{ "told before its end and again", { -2, 5, 5, 5 }, 4, 5 },
	{ "the same again costs nothing", { -2, 5, -2, 5 }, 4, 0 },
	{ "a turn of which nothing is told", { -2, 5, -2 }, 3, -1 },
	{ "told before any turn is no turn's", { 5, -2, 8 }, 3, 3 },
	{ "nonsense changes nothing", { -2, 5, -1, 8 }, 4, 8 },
	{ "a fall is a new beginning", { -2, 5, -2, 2, 4 }, 5, 2 },
	{ "a fall takes nothing away", { -2, 5, 1 }, 3, 5 },
};

START_TEST(a_turns_cost_is_the_increase)
{
	struct cost_meter m = { 0 };

	for (int i = 0; i < meters[_i].n; i++)
		if (meters[_i].told[i] == -2)
			cost_meter_begin_turn(&m);
		else
			cost_meter_tell(&m, meters[_i].told[i]);
	ck_assert_msg(m.turn == meters[_i].turn, "%s: %lld", meters[_i].what,
	    (long long)m.turn);
}
END_TEST

/* What it had cost by then was charged to the turns of an earlier child. */
START_TEST(a_session_that_went_on_begins_with_what_it_had_cost)
{
	struct cost_meter m = { .told = -1 };

	cost_meter_begin_turn(&m);
	cost_meter_tell(&m, 70);
	ck_assert_int_eq(m.turn, 0);
	cost_meter_tell(&m, 75);
	ck_assert_int_eq(m.turn, 5);
}
END_TEST

START_TEST(an_agent_that_flaps_does_not_overflow)
{
	struct cost_meter m = { 0 };

	for (int i = 0; i < 20000; i++)
		cost_meter_tell(&m, i % 2 == 0 ? 1000000000000000 : 0);
	ck_assert_int_eq(m.turn, 1000000000000000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("usage");
	TCase *t = tcase_create("usage");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, an_answer_is_read_with_care, 0,
	    sizeof answers / sizeof *answers);
	tcase_add_test(t, an_answer_that_is_none_has_no_usage);
	tcase_add_loop_test(t, an_update_is_read_with_care, 0,
	    sizeof updates / sizeof *updates);
	tcase_add_loop_test(t, a_turns_cost_is_the_increase, 0,
	    sizeof meters / sizeof *meters);
	tcase_add_test(t,
	    a_session_that_went_on_begins_with_what_it_had_cost);
	tcase_add_test(t, an_agent_that_flaps_does_not_overflow);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
