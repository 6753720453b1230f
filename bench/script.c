/* SPDX-License-Identifier: MIT */
/* Words of a prompt and the text they stand for; see the header. */
#include "bench/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NUMBER_WIDTH = 10, ESCAPES_AT = 12, STAMP_AT = 11, STAMP_WIDTH = 16 };

static void
read_word(struct script *s, const char *word)
{
	static const char *const names[] = {
		"chunks=", "size=", "thoughts=", "tools=", "escape=", "wait=",
		"pace=", "stamp=", "files=",
	};
	long *values[] = {
		&s->chunks, &s->size, &s->thoughts, &s->tools, &s->escape,
		&s->wait, &s->pace, &s->stamp, &s->files,
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t n = strlen(names[i]);

		if (strncmp(word, names[i], n) == 0)
			*values[i] = labs(atol(word + n));
	}
}

void
script_read(struct script *s, const char *words, size_t len)
{
	char word[64];
	size_t n = 0;

	*s = (struct script){ .chunks = 1, .size = 64, .escape = 8 };
	for (size_t i = 0; i <= len; i++) {
		if (i < len && words[i] != ' ') {
			if (n + 1 < sizeof word)
				word[n++] = words[i];
			continue;
		}
		word[n] = '\0';
		read_word(s, word);
		n = 0;
	}
	if (s->size < (s->stamp ? 32 : 16))
		s->size = s->stamp ? 32 : 16;
	if (s->size > SCRIPT_SIZE_MAX)
		s->size = SCRIPT_SIZE_MAX;
}

long
script_updates(const struct script *s)
{
	return s->thoughts + s->chunks + 2 * s->tools;
}

size_t
script_text(const struct script *s, long i, bool as_json, char *to)
{
	static const char letters[] = "the quick brown fox jumps over it, ";
	size_t n = (size_t)snprintf(to, 32, "%0*ld ", NUMBER_WIDTH, i);
	bool has_escapes = s->escape > 0 && i % s->escape == 0;
	long size = s->size;

	for (long k = (long)n; k < size; k++) {
		if (has_escapes && (k == ESCAPES_AT || k == ESCAPES_AT + 1)) {
			if (as_json)
				to[n++] = '\\';
			to[n++] = k == ESCAPES_AT ? (as_json ? 'n' : '\n') :
			    '"';
			continue;
		}
		to[n++] = letters[(size_t)k % (sizeof letters - 1)];
	}
	return n;
}

void
script_stamp(char *text)
{
	char digits[STAMP_WIDTH + 8];
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(digits, sizeof digits, "%0*lld", STAMP_WIDTH,
	    (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
	memcpy(text + STAMP_AT, digits, STAMP_WIDTH);
}

double
script_stamp_of(const char *text)
{
	return (double)atoll(text + STAMP_AT) / 1e6;
}
