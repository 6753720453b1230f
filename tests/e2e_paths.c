/* SPDX-License-Identifier: MIT */
/*
 * Files whose paths are about as long as the system allows, and longer than
 * what an index of PostgreSQL takes: they have their rows as any others, and
 * are decided on.
 */
#include "tests/e2e.h"

#include <stdlib.h>

#include "base/alloc.h"

/* With the folder of the working copy before it, under PATH_MAX. */
enum { LONG = 3850, NAME = 200 };

/* A path of size bytes, in folders, that does not compress. */
static const char *
long_path(size_t size, unsigned seed)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	char *path = xcalloc(1, size + 1);

	for (size_t i = 0; i < size; i++)
		path[i] = i % NAME == NAME - 1 && i + 1 < size ? '/' :
		    letters[rand_r(&seed) % (sizeof letters - 1)];
	return keep(path);
}

static long long
pending(const char *path)
{
	return number("select id from hearth.pending_changes where "
	    "status = 'pending' and file_path = '%s'", path);
}

/* Calls a function that returns a command, which must be carried out. */
static void
decide(const char *verb, long long change)
{
	long long id = number("select hearth.%s_change(%lld)", verb, change);

	wait_value("done", LIMIT, "select concat_ws(': ', status, error) from "
	    "hearth.commands where id = %lld and ended_at is not null", id);
}

START_TEST(a_long_path_has_its_row_like_any_other)
{
	const char *path = long_path(LONG, 1);
	int64_t turn;

	start(NULL);
	turn = complete(chat, "fake", "write %s one\\n;write short.txt s",
	    path);
	check_value("2", "select count(*) from hearth.pending_changes where "
	    "status = 'pending' and turn_id = %lld", (long long)turn);
	turn = complete(chat, "fake", "write %s two\\n", path);
	check_value("pending superseded", "select string_agg(status, ' ' "
	    "order by id desc) from hearth.pending_changes "
	    "where file_path = '%s'", path);
	check_value(path, "select payload ->> 'file_path' from hearth.events "
	    "where kind = 'change' and turn_id = %lld", (long long)turn);
	complete(chat, "fake", "delete %s", path);
	check_value("1", "select count(*) from hearth.pending_changes "
	    "where status = 'pending'");
}
END_TEST

START_TEST(a_long_path_is_decided_on_like_any_other)
{
	const char *path = long_path(LONG, 1), *other = long_path(LONG, 2);
	long long change;

	start(NULL);
	complete(chat, "fake", "write %s one\\n;write %s two\\n", path, other);
	change = pending(path);
	decide("accept", change);
	ck_assert_str_eq(file_text("%s/%s", project, path), "one\n");
	decide("reject", pending(other));
	check_value("0", "select count(*) from hearth.pending_changes "
	    "where status = 'pending'");
	complete(chat, "fake", "append %s more\\n", path);
	decide("revert", change);
	ck_assert(!file_exists("%s/%s", project, path));
	check_value("create", "select operation from hearth.pending_changes "
	    "where status = 'pending' and file_path = '%s'", path);
}
END_TEST

/* By its parts: no system call takes the whole. */
START_TEST(a_path_that_no_system_call_takes_does_not_fail_the_turn)
{
	const char *path = long_path(LONG, 1), *rest = long_path(LONG, 2);

	start(NULL);
	complete(chat, "fake", "write short.txt s;run mkdir -p %s && "
	    "cd %s && mkdir -p %s && cd %s && echo x >f", path, path, rest,
	    rest);
	check_value("short.txt", "select file_path from hearth.pending_changes "
	    "where status = 'pending' and length(file_path) < 100");
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_test(tc, a_long_path_has_its_row_like_any_other);
	tcase_add_test(tc, a_long_path_is_decided_on_like_any_other);
	tcase_add_test(tc,
	    a_path_that_no_system_call_takes_does_not_fail_the_turn);
}

int
main(void)
{
	return e2e_main("paths", add_tests);
}
