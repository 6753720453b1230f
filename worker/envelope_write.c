/* SPDX-License-Identifier: MIT */
/*
 * Messages to lines. Callers give params and results as JSON text; a line
 * break in it can only stand between tokens and becomes a space, so that one
 * message is one line whatever they give. Reading: envelope.c.
 */
#include "worker/envelope.h"

#include <inttypes.h>
#include <string.h>

static void
add_value(struct buf *out, const char *json)
{
	size_t n = strlen(json);
	size_t from = out->len;

	buf_add(out, json, n);
	for (char *p = out->data + from; n > 0; p++, n--)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
}

static void
add_method(struct buf *out, const char *method, const char *params)
{
	buf_adds(out, "\"method\":");
	buf_json(out, method, strlen(method));
	if (params) {
		buf_adds(out, ",\"params\":");
		add_value(out, params);
	}
	buf_adds(out, "}\n");
}

void
envelope_request(struct buf *out, int64_t id, const char *method,
    const char *params)
{
	buf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%" PRId64 ",", id);
	add_method(out, method, params);
}

void
envelope_notification(struct buf *out, const char *method,
    const char *params)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",");
	add_method(out, method, params);
}

void
envelope_result(struct buf *out, const char *id, const char *result)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	add_value(out, id ? id : "null");
	buf_adds(out, ",\"result\":");
	add_value(out, result ? result : "{}");
	buf_adds(out, "}\n");
}

void
envelope_error(struct buf *out, const char *id, int code,
    const char *message)
{
	buf_adds(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	add_value(out, id ? id : "null");
	buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
	buf_json(out, message, strlen(message));
	buf_adds(out, "}}\n");
}
