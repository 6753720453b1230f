/* SPDX-License-Identifier: MIT */
/*
 * The tool calls of one turn by their id.
 *
 * Agents resend a running tool's whole output with every update, so large
 * members are kept as the parser's value of the last snapshot and become text
 * only when they are told: rawInput and locations with each update that
 * changed them, rawOutput and content once the call is final, and then they
 * are let go: a turn's outputs together may be many megabytes. A member is held
 * either as a value or as text, never as both.
 *
 * Must never know sessions or turns: the worker keeps one of these per turn.
 */
#include "worker/tool_calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/map.h"

#define DUMP (JSON_COMPACT | JSON_ENCODE_ANY)

struct field {
	json_t *value; /* not told yet */
	char *text;    /* as it was told */
	bool is_filled;
};

struct call {
	char *id;
	char *title;
	char *kind;
	char *status;
	struct field raw_input;
	struct field raw_output;
	struct field content;
	struct field locations;
};

struct tool_calls {
	struct map calls;
	int open;
	int count;
	struct agent_tool told;
	struct call *final;  /* told is its end: its output is still held */
	void (*fill)(void *ctx, json_t *content); /* or NULL */
	void *ctx;
	void (*look)(void *ctx, const struct agent_tool *tool,
	    const json_t *content, const json_t *raw_output); /* or NULL */
	void *look_ctx;
};

struct tool_calls *
tool_calls_new(void)
{
	return xcalloc(1, sizeof(struct tool_calls));
}

void
tool_calls_on_final(struct tool_calls *t,
    void (*fill)(void *ctx, json_t *content), void *ctx)
{
	t->fill = fill;
	t->ctx = ctx;
}

void
tool_calls_on_output(struct tool_calls *t,
    void (*look)(void *ctx, const struct agent_tool *tool,
    const json_t *content, const json_t *raw_output), void *ctx)
{
	t->look = look;
	t->look_ctx = ctx;
}

static void
clear_field(struct field *f)
{
	json_decref(f->value);
	free(f->text);
	*f = (struct field){ 0 };
}

static void
free_call(void *value, void *ctx)
{
	struct call *c = value;

	(void)ctx;
	clear_field(&c->raw_input);
	clear_field(&c->raw_output);
	clear_field(&c->content);
	clear_field(&c->locations);
	free(c->id);
	free(c->title);
	free(c->kind);
	free(c->status);
	free(c);
}

static bool
is_filled(const json_t *value)
{
	if (json_is_object(value))
		return json_object_size(value) > 0;
	if (json_is_array(value))
		return json_array_size(value) > 0;
	return true;
}

static void
merge_field(struct field *f, json_t *value)
{
	if (!value || json_is_null(value))
		return;
	clear_field(f);
	f->value = json_incref(value);
	f->is_filled = is_filled(value);
}

/*
 * 15 digits give 0.1 back as 0.1, not as 0.10000000000000001; but they round
 * the largest double up to what is none.
 */
static char *
dump(const json_t *value)
{
	char *text = json_dumps(value, DUMP | JSON_REAL_PRECISION(15));

	MUST(text);
	if (strstr(text, "e308")) {
		free(text);
		text = json_dumps(value, DUMP | JSON_REAL_PRECISION(17));
		MUST(text);
	}
	return text;
}

static const char *
field_text(struct field *f)
{
	if (f->value) {
		f->text = dump(f->value);
		json_decref(f->value);
		f->value = NULL;
	}
	return f->text;
}

/* A string; a number counts as its text. NULL when it is neither or "". */
static char *
take_text(const json_t *value)
{
	if (json_is_integer(value) || json_is_real(value))
		return dump(value);
	if (json_string_length(value) > 0)
		return xstrdup(json_string_value(value));
	return NULL;
}

static void
merge_text(char **text, const json_t *value)
{
	char *now = take_text(value);

	if (!now)
		return;
	free(*text);
	*text = now;
}

