/* SPDX-License-Identifier: MIT */
/*
 * Spans of values in JSON text. Brackets are counted, not matched by kind,
 * and strings are stepped over by their quotes: enough for text that a parser
 * has accepted or will judge afterwards. No recursion, so depth costs nothing.
 */
#include "worker/json_skim.h"

#include <jansson.h>
#include <string.h>

#include "worker/json_chars.h"

/* p is at the opening quote. Returns what follows the closing one, or NULL. */
static const char *
skip_string(const char *p, const char *end)
{
	const char *from = p + 1;

	while ((p = memchr(from, '"', (size_t)(end - from))) != NULL) {
		const char *slash = p;

		while (slash > from && slash[-1] == '\\')
			slash--;
		if ((p - slash) % 2 == 0)
			return p + 1;
		from = p + 1;
	}
	return NULL;
}

size_t
json_skim(const char *p, size_t n)
{
	const char *start = p, *end = p + n;
	size_t depth = 0;

	if (n == 0 || (*p != '{' && *p != '['))
		return 0;
	while (p && p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return (size_t)(p + 1 - start);
			break;
		default:
			break;
		}
		p++;
	}
	return 0;
}

static const char *
skip_scalar(const char *p, const char *end)
{
	while (p < end && !json_is_space(*p) && *p != ',' && *p != '}' &&
	    *p != ']')
		p++;
	return p;
}

static const char *
skip_value(const char *p, const char *end)
{
	size_t n;

	if (p == end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p != '{' && *p != '[')
		return skip_scalar(p, end);
	n = json_skim(p, (size_t)(end - p));
	return n ? p + n : NULL;
}

bool
json_skim_member(const char **at, const char *end, struct json_member *m)
{
	const char *p = json_skip_space(*at, end);

	if (p == end || (*p != '{' && *p != ','))
		return false;
	p = json_skip_space(p + 1, end);
	if (p == end || *p != '"')
		return false;
	m->name = p + 1;
	p = skip_string(p, end);
	if (!p)
		return false;
	m->name_len = (size_t)(p - 1 - m->name);
	p = json_skip_space(p, end);
	if (p == end || *p != ':')
		return false;
	m->value = json_skip_space(p + 1, end);
	p = skip_value(m->value, end);
	if (!p || p == m->value)
		return false;
	m->value_len = (size_t)(p - m->value);
	*at = p;
	return true;
}

bool
json_member_is(const struct json_member *m, const char *name)
{
	json_t *decoded;
	bool is;

	if (!memchr(m->name, '\\', m->name_len))
		return m->name_len == strlen(name) &&
		    memcmp(m->name, name, m->name_len) == 0;
	decoded = json_loadb(m->name - 1, m->name_len + 2,
	    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	is = decoded && json_string_length(decoded) == strlen(name) &&
	    strcmp(json_string_value(decoded), name) == 0;
	json_decref(decoded);
	return is;
}

bool
json_skim_find(const char *p, size_t n, const char *name,
    struct json_member *found)
{
	struct json_member m;
	const char *end = p + n;
	bool has = false;

	while (json_skim_member(&p, end, &m))
		if (json_member_is(&m, name)) {
			*found = m;
			has = true;
		}
	return has;
}
