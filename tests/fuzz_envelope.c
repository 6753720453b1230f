/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer for worker/envelope and what stands behind it: json_repair,
 * tool_calls, permission. Its invariants: each kind has the members that its
 * meaning promises; what is cut out of the text reads as what the parser read;
 * what is stored needs no further repair; what we answer can be read again.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "worker/envelope.h"
#include "worker/json_repair.h"
#include "worker/permission.h"
#include "worker/tool_calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
equals(const char *p, size_t n, const json_t *value, size_t flags)
{
	json_t *again = json_loadb(p, n, JSON_DECODE_ANY | flags, NULL);
	bool is = again && json_equal(again, value);

	json_decref(again);
	return is;
}

/* Text cut out of a message reads as value, and is what jsonb takes. */
static void
reads_as(const char *p, size_t n, const json_t *value)
{
	struct buf mended = { 0 };

	/* an integer over 64 bits made reals of all in the message */
	MUST(equals(p, n, value, 0) ||
	    equals(p, n, value, JSON_DECODE_INT_AS_REAL));
	MUST(json_repair(p, n, &mended) == JSON_CLEAN);
	MUST(utf8_valid_prefix(p, n) == n);
}

static void
check_id(const struct envelope *m)
{
	json_t *id = json_object_get(m->root, "id");

	MUST(!m->id == !id);
	if (!m->id) {
		MUST(m->own_id == 0);
		return;
	}
	reads_as(m->id, strlen(m->id), id);
	MUST(m->own_id >= 0);
	if (json_is_integer(id) && json_integer_value(id) > 0)
		MUST(m->own_id == json_integer_value(id));
}

/* An answer to the agent carries its id as it was. */
static void
check_answer(const struct envelope *m)
{
	struct buf b = { 0 };
	struct envelope again;

	envelope_error(&b, m->id, -32601, m->method);
	envelope_result(&b, m->id, NULL);
	MUST(memchr(b.data, '\n', b.len - 1) &&
	    b.data[b.len - 1] == '\n');
	envelope_parse(b.data, (size_t)((char *)memchr(b.data, '\n', b.len) -
	    b.data), &again);
	MUST(again.kind == (strcmp(m->id, "null") == 0 ?
	    ENVELOPE_STRAY_ERROR : ENVELOPE_RESPONSE));
	MUST(again.error_code == -32601 && !again.repaired);
	MUST(strcmp(again.error_message, m->method) == 0);
	MUST(strcmp(again.id, m->id) == 0);
	MUST(again.own_id == m->own_id);
	envelope_free(&again);
	buf_free(&b);
}

static void
check_error(const struct envelope *m)
{
	char *text;

	MUST(m->error && !m->result && m->error_message);
	text = envelope_error_cut(envelope_error_text(m));
	MUST(strlen(text) > 0 && strlen(text) < 1000);
	MUST(utf8_valid_prefix(text, strlen(text)) == strlen(text));
	free(text);
	envelope_is_auth_error(m);
	envelope_is_abort(m);
}

static void
is_json(const char *text)
{
	json_t *value;

	if (!text)
		return;
	value = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL,
	    NULL);
	MUST(value);
	json_decref(value);
}

static void
check_tool(json_t *update)
{
	struct tool_calls *calls = tool_calls_new();
	const struct agent_tool *t = tool_calls_merge(calls, update);

	MUST(tool_calls_count(calls) == (t ? 1 : 0));
	if (t) {
		MUST(t->is_new && *t->tool_call_id && *t->title && *t->kind);
		t = tool_calls_merge(calls, update);
		MUST(!t->is_new && tool_calls_count(calls) == 1);
		MUST(tool_calls_open(calls) == (t->is_final ? 0 : 1));
		is_json(t->raw_input);
		is_json(t->raw_output);
		is_json(t->content);
		is_json(t->locations);
	}
	tool_calls_free(&calls);
}

static void
check_params(const struct envelope *m)
{
	json_t *update = json_object_get(m->params, "update");
	const json_t *options = json_object_get(m->params, "options");
	const char *choice;

	MUST(!m->params || !json_is_null(m->params));
	MUST(!m->update == !update);
	if (update)
		reads_as(m->update, m->update_len, update);
	check_tool(update);
	for (int allow = 0; allow < 2; allow++) {
		choice = permission_choose(options, allow);
		MUST(!choice || permission_has_option(options, choice));
	}
}

static void
check(const struct envelope *m)
{
	switch (m->kind) {
	case ENVELOPE_NOISE:
		MUST(!m->root && !m->text && !m->noise && !m->rest);
		return;
	case ENVELOPE_BATCH:
		MUST(json_is_array(m->root) && !m->id && !m->method);
		return;
	case ENVELOPE_REQUEST:
		MUST(m->method && m->id);
		check_params(m);
		check_answer(m);
		break;
	case ENVELOPE_NOTIFICATION:
		MUST(m->method && !m->id);
		check_params(m);
		break;
	case ENVELOPE_RESPONSE:
		MUST(m->id && !m->method && !m->update);
		MUST(!m->result != !m->error);
		if (m->error)
			check_error(m);
		break;
	case ENVELOPE_STRAY_ERROR:
		MUST(!m->method && m->own_id == 0);
		check_error(m);
		break;
	case ENVELOPE_INVALID:
		MUST(json_is_object(m->root) && !m->method && !m->result);
		return;
	}
	check_id(m);
}

/* p is copied to memory of the exact size, so that reading past it is seen. */
static void
check_line(const char *p, size_t n)
{
	char *line = malloc(n ? n : 1);
	struct buf once = { 0 }, twice = { 0 };
	struct envelope m;

	MUST(line);
	if (n)
		memcpy(line, p, n);
	if (json_repair(line, n, &once) == JSON_REPAIRED)
		MUST(json_repair(once.data, once.len, &twice) == JSON_CLEAN);
	MUST(twice.len == 0);
	envelope_parse(line, n, &m);
	if (m.noise)
		MUST(m.noise == line && m.noise_len < n);
	if (m.rest)
		MUST(m.rest > line && m.rest + m.rest_len == line + n);
	check(&m);
	envelope_free(&m);
	buf_free(&once);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf line = { 0 };

	check_line((const char *)data, size);
	/* once more as an update, which mutations seldom keep whole */
	buf_adds(&line, "{\"method\":\"session/update\",\"params\":{"
	    "\"update\":");
	buf_add(&line, data, size);
	buf_adds(&line, "}}");
	check_line(line.data, line.len);
	buf_free(&line);
	return 0;
}
