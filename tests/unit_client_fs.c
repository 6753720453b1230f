/* SPDX-License-Identifier: MIT */
/*
 * worker/client_fs: what an agent may read and write through the client, and
 * that no name, link or kind of file leads out of its folder. Each test has a
 * folder of its own with "in" (the root) and "out" (what must stay unseen).
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/client_fs.h"

#include <check.h> /* last: it has a macro fail() */

static char top[40];
static char base[64];
static char root[80];
static struct err e;
static struct buf out;

/* A path below the test's folder. Static storage of four results. */
static const char *
at(const char *fmt, ...)
{
	static char paths[4][1024];
	static int turn;
	char *path = paths[turn++ % 4];
	va_list ap;
	int n = snprintf(path, sizeof paths[0], "%s/", base);

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof paths[0] - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

static void
put(const char *path, const char *content, size_t n)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(content, 1, n, f), n);
	fclose(f);
}

static void
expect_file(const char *path, const char *content)
{
	char got[1024];
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	got[fread(got, 1, sizeof got - 1, f)] = '\0';
	fclose(f);
	ck_assert_str_eq(got, content);
}

static void
make_top(void)
{
	strcpy(top, "/tmp/hearth-client-fs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
}

static void
set_up(void)
{
	snprintf(base, sizeof base, "%s/XXXXXX", top);
	ck_assert_ptr_nonnull(mkdtemp(base));
	strcpy(root, at("in"));
	ck_assert_int_eq(mkdir(root, 0700), 0);
	ck_assert_int_eq(mkdir(at("out"), 0700), 0);
	put(at("in/file"), "one\ntwo\nthree\n", 14);
	put(at("out/secret"), "secret", 6);
}

static int
on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* In the parent, so that a failed test leaves nothing either. */
static void
remove_top(void)
{
	nftw(top, on_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void
tear_down(void)
{
	buf_free(&out);
}

static enum client_fs_result
read_all(const char *path)
{
	buf_reset(&out, 0);
	e.text[0] = '\0';
	return client_fs_read(root, path, 0, 0, &out, &e);
}

static enum client_fs_result
write_text(const char *path, const char *content)
{
	e.text[0] = '\0';
	return client_fs_write(root, path, content, strlen(content), &e);
}

static const struct {
	int64_t line, limit;
	const char *text;
} parts[] = {
	{ 0, 0, "one\ntwo\nthree\n" },
	{ 1, 0, "one\ntwo\nthree\n" },
	{ 2, 0, "two\nthree\n" },
	{ 2, 1, "two\n" },
	{ 0, 2, "one\ntwo\n" },
	{ 3, 9, "three\n" },
	{ 4, 1, "" },
	{ 100, 1, "" },
	{ INT64_MAX, INT64_MAX, "" },
	{ -5, -5, "one\ntwo\nthree\n" },
	{ INT64_MIN + 1, 1, "one\n" },
};

START_TEST(lines_asked_for_are_read)
{
	buf_adds(&out, "before ");
	ck_assert_int_eq(client_fs_read(root, at("in/file"), parts[_i].line,
	    parts[_i].limit, &out, &e), CLIENT_FS_OK);
	ck_assert_str_eq(out.data + 7, parts[_i].text);
}
END_TEST

START_TEST(last_line_without_an_end_is_a_line)
{
	put(at("in/file"), "one\ntwo", 7);
	ck_assert_int_eq(client_fs_read(root, at("in/file"), 2, 1, &out, &e),
	    CLIENT_FS_OK);
	ck_assert_str_eq(out.data, "two");
}
END_TEST

START_TEST(bad_utf8_is_mended_and_nul_is_kept)
{
	put(at("in/file"), "a\xFF\0b", 4);
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_OK);
	ck_assert_uint_eq(out.len, 6);
	ck_assert_mem_eq(out.data, "a\xEF\xBF\xBD\0b", 6);
}
END_TEST

START_TEST(empty_file_is_read)
{
	put(at("in/file"), "", 0);
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_OK);
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(missing_file_is_not_found)
{
	ck_assert_int_eq(read_all(at("in/none")), CLIENT_FS_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "in/none"));
	ck_assert_int_eq(read_all(at("in/no/ne")), CLIENT_FS_NOT_FOUND);
	ck_assert_int_eq(read_all(at("in/file/x")), CLIENT_FS_NOT_FOUND);
}
END_TEST

/* "@" stands for the test's folder. */
static const char *const outside[] = {
	"", "file", "in/file", "./file", "@/", "@/in", "@/in/", "@/in//",
	"@/out/secret", "@/inside", "@/in/../out/secret", "@/in/..",
	"@/in/a/../../out/secret", "@/in/../in/file", "@/../etc/passwd",
	"/etc/passwd", "@/in/.", "@/in/file/../file",
};

START_TEST(path_outside_the_root_is_refused)
{
	const char *path = outside[_i];

	if (strncmp(path, "@/", 2) == 0)
		path = at("%s", path + 2);
	ck_assert_int_eq(mkdir(at("in/a"), 0700), 0);
	ck_assert_int_eq(mkdir(at("inside"), 0700), 0);
	ck_assert_int_eq(read_all(path), CLIENT_FS_REFUSED);
	ck_assert_str_ne(e.text, "");
	ck_assert_int_eq(write_text(path, "x"), CLIENT_FS_REFUSED);
	ck_assert_uint_eq(out.len, 0);
	expect_file(at("out/secret"), "secret");
}
END_TEST

static const char *const inside[] = {
	"in/file", "in//file", "in/./file", "in///.//file", "in/a..b",
	"in/...", "in/..x",
};

START_TEST(spelling_of_a_path_inside_does_not_matter)
{
	const char *path = at("%s", inside[_i]);

	ck_assert_int_eq(write_text(path, "new"), CLIENT_FS_OK);
	ck_assert_int_eq(read_all(path), CLIENT_FS_OK);
	ck_assert_str_eq(out.data, "new");
}
END_TEST

START_TEST(slashes_behind_the_root_do_not_matter)
{
	strcat(root, "//");
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_OK);
}
END_TEST

