/* SPDX-License-Identifier: MIT */
/*
 * What is left to hearthd of the cgroup v2 hierarchy: where it is, from texts
 * as the kernel has them; what it is like, in a folder that poses as one; and
 * what may be taken, as a table. The rest is for a kernel that has it: see
 * tests/vm/run.
 */
#include <check.h>
#undef fail /* check's old name; base/err.h has its own */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cgroup.h"
#include "base/delegation.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- where */

#define V2 "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 " \
	"cgroup2 rw,nsdelegate\n"
#define OTHERS "23 1 0:21 / /sys rw - sysfs sysfs rw\n" \
	"31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

static const struct {
	const char *cgroup, *mountinfo;
	const char *path, *dir;    /* dir NULL: there is none */
	bool is_taken;
} places[] = {
	{ "0::/system.slice/hearthd.service\n", OTHERS V2,
	    "/system.slice/hearthd.service",
	    "/sys/fs/cgroup/system.slice/hearthd.service", false },
	/* it has been there before, or was started there */
	{ "0::/system.slice/hearthd.service/.hearthd\n", V2,
	    "/system.slice/hearthd.service",
	    "/sys/fs/cgroup/system.slice/hearthd.service", true },
	{ "0::/\n", V2, "", "/sys/fs/cgroup", false },
	{ "0::/.hearthd\n", V2, "", "/sys/fs/cgroup", true },
	/* made by hand */
	{ "0::/hearthd\n", V2, "/hearthd", "/sys/fs/cgroup/hearthd", false },
	/* v1 beside it */
	{ "4:memory:/a\n1:name=systemd:/b\n0::/c\n", OTHERS "30 23 0:26 / "
	    "/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
	    "/c", "/sys/fs/cgroup/unified/c", false },
	{ "4:memory:/a\n", V2, "", NULL, false },
	{ "0::/a\n", OTHERS, "/a", NULL, false },
	/* only a part of it is mounted */
	{ "0::/pod/7/x\n", "9 1 0:26 /pod/7 /cg ro - cgroup2 c rw\n",
	    "/pod/7/x", "/cg/x", false },
	{ "0::/pod/7\n", "9 1 0:26 /pod/7 /cg ro - cgroup2 c rw\n",
	    "/pod/7", "/cg", false },
	{ "0::/pod/77\n", "9 1 0:26 /pod/7 /cg ro - cgroup2 c rw\n",
	    "/pod/77", NULL, false },
	/* above our namespace */
	{ "0::/../a\n", V2, "", NULL, false },
	{ "", V2, "", NULL, false },
	{ "0::/a\n", "", "/a", NULL, false },
};

START_TEST(it_is_found_where_it_is_mounted)
{
	struct delegation d;
	bool is_found = delegation_find(places[_i].cgroup,
	    places[_i].mountinfo, &d);

	ck_assert_int_eq(is_found, places[_i].dir != NULL);
	ck_assert_str_eq(d.path, places[_i].path);
	if (!is_found)
		return;
	ck_assert_str_eq(d.dir, places[_i].dir);
	ck_assert_int_eq(d.is_taken, places[_i].is_taken);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_none)
{
	struct delegation d;
	char text[DELEGATION_PATH_MAX + 16] = "0::/";

	memset(text + 4, 'x', DELEGATION_PATH_MAX);
	ck_assert(!delegation_find(text, V2, &d));
	/* as a path it would do, but not as a folder */
	text[DELEGATION_PATH_MAX - 4] = '\0';
	ck_assert(!delegation_find(text, V2, &d));
}
END_TEST

/* ---- what may be taken */

/* One that systemd has left to a service; each case has one thing else. */
#define SERVICE .has_path = true, .is_writable = true, .is_marked = true, \
	.is_boundary = true, .has_memory = true, .has_reclaim = true

