/* SPDX-License-Identifier: MIT */
/*
 * How events look. Payloads are what agents sent, so nothing in them is taken
 * for granted: what is missing or of another type is simply not shown. Must
 * never know: the database, terminals.
 */
#include "cli/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define LINE_LIMIT 400

const char *
render_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

/* The text on one line, cut where it gets long. */
static char *
one_line(const char *text)
{
	struct buf b = { 0 };

	for (; *text != '\0' && b.len < LINE_LIMIT; text++)
		buf_addc(&b, (unsigned char)*text < ' ' || *text == 0x7f ?
		    ' ' : *text);
	while (*text != '\0' && (*text & 0xc0) == 0x80)
		buf_addc(&b, *text++);
	buf_adds(&b, *text != '\0' ? "..." : "");
	return buf_take(&b);
}

char *
render_tool_call(const json_t *payload, bool with_status)
{
	const char *title = render_text(payload, "title");
	const char *kind = render_text(payload, "kind");
	const char *status = render_text(payload, "status");
	char *line, *text;

	if (*title == '\0')
		title = render_text(payload, "toolCallId");
	if (!with_status)
		status = "";
	text = xasprintf("%s%s%s%s%s%s", title, *kind != '\0' ? " [" : "", kind,
	    *kind != '\0' ? "]" : "", *status != '\0' ? " " : "", status);
	line = one_line(text);
	free(text);
	return line;
}

char *
render_options(const json_t *options, bool with_ids)
{
	struct buf b = { 0 };
	const json_t *option;
	size_t i;

	json_array_foreach(options, i, option) {
		const char *id = render_text(option, "optionId");
		const char *name = render_text(option, "name");

		if (with_ids)
			buf_printf(&b, "%s%s (%s)", i > 0 ? ", " : "", id,
			    name);
		else
			buf_printf(&b, "%s%zu) %s", i > 0 ? "  " : "", i + 1,
			    *name != '\0' ? name : id);
	}
	buf_adds(&b, "");
	return buf_take(&b);
}

static char *
turn_ended(const json_t *payload)
{
	const char *status = render_text(payload, "status");
	const char *why = render_text(payload, "error");

	if (*why == '\0')
		why = render_text(payload, "stop_reason");
	return xasprintf("%s%s%s", status, *why != '\0' ? ": " : "", why);
}

static char *
prompt_text(const json_t *payload)
{
	const json_t *block, *prompt = json_object_get(payload, "prompt");
	struct buf b = { 0 };
	size_t i;

	json_array_foreach(prompt, i, block)
		buf_adds(&b, render_text(block, "text"));
	buf_adds(&b, json_string_value(prompt) != NULL ?
	    json_string_value(prompt) : "");
	return buf_take(&b);
}

static char *
plain(const json_t *payload)
{
	char *dump = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);

	return dump != NULL ? dump : xstrdup("");
}

char *
render_event(const char *kind, const json_t *payload)
{
	char *text, *line;

	if (strcmp(kind, "text") == 0 || strcmp(kind, "reasoning") == 0)
		text = xstrdup(render_text(payload, "text"));
	else if (strcmp(kind, "tool_call") == 0 ||
	    strcmp(kind, "tool_update") == 0)
		text = render_tool_call(payload, true);
	else if (strcmp(kind, "turn_ended") == 0)
		text = turn_ended(payload);
	else if (strcmp(kind, "turn_started") == 0)
		text = prompt_text(payload);
	else
		text = plain(payload);
	line = one_line(text);
	free(text);
	return line;
}

void
render_for_terminal(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)text[0];
		unsigned char next = (unsigned char)text[1];

		if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			text++;
		else if ((c >= ' ' && c != 0x7f) || strchr("\n\t\r", c) != NULL)
			buf_addc(b, (char)c);
	}
}
