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
#include "base/utf8.h"

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
		buf_addc(&b, *text);
	while (*text != '\0' && (*text & 0xc0) == 0x80)
		buf_addc(&b, *text++);
	buf_adds(&b, *text != '\0' ? "..." : "");
	utf8_blank_controls(b.data);
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
	/* or a name could show another option's number as its own */
	utf8_blank_controls(b.data);
	return buf_take(&b);
}

static char *
turn_ended(const json_t *payload)
{
	const char *status = render_text(payload, "status");
	const char *why = render_text(payload, "error");

	if (*why == '\0')
		why = render_text(payload, "stop_reason");
	if (strcmp(why, status) == 0)
		why = "";
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
change(const json_t *payload)
{
	return xasprintf("%s %s, %s", render_text(payload, "operation"),
	    render_text(payload, "file_path"), render_text(payload, "status"));
}

static char *
command_names(const json_t *payload)
{
	const json_t *command;
	struct buf b = { 0 };
	size_t i;

	json_array_foreach(json_object_get(payload, "availableCommands"), i,
	    command)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "",
		    render_text(command, "name"));
	buf_adds(&b, "");
	return buf_take(&b);
}

static char *
question(const json_t *payload)
{
	const json_t *call = json_object_get(payload, "tool_call");
	const char *title = render_text(call, "title");
	char *list = render_options(json_object_get(payload, "options"), true);
	char *text = xasprintf("%s%s%s", title, *title != '\0' ? ": " : "",
	    list);

	free(list);
	return text;
}

static char *
reply(const json_t *payload)
{
	const char *by = render_text(payload, "answered_by");
	const char *option = render_text(payload, "option_id");

	return xasprintf("%s%s%s%s%s", render_text(payload, "status"),
	    *option != '\0' ? ": " : "", option, *by != '\0' ? " by " : "",
	    by);
}

static char *
plain(const json_t *payload)
{
	char *dump = json_dumps(payload, JSON_COMPACT | JSON_ENCODE_ANY);

	return dump != NULL ? dump : xstrdup("");
}

static char *
spoken(const json_t *payload)
{
	return xstrdup(render_text(payload, "text"));
}

static char *
tool_call(const json_t *payload)
{
	return render_tool_call(payload, true);
}

/* What is not in it is shown as it is. */
static const struct look {
	const char *kind;
	char *(*of)(const json_t *payload);
} looks[] = {
	{ "text", spoken }, { "reasoning", spoken },
	{ "tool_call", tool_call }, { "tool_update", tool_call },
	{ "turn_started", prompt_text }, { "turn_ended", turn_ended },
	{ "change", change }, { "commands", command_names },
	{ "permission", question }, { "permission_answer", reply },
};

char *
render_event(const char *kind, const json_t *payload)
{
	char *(*of)(const json_t *) = plain;
	char *text, *line;

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		if (strcmp(looks[i].kind, kind) == 0)
			of = looks[i].of;
	text = of(payload);
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
