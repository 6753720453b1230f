/* SPDX-License-Identifier: MIT */
/*
 * worker/envelope and worker/json_repair: what a line is, what of it stays
 * verbatim, what is salvaged out of noise, and that whatever comes in leaves
 * as JSON that PostgreSQL takes. fuzz_envelope.c holds the invariants.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/envelope.h"
#include "worker/json_repair.h"

#include <check.h> /* last: it has a macro fail() */

static struct envelope m;

static void
parse(const char *line)
{
	envelope_parse(line, strlen(line), &m);
}

static void
tear_down(void)
{
	envelope_free(&m);
}

#define NONE NULL

static const struct {
	const char *line;
	enum envelope_kind kind;
	const char *id;
	int64_t own_id;
	const char *method;
} kinds[] = {
	{ "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"fs/read_text_file\"}",
	  ENVELOPE_REQUEST, "0", 0, "fs/read_text_file" },
	{ "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":\"5c-\\u0041\\n\"}",
	  ENVELOPE_REQUEST, "\"5c-\\u0041\\n\"", 0, "a" },
	{ "{\"id\":18446744073709551616,\"method\":\"a\"}",
	  ENVELOPE_REQUEST, "18446744073709551616", 0, "a" },
	{ "{\"id\":-3,\"method\":\"a\"}", ENVELOPE_REQUEST, "-3", 0, "a" },
	{ "{\"id\":null,\"method\":\"a\"}",
	  ENVELOPE_REQUEST, "null", 0, "a" },
	{ "{\"method\":\"a\",\"params\":null}",
	  ENVELOPE_NOTIFICATION, NONE, 0, "a" },
	{ "{\"method\":\"a\",\"result\":{}}",
	  ENVELOPE_NOTIFICATION, NONE, 0, "a" },
	{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}",
	  ENVELOPE_RESPONSE, "7", 7, NONE },
	{ "{\"result\":null,\"id\":\"12\"}",
	  ENVELOPE_RESPONSE, "\"12\"", 12, NONE },
	{ "{\"result\":null,\"id\":\"\\u0031\"}",
	  ENVELOPE_RESPONSE, "\"\\u0031\"", 1, NONE },
	{ "{\"result\":null,\"id\":12.0}",
	  ENVELOPE_RESPONSE, "12.0", 12, NONE },
	{ "{\"result\":null,\"id\":12.5}",
	  ENVELOPE_RESPONSE, "12.5", 0, NONE },
	{ "{\"result\":null,\"id\":\"skills-reload\"}",
	  ENVELOPE_RESPONSE, "\"skills-reload\"", 0, NONE },
	{ "{\"result\":null,\"id\":9223372036854775807}",
	  ENVELOPE_RESPONSE, "9223372036854775807", INT64_MAX, NONE },
	{ "{\"result\":null,\"id\":9223372036854775808}",
	  ENVELOPE_RESPONSE, "9223372036854775808", 0, NONE },
	{ "{\"id\":3,\"method\":null,\"result\":1}",
	  ENVELOPE_RESPONSE, "3", 3, NONE },
	{ "{\"id\":1,\"\\u0069d\":2,\"result\":1}",
	  ENVELOPE_RESPONSE, "2", 2, NONE },
	{ "{\"id\":\"x\",\"result\":1,\"id\":4}",
	  ENVELOPE_RESPONSE, "4", 4, NONE },
	{ "{\"id\":null,\"error\":{\"code\":-32700}}",
	  ENVELOPE_STRAY_ERROR, "null", 0, NONE },
	{ "{\"error\":{\"code\":-32600,\"message\":\"x\"}}",
	  ENVELOPE_STRAY_ERROR, NONE, 0, NONE },
	{ "[{\"method\":\"a\"}]", ENVELOPE_BATCH, NONE, 0, NONE },
	{ "[]", ENVELOPE_BATCH, NONE, 0, NONE },
	{ "{}", ENVELOPE_INVALID, NONE, 0, NONE },
	{ "{\"level\":\"info\",\"msg\":\"hi\"}",
	  ENVELOPE_INVALID, NONE, 0, NONE },
	{ "{\"id\":{},\"method\":\"a\"}", ENVELOPE_INVALID, NONE, 0, NONE },
	{ "{\"id\":1,\"method\":2}", ENVELOPE_INVALID, NONE, 0, NONE },
	{ "{\"id\":null,\"result\":{}}",
	  ENVELOPE_INVALID, "null", 0, NONE },
	{ "", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "Loading...", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "[info] started", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "[12] started", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "42", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "\"{}\"", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "{\"id\":1,\"result\":", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "{\"id\":1,\"result\":tru}", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "{]", ENVELOPE_NOISE, NONE, 0, NONE },
	{ "{\"method\":\"a\tb\"}", ENVELOPE_NOISE, NONE, 0, NONE },
};

