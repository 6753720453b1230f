/* SPDX-License-Identifier: MIT */
/*
 * See secrets.h. Which values are secret nobody says, so all are that are long
 * enough to be one; the name that stands for it keeps the sentence readable
 * where it was none. Longer ones go first: one may be part of another. Agents
 * and their providers quote what they were given in JSON, each with escapes of
 * its own choice, so a value is also looked for as any of them would write it.
 *
 * Tests: tests/unit_secrets.c.
 */
#include "worker/secrets.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "worker/json_chars.h"

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

static void
write_utf8(int c, char out[static 5])
{
	static const int lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
	int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (int i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3F));
	out[0] = (char)(lead[n] | c);
}

/* What stands at p, perhaps escaped as in a JSON string: its bytes in out;
 * returns how much of the text it takes. */
static size_t
read_char(const char *p, const char *end, char out[static 5])
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	int c, len;
	bool bad;

	memset(out, 0, 5);
	out[0] = *p;
	if (*p != '\\' || p + 1 == end)
		return 1;
	if (p[1] == 'u') {
		c = json_unicode_escape(p, end, &len, &bad);
		if (c < 0)
			return 1;
		write_utf8(c, out);
		return (size_t)len;
	}
	letter = strchr(letters, p[1]);
	if (letter == NULL)
		return 1;
	out[0] = meanings[letter - letters];
	return 2;
}

/* How much of the text at p is the value as JSON writes it; 0: it is not. */
static size_t
escaped_length(const char *p, const char *end, const char *value)
{
	const char *from = p;
	char c[5];

	while (*value != '\0') {
		if (p == end)
			return 0;
		p += read_char(p, end, c);
		if (strncmp(value, c, strlen(c)) != 0)
			return 0;
		value += strlen(c);
	}
	return (size_t)(p - from);
}

/* The first place from there on where it stands, as it is or escaped. */
static const char *
find(const char *from, const char *end, const struct secret *secret,
    size_t *len)
{
	const char begins[] = { secret->value[0], '\\', '\0' };

	for (;; from++) {
		from += strcspn(from, begins);
		if (from == end)
			return NULL;
		*len = strncmp(from, secret->value, secret->len) == 0 ?
		    secret->len : escaped_length(from, end, secret->value);
		if (*len > 0)
			return from;
	}
}

static char *
replace(char *text, const struct secret *secret)
{
	const char *from = text, *end = text + strlen(text), *at;
	struct buf b = { 0 };
	size_t len;

	at = find(from, end, secret, &len);
	if (at == NULL)
		return text;
	for (; at != NULL; at = find(from, end, secret, &len)) {
		buf_add(&b, from, (size_t)(at - from));
		buf_adds(&b, secret->name);
		from = at + len;
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
