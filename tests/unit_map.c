/* SPDX-License-Identifier: MIT */
/* base/map.c: a hash table is right when it behaves like a plain list. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"

#define KEYS 1000

static char values[KEYS];

static const char *
key_of(int i)
{
	static char key[32];

	snprintf(key, sizeof key, "key-%d", i);
	return key;
}

START_TEST(an_empty_map_has_nothing)
{
	struct map m = { 0 };

	ck_assert_ptr_null(map_get(&m, "x"));
	ck_assert_ptr_null(map_remove(&m, "x"));
	ck_assert_uint_eq(m.count, 0);
	map_free(&m);
}
END_TEST

START_TEST(what_was_set_is_found_until_it_is_removed)
{
	struct map m = { 0 };

	for (int i = 0; i < KEYS; i++)
		map_set(&m, key_of(i), &values[i]);
	ck_assert_uint_eq(m.count, KEYS);
	for (int i = 0; i < KEYS; i += 2)
		ck_assert_ptr_eq(map_remove(&m, key_of(i)), &values[i]);
	ck_assert_uint_eq(m.count, KEYS / 2);
	for (int i = 0; i < KEYS; i++)
		ck_assert_ptr_eq(map_get(&m, key_of(i)),
		    i % 2 ? &values[i] : NULL);
	map_free(&m);
}
END_TEST

START_TEST(a_second_set_replaces)
{
	struct map m = { 0 };

	map_set(&m, "x", &values[0]);
	map_set(&m, "x", &values[1]);
	ck_assert_uint_eq(m.count, 1);
	ck_assert_ptr_eq(map_get(&m, "x"), &values[1]);
	map_free(&m);
}
END_TEST

static struct map shrinking;
static int seen;

static void
remove_it(void *value, void *ctx)
{
	(void)ctx;
	seen++;
	map_remove(&shrinking, key_of((int)((char *)value - values)));
}

START_TEST(each_may_remove_what_it_is_called_for)
{
	for (int i = 0; i < KEYS; i++)
		map_set(&shrinking, key_of(i), &values[i]);
	map_each(&shrinking, remove_it, NULL);
	ck_assert_int_eq(seen, KEYS);
	ck_assert_uint_eq(shrinking.count, 0);
	map_free(&shrinking);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("map");
	TCase *t = tcase_create("map");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(t, an_empty_map_has_nothing);
	tcase_add_test(t, what_was_set_is_found_until_it_is_removed);
	tcase_add_test(t, a_second_set_replaces);
	tcase_add_test(t, each_may_remove_what_it_is_called_for);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