START_TEST(line_is_what_its_members_say)
{
	parse(kinds[_i].line);
	ck_assert_int_eq(m.kind, kinds[_i].kind);
	ck_assert_pstr_eq(m.id, kinds[_i].id);
	ck_assert_int_eq(m.own_id, kinds[_i].own_id);
	ck_assert_pstr_eq(m.method, kinds[_i].method);
	ck_assert_ptr_null(m.noise);
	ck_assert_ptr_null(m.rest);
	ck_assert(!m.repaired);
	ck_assert(m.kind != ENVELOPE_NOTIFICATION || !m.params);
}
END_TEST

START_TEST(result_null_is_a_result)
{
	parse("{\"id\":1,\"result\":null}");
	ck_assert(json_is_null(m.result));
	ck_assert_ptr_null(m.error);
}
END_TEST

static const struct {
	const char *line;
	int code;
	const char *message;
	bool is_malformed;
} errors[] = {
	{ "{\"id\":1,\"error\":{\"code\":-32000,\"message\":\"m\"}}",
	  -32000, "m", false },
	{ "{\"id\":1,\"error\":{\"code\":\"-32001\",\"message\":\"m\"}}",
	  -32001, "m", false },
	{ "{\"id\":1,\"error\":{\"code\":1e30}}", -32603, "", false },
	{ "{\"id\":1,\"error\":{}}", -32603, "", false },
	{ "{\"id\":1,\"error\":\"boom\"}", -32603, "boom", false },
	{ "{\"id\":1,\"error\":true}", -32603, "", false },
	{ "{\"id\":1,\"result\":null,\"error\":{\"code\":-5}}", -5, "",
	  false },
	{ "{\"id\":1}", -32600, "the answer has no usable result", true },
	{ "{\"id\":1,\"error\":null}", -32600,
	  "the answer has no usable result", true },
	{ "{\"id\":1,\"result\":{},\"error\":{\"code\":-5}}", -32600,
	  "the answer has a result and an error", true },
};

START_TEST(answer_without_a_clear_result_is_an_error)
{
	parse(errors[_i].line);
	ck_assert_int_eq(m.kind, ENVELOPE_RESPONSE);
	ck_assert_int_eq(m.own_id, 1);
	ck_assert_ptr_null(m.result);
	ck_assert_ptr_nonnull(m.error);
	ck_assert_int_eq(m.error_code, errors[_i].code);
	ck_assert_str_eq(m.error_message, errors[_i].message);
	ck_assert_int_eq(m.is_malformed, errors[_i].is_malformed);
}
END_TEST

START_TEST(error_null_beside_a_result_is_none)
{
	parse("{\"id\":1,\"result\":{\"a\":1},\"error\":null}");
	ck_assert_ptr_nonnull(m.result);
	ck_assert_ptr_null(m.error);
}
END_TEST

#define MESSAGE "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}"

static const struct {
	const char *line;
	size_t noise_len;
	const char *rest;
} salvaged[] = {
	{ "\x1B]0;title\x07" MESSAGE, 10, NULL },
	{ "Loading { 3 } ... " MESSAGE " \r", 18, NULL },
	{ "\xEF\xBB\xBF" MESSAGE, 3, NULL },
	{ "\xFF\xFE noise" MESSAGE, 8, NULL },
	{ "x{ \t\"id\" : 2 , \"jsonrpc\":\"2.0\",\"result\":{}}", 1, NULL },
	{ MESSAGE "spinner", 0, "spinner" },
	{ MESSAGE " " MESSAGE, 0, MESSAGE },
	{ "a" MESSAGE "b", 1, "b" },
	{ "{\"jsonrpc\"?} " MESSAGE, 13, NULL },
	{ "{\"id\":7} " MESSAGE, 9, NULL },
	{ "{broken\": " MESSAGE, 10, NULL },
};