static const struct {
	struct delegation_facts f;
	enum delegation_lack lack;
} verdicts[] = {
	{ { SERVICE }, DELEGATION_NOTHING },
	{ { .has_path = false }, DELEGATION_V2 },
	{ { SERVICE, .is_root = true }, DELEGATION_OWN },
	{ { .has_path = true, .is_marked = true, .is_boundary = true,
	    .has_memory = true, .has_reclaim = true }, DELEGATION_OWN },
	/* by hand, or an older systemd: it begins to be the user's here */
	{ { .has_path = true, .is_writable = true, .is_boundary = true,
	    .has_memory = true, .has_reclaim = true }, DELEGATION_NOTHING },
	/* a service without Delegate= below a user's manager, or root's */
	{ { .has_path = true, .is_writable = true, .has_memory = true,
	    .has_reclaim = true }, DELEGATION_OWN },
	{ { .has_path = true, .is_writable = true, .is_marked = true,
	    .has_memory = true, .has_reclaim = true }, DELEGATION_NOTHING },
	{ { SERVICE, .others = 1 }, DELEGATION_ALONE },
	{ { .has_path = true, .is_writable = true, .is_marked = true,
	    .has_reclaim = true }, DELEGATION_MEMORY },
	{ { .has_path = true, .is_writable = true, .is_marked = true,
	    .has_memory = true }, DELEGATION_RECLAIM },
};

START_TEST(only_what_is_certainly_ours_is_taken)
{
	enum delegation_lack lack = delegation_judge(&verdicts[_i].f);

	ck_assert_int_eq(lack, verdicts[_i].lack);
	ck_assert_int_eq(DELEGATION_IS_OWN(lack), lack == DELEGATION_NOTHING ||
	    lack == DELEGATION_MEMORY || lack == DELEGATION_RECLAIM);
}
END_TEST

/* ---- what it is like */

static char folder[64];

