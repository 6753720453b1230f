/* SPDX-License-Identifier: MIT */
/*
 * See secrets.h. Which values are secret nobody says, so all are that are long
 * enough to be one; the name that stands for it keeps the sentence readable
 * where it was none. Longer ones go first: one may be part of another.
 *
 * Tests: tests/unit_secrets.c.
 */
#include "worker/secrets.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Shorter ones are flags and numbers, and words that stand everywhere. */
#define SECRET_LEAST 8

struct secret {
	char *value, *name;
	size_t len;
};

struct secrets {
	struct secret *all;   /* the longest first */
	size_t n;
};

static void
add(struct secrets *s, const char *name, size_t name_len, const char *value)
{
	struct secret it = { .len = value != NULL ? strlen(value) : 0 };
	size_t at = 0;

	if (it.len < SECRET_LEAST)
		return;
	it.value = xstrdup(value);
	it.name = xasprintf("[%.*s]", (int)name_len, name);
	s->all = xrealloc(s->all, (s->n + 1) * sizeof *s->all);
	while (at < s->n && s->all[at].len >= it.len)
		at++;
	memmove(s->all + at + 1, s->all + at, (s->n - at) * sizeof *s->all);
	s->all[at] = it;
	s->n++;
}

static void
add_pair(struct secrets *s, const char *name, const json_t *of)
{
	const char *value = json_string_value(of), *token;

	if (name == NULL || value == NULL)
		return;
	add(s, name, strlen(name), value);
	/* "Bearer …": the scheme is none */
	token = strchr(value, ' ');
	if (token != NULL)
		add(s, name, strlen(name), token + 1);
}

/* [{"name": …, "value": …}], or an object. */
static void
add_pairs(struct secrets *s, const json_t *pairs)
{
	const char *name;
	json_t *pair;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)pairs, i, pair)
		add_pair(s, json_string_value(json_object_get(pair, "name")),
		    json_object_get(pair, "value"));
	json_object_foreach((json_t *)(uintptr_t)pairs, name, pair)
		add_pair(s, name, pair);
}

struct secrets *
secrets_new(char *const *env, const char *mcp_servers)
{
	struct secrets *s = xcalloc(1, sizeof *s);
	json_t *servers = mcp_servers != NULL ?
	    json_loads(mcp_servers, 0, NULL) : NULL, *server;
	size_t i;

	for (; env != NULL && *env != NULL; env++) {
		const char *value = strchr(*env, '=');

		if (value != NULL)
			add(s, *env, (size_t)(value - *env), value + 1);
	}
	json_array_foreach(servers, i, server) {
		add_pairs(s, json_object_get(server, "env"));
		add_pairs(s, json_object_get(server, "headers"));
	}
	json_decref(servers);
	return s;
}

static char *
replace(char *text, const struct secret *secret)
{
	const char *at = strstr(text, secret->value), *from = text;
	struct buf b = { 0 };

	if (at == NULL)
		return text;
	for (; at != NULL; at = strstr(from, secret->value)) {
		buf_add(&b, from, (size_t)(at - from));
		buf_adds(&b, secret->name);
		from = at + secret->len;
	}
	buf_adds(&b, from);
	free(text);
	return buf_take(&b);
}

char *
secrets_hide(const struct secrets *s, char *text)
{
	for (size_t i = 0; text != NULL && i < s->n; i++)
		text = replace(text, &s->all[i]);
	return text;
}

void
secrets_free(struct secrets **sp)
{
	struct secrets *s = *sp;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->all[i].value);
		free(s->all[i].name);
	}
	free(s->all);
	free(s);
	*sp = NULL;
}