START_TEST(message_in_noise_is_salvaged)
{
	const char *line = salvaged[_i].line;

	parse(line);
	ck_assert_int_eq(m.kind, ENVELOPE_RESPONSE);
	ck_assert_int_eq(m.own_id, 2);
	ck_assert_ptr_nonnull(m.result);
	ck_assert_ptr_eq(m.noise, salvaged[_i].noise_len ? line : NULL);
	ck_assert_uint_eq(m.noise_len, salvaged[_i].noise_len);
	ck_assert_pstr_eq(m.rest, salvaged[_i].rest);
	ck_assert_uint_eq(m.rest_len,
	    salvaged[_i].rest ? strlen(salvaged[_i].rest) : 0);
}
END_TEST

/* Objects that only look like messages must not settle a request. */
static const char *const no_messages[] = {
	"todo: {\"id\":1,\"content\":\"x\"}",
	"log {\"id\":1,\"result\":{}}",
	"log {\"jsonrpc\":\"2.0\",\"id\":1}",
	"log {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{}}",
	"{\"level\":\"info\"} trailing",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{\"id\":2,\"x\":1},",
	"log [{\"jsonrpc\"",
	"{\"jsonrpc\"",
	"{",
};

START_TEST(what_merely_looks_like_a_message_is_noise)
{
	parse(no_messages[_i]);
	ck_assert_int_eq(m.kind, ENVELOPE_NOISE);
	ck_assert_ptr_null(m.root);
	ck_assert_ptr_null(m.noise);
	ck_assert_ptr_null(m.rest);
}
END_TEST

static const struct {
	const char *line;
	const char *update;
	bool repaired;
} updates[] = {
	{ "{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s\","
	  "\"update\":{\"sessionUpdate\":\"plan\", \"n\":1.50,\"z\":1,"
	  "\"a\":[ ]}}}",
	  "{\"sessionUpdate\":\"plan\", \"n\":1.50,\"z\":1,\"a\":[ ]}",
	  false },
	{ "{\"method\":\"a\",\"id\":1,\"params\":{\"update\" : {}  }}",
	  "{}", false },
	{ "{\"method\":\"a\",\"params\":{\"update\":1,\"update\":[2]}}",
	  "[2]", false },
	{ "{\"method\":\"a\",\"params\":{\"update\":1},\"params\":{"
	  "\"u\\u0070date\":{\"b\":\"}\\\"\"}}}", "{\"b\":\"}\\\"\"}", false },
	{ "{\"method\":\"a\",\"params\":{\"update\":1},\"params\":{}}",
	  NULL, false },
	{ "{\"method\":\"a\",\"params\":[{\"update\":1}]}", NULL, false },
	{ "{\"method\":\"a\",\"update\":1}", NULL, false },
	{ "{\"id\":1,\"result\":{},\"params\":{\"update\":1}}", NULL, false },
	{ "{\"method\":\"a\",\"params\":{\"update\":{\"t\":\"a\\u0000b"
	  "\\ud83d\"}}}", "{\"t\":\"a\\ufffdb\\ufffd\"}", true },
	{ "{\"method\":\"a\",\"params\":{\"update\":{\"t\":\"\xFF\"}}}",
	  "{\"t\":\"\xEF\xBF\xBD\"}", true },
	{ "{\"method\":\"a\",\"params\":{\"update\":{\"t\":1e999}}}",
	  "{\"t\":null}", true },
	{ "{\"method\":\"a\",\"params\":{\"update\":{\"\\u0000\":"
	  "12345678901234567890123}}}",
	  "{\"\\ufffd\":12345678901234567890123}", true },
};

START_TEST(update_is_kept_as_it_came)
{
	parse(updates[_i].line);
	ck_assert_int_ne(m.kind, ENVELOPE_NOISE);
	ck_assert_int_eq(m.repaired, updates[_i].repaired);
	if (!updates[_i].update) {
		ck_assert_ptr_null(m.update);
		return;
	}
	ck_assert_uint_eq(m.update_len, strlen(updates[_i].update));
	ck_assert_mem_eq(m.update, updates[_i].update, m.update_len);
}
END_TEST

static void
nest(struct buf *b, const char *before, size_t depth, const char *after)
{
	buf_adds(b, before);
	for (size_t i = 0; i < depth; i++)
		buf_addc(b, '[');
	for (size_t i = 0; i < depth; i++)
		buf_addc(b, ']');
	buf_adds(b, after);
}

static const struct {
	const char *before;
	const char *after;
	enum envelope_kind kind;
} deep[] = {
	{ "{\"id\":6,\"result\":", "}", ENVELOPE_RESPONSE },
	{ "{\"params\":", ",\"id\":6,\"method\":\"a\"}", ENVELOPE_REQUEST },
	{ "{\"method\":\"a\",\"params\":{\"update\":", "}}",
	  ENVELOPE_NOTIFICATION },
	{ "{\"x\":", "}", ENVELOPE_INVALID },
};

START_TEST(nesting_is_bounded_and_requests_are_not_lost_by_it)
{
	struct buf line = { 0 };

	nest(&line, deep[_i].before, 100000, deep[_i].after);
	envelope_parse(line.data, line.len, &m);
	buf_free(&line);
	ck_assert_int_eq(m.kind, deep[_i].kind);
	ck_assert(m.repaired);
	ck_assert_ptr_null(m.params);
	ck_assert_ptr_null(m.result);
	if (m.kind == ENVELOPE_RESPONSE) {
		ck_assert_int_eq(m.own_id, 6);
		ck_assert(m.is_malformed);
	}
}
END_TEST

START_TEST(depth_of_512_is_allowed)
{
	struct buf line = { 0 };

	nest(&line, "{\"id\":6,\"result\":", JSON_DEPTH - 1, "}");
	envelope_parse(line.data, line.len, &m);
	buf_free(&line);
	ck_assert_ptr_nonnull(m.result);
	ck_assert(!m.repaired);
}
END_TEST

#define BYTES(text) { text, sizeof text - 1 }
static const struct {
	const char *p;
	size_t n;
} with_nul[] = {
	BYTES("{\"method\":\"a\0b\"}"),
	BYTES("{\"id\":3\0,\"result\":{}}"),
	BYTES("{\"method\":\"a\",\"params\":{\"x\":true\0}}"),
	BYTES("{\"method\":\"a\"}\0"),
};

START_TEST(nul_byte_makes_a_line_noise)
{
	envelope_parse(with_nul[_i].p, with_nul[_i].n, &m);
	ck_assert_int_eq(m.kind, ENVELOPE_NOISE);
}
END_TEST

START_TEST(integers_over_64_bits_do_not_break_the_others)
{
	parse("{\"id\":1,\"result\":{\"a\":99999999999999999999,\"b\":3}}");
	ck_assert_double_eq(json_number_value(json_object_get(m.result, "a")),
	    1e20);
	ck_assert_double_eq(json_number_value(json_object_get(m.result, "b")),
	    3);
}
END_TEST

START_TEST(messages_are_one_line_each)
{
	struct buf b = { 0 };

	envelope_request(&b, 1, "session/new", "{\"cwd\":\n\"/x\"}");
	envelope_request(&b, 2, "logout", NULL);
	envelope_notification(&b, "session/cancel", "{\"sessionId\":\"s\"}");
	envelope_result(&b, "\"a-b\"", "{}");
	envelope_result(&b, "0", NULL);
	envelope_error(&b, "18446744073709551616", -32601, "no \"x\"\nhere");
	envelope_error(&b, NULL, -32600, "batch");
	ck_assert_str_eq(b.data,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/new\","
	    "\"params\":{\"cwd\": \"/x\"}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"logout\"}\n"
	    "{\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\","
	    "\"params\":{\"sessionId\":\"s\"}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":\"a-b\",\"result\":{}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551616,\"error\":{"
	    "\"code\":-32601,\"message\":\"no \\\"x\\\"\\nhere\"}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{"
	    "\"code\":-32600,\"message\":\"batch\"}}\n");
	buf_free(&b);
}
END_TEST

static const struct {
	const char *error;
	const char *text;
	bool is_auth;
	bool is_abort;
	bool is_not_found;
	bool is_session_lost;
} meanings[] = {
	{ "{\"code\":-32000,\"message\":\"Authentication required\"}",
	  "Authentication required", .is_auth = true },
	{ "{\"code\":-32000,\"message\":\"x\"}", "x", .is_auth = true },
	{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{"
	  "\"details\":\"Please LOG IN to go on\"}}",
	  "Internal error: Please LOG IN to go on", .is_auth = true },
	{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{"
	  "\"error\":{\"message\":\"Unauthorized\"}}}",
	  "Internal error: Unauthorized", .is_auth = true },
	{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{"
	  "\"status\":401}}", "Internal error", .is_auth = true },
	{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{"
	  "\"details\":\"This operation was aborted\"}}",
	  "Internal error: This operation was aborted", .is_abort = true },
	{ "{\"code\":-32800,\"message\":\"gone\"}", "gone", .is_abort = true },
	{ "{\"code\":-32603,\"message\":\"disk full\",\"data\":\"/tmp\"}",
	  "disk full: /tmp", .is_auth = false },
	{ "{\"code\":-32603,\"message\":\"a: b\",\"data\":\"b\"}", "a: b",
	  .is_auth = false },
	{ "{\"code\":-32603,\"message\":\"a\",\"data\":{\"x\":[1]}}", "a",
	  .is_auth = false },
	{ "{\"code\":-7}", "error -7", .is_auth = false },
	{ "{\"code\":-32002,\"message\":\"x\"}", "x", .is_not_found = true,
	  .is_session_lost = true },
	{ "{\"code\":-32001,\"message\":\"x\"}", "x", .is_not_found = true,
	  .is_session_lost = true },
	{ "{\"code\":-32002,\"message\":\"Resource not found\",\"data\":{"
	  "\"uri\":\"file:///a\"}}", "Resource not found",
	  .is_not_found = true },
	{ "{\"code\":-32602,\"message\":\"x\"}", "x", .is_not_found = true },
	{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{"
	  "\"details\":\"Session abc-1 not found\"}}",
	  "Internal error: Session abc-1 not found", .is_not_found = true,
	  .is_session_lost = true },
	{ "{\"code\":-32000,\"message\":\"No previous sessions found for "
	  "this project.\"}", "No previous sessions found for this project.",
	  .is_auth = true, .is_not_found = true, .is_session_lost = true },
	{ "{\"code\":-1,\"message\":\"Invalid session identifier\"}",
	  "Invalid session identifier", .is_not_found = true,
	  .is_session_lost = true },
	{ "{\"code\":-1,\"message\":\"the session of a user who was here for "
	  "a long while long ago has a model that was not found\"}",
	  "the session of a user who was here for a long while long ago has a "
	  "model that was not found", .is_auth = false },
	{ "{\"code\":-1,\"message\":\"model not found, session kept\"}",
	  "model not found, session kept", .is_auth = false },
};

START_TEST(error_says_what_people_need)
{
	struct buf line = { 0 };
	char *text;

	buf_printf(&line, "{\"id\":1,\"error\":%s}", meanings[_i].error);
	parse(line.data);
	text = envelope_error_text(&m);
	ck_assert_str_eq(text, meanings[_i].text);
	ck_assert_int_eq(envelope_is_auth_error(&m), meanings[_i].is_auth);
	ck_assert_int_eq(envelope_is_abort(&m), meanings[_i].is_abort);
	ck_assert_int_eq(envelope_is_not_found(&m),
	    meanings[_i].is_not_found);
	ck_assert_int_eq(envelope_is_session_lost(&m),
	    meanings[_i].is_session_lost);
	free(text);
	buf_free(&line);
}
END_TEST

START_TEST(long_error_is_cut_on_a_character)
{
	struct buf line = { 0 };
	char *text;

	buf_adds(&line, "{\"id\":1,\"error\":{\"code\":-1,\"message\":\"x");
	for (int i = 0; i < 1000; i++)
		buf_adds(&line, "\xC3\xA4");
	buf_adds(&line, "\"}}");
	parse(line.data);
	text = envelope_error_cut(envelope_error_text(&m));
	ck_assert_uint_lt(strlen(text), 1000);
	ck_assert_str_eq(text + strlen(text) - 5, "\xC3\xA4\xE2\x80\xA6");
	free(text);
	buf_free(&line);
}
END_TEST

/* NULL: clean */
static const struct {
	const char *from;
	const char *to;
} repairs[] = {
	{ "", NULL },
	{ "{\"a\":\"b\",\"c\":[1,-2.5e3,true,null]}", NULL },
	{ "\"\\u0041\\n\\\\u0000\\ud83d\\ude00\"", NULL },
	{ "\"\\\\\\u0000\"", "\"\\\\\\ufffd\"" },
	{ "\"\\u0000\\u0000\"", "\"\\ufffd\\ufffd\"" },
	{ "\"\\ud83d\\ud83d\\ude00\\ude00\"",
	  "\"\\ufffd\\ud83d\\ude00\\ufffd\"" },
	{ "\"\\uD83Dx\"", "\"\\ufffdx\"" },
	{ "\"\xE2\x82\xAC\"", NULL },
	{ "\"a\xE2\x82\"", "\"a\xEF\xBF\xBD\"" },
	{ "\"\xF0\x9F\x98\\n\"", "\"\xEF\xBF\xBD\\n\"" },
	{ "\"\\\xFF\"", "\"\\\xEF\xBF\xBD\"" },
	{ "\xFF{}\xFE", "\xEF\xBF\xBD{}\xEF\xBF\xBD" },
	{ "\"\\u00zz\\x\\", NULL },
	{ "\"open \\u0000", "\"open \\ufffd" },
	{ "[1e308,1.7976931348623157e308,-1.7976931348623157E+308]", NULL },
	{ "[1.7976931348623159e308,-1e309]", "[null,null]" },
	{ "[0.00001e313,0.00001e314,100000e303,100000e304]",
	  "[0.00001e313,null,100000e303,null]" },
	{ "[5e-324,0.1e-323,1e-325,1e-99999999999999999999]",
	  "[5e-324,0.1e-323,null,null]" },
	{ "[0e5,0.0,-0,0e99999]", "[0e5,0.0,-0,null]" },
	{ "[1e+400 ,1E400]", "[null ,null]" },
	/* no numbers, so not ours to mend */
	{ "[01e999,1e,1e+,-,1.e999,.5e999,1e999e999,--1e999]", NULL },
	{ "\"1e999\"", NULL },
};

START_TEST(text_is_mended_and_nothing_else_changes)
{
	struct buf out = { 0 };
	const char *from = repairs[_i].from, *to = repairs[_i].to;
	enum json_repair how;

	buf_adds(&out, "before ");
	how = json_repair(from, strlen(from), &out);
	ck_assert_int_eq(how, to ? JSON_REPAIRED : JSON_CLEAN);
	ck_assert_str_eq(out.data + 7, to ? to : "");
	buf_free(&out);
}
END_TEST

START_TEST(number_of_more_than_300_digits_becomes_null)
{
	struct buf b = { 0 }, out = { 0 };

	buf_adds(&b, "[1");
	for (int i = 0; i < 299; i++)
		buf_addc(&b, '0');
	ck_assert_int_eq(json_repair(b.data, b.len, &out), JSON_CLEAN);
	buf_adds(&b, "0,2]");
	ck_assert_int_eq(json_repair(b.data, b.len, &out), JSON_REPAIRED);
	ck_assert_str_eq(out.data, "[null,2]");
	buf_free(&b);
	buf_free(&out);
}
END_TEST

START_TEST(nesting_over_the_limit_is_refused)
{
	struct buf b = { 0 }, out = { 0 };

	nest(&b, "\"\\u0000[[[\",", JSON_DEPTH, "");
	ck_assert_int_eq(json_repair(b.data, b.len, &out), JSON_REPAIRED);
	buf_reset(&out, 0);
	nest(&b, "[{", JSON_DEPTH, "");
	ck_assert_int_eq(json_repair(b.data, b.len, &out), JSON_TOO_DEEP);
	ck_assert_uint_eq(out.len, 0);
	buf_free(&b);
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("envelope");
	TCase *t = tcase_create("envelope");
	SRunner *sr = srunner_create(s);
	int failed;

#define LOOP(test, table) \
	tcase_add_loop_test(t, test, 0, sizeof table / sizeof *table)
	tcase_add_checked_fixture(t, NULL, tear_down);
	LOOP(line_is_what_its_members_say, kinds);
	tcase_add_test(t, result_null_is_a_result);
	LOOP(answer_without_a_clear_result_is_an_error, errors);
	tcase_add_test(t, error_null_beside_a_result_is_none);
	LOOP(message_in_noise_is_salvaged, salvaged);
	LOOP(what_merely_looks_like_a_message_is_noise, no_messages);
	LOOP(update_is_kept_as_it_came, updates);
	LOOP(nesting_is_bounded_and_requests_are_not_lost_by_it, deep);
	tcase_add_test(t, depth_of_512_is_allowed);
	LOOP(nul_byte_makes_a_line_noise, with_nul);
	tcase_add_test(t, integers_over_64_bits_do_not_break_the_others);
	tcase_add_test(t, messages_are_one_line_each);
	LOOP(error_says_what_people_need, meanings);
	tcase_add_test(t, long_error_is_cut_on_a_character);
	LOOP(text_is_mended_and_nothing_else_changes, repairs);
	tcase_add_test(t, number_of_more_than_300_digits_becomes_null);
	tcase_add_test(t, nesting_over_the_limit_is_refused);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
