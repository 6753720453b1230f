/* SPDX-License-Identifier: MIT */
/*
 * The pattern becomes a list of tokens, and the text is read once, character
 * by character, with the set of tokens that could be next: no backtracking,
 * so no pattern is slow. Pure.
 */
#include "worker/glob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum token_type {
	ONE,    /* the character c */
	ANY,
	CLASS,
	STAR,   /* any number, in a path without a slash */
	DEEP,   /* any number */
	DIRS,   /* nothing, or anything that ends with a slash */
};

struct token {
	enum token_type type;
	uint32_t c;
	const char *class, *class_end; /* what is between the brackets */
};

struct glob {
	enum glob_kind kind;
	struct token *tokens;
	size_t n;
};

/* One character; a stray byte counts as one. */
static uint32_t
take(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
	uint32_t c = *p++;

	for (; more > 0 && (*p & 0xc0) == 0x80; more--)
		c = c << 8 | *p++;
	*s = (const char *)p;
	return c;
}

/* The closing bracket of a class that begins behind s, or NULL. */
static const char *
class_end(const char *s)
{
	if (*s == '!' || *s == '^')
		s++;
	return *s != '\0' ? strchr(s + 1, ']') : NULL;
}

static bool
in_class(const struct token *t, uint32_t c)
{
	const char *s = t->class;
	bool negated = *s == '!' || *s == '^';
	bool found = false;
	uint32_t from, to;

	s += negated;
	while (s < t->class_end) {
		from = to = take(&s);
		if (*s == '-' && s + 1 < t->class_end) {
			s++;
			to = take(&s);
		}
		found |= from <= c && c <= to;
	}
	return found != negated;
}

static const char *
take_stars(const struct glob *g, const char *begin, const char *s,
    struct token *t)
{
	size_t stars = strspn(s, "*");
	bool starts = s == begin || s[-1] == '/';

	s += stars;
	t->type = stars > 1 || g->kind == GLOB_LINE ? DEEP : STAR;
	if (g->kind == GLOB_PATH && stars > 1 && starts && *s == '/') {
		t->type = DIRS;
		s++;
	}
	return s;
}

static void
parse(struct glob *g, const char *pattern)
{
	const char *s = pattern;

	g->tokens = xcalloc(strlen(pattern) + 1, sizeof *g->tokens);
	while (*s != '\0') {
		struct token *t = &g->tokens[g->n++];

		if (*s == '*') {
			s = take_stars(g, pattern, s, t);
		} else if (*s == '?') {
			t->type = ANY;
			s++;
		} else if (*s == '[' && class_end(s + 1) != NULL) {
			t->type = CLASS;
			t->class = s + 1;
			t->class_end = class_end(s + 1);
			s = t->class_end + 1;
		} else {
			s += *s == '\\' && s[1] != '\0';
			t->type = ONE;
			t->c = take(&s);
		}
	}
}

/* Token i may be next, and with it what follows if i can be nothing. */
static void
enter(const struct glob *g, bool *set, size_t i)
{
	set[i] = true;
	while (i < g->n && g->tokens[i].type >= STAR)
		set[++i] = true;
}

static void
step(const struct glob *g, bool *next, size_t i, uint32_t c)
{
	const struct token *t = &g->tokens[i];
	bool stops = g->kind == GLOB_PATH && c == '/';

	switch (t->type) {
	case ONE:
		if (c == t->c)
			enter(g, next, i + 1);
		break;
	case ANY:
		if (!stops)
			enter(g, next, i + 1);
		break;
	case CLASS:
		if (!stops && in_class(t, c))
			enter(g, next, i + 1);
		break;
	case STAR:
		if (!stops)
			enter(g, next, i);
		break;
	case DEEP:
		enter(g, next, i);
		break;
	case DIRS:
		/* within a folder's name: only its slash leads on */
		next[i] = true;
		if (stops)
			enter(g, next, i + 1);
		break;
	}
}

bool
glob_matches(enum glob_kind kind, const char *pattern, const char *text)
{
	struct glob g = { .kind = kind };
	bool *now, *next, *other;
	bool matches;

	parse(&g, pattern);
	now = xcalloc(g.n + 1, sizeof *now);
	next = xcalloc(g.n + 1, sizeof *next);
	enter(&g, now, 0);
	while (*text != '\0') {
		uint32_t c = take(&text);

		memset(next, 0, (g.n + 1) * sizeof *next);
		for (size_t i = 0; i < g.n; i++)
			if (now[i])
				step(&g, next, i, c);
		other = now;
		now = next;
		next = other;
	}
	matches = now[g.n];
	free(now);
	free(next);
	free(g.tokens);
	return matches;
}
