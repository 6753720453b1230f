/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer for worker/scan: what the scanner accepts, the full parser reads the
 * same, to the byte. What it refuses leaves the caller's text alone.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "worker/envelope.h"
#include "worker/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const json_t *value, const char *p, size_t n)
{
	MUST(json_is_string(value));
	MUST(json_string_length(value) == n);
	MUST(memcmp(json_string_value(value), p, n) == 0);
}

static void
compare(enum scan_result result, const struct scan_chunk *c,
    const char *text, size_t text_len, const struct envelope *m)
{
	const char *kind = result == SCAN_TEXT ? "agent_message_chunk" :
	    "agent_thought_chunk";
	const json_t *update = json_object_get(m->params, "update");
	const json_t *content = json_object_get(update, "content");
	const json_t *message_id = json_object_get(update, "messageId");

	MUST(m->kind == ENVELOPE_NOTIFICATION && !m->noise && !m->rest);
	MUST(strcmp(m->method, "session/update") == 0);
	MUST(m->update && m->update_len > 0);
	MUST(m->repaired == c->repaired);
	MUST(json_object_size(m->root) == 3);
	MUST(json_object_size(m->params) == 2);
	MUST(json_object_size(update) == (message_id ? 3 : 2));
	MUST(json_object_size(content) == 2);
	same(json_object_get(m->params, "sessionId"), c->session_id,
	    c->session_id_len);
	same(json_object_get(update, "sessionUpdate"), kind, strlen(kind));
	same(json_object_get(content, "type"), "text", 4);
	same(json_object_get(content, "text"), text, text_len);
	if (c->message_id)
		same(message_id, c->message_id, c->message_id_len);
	else
		MUST(!message_id || json_is_null(message_id));
}

/* p is copied to memory of the exact size, so that reading past it is seen. */
static void
check(const char *p, size_t n)
{
	char *line = malloc(n ? n : 1);
	struct buf text = { 0 };
	struct scan_chunk c;
	struct envelope m;
	enum scan_result result;

	MUST(line);
	if (n)
		memcpy(line, p, n);
	buf_adds(&text, "before");
	result = scan_chunk(line, n, &c, &text);
	MUST(text.len >= 6 && memcmp(text.data, "before", 6) == 0);
	if (result == SCAN_OTHER) {
		MUST(text.len == 6);
	} else {
		MUST(utf8_valid_prefix(text.data, text.len) == text.len);
		MUST(!memchr(text.data, '\0', text.len));
		envelope_parse(line, n, &m);
		compare(result, &c, text.data + 6, text.len - 6, &m);
		envelope_free(&m);
	}
	buf_free(&text);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf chunk = { 0 };

	check((const char *)data, size);
	/* once more as a chunk's text, which mutations seldom hit */
	buf_adds(&chunk, "{\"jsonrpc\":\"2.0\",\"method\":"
	    "\"session/update\",\"params\":{\"sessionId\":\"s\","
	    "\"update\":{\"sessionUpdate\":\"agent_message_chunk\","
	    "\"content\":{\"type\":\"text\",\"text\":\"");
	buf_add(&chunk, data, size);
	buf_adds(&chunk, "\"}}}}");
	check(chunk.data, chunk.len);
	buf_free(&chunk);
	return 0;
}
