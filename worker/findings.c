/* SPDX-License-Identifier: MIT */
/*
 * Gathers for worker/artifacts.c. Of the tools, only those count whose results
 * are their own doing: a file that was read, or a page that was fetched, may
 * be full of other people's URLs.
 *
 * An image in a tool's result is a screenshot. Its bytes are in the tool call,
 * so only its place there is told.
 */
#include "worker/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/map.h"
#include "worker/artifacts.h"

/* Text that is looked through at once, and kept meanwhile. */
#define WINDOW ((size_t)16 << 10)
/* Of a tool's text, so much of its end. */
#define TOOL_TEXT_MAX ((size_t)256 << 10)
/* URLs that are remembered before all are forgotten. */
#define SEEN_MAX 512

struct finding {
	struct finding *next;
	struct agent_artifact artifact; /* its strings are owned, but type */
};

struct findings {
	struct buf window;
	struct map seen;             /* url -> the state that was told, static */
	struct finding *first, **last;
	struct finding *taken;
	int left;                    /* that this turn may still find */
};

struct findings *
findings_new(void)
{
	struct findings *f = xcalloc(1, sizeof *f);

	f->last = &f->first;
	f->left = FINDINGS_MAX;
	return f;
}

static void
free_finding(struct finding **one)
{
	struct finding *it = *one;

	if (!it)
		return;
	free((char *)it->artifact.url);
	free((char *)it->artifact.title);
	free((char *)it->artifact.metadata);
	free(it);
	*one = NULL;
}

void
findings_free(struct findings **findings)
{
	struct findings *f = *findings;

	if (!f)
		return;
	while (findings_take(f))
		;
	buf_free(&f->window);
	map_free(&f->seen);
	free(f);
	*findings = NULL;
}

/* All strings but type become its own. */
static void
add(struct findings *f, const char *type, char *url, char *title,
    char *metadata)
{
	struct finding *it = xcalloc(1, sizeof *it);

	it->artifact = (struct agent_artifact){ .type = type, .url = url,
		.title = title, .metadata = metadata };
	*f->last = it;
	f->last = &it->next;
	f->left--;
}

const struct agent_artifact *
findings_take(struct findings *f)
{
	free_finding(&f->taken);
	f->taken = f->first;
	if (!f->taken)
		return NULL;
	f->first = f->taken->next;
	if (!f->first)
		f->last = &f->first;
	return &f->taken->artifact;
}

/* ---- URLs */

/* A state that was told is not unsaid by a text without one. */
static bool
is_news(struct findings *f, const struct artifact *a)
{
	static char unknown[] = "";
	char *told = map_get(&f->seen, a->url);
	const char *state = a->state ? a->state : unknown;

	if (told && (!a->state || strcmp(told, a->state) == 0))
		return false;
	if (f->seen.count >= SEEN_MAX)
		map_free(&f->seen);
	map_set(&f->seen, a->url, (char *)state);
	return true;
}

static void
add_member(struct buf *b, const char *name, const char *text)
{
	if (!text)
		return;
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
	buf_json(b, text, strlen(text));
}

static bool
on_found(void *ctx, const struct artifact *a)
{
	struct findings *f = ctx;
	struct buf b = { 0 };

	if (f->left <= 0 || !is_news(f, a))
		return f->left > 0;
	buf_addc(&b, '{');
	add_member(&b, "provider", a->provider);
	add_member(&b, "repository", a->repository);
	if (a->is_request)
		buf_printf(&b, ",\"number\":%ld", a->number);
	add_member(&b, "state", a->state);
	add_member(&b, "path", a->path);
	buf_addc(&b, '}');
	add(f, a->is_request ? "pr" : "preview", xstrdup(a->url),
	    xstrdup(a->title), buf_take(&b));
	return true;
}

/* ---- text */

/* Looks through all but the last line or word, which may go on. */
static void
look_through(struct findings *f)
{
	const char *p = f->window.data;
	const char *cut = memrchr(p, '\n', f->window.len);
	size_t n;

	if (!cut)
		cut = memrchr(p, ' ', f->window.len);
	n = cut ? (size_t)(cut + 1 - p) : f->window.len;
	artifacts_find(p, n, on_found, f);
	buf_consume(&f->window, n);
}

void
findings_text(struct findings *f, const char *text, size_t len)
{
	buf_add(&f->window, text, len);
	if (f->window.len >= WINDOW)
		look_through(f);
}

void
findings_break(struct findings *f)
{
	if (f->window.len)
		findings_text(f, "\n", 1);
}

void
findings_end(struct findings *f)
{
	if (f->window.len)
		artifacts_find(f->window.data, f->window.len, on_found, f);
	buf_free(&f->window);
	f->left = FINDINGS_MAX;
}

/* ---- tool calls */

/* Every text in a value that came from a parser, which bounds its depth. */
static void
look_at_texts(struct findings *f, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value), i;
	json_t *member;
	const char *name;

	if (text && len > TOOL_TEXT_MAX)
		artifacts_find(text + len - TOOL_TEXT_MAX, TOOL_TEXT_MAX,
		    on_found, f);
	else if (text)
		artifacts_find(text, len, on_found, f);
	json_array_foreach(value, i, member)
		look_at_texts(f, member);
	json_object_foreach((json_t *)value, name, member)
		look_at_texts(f, member);
}

static bool
is_doing(const char *kind)
{
	static const char *const others[] = { "read", "search", "fetch",
		"think", "edit", "delete", "move" };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(kind, others[i]) == 0)
			return false;
	return true;
}

static bool
is_image(const json_t *block)
{
	const char *type = json_string_value(json_object_get(block, "type"));

	return type && strcmp(type, "image") == 0 &&
	    json_string_length(json_object_get(block, "data")) > 0;
}

/* The block number i of the tool call's column. */
static void
add_image(struct findings *f, const char *tool_call_id, const char *title,
    const char *column, size_t i, const json_t *block)
{
	const char *uri = json_string_value(json_object_get(block, "uri"));
	struct buf b = { 0 };

	if (f->left <= 0)
		return;
	buf_addc(&b, '{');
	add_member(&b, "tool_call_id", tool_call_id);
	add_member(&b, "column", column);
	buf_printf(&b, ",\"index\":%zu,\"bytes\":%zu", i,
	    json_string_length(json_object_get(block, "data")) / 4 * 3);
	add_member(&b, "mime_type", json_string_value(json_object_get(block,
	    "mimeType")));
	buf_addc(&b, '}');
	add(f, "screenshot", uri && strncmp(uri, "http", 4) == 0 &&
	    strlen(uri) <= ARTIFACT_URL_MAX ? xstrdup(uri) : NULL,
	    xstrdup(title), buf_take(&b));
}

void
findings_tool(struct findings *f, const char *tool_call_id,
    const char *title, const char *kind, const json_t *content,
    const json_t *raw_output)
{
	const json_t *raw = json_object_get(raw_output, "content");
	int before = f->left;
	json_t *block;
	size_t i;

	json_array_foreach(content, i, block)
		if (is_image(json_object_get(block, "content")))
			add_image(f, tool_call_id, title, "content", i,
			    json_object_get(block, "content"));
	/* as tools of MCP servers tell them, and often once more */
	if (f->left == before)
		json_array_foreach(raw, i, block)
			if (is_image(block))
				add_image(f, tool_call_id, title, "raw_output",
				    i, block);
	if (!is_doing(kind))
		return;
	look_at_texts(f, content);
	look_at_texts(f, raw_output);
}
