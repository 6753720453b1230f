/* SPDX-License-Identifier: MIT */
/*
 * worker/scan: which lines the hot path takes, what it reads in them, and that
 * it leaves everything else to the full parser. fuzz_scan.c compares the two
 * on lines that nobody thought of.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "worker/scan.h"

#define HEAD "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\"," \
	"\"params\":{\"sessionId\":\"s-1\",\"update\":{" \
	"\"sessionUpdate\":\"agent_message_chunk\",\"content\":{" \
	"\"type\":\"text\",\"text\":\""
#define TAIL "\"}}}}"

static const struct {
	const char *line;
	enum scan_result result;
	const char *message_id;
	const char *text;
} taken[] = {
	{ HEAD "hello" TAIL, SCAN_TEXT, NULL, "hello" },
	{ HEAD TAIL, SCAN_TEXT, NULL, "" },
	{ "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	  "\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	  "\"agent_thought_chunk\",\"messageId\":\"m-7\",\"content\":{"
	  "\"type\":\"text\",\"text\":\"hm\"}}}}",
	  SCAN_REASONING, "m-7", "hm" },
	{ "{\"params\":{\"update\":{\"content\":{\"text\":\"x\",\"type\":"
	  "\"text\"},\"messageId\":null,\"sessionUpdate\":"
	  "\"agent_message_chunk\"},\"sessionId\":\"s-1\"},\"method\":"
	  "\"session/update\",\"jsonrpc\":\"2.0\"}", SCAN_TEXT, NULL, "x" },
	{ " \t{ \"jsonrpc\" :\r\n\"2.0\" , \"method\" : \"session/update\" ,"
	  "\"params\" : { \"sessionId\" : \"s-1\" , \"update\" : { "
	  "\"sessionUpdate\" : \"agent_message_chunk\" , \"messageId\" : "
	  "null , \"content\" : { \"type\" : \"text\" , \"text\" : \"x\" } "
	  "} } } \n", SCAN_TEXT, NULL, "x" },
};

START_TEST(text_chunk_is_taken)
{
	struct buf text = { 0 };
	struct scan_chunk c;

	buf_adds(&text, "before ");
	ck_assert_int_eq(scan_chunk(taken[_i].line, strlen(taken[_i].line),
	    &c, &text), taken[_i].result);
	ck_assert_uint_eq(c.session_id_len, 3);
	ck_assert_mem_eq(c.session_id, "s-1", 3);
	if (taken[_i].message_id) {
		ck_assert_ptr_nonnull(c.message_id);
		ck_assert_uint_eq(c.message_id_len, 3);
		ck_assert_mem_eq(c.message_id, taken[_i].message_id, 3);
	} else {
		ck_assert_ptr_null(c.message_id);
	}
	ck_assert(!c.repaired);
	ck_assert(strncmp(text.data, "before ", 7) == 0);
	ck_assert_str_eq(text.data + 7, taken[_i].text);
	ck_assert_uint_eq(text.len, 7 + strlen(taken[_i].text));
	buf_free(&text);
}
END_TEST

static const struct {
	const char *raw;
	const char *text;
	bool repaired;
} texts[] = {
	{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", false },
	{ "a\\u0041\\u00e9\\u20AC", "aA\xC3\xA9\xE2\x82\xAC", false },
	{ "\\ud83d\\ude00", "\xF0\x9F\x98\x80", false },
	{ "\\uDBFF\\uDFFF", "\xF4\x8F\xBF\xBF", false },
	{ "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 plain text follows",
	  "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 plain text follows", false },
	{ "\xE4\xB8\xAD\\n\xE6\x96\x87", "\xE4\xB8\xAD\n\xE6\x96\x87", false },
	{ "a\\u0000b", "a\xEF\xBF\xBD" "b", true },
	{ "\\ud83d", "\xEF\xBF\xBD", true },
	{ "\\ud83dx", "\xEF\xBF\xBDx", true },
	{ "\\ude00", "\xEF\xBF\xBD", true },
	{ "\\ud83d\\u0041", "\xEF\xBF\xBD" "A", true },
	{ "\\ud83d\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80", true },
	{ "\\ud83d\\n", "\xEF\xBF\xBD\n", true },
	{ "\\ufffd", "\xEF\xBF\xBD", false },
	{ "\\u007f\\u0080\\u07ff\\u0800", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80",
	  false },
	{ "twelve bytes\\\\ and twelve more \\\" and yet more",
	  "twelve bytes\\ and twelve more \" and yet more", false },
};

START_TEST(escapes_become_what_they_mean)
{
	struct buf line = { 0 }, text = { 0 };
	struct scan_chunk c;

	buf_printf(&line, "%s%s%s", HEAD, texts[_i].raw, TAIL);
	ck_assert_int_eq(scan_chunk(line.data, line.len, &c, &text),
	    SCAN_TEXT);
	ck_assert_str_eq(text.data, texts[_i].text);
	ck_assert_uint_eq(text.len, strlen(texts[_i].text));
	ck_assert_int_eq(c.repaired, texts[_i].repaired);
	buf_free(&line);
	buf_free(&text);
}
END_TEST

static const char *const others[] = {
	"", " ", "{", "{}", "[]", "null", "\"x\"",
	/* an id, a member nobody expects, a missing one, one too many */
	"{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"session/update\","
	"\"params\":{\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	HEAD "x\"},\"_meta\":{}}}}",
	HEAD "x\",\"annotations\":null}}}}",
	HEAD "x\",\"text\":\"y" TAIL,
	HEAD "x\",\"type\":\"text" TAIL,
	HEAD "x\"},\"messageId\":null,\"messageId\":null}}}",
	HEAD "x\"},\"messageId\":7}}}",
	HEAD "x\"},\"messageId\":\"a\\n\"}}}",
	HEAD "x\"},\"messageId\":nul}}}",
	HEAD "x\"}}},\"jsonrpc\":\"2.0\"}",
	"{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s-1\","
	"\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{"
	"\"type\":\"text\",\"text\":\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{"
	"\"type\":\"text\",\"text\":\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"content\":{"
	"\"type\":\"text\",\"text\":\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"text\":\"x\"}}}}",
	/* another kind of update, of content, of method, of version */
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"user_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"image\",\"text\":"
	"\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/updates\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	"{\"jsonrpc\":\"1.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	/* an escape in a name or an id */
	"{\"\\u006asonrpc\":\"2.0\",\"method\":\"session/update\","
	"\"params\":{\"sessionId\":\"s-1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{"
	"\"sessionId\":\"s\\u002d1\",\"update\":{\"sessionUpdate\":"
	"\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":"
	"\"x\"}}}}",
	/* bad text */
	HEAD "\xC3" TAIL, HEAD "a\xFF" TAIL, HEAD "\xED\xA0\xBD" TAIL,
	HEAD "\xC0\x80" TAIL, HEAD "a\tb" TAIL, HEAD "a\nb" TAIL,
	HEAD "\\x" TAIL, HEAD "\\u12" TAIL, HEAD "\\u12g4" TAIL,
	HEAD "\\U0041" TAIL, HEAD "x\\",
	/* what is around it */
	HEAD "x" TAIL "}", HEAD "x" TAIL " x", "x" HEAD "x" TAIL,
	"\xEF\xBB\xBF" HEAD "x" TAIL, "[" HEAD "x" TAIL "]",
	HEAD "x\"},}}}", HEAD "x\"}}}",
};

