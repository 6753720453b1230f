/* SPDX-License-Identifier: MIT */
/*
 * The leaf helpers of base/: memory, buffer, ring, UTF-8, list, reasons, and
 * the form of a log line. Pure code, so mostly tables of cases.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/utf8.h"

#include <check.h> /* last: it has a macro fail() */

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

/* A string literal and its length, NULs included. */
#define BYTES(s) s, sizeof(s) - 1

START_TEST(string_list_grows_copies_and_frees)
{
	char **list = NULL, **copy;
	char word[] = "one";

	ck_assert_uint_eq(strv_len(NULL), 0);
	strv_add(&list, word);
	word[0] = 'x';
	strv_add(&list, "");
	strv_add(&list, "three");
	ck_assert_uint_eq(strv_len(list), 3);
	ck_assert_str_eq(list[0], "one");
	copy = strv_copy(list);
	list[2][0] = 'T';
	ck_assert_uint_eq(strv_len(copy), 3);
	ck_assert_str_eq(copy[2], "three");
	strv_free(&list);
	ck_assert_ptr_null(list);
	strv_free(&list);
	ck_assert_str_eq(copy[0], "one");
	strv_free(&copy);
	ck_assert_ptr_null(strv_copy(NULL));
}
END_TEST

START_TEST(empty_string_list_has_an_end)
{
	char *const none[] = { NULL };
	char **copy = strv_copy(none);

	ck_assert_ptr_nonnull(copy);
	ck_assert_ptr_null(copy[0]);
	strv_free(&copy);
}
END_TEST

START_TEST(small_allocations_are_never_null)
{
	char *none = xmalloc(0), *zeroed = xcalloc(0, 0);
	char *text = xmemdupz("abcdef", 3), *empty = xmemdupz(NULL, 0);
	char *made = xasprintf("%d-%s", 7, "x");

	ck_assert_ptr_nonnull(none);
	ck_assert_ptr_nonnull(zeroed);
	ck_assert_str_eq(text, "abc");
	ck_assert_str_eq(empty, "");
	ck_assert_str_eq(made, "7-x");
	ck_assert_ptr_null(xstrdup(NULL));
	free(none);
	free(zeroed);
	free(text);
	free(empty);
	free(made);
}
END_TEST

START_TEST(reason_may_be_wrapped_in_itself)
{
	struct err e;

	ck_assert_int_eq((fail)(&e, "no %s", "bread"), -1);
	ck_assert_int_eq((fail)(&e, "kitchen: %s", e.text), -1);
	ck_assert_str_eq(e.text, "kitchen: no bread");
	ck_assert_int_eq((fail)(NULL, "%s", "nobody asks"), -1);
}
END_TEST

START_TEST(long_reason_is_cut)
{
	struct err e;
	char *text = xmalloc(5000);

	memset(text, 'a', 4999);
	text[4999] = '\0';
	(fail)(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.text), sizeof e.text - 1);
	free(text);
}
END_TEST

START_TEST(broken_must_aborts)
{
	MUST(1 + 1 == 2);
	close(STDERR_FILENO);
	MUST(1 + 1 == 3);
}
END_TEST

START_TEST(zeroed_buffer_is_empty_and_usable)
{
	struct buf b = { 0 };
	char *s;

	buf_consume(&b, 0);
	buf_reset(&b, 10);
	buf_grew(&b, 0);
	s = buf_take(&b);
	ck_assert_str_eq(s, "");
	free(s);
	buf_add(&b, NULL, 0);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_str_eq(b.data, "");
	buf_free(&b);
	buf_free(&b);
}
END_TEST

START_TEST(what_is_appended_is_there_and_ends_with_nul)
{
	struct buf b = { 0 };

	for (int i = 0; i < 1000; i++) {
		buf_adds(&b, "ab");
		buf_addc(&b, 'c');
		buf_printf(&b, "%03d", i);
		ck_assert_uint_eq(b.len, (size_t)(i + 1) * 6);
		ck_assert_int_eq(b.data[b.len], '\0');
		ck_assert_uint_lt(b.len, b.size);
	}
	ck_assert(!strncmp(b.data, "abc000abc001", 12));
	ck_assert_str_eq(b.data + b.len - 6, "abc999");
	buf_free(&b);
}
END_TEST

START_TEST(appending_is_not_quadratic)
{
	struct buf b = { 0 };
	int moves = 0;
	size_t size = 0;

	for (int i = 0; i < 1 << 20; i++) {
		buf_addc(&b, 'x');
		moves += b.size != size;
		size = b.size;
	}
	ck_assert_int_lt(moves, 25);
	buf_free(&b);
}
END_TEST