static bool
is_final(const char *status)
{
	/* the last one is not the protocol's, but some agents say it */
	return strcmp(status, "completed") == 0 ||
	    strcmp(status, "failed") == 0 ||
	    strcmp(status, "cancelled") == 0;
}

/* A status that nobody knows is one of a call that goes on. */
static int
rank(const char *status)
{
	if (is_final(status))
		return 2;
	return strcmp(status, "pending") == 0 ? 0 : 1;
}

static void
merge_status(struct tool_calls *t, struct call *c, const json_t *value)
{
	char *now = take_text(value);

	if (!now)
		return;
	if (rank(c->status) == 2 || rank(now) < rank(c->status)) {
		free(now);
		return;
	}
	free(c->status);
	c->status = now;
	if (is_final(now))
		t->open--;
}

static struct call *
add_call(struct tool_calls *t, char *id)
{
	struct call *c = xcalloc(1, sizeof *c);

	c->id = id;
	c->title = xstrdup("Tool call");
	c->kind = xstrdup("other");
	c->status = xstrdup("pending");
	map_set(&t->calls, id, c);
	t->count++;
	t->open++;
	return c;
}

static const struct agent_tool *
tell(struct tool_calls *t, struct call *c, bool is_new)
{
	bool final = is_final(c->status);

	t->final = final ? c : NULL;
	if (final && t->fill && json_is_array(c->content.value))
		t->fill(t->ctx, c->content.value);
	t->told = (struct agent_tool){
		.tool_call_id = c->id,
		.title = c->title,
		.kind = c->kind,
		.status = c->status,
		.is_final = final,
		.is_new = is_new,
	};
	if (final && t->look)
		t->look(t->look_ctx, &t->told, c->content.value,
		    c->raw_output.value);
	t->told.raw_input = field_text(&c->raw_input);
	t->told.raw_output = final ? field_text(&c->raw_output) : NULL;
	t->told.content = final ? field_text(&c->content) : NULL;
	t->told.locations = field_text(&c->locations);
	return &t->told;
}

static void
let_go_of_output(struct tool_calls *t)
{
	if (!t->final)
		return;
	clear_field(&t->final->raw_output);
	clear_field(&t->final->content);
	t->final = NULL;
}

const struct agent_tool *
tool_calls_merge(struct tool_calls *t, json_t *update)
{
	char *id = take_text(json_object_get(update, "toolCallId"));
	struct call *c;
	json_t *input;
	bool is_new;

	if (!id)
		return NULL;
	let_go_of_output(t);
	c = map_get(&t->calls, id);
	is_new = !c;
	if (is_new)
		c = add_call(t, id);
	else
		free(id);
	merge_text(&c->title, json_object_get(update, "title"));
	merge_text(&c->kind, json_object_get(update, "kind"));
	merge_status(t, c, json_object_get(update, "status"));
	input = json_object_get(update, "rawInput");
	if (!c->raw_input.is_filled || is_filled(input))
		merge_field(&c->raw_input, input);
	merge_field(&c->raw_output, json_object_get(update, "rawOutput"));
	merge_field(&c->content, json_object_get(update, "content"));
	merge_field(&c->locations, json_object_get(update, "locations"));
	return tell(t, c, is_new);
}

char *
tool_calls_content(const struct tool_calls *t, const struct agent_tool *told)
{
	const struct call *c = map_get(&t->calls, told->tool_call_id);

	return c->content.value ? dump(c->content.value) :
	    xstrdup(c->content.text);
}

int
tool_calls_open(const struct tool_calls *t)
{
	return t->open;
}

int
tool_calls_count(const struct tool_calls *t)
{
	return t->count;
}

void
tool_calls_reset(struct tool_calls *t)
{
	map_each(&t->calls, free_call, NULL);
	map_free(&t->calls);
	*t = (struct tool_calls){ .fill = t->fill, .ctx = t->ctx,
		.look = t->look, .look_ctx = t->look_ctx };
}

void
tool_calls_free(struct tool_calls **t)
{
	if (!*t)
		return;
	tool_calls_reset(*t);
	free(*t);
	*t = NULL;
}