static void
put(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static void
make_folder(void)
{
	snprintf(folder, sizeof folder, "/tmp/unit_delegation.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	put("cgroup.events", "populated 1\nfrozen 0\n");
	put("cgroup.controllers", "cpu memory pids\n");
	put("cgroup.subtree_control", "\n");
	put("cgroup.procs", "77\n");
	put("memory.reclaim", "");
}

static void
remove_folder(void)
{
	char *command = xasprintf("rm -rf %s", folder);

	ck_assert_int_eq(system(command), 0);
	free(command);
}

static struct delegation_facts
see(bool is_taken)
{
	struct delegation d = { .is_taken = is_taken };
	struct delegation_facts f;

	snprintf(d.dir, sizeof d.dir, "%s", folder);
	delegation_see(&d, 77, geteuid(), &f);
	return f;
}

START_TEST(what_a_folder_says_is_seen)
{
	struct delegation_facts f = see(false);

	ck_assert(f.has_path && f.is_writable && f.has_memory &&
	    f.has_reclaim);
	ck_assert(!f.is_root);
	ck_assert_int_eq(f.others, 0);
	/* /tmp is no cgroup, so it is not ours */
	ck_assert(f.is_boundary);
	put("cgroup.procs", "77\n78\n0\n");
	ck_assert_int_eq(see(false).others, 2);
	put("cgroup.controllers", "cpu memoryhog\n");
	ck_assert(!see(false).has_memory);
	/* once it is taken, what was turned on counts */
	put("cgroup.controllers", "cpu memory pids\n");
	ck_assert(!see(true).has_memory);
	put("cgroup.subtree_control", "memory\n");
	ck_assert(see(true).has_memory);
}
END_TEST

static void
drop(const char *name)
{
	char *path = xasprintf("%s/%s", folder, name);

	ck_assert_int_eq(unlink(path), 0);
	free(path);
}

START_TEST(what_a_folder_lacks_is_seen)
{
	drop("memory.reclaim");
	ck_assert(!see(false).has_reclaim);
	drop("cgroup.events");
	ck_assert(see(false).is_root);
	drop("cgroup.subtree_control");
	ck_assert(!see(false).is_writable);
}
END_TEST

START_TEST(what_is_above_it_makes_the_boundary)
{
	char *below = xasprintf("%s/below", folder);
	struct delegation d = { .is_taken = false };
	struct delegation_facts f;

	ck_assert_int_eq(mkdir(below, 0755), 0);
	snprintf(d.dir, sizeof d.dir, "%s", below);
	delegation_see(&d, 77, geteuid(), &f);
	ck_assert(!f.is_boundary);
	/* to another user it is */
	delegation_see(&d, 77, 12345, &f);
	ck_assert(f.is_boundary);
	ck_assert(!f.is_writable);
	free(below);
}
END_TEST

START_TEST(the_mark_of_systemd_is_seen)
{
	ck_assert(!see(false).is_marked);
	if (setxattr(folder, "user.delegate", "1", 1, 0) != 0) {
		puts("# SKIP: /tmp has no extended attributes of users");
		return;
	}
	ck_assert(see(false).is_marked);
	ck_assert_int_eq(setxattr(folder, "user.delegate", "0", 1, 0), 0);
	ck_assert(!see(false).is_marked);
}
END_TEST

/* ---- its small files */

static const struct {
	const char *events;
	bool is_frozen;
} events[] = {
	{ "populated 1\nfrozen 1\n", true },
	{ "frozen 1\npopulated 0\n", true },
	{ "populated 1\nfrozen 0\n", false },
	{ "populated 1\n", false },
	{ "populated 1\nunfrozen 1\n", false },
	{ "", false },
};

START_TEST(frozen_is_what_the_events_say)
{
	put("cgroup.events", events[_i].events);
	ck_assert_int_eq(cgroup_is_frozen(folder), events[_i].is_frozen);
}
END_TEST

static const struct {
	const char *text;
	int64_t number;
} numbers[] = {
	{ "0\n", 0 }, { "123456789012\n", 123456789012 }, { "max\n", -2 },
	{ "", -1 }, { "-5\n", -1 }, { "many\n", -1 },
};

START_TEST(numbers_are_read)
{
	put("memory.current", numbers[_i].text);
	ck_assert_int_eq(cgroup_number(folder, "memory.current"),
	    numbers[_i].number);
	ck_assert_int_eq(cgroup_number(folder, "memory.none"), -1);
}
END_TEST

START_TEST(a_cgroup_goes_with_those_in_it)
{
	char *below = xasprintf("%s/own/below", folder);
	char *own = xasprintf("%s/own", folder);

	ck_assert_int_eq(mkdir(own, 0755), 0);
	ck_assert_int_eq(mkdir(below, 0755), 0);
	cgroup_remove(own);
	ck_assert_int_ne(access(own, F_OK), 0);
	/* what is not there is no matter */
	cgroup_remove(own);
	free(below);
	free(own);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("delegation");
	TCase *pure = tcase_create("pure");
	TCase *files = tcase_create("files");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(pure, it_is_found_where_it_is_mounted, 0,
	    COUNT(places));
	tcase_add_test(pure, a_path_that_is_too_long_is_none);
	tcase_add_loop_test(pure, only_what_is_certainly_ours_is_taken, 0,
	    COUNT(verdicts));
	tcase_add_checked_fixture(files, make_folder, remove_folder);
	tcase_add_test(files, what_a_folder_says_is_seen);
	tcase_add_test(files, what_a_folder_lacks_is_seen);
	tcase_add_test(files, what_is_above_it_makes_the_boundary);
	tcase_add_test(files, the_mark_of_systemd_is_seen);
	tcase_add_loop_test(files, frozen_is_what_the_events_say, 0,
	    COUNT(events));
	tcase_add_loop_test(files, numbers_are_read, 0, COUNT(numbers));
	tcase_add_test(files, a_cgroup_goes_with_those_in_it);
	suite_add_tcase(s, pure);
	suite_add_tcase(s, files);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
