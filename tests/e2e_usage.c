/* SPDX-License-Identifier: MIT */
/*
 * What turns and agents use, as a user reads it: tokens and costs of each turn,
 * their sums per agent session whichever child had the turn, the views, and
 * the context beside them.
 */
#include "tests/e2e.h"

#include <stdlib.h>

#define SUMS "select concat_ws(' ', input_tokens, output_tokens, cost, " \
	"context_used, context_size) from hearth.agent_sessions"
#define BY_AGENT "select concat_ws(' ', turns, input_tokens, output_tokens, " \
	"cost) from hearth.usage_by_agent"
#define BY_CHAT "select concat_ws(' ', turns, input_tokens, output_tokens, " \
	"cost) from hearth.usage_by_chat"
#define TURN "concat_ws(' ', input_tokens, output_tokens, cost)"

START_TEST(a_turn_has_what_it_used_and_sums_outlive_the_child)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "usage 10 1000 0.1;say x;"
	    "usage 20 1000 0.25;usage-result 100 20");
	ck_assert_str_eq(turn_of(turn, TURN), "100 20 0.25");
	turn = complete(chat, "fake", "usage 30 1000 0.3;say y;"
	    "result {\"stopReason\":\"end_turn\",\"_meta\":{\"quota\":"
	    "{\"token_count\":{\"input_tokens\":7,\"output_tokens\":3}}}}");
	ck_assert_str_eq(turn_of(turn, TURN), "7 3 0.05");
	check_value("107 23 0.3 30 1000", SUMS);
	/* It dies, and what it had told until then was used. */
	turn = submit(chat, "fake", "usage 40 1000 0.4;say x;signal KILL");
	wait_turn(turn, "failed", LIMIT);
	ck_assert_str_eq(turn_of(turn, TURN), "0.1");
	check_value("107 23 0.4 40 1000", SUMS);
	/* A new child, whose session's cost begins at zero. */
	turn = complete(chat, "fake", "echo-turn;usage 5 1000 0.02;"
	    "usage-result 1 2");
	ck_assert_str_eq(text_of(turn), "[turn 1]");
	ck_assert_str_eq(turn_of(turn, TURN), "1 2 0.02");
	check_value("108 25 0.42 5 1000", SUMS);
	check_value("4 108 25 0.42", BY_AGENT);
	check_value("4 108 25 0.42", BY_CHAT);
}
END_TEST

START_TEST(what_is_told_after_the_turn_is_still_the_turns)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "say x;stop;sleep 100;"
	    "usage 10 1000 0.5");
	wait_value("0.5", LIMIT, "select cost from hearth.turns "
	    "where id = %lld", (long long)turn);
	wait_value("0.5 10 1000", LIMIT, SUMS);
	turn = complete(chat, "fake", "usage 10 1000 0.75");
	ck_assert_str_eq(turn_of(turn, TURN), "0.25");
	check_value("0.75 10 1000", SUMS);
}
END_TEST

START_TEST(nonsense_gets_into_no_sum)
{
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "usage 10 1000 0.5;usage -1 -1 -3;"
	    "usage 20 1000 \"NaN\";usage 30 1000 1e300;"
	    "usage 40 1000 700 credits;usage 50 1000 null;"
	    "result {\"stopReason\":\"end_turn\",\"usage\":{"
	    "\"inputTokens\":-5,\"outputTokens\":1e30}}");
	ck_assert_str_eq(turn_of(turn, TURN), "0.5");
	/* It began to count anew: nothing falls, nothing is counted twice. */
	turn = complete(chat, "fake", "usage 60 1000 0.1;usage 70 1000 0.2;"
	    "result {\"stopReason\":\"end_turn\",\"usage\":{"
	    "\"inputTokens\":\"5\",\"outputTokens\":1.5}}");
	ck_assert_str_eq(turn_of(turn, TURN), "5 0.1");
	check_value("5 0.6 70 1000", SUMS);
	/* The figures as they came are in the events. */
	check_value("credits", "select payload #>> '{cost,currency}' from "
	    "hearth.events where kind = 'usage' and payload ->> 'used' = '40'");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_turn_has_what_it_used_and_sums_outlive_the_child);
	tcase_add_test(tc, what_is_told_after_the_turn_is_still_the_turns);
	tcase_add_test(tc, nonsense_gets_into_no_sum);
}

int
main(void)
{
	return e2e_main("usage", add_tests);
}
