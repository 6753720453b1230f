/* SPDX-License-Identifier: MIT */
/*
 * worker/ndjson: lines come out whole however their bytes came in, and memory
 * and time stay in proportion. The same is tried with random cuts by
 * fuzz_ndjson.c.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/ndjson.h"

static struct ndjson r;

static void
set_up(void)
{
	ndjson_init(&r, NDJSON_CAP);
}

static void
tear_down(void)
{
	ndjson_free(&r);
}

static void
feed(const char *p, size_t n)
{
	memcpy(ndjson_room(&r, n), p, n);
	ndjson_grew(&r, n);
}

static void
feed_text(const char *s)
{
	feed(s, strlen(s));
}

static void
expect_line(const char *want, size_t n)
{
	char *line;
	size_t len;

	ck_assert(ndjson_line(&r, &line, &len));
	ck_assert_uint_eq(len, n);
	ck_assert_mem_eq(line, want, n);
}

static void
expect_text(const char *want)
{
	expect_line(want, strlen(want));
}

static void
expect_none(void)
{
	char *line;
	size_t len;

	ck_assert(!ndjson_line(&r, &line, &len));
}

START_TEST(each_line_comes_without_its_end)
{
	feed_text("one\ntwo\n");
	expect_text("one");
	expect_text("two");
	expect_none();
}
END_TEST

START_TEST(partial_line_is_not_consumed)
{
	feed_text("on");
	expect_none();
	feed_text("e");
	expect_none();
	feed_text("\n");
	expect_text("one");
}
END_TEST

START_TEST(lines_come_whole_byte_by_byte)
{
	static const char text[] = "one\r\n\n{\"a\":\"\xC3\xA4\"}\nlast";

	for (size_t i = 0; i < sizeof text - 1; i++) {
		feed(text + i, 1);
		if (i == 4)
			expect_text("one");
		if (i == sizeof text - 6)
			expect_text("{\"a\":\"\xC3\xA4\"}");
		expect_none();
	}
	ndjson_eof(&r);
	expect_text("last");
	expect_none();
}
END_TEST

START_TEST(one_carriage_return_is_dropped)
{
	feed_text("one\r\ntwo\r\r\nth\rree\n");
	expect_text("one");
	expect_text("two\r");
	expect_text("th\rree");
	expect_none();
}
END_TEST

START_TEST(blank_lines_are_skipped)
{
	feed_text("\n\r\n  \t\n \r\none\n\n\n");
	expect_text("one");
	expect_none();
	ck_assert_uint_eq(r.dropped, 0);
}
END_TEST

START_TEST(last_line_needs_no_end)
{
	feed_text("one\ntwo");
	expect_text("one");
	expect_none();
	ndjson_eof(&r);
	expect_text("two");
	expect_none();
}
END_TEST

START_TEST(nothing_comes_of_an_empty_stream)
{
	expect_none();
	ndjson_trim(&r);
	ndjson_eof(&r);
	expect_none();
}
END_TEST

START_TEST(nul_bytes_stand_in_a_line_like_others)
{
	feed("a\0b\nc\0\n", 7);
	expect_line("a\0b", 3);
	expect_line("c\0", 2);
	expect_none();
}
END_TEST

START_TEST(byte_behind_a_line_may_be_overwritten)
{
	char *line;
	size_t len;

	feed_text("one\ntwo\r\nthree");
	ndjson_eof(&r);
	for (int i = 0; i < 3; i++) {
		ck_assert(ndjson_line(&r, &line, &len));
		line[len] = '\0';
		ck_assert_uint_eq(strlen(line), len);
	}
	expect_none();
}
END_TEST

START_TEST(lines_stay_valid_until_there_is_room_made)
{
	char *one, *two, *none;
	size_t len;

	r.cap = 8;
	feed_text("one\ntwo\nmore than the cap allows");
	ck_assert(ndjson_line(&r, &one, &len));
	ck_assert(ndjson_line(&r, &two, &len));
	ck_assert(!ndjson_line(&r, &none, &len));
	ck_assert_mem_eq(one, "one", 3);
	ck_assert_mem_eq(two, "two", 3);
}
END_TEST

static const struct {
	const char *bytes;
	unsigned dropped;
	const char *kept;      /* the only line that is left, or NULL */
} caps[] = {
	{ "12345678\n", 0, "12345678" },
	{ "123456789\n", 1, NULL },
	{ "1234567\r\n", 0, "1234567" },
	{ "12345678\r\n", 1, NULL },
	{ "123456789\nnext\n", 1, "next" },
	{ "123456789012345678901234567890\nnext\n", 1, "next" },
	{ "123456789\n123456789\nnext", 2, "next" },
	{ "123456789", 1, NULL },
	{ "123456789\n\n", 1, NULL },
};

