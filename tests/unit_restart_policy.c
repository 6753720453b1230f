/* SPDX-License-Identifier: MIT */
/*
 * pool/restart_policy.c as a table: when crashes happen, and how long the
 * agent session has to wait after each.
 */
#include <check.h>
#include <stdlib.h>

#include "pool/restart_policy.h"

#define MIN (60 * 1000)
#define STEPS 12

static const struct restart_policy policy = { .limit = 3, .window = 5 * MIN };

static const struct {
	const char *name;
	double random;
	int n;
	int64_t at[STEPS];    /* when it crashes */
	int64_t wait[STEPS];  /* what the policy says */
} cases[] = {
	{ "the first crashes cost nothing", 0, 2,
	    { 0, 1000 }, { 0, 0 } },
	{ "the limit makes it wait", 0, 3,
	    { 0, 1000, 2000 }, { 0, 0, 1000 } },
	{ "each further crash doubles the wait", 0, 6,
	    { 0, 1, 2, 3, 4, 5 }, { 0, 0, 1000, 2000, 4000, 8000 } },
	{ "the wait has a limit", 0, 12,
	    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 },
	    { 0, 0, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000,
	      256000, 300000 } },
	{ "crashes far apart are no run", 0, 4,
	    { 0, 4 * MIN, 8 * MIN, 12 * MIN }, { 0, 0, 0, 0 } },
	{ "a quiet window resets it", 0, 5,
	    { 0, 1, 2, 10 * MIN, 10 * MIN + 1 }, { 0, 0, 1000, 0, 0 } },
	{ "waiting out a back-off is not a quiet window", 0, 4,
	    { 0, 1, 2, 4 * MIN }, { 0, 0, 1000, 2000 } },
	{ "nor the longest, though it is longer than the window", 1, 12,
	    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 320011 },
	    { 0, 0, 1250, 2500, 5000, 10000, 20000, 40000, 80000, 160000,
	      320000, 375000 } },
	{ "a window after the longest resets it", 0, 12,
	    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 256010 + 5 * MIN + 1 },
	    { 0, 0, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000,
	      256000, 0 } },
	{ "chance adds up to a quarter", 1, 3,
	    { 0, 1, 2 }, { 0, 0, 1250 } },
};

START_TEST(crashes_are_answered_as_the_table_says)
{
	struct crash_history h = { 0 };

	for (int i = 0; i < cases[_i].n; i++) {
		int64_t wait = restart_policy_crash(&policy, &h,
		    cases[_i].at[i], cases[_i].random);

		ck_assert_msg(wait == cases[_i].wait[i],
		    "%s: crash %d: %lld instead of %lld", cases[_i].name, i,
		    (long long)wait, (long long)cases[_i].wait[i]);
	}
}
END_TEST

START_TEST(one_success_resets_the_run)
{
	struct crash_history h = { 0 };

	for (int i = 0; i < 5; i++)
		restart_policy_crash(&policy, &h, i, 0);
	restart_policy_success(&h);
	ck_assert_int_eq(restart_policy_crash(&policy, &h, 6, 0), 0);
	ck_assert_int_eq(h.count, 1);
}
END_TEST

START_TEST(a_limit_of_one_waits_from_the_first_crash)
{
	const struct restart_policy strict = { .limit = 1, .window = MIN };
	struct crash_history h = { 0 };

	ck_assert_int_eq(restart_policy_crash(&strict, &h, 0, 0), 1000);
	ck_assert_int_eq(restart_policy_crash(&strict, &h, 1, 0), 2000);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("restart_policy");
	TCase *t = tcase_create("restart_policy");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, crashes_are_answered_as_the_table_says, 0,
	    (int)(sizeof cases / sizeof *cases));
	tcase_add_test(t, one_success_resets_the_run);
	tcase_add_test(t, a_limit_of_one_waits_from_the_first_crash);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