START_TEST(real_path_of_the_root_counts_too)
{
	ck_assert_int_eq(symlink("in", at("link")), 0);
	strcpy(root, at("link"));
	ck_assert_int_eq(read_all(at("link/file")), CLIENT_FS_OK);
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_OK);
	ck_assert_int_eq(read_all(at("out/secret")), CLIENT_FS_REFUSED);
}
END_TEST

START_TEST(links_that_lead_out_are_refused)
{
	ck_assert_int_eq(symlink("../out/secret", at("in/l1")), 0);
	ck_assert_int_eq(symlink(at("out/secret"), at("in/l2")), 0);
	ck_assert_int_eq(symlink("../out", at("in/d1")), 0);
	ck_assert_int_eq(symlink(at("out"), at("in/d2")), 0);
	ck_assert_int_eq(symlink("loop", at("in/loop")), 0);
	ck_assert_int_eq(read_all(at("in/l1")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(read_all(at("in/l2")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(read_all(at("in/d1/secret")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(read_all(at("in/loop")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/l1"), "x"), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/l2"), "x"), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/d1/new"), "x"), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/d2/a/b"), "x"), CLIENT_FS_REFUSED);
	expect_file(at("out/secret"), "secret");
	ck_assert_int_ne(access(at("out/new"), F_OK), 0);
	ck_assert_int_ne(access(at("out/a"), F_OK), 0);
}
END_TEST

START_TEST(no_folder_is_made_through_a_link_that_leads_out)
{
	ck_assert_int_eq(mkdir(at("in/a"), 0700), 0);
	ck_assert_int_eq(symlink("../../out", at("in/a/d")), 0);
	ck_assert_int_eq(symlink("../../out/gone", at("in/a/g")), 0);
	ck_assert_int_eq(write_text(at("in/a/d/b/c/f"), "x"),
	    CLIENT_FS_REFUSED);
	ck_assert_int_ne(write_text(at("in/a/g/b/f"), "x"), CLIENT_FS_OK);
	ck_assert_int_ne(access(at("out/b"), F_OK), 0);
	ck_assert_int_ne(access(at("out/gone"), F_OK), 0);
}
END_TEST

START_TEST(links_inside_are_followed)
{
	ck_assert_int_eq(mkdir(at("in/a"), 0700), 0);
	ck_assert_int_eq(symlink("../file", at("in/a/l")), 0);
	ck_assert_int_eq(symlink("a", at("in/d")), 0);
	ck_assert_int_eq(write_text(at("in/d/l"), "x"), CLIENT_FS_OK);
	expect_file(at("in/file"), "x");
	ck_assert_int_eq(write_text(at("in/d/b/c"), "y"), CLIENT_FS_OK);
	expect_file(at("in/a/b/c"), "y");
}
END_TEST

START_TEST(write_replaces_the_whole_content)
{
	ck_assert_int_eq(chmod(at("in/file"), 0640), 0);
	ck_assert_int_eq(write_text(at("in/file"), "x"), CLIENT_FS_OK);
	expect_file(at("in/file"), "x");
	ck_assert_int_eq(write_text(at("in/file"), ""), CLIENT_FS_OK);
	expect_file(at("in/file"), "");
	ck_assert_int_eq(write_text(at("in/file"), "longer"), CLIENT_FS_OK);
	expect_file(at("in/file"), "longer");
}
END_TEST

START_TEST(write_makes_missing_folders)
{
	ck_assert_int_eq(write_text(at("in/a/b//c/new"), "x"), CLIENT_FS_OK);
	expect_file(at("in/a/b/c/new"), "x");
	ck_assert_int_eq(write_text(at("in/a/d/new"), "y"), CLIENT_FS_OK);
	expect_file(at("in/a/d/new"), "y");
	ck_assert_int_ne(write_text(at("in/file/new"), "z"), CLIENT_FS_OK);
	expect_file(at("in/file"), "one\ntwo\nthree\n");
}
END_TEST

START_TEST(only_regular_files_are_opened_and_none_blocks)
{
	ck_assert_int_eq(mkfifo(at("in/fifo"), 0600), 0);
	ck_assert_int_eq(mkdir(at("in/dir"), 0700), 0);
	ck_assert_int_eq(read_all(at("in/fifo")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/fifo"), "x"), CLIENT_FS_REFUSED);
	ck_assert_int_eq(read_all(at("in/dir")), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/dir"), "x"), CLIENT_FS_REFUSED);
	ck_assert_int_eq(write_text(at("in/dir/"), "x"), CLIENT_FS_REFUSED);
}
END_TEST

START_TEST(reads_are_bounded_and_never_cut_short_silently)
{
	const off_t size = 9 << 20;
	int fd;

	ck_assert_int_eq(truncate(at("in/file"), size), 0);
	fd = open(at("in/file"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "one\ntwo\n", 8, 0), 8);
	close(fd);
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_FAILED);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_int_eq(client_fs_read(root, at("in/file"), 2, 1, &out, &e),
	    CLIENT_FS_OK);
	ck_assert_str_eq(out.data, "two\n");
	ck_assert_int_eq(client_fs_read(root, at("in/file"), 4, 1, &out, &e),
	    CLIENT_FS_FAILED);
	ck_assert_int_eq(truncate(at("in/file"), 8 << 20), 0);
	ck_assert_int_eq(read_all(at("in/file")), CLIENT_FS_OK);
	ck_assert_uint_eq(out.len, 8 << 20);
}
END_TEST

START_TEST(no_descriptor_is_left_open)
{
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	close(before);
	ck_assert_int_eq(symlink("../out", at("in/d")), 0);
	ck_assert_int_eq(mkfifo(at("in/fifo"), 0600), 0);
	read_all(at("in/file"));
	read_all(at("in/fifo"));
	read_all(at("in/none"));
	read_all(at("in/d/secret"));
	write_text(at("in/a/b/c"), "x");
	write_text(at("in/d/b/c"), "x");
	write_text(at("in/fifo"), "x");
	write_text(at("in/file/x/y"), "x");
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(missing_root_is_a_failure)
{
	strcpy(root, at("none"));
	ck_assert_int_eq(read_all(at("none/file")), CLIENT_FS_FAILED);
	ck_assert_int_eq(write_text(at("none/file"), "x"), CLIENT_FS_FAILED);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("client_fs");
	TCase *t = tcase_create("files");
	SRunner *sr = srunner_create(s);
	int failed;

#define LOOP(test, table) \
	tcase_add_loop_test(t, test, 0, sizeof table / sizeof *table)
	tcase_add_unchecked_fixture(t, make_top, remove_top);
	tcase_add_checked_fixture(t, set_up, tear_down);
	LOOP(lines_asked_for_are_read, parts);
	tcase_add_test(t, last_line_without_an_end_is_a_line);
	tcase_add_test(t, bad_utf8_is_mended_and_nul_is_kept);
	tcase_add_test(t, empty_file_is_read);
	tcase_add_test(t, missing_file_is_not_found);
	LOOP(path_outside_the_root_is_refused, outside);
	LOOP(spelling_of_a_path_inside_does_not_matter, inside);
	tcase_add_test(t, slashes_behind_the_root_do_not_matter);
	tcase_add_test(t, real_path_of_the_root_counts_too);
	tcase_add_test(t, links_that_lead_out_are_refused);
	tcase_add_test(t, no_folder_is_made_through_a_link_that_leads_out);
	tcase_add_test(t, links_inside_are_followed);
	tcase_add_test(t, write_replaces_the_whole_content);
	tcase_add_test(t, write_makes_missing_folders);
	tcase_add_test(t, only_regular_files_are_opened_and_none_blocks);
	tcase_add_test(t, reads_are_bounded_and_never_cut_short_silently);
	tcase_add_test(t, no_descriptor_is_left_open);
	tcase_add_test(t, missing_root_is_a_failure);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