START_TEST(consumed_bytes_leave_the_rest)
{
	struct buf b = { 0 };
	char *s;

	buf_adds(&b, "one two");
	buf_consume(&b, 4);
	ck_assert_str_eq(b.data, "two");
	buf_consume(&b, 3);
	ck_assert_str_eq(b.data, "");
	buf_adds(&b, "again");
	s = buf_take(&b);
	ck_assert_str_eq(s, "again");
	ck_assert_ptr_null(b.data);
	free(s);
}
END_TEST

START_TEST(reset_gives_back_only_large_memory)
{
	struct buf b = { 0 };

	buf_adds(&b, "small");
	buf_reset(&b, 4096);
	ck_assert_ptr_nonnull(b.data);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_str_eq(b.data, "");
	buf_room(&b, 100000);
	buf_reset(&b, 4096);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.size, 0);
}
END_TEST

START_TEST(room_may_be_filled_in_place)
{
	struct buf b = { 0 };
	char *to;

	buf_adds(&b, "a");
	to = buf_room(&b, 300);
	memset(to, 'b', 300);
	buf_grew(&b, 300);
	ck_assert_uint_eq(b.len, 301);
	ck_assert_int_eq(b.data[301], '\0');
	buf_free(&b);
}
END_TEST

static const struct {
	const char *in;
	size_t len;
	const char *json;
} json_cases[] = {
	{ BYTES(""), "\"\"" },
	{ BYTES("plain"), "\"plain\"" },
	{ BYTES("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ BYTES("\n"), "\"\\n\"" },
	{ BYTES("\t\r\x01\x1f"), "\"\\u0009\\u000d\\u0001\\u001f\"" },
	{ BYTES("a\0b"), "\"a\\u0000b\"" },
	{ BYTES("gr\xC3\xBC\xC3\x9F"), "\"gr\xC3\xBC\xC3\x9F\"" },
	{ BYTES("\"\"x"), "\"\\\"\\\"x\"" },
};

START_TEST(json_string_is_escaped)
{
	struct buf b = { 0 };

	buf_json(&b, json_cases[_i].in, json_cases[_i].len);
	ck_assert_str_eq(b.data, json_cases[_i].json);
	buf_free(&b);
}
END_TEST

/* Each byte value at each place of a text that is longer than two words, with
 * a character that needs an escape after it, or none. */
START_TEST(json_string_is_escaped_wherever_it_must_be)
{
	for (int byte = 0; byte < 256; byte++) {
		for (size_t at = 0; at < 20; at++) {
			char text[] = "plain text of twenty", want[40];
			bool escaped = byte < 0x20 || byte == '"' ||
			    byte == '\\';
			struct buf b = { 0 };

			if (at % 2)
				text[19] = '"';
			text[at] = (char)byte;
			snprintf(want, sizeof want, "\"%.*s%s", (int)at, text,
			    !escaped ? "" : byte == '"' || byte == '\\' ?
			    "\\" : byte == '\n' ? "\\n" : "\\u00");
			buf_json(&b, text, 20);
			ck_assert_mem_eq(b.data, want, strlen(want));
			ck_assert_uint_eq(b.len, 22 +
			    (at % 2 && at < 19 ? 1 : 0) + (!escaped ? 0 :
			    byte == '"' || byte == '\\' || byte == '\n' ? 1 :
			    5));
			buf_free(&b);
		}
	}
}
END_TEST

/* The parts of the Unicode standard's table 3-8, and what PostgreSQL bars. */
static const struct {
	const char *in;
	size_t len;
	size_t valid;             /* length of the valid prefix */
	const char *repaired;
} utf8_cases[] = {
	{ BYTES(""), 0, "" },
	{ BYTES("plain text, longer than eight bytes"), 35,
	  "plain text, longer than eight bytes" },
	{ BYTES("\xC3\xBC\xE2\x82\xAC\xF0\x9F\x94\xA5"), 9,
	  "\xC3\xBC\xE2\x82\xAC\xF0\x9F\x94\xA5" },
	{ BYTES("\xF4\x8F\xBF\xBF"), 4, "\xF4\x8F\xBF\xBF" },
	{ BYTES("\xEF\xBF\xBF"), 3, "\xEF\xBF\xBF" },
	/* beyond U+10FFFF */
	{ BYTES("\xF4\x90\x80\x80"), 0, BAD BAD BAD BAD },
	{ BYTES("a\xF5" "b"), 1, "a" BAD "b" },
	/* surrogates */
	{ BYTES("\xED\xA0\x80"), 0, BAD BAD BAD },
	{ BYTES("x\xED\xBF\xBFy"), 1, "x" BAD BAD BAD "y" },
	{ BYTES("\xED\x9F\xBF"), 3, "\xED\x9F\xBF" },
	/* overlong */
	{ BYTES("\xC0\xAF"), 0, BAD BAD },
	{ BYTES("\xE0\x80\xAF"), 0, BAD BAD BAD },
	{ BYTES("\xF0\x80\x80\xAF"), 0, BAD BAD BAD BAD },
	/* cut short: one replacement for what there is of it */
	{ BYTES("ab\xE2\x82"), 2, "ab" BAD },
	{ BYTES("ab\xF0\x9F\x94"), 2, "ab" BAD },
	{ BYTES("\xE2\x82" "A"), 0, BAD "A" },
	{ BYTES("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF" "A"), 0,
	  BAD BAD BAD BAD "A" },
	/* continuation without a beginning */
	{ BYTES("12345678\x80"), 8, "12345678" BAD },
	{ BYTES("\x80\xBF"), 0, BAD BAD },
	{ BYTES("\xFE\xFF"), 0, BAD BAD },
};

START_TEST(utf8_is_validated_and_repaired)
{
	const char *in = utf8_cases[_i].in;
	size_t n = utf8_cases[_i].len;
	/* of the exact size, so that a sanitizer sees a read beyond */
	char *exact = xmalloc(n);
	struct buf out = { 0 };
	bool repaired;

	memcpy(exact, in, n);
	ck_assert_uint_eq(utf8_valid_prefix(exact, n), utf8_cases[_i].valid);
	repaired = utf8_repair(exact, n, true, &out);
	ck_assert_str_eq(out.data, utf8_cases[_i].repaired);
	ck_assert_int_eq(repaired, utf8_cases[_i].valid != n);
	ck_assert_uint_eq(utf8_valid_prefix(out.data, out.len), out.len);
	buf_free(&out);
	free(exact);
}
END_TEST

START_TEST(nul_is_repaired_only_when_asked)
{
	struct buf out = { 0 };

	ck_assert(!utf8_repair("a\0b", 3, false, &out));
	ck_assert_uint_eq(out.len, 3);
	buf_reset(&out, 1000);
	ck_assert(utf8_repair("a\0b", 3, true, &out));
	ck_assert_str_eq(out.data, "a" BAD "b");
	buf_free(&out);
}
END_TEST

START_TEST(repair_appends)
{
	struct buf out = { 0 };

	buf_adds(&out, "before ");
	utf8_repair("\xFF", 1, true, &out);
	ck_assert_str_eq(out.data, "before " BAD);
	buf_free(&out);
}
END_TEST

static const struct {
	const char *in;
	size_t len, cut;
} cut_cases[] = {
	{ BYTES(""), 0 },
	{ BYTES("abc"), 3 },
	{ BYTES("a\xC3"), 1 },
	{ BYTES("a\xC3\xBC"), 3 },
	{ BYTES("a\xE2"), 1 },
	{ BYTES("a\xE2\x82"), 1 },
	{ BYTES("a\xE2\x82\xAC"), 4 },
	{ BYTES("a\xF0\x9F\x94"), 1 },
	{ BYTES("\xF0\x9F\x94\xA5"), 4 },
	{ BYTES("\xF0"), 0 },
	/* what is bad anyway is not the beginning of anything */
	{ BYTES("a\x80\x80\x80\x80"), 5 },
	{ BYTES("\x80"), 1 },
	{ BYTES("a\xFF"), 2 },
	{ BYTES("a\xC0"), 2 },
	{ BYTES("a\xE0\x80"), 3 },
	{ BYTES("a\xC3\xBC\xBC"), 4 },
	{ BYTES("a\xED\xA0"), 3 },
};

START_TEST(cut_never_ends_inside_a_character)
{
	ck_assert_uint_eq(utf8_cut(cut_cases[_i].in, cut_cases[_i].len),
	    cut_cases[_i].cut);
}
END_TEST

static void
assert_ring(const struct ring *r, size_t max, const char *want)
{
	char *text = ring_text(r, max);

	ck_assert_str_eq(text, want);
	free(text);
}

START_TEST(ring_keeps_the_newest)
{
	struct ring *r = ring_new(8);

	assert_ring(r, 100, "");
	ring_add(r, "abc", 3);
	assert_ring(r, 100, "abc");
	assert_ring(r, 2, "bc");
	ring_add(r, "", 0);
	ring_add(r, "defgh", 5);
	assert_ring(r, 100, "abcdefgh");
	ring_add(r, "i", 1);
	assert_ring(r, 100, "bcdefghi");
	ck_assert_uint_eq(ring_len(r), 8);
	ring_add(r, "0123456789", 10);
	assert_ring(r, 100, "23456789");
	ring_add(r, "xyz", 3);
	assert_ring(r, 100, "56789xyz");
	ring_free(&r);
	ck_assert_ptr_null(r);
	ring_free(&r);
}
END_TEST

START_TEST(ring_text_is_valid_and_cut_on_characters)
{
	struct ring *r = ring_new(6);

	/* the euro sign's first byte is pushed out */
	ring_add(r, "\xE2\x82\xAC" "1234", 7);
	assert_ring(r, 100, "1234");
	ring_free(&r);
	r = ring_new(100);
	ring_add(r, "a\0b\xFF\xE2\x82", 6);
	assert_ring(r, 100, "a" BAD "b" BAD BAD);
	/* repaired bytes grow, and yet max holds */
	assert_ring(r, 6, BAD BAD);
	ring_free(&r);
}
END_TEST

START_TEST(ring_text_never_exceeds_its_limit)
{
	struct ring *r = ring_new(64);

	for (int i = 0; i < 64; i++)
		ring_add(r, i % 2 ? "\xFF" : "\xC3\xBC", i % 2 ? 1 : 2);
	for (size_t max = 0; max < 70; max++) {
		char *text = ring_text(r, max);

		ck_assert_uint_le(strlen(text), max);
		ck_assert_uint_eq(utf8_valid_prefix(text, strlen(text)),
		    strlen(text));
		free(text);
	}
	ring_free(&r);
}
END_TEST

START_TEST(ring_without_room_keeps_nothing)
{
	struct ring *r = ring_new(0);

	ring_add(r, "abc", 3);
	ck_assert_uint_eq(ring_len(r), 0);
	assert_ring(r, 10, "");
	ring_free(&r);
}
END_TEST

struct item {
	int number;
	struct list node;
};

static int
sum_in_order(struct list *head)
{
	int sum = 0;

	LIST_EACH(pos, tmp, head)
		sum = sum * 10 + LIST_ITEM(pos, struct item, node)->number;
	return sum;
}

START_TEST(list_keeps_order_and_forgets_what_is_removed)
{
	struct list head;
	struct item a = { .number = 1 }, b = { .number = 2 },
	    c = { .number = 3 };

	list_init(&head);
	ck_assert(list_empty(&head));
	ck_assert(!list_linked(&a.node));
	list_remove(&a.node);
	list_append(&head, &a.node);
	list_append(&head, &b.node);
	list_append(&head, &c.node);
	ck_assert_int_eq(sum_in_order(&head), 123);
	list_remove(&b.node);
	ck_assert(!list_linked(&b.node));
	list_remove(&b.node);
	ck_assert_int_eq(sum_in_order(&head), 13);
	list_append(&head, &b.node);
	ck_assert_int_eq(sum_in_order(&head), 132);
	LIST_EACH(pos, tmp, &head)
		list_remove(pos);
	ck_assert(list_empty(&head));
	ck_assert_int_eq(sum_in_order(&head), 0);
}
END_TEST

START_TEST(clock_does_not_go_back)
{
	int64_t last = clock_ms();

	for (int i = 0; i < 10000; i++) {
		int64_t now = clock_ms();

		ck_assert_int_ge(now, last);
		last = now;
	}
}
END_TEST

/* What one call writes to stderr; the caller frees. */
static char *
logged(const char *object, const char *message)
{
	FILE *f = tmpfile();
	int old = dup(STDERR_FILENO);
	char *text = xcalloc(1, 4096);
	off_t len;

	dup2(fileno(f), STDERR_FILENO);
	log_info(object, "%s", message);
	dup2(old, STDERR_FILENO);
	close(old);
	len = lseek(fileno(f), 0, SEEK_END);
	ck_assert_int_lt(len, 4096);
	ck_assert_int_eq(pread(fileno(f), text, (size_t)len, 0), len);
	fclose(f);
	return text;
}

static const struct {
	const char *message, *text, *json;
} log_cases[] = {
	{ "ready in 312 ms", "ready in 312 ms", "ready in 312 ms" },
	{ "a\nb\tc", "a\\nb\\x09c", "a\\nb\\u0009c" },
	{ "\x1b[31mred", "\\x1b[31mred", "\\u001b[31mred" },
	{ "say \"hi\\\"", "say \"hi\\\"", "say \\\"hi\\\\\\\"" },
	{ "\xC3\xBC \xFF", "\xC3\xBC " BAD, "\xC3\xBC " BAD },
	{ "csi \xC2\x9B" "2J", "csi \\u009b2J", "csi \xC2\x9B" "2J" },
	{ "\xC2\xA0\xC2", "\xC2\xA0" BAD, "\xC2\xA0" BAD },
	{ "", "", "" },
};

/* Shape of a time stamp: every digit is any digit. */
static void
assert_shape(const char *s, const char *shape)
{
	for (; *shape; s++, shape++)
		ck_assert_msg(*shape == '9' ? *s >= '0' && *s <= '9' :
		    *s == *shape, "%s is not like %s", s, shape);
}

START_TEST(text_line_has_time_level_object_and_message)
{
	char *line, *want;

	unsetenv("JOURNAL_STREAM");
	line = logged("worker 17", log_cases[_i].message);
	want = xasprintf(" info    worker 17: %s\n", log_cases[_i].text);
	assert_shape(line, "9999-99-99T99:99:99.999Z ");
	ck_assert_str_eq(line + 24, want);
	free(line);
	free(want);
}
END_TEST

START_TEST(json_line_has_the_same_members)
{
	char *line, *want;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	line = logged("worker \"17\"", log_cases[_i].message);
	want = xasprintf("\",\"level\":\"info\",\"object\":"
	    "\"worker \\\"17\\\"\",\"msg\":\"%s\"}\n", log_cases[_i].json);
	assert_shape(line, "{\"ts\":\"9999-99-99T99:99:99.999Z\",");
	ck_assert_str_eq(line + 31, want);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	free(line);
	free(want);
}
END_TEST

START_TEST(journal_line_has_a_priority_and_no_time)
{
	char *line;

	setenv("JOURNAL_STREAM", "8:1", 1);
	line = logged("pool", "hello");
	ck_assert_str_eq(line, "<6>pool: hello\n");
	unsetenv("JOURNAL_STREAM");
	free(line);
}
END_TEST

START_TEST(message_below_the_level_is_not_written)
{
	char *line;

	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	line = logged("pool", "hello");
	ck_assert_str_eq(line, "");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	free(line);
}
END_TEST

#define CASES(table) (int)(sizeof table / sizeof *table)

static Suite *
suite(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("memory");

	tcase_add_test(t, string_list_grows_copies_and_frees);
	tcase_add_test(t, empty_string_list_has_an_end);
	tcase_add_test(t, small_allocations_are_never_null);
	tcase_add_test(t, reason_may_be_wrapped_in_itself);
	tcase_add_test(t, long_reason_is_cut);
	tcase_add_test_raise_signal(t, broken_must_aborts, SIGABRT);
	tcase_add_test(t, list_keeps_order_and_forgets_what_is_removed);
	tcase_add_test(t, clock_does_not_go_back);
	suite_add_tcase(s, t);

	t = tcase_create("buf");
	tcase_add_test(t, zeroed_buffer_is_empty_and_usable);
	tcase_add_test(t, what_is_appended_is_there_and_ends_with_nul);
	tcase_add_test(t, appending_is_not_quadratic);
	tcase_add_test(t, consumed_bytes_leave_the_rest);
	tcase_add_test(t, reset_gives_back_only_large_memory);
	tcase_add_test(t, room_may_be_filled_in_place);
	tcase_add_loop_test(t, json_string_is_escaped, 0, CASES(json_cases));
	tcase_add_test(t, json_string_is_escaped_wherever_it_must_be);
	suite_add_tcase(s, t);

	t = tcase_create("text");
	tcase_add_loop_test(t, utf8_is_validated_and_repaired, 0,
	    CASES(utf8_cases));
	tcase_add_test(t, nul_is_repaired_only_when_asked);
	tcase_add_test(t, repair_appends);
	tcase_add_loop_test(t, cut_never_ends_inside_a_character, 0,
	    CASES(cut_cases));
	tcase_add_test(t, ring_keeps_the_newest);
	tcase_add_test(t, ring_text_is_valid_and_cut_on_characters);
	tcase_add_test(t, ring_text_never_exceeds_its_limit);
	tcase_add_test(t, ring_without_room_keeps_nothing);
	suite_add_tcase(s, t);

	t = tcase_create("log");
	tcase_add_loop_test(t, text_line_has_time_level_object_and_message, 0,
	    CASES(log_cases));
	tcase_add_loop_test(t, json_line_has_the_same_members, 0,
	    CASES(log_cases));
	tcase_add_test(t, journal_line_has_a_priority_and_no_time);
	tcase_add_test(t, message_below_the_level_is_not_written);
	suite_add_tcase(s, t);
	return s;
}

int
main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