START_TEST(line_over_the_cap_is_dropped_up_to_its_end)
{
	for (size_t piece = 1; piece < 12; piece++) {
		const char *p = caps[_i].bytes;
		size_t n = strlen(p);
		char *line, *got = NULL;
		size_t len;

		ndjson_init(&r, 8);
		for (size_t i = 0; i <= n; i += piece) {
			if (i < n)
				feed(p + i, n - i < piece ? n - i : piece);
			if (i + piece > n)
				ndjson_eof(&r);
			while (ndjson_line(&r, &line, &len)) {
				ck_assert_ptr_null(got);
				got = strndup(line, len);
			}
		}
		ck_assert_uint_eq(r.dropped, caps[_i].dropped);
		ck_assert_pstr_eq(got, caps[_i].kept);
		free(got);
		ndjson_free(&r);
	}
}
END_TEST

START_TEST(memory_stays_bounded_inside_a_line_over_the_cap)
{
	static char piece[65536];

	r.cap = 1 << 20;
	memset(piece, 'x', sizeof piece);
	for (int i = 0; i < 1600; i++) {
		feed(piece, sizeof piece);
		expect_none();
		ck_assert_uint_le(r.buf.size, 4 << 20);
	}
	feed_text("\nnext\n");
	expect_text("next");
	ck_assert_uint_eq(r.dropped, 1);
	ck_assert_uint_le(r.buf.size, 1 << 20);
}
END_TEST

#define LONG_LINE ((size_t)40 << 20)

static void
feed_long_line(void)
{
	static char piece[65536];

	memset(piece, 'x', sizeof piece);
	for (size_t n = 0; n < LONG_LINE; n += sizeof piece) {
		expect_none();
		feed(piece, sizeof piece);
		/* all but the last piece were searched, and never again */
		ck_assert_uint_eq(r.scanned, n);
		ck_assert_uint_eq(r.begin, 0);
	}
}

START_TEST(long_line_in_pieces_is_searched_once)
{
	char *line;
	size_t len;

	feed_long_line();
	feed_text("\nnext");
	ck_assert(ndjson_line(&r, &line, &len));
	ck_assert_uint_eq(len, LONG_LINE);
	ck_assert_int_eq(line[len - 1], 'x');
	expect_none();
}
END_TEST

START_TEST(memory_of_a_long_line_is_given_back)
{
	char *line;
	size_t len;

	feed_long_line();
	feed_text("\nnext");
	ck_assert_uint_gt(r.buf.size, LONG_LINE);
	ck_assert(ndjson_line(&r, &line, &len));
	ndjson_trim(&r);
	ck_assert_uint_le(r.buf.size, 256 << 10);
	feed_text("\n");
	expect_text("next");
}
END_TEST

START_TEST(short_lines_take_no_more_memory_than_one_read)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n";
	const char *data;
	char *got;
	size_t len;

	ndjson_room(&r, 65536);
	data = r.buf.data;
	for (int i = 0; i < 100000; i++) {
		char *to = ndjson_room(&r, 65536);
		size_t n = 1 + (size_t)i % (sizeof line - 2);

		/* a line in two reads */
		memcpy(to, line, n);
		ndjson_grew(&r, n);
		ck_assert(!ndjson_line(&r, &got, &len));
		to = ndjson_room(&r, 65536);
		memcpy(to, line + n, sizeof line - 1 - n);
		ndjson_grew(&r, sizeof line - 1 - n);
		ck_assert(ndjson_line(&r, &got, &len));
		ck_assert_ptr_eq(r.buf.data, data);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ndjson");
	TCase *t = tcase_create("lines");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, each_line_comes_without_its_end);
	tcase_add_test(t, partial_line_is_not_consumed);
	tcase_add_test(t, lines_come_whole_byte_by_byte);
	tcase_add_test(t, one_carriage_return_is_dropped);
	tcase_add_test(t, blank_lines_are_skipped);
	tcase_add_test(t, last_line_needs_no_end);
	tcase_add_test(t, nothing_comes_of_an_empty_stream);
	tcase_add_test(t, nul_bytes_stand_in_a_line_like_others);
	tcase_add_test(t, byte_behind_a_line_may_be_overwritten);
	tcase_add_test(t, lines_stay_valid_until_there_is_room_made);
	tcase_add_loop_test(t, line_over_the_cap_is_dropped_up_to_its_end, 0,
	    sizeof caps / sizeof *caps);
	tcase_add_test(t, memory_stays_bounded_inside_a_line_over_the_cap);
	tcase_add_test(t, long_line_in_pieces_is_searched_once);
	tcase_add_test(t, memory_of_a_long_line_is_given_back);
	tcase_add_test(t, short_lines_take_no_more_memory_than_one_read);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