START_TEST(all_else_is_left_to_the_parser)
{
	struct buf text = { 0 };
	struct scan_chunk c;

	buf_adds(&text, "before");
	ck_assert_int_eq(scan_chunk(others[_i], strlen(others[_i]), &c,
	    &text), SCAN_OTHER);
	ck_assert_str_eq(text.data, "before");
	ck_assert_uint_eq(text.len, 6);
	buf_free(&text);
}
END_TEST

START_TEST(nul_byte_in_the_text_is_left_to_the_parser)
{
	static const char line[] = HEAD "a\0b" TAIL;
	struct buf text = { 0 };
	struct scan_chunk c;

	ck_assert_int_eq(scan_chunk(line, sizeof line - 1, &c, &text),
	    SCAN_OTHER);
	buf_free(&text);
}
END_TEST

START_TEST(no_torn_line_is_taken_or_read_past_its_end)
{
	static const char whole[] = HEAD "a\\u00e9 \\ud83d\\ude00" TAIL;
	struct buf text = { 0 };
	struct scan_chunk c;

	for (size_t n = 0; n < sizeof whole - 1; n++) {
		char *torn = malloc(n ? n : 1);

		memcpy(torn, whole, n);
		ck_assert_int_eq(scan_chunk(torn, n, &c, &text), SCAN_OTHER);
		free(torn);
	}
	ck_assert_uint_eq(text.len, 0);
	buf_free(&text);
}
END_TEST

/* Quote, backslash and the end at every offset of the eight-byte steps. */
START_TEST(text_of_every_length_is_read_whole)
{
	for (size_t n = 0; n < 40; n++) {
		struct buf line = { 0 }, text = { 0 };
		struct scan_chunk c;

		buf_adds(&line, HEAD);
		for (size_t i = 0; i < n; i++)
			buf_addc(&line, (char)('a' + i % 26));
		buf_adds(&line, "\\n\xC3\xA4" TAIL);
		ck_assert_int_eq(scan_chunk(line.data, line.len, &c, &text),
		    SCAN_TEXT);
		ck_assert_uint_eq(text.len, n + 3);
		ck_assert_mem_eq(text.data + n, "\n\xC3\xA4", 3);
		buf_free(&line);
		buf_free(&text);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scan");
	TCase *t = tcase_create("chunks");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(t, text_chunk_is_taken, 0,
	    sizeof taken / sizeof *taken);
	tcase_add_loop_test(t, escapes_become_what_they_mean, 0,
	    sizeof texts / sizeof *texts);
	tcase_add_loop_test(t, all_else_is_left_to_the_parser, 0,
	    sizeof others / sizeof *others);
	tcase_add_test(t, nul_byte_in_the_text_is_left_to_the_parser);
	tcase_add_test(t, no_torn_line_is_taken_or_read_past_its_end);
	tcase_add_test(t, text_of_every_length_is_read_whole);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
