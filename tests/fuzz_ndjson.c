/* SPDX-License-Identifier: MIT */
/*
 * Fuzzer for worker/ndjson: however the bytes arrive, the lines and the count
 * of dropped ones are those of a splitter that sees all bytes at once. The
 * input is two bytes that choose the cap and the pieces, then the stream.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "worker/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left to split, all at once. */
struct plain {
	const char *p;
	const char *end;
	size_t cap;
	uint64_t dropped;
};

static bool
is_blank(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!memchr(" \t\r", p[i], 3))
			return false;
	return true;
}

static bool
plain_line(struct plain *s, const char **line, size_t *len)
{
	while (s->p < s->end) {
		const char *lf = memchr(s->p, '\n', (size_t)(s->end - s->p));

		*line = s->p;
		*len = (size_t)((lf ? lf : s->end) - s->p);
		s->p = lf ? lf + 1 : s->end;
		if (*len > s->cap) {
			s->dropped++;
			continue;
		}
		if (is_blank(*line, *len))
			continue;
		if ((*line)[*len - 1] == '\r')
			--*len;
		return true;
	}
	return false;
}

/* Takes all lines that are complete. */
static void
compare(struct ndjson *r, struct plain *s)
{
	char *line;
	const char *want;
	size_t len, want_len;

	while (ndjson_line(r, &line, &len)) {
		MUST(plain_line(s, &want, &want_len));
		MUST(len == want_len && memcmp(line, want, len) == 0);
		line[len] = '\0';
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plain s = { 0 };
	struct ndjson r;
	const char *line;
	size_t len, piece;
	unsigned random;

	if (size < 2)
		return 0;
	s.cap = data[0];
	random = data[1];
	s.p = (const char *)data + 2;
	s.end = (const char *)data + size;
	ndjson_init(&r, s.cap);
	for (const char *p = s.p; p < s.end; p += piece) {
		random = random * 1103515245 + 12345;
		piece = (random >> 16) % (data[1] % 64 + 1) + 1;
		if (piece > (size_t)(s.end - p))
			piece = (size_t)(s.end - p);
		memcpy(ndjson_room(&r, piece), p, piece);
		ndjson_grew(&r, piece);
		if (random & 0x10000)
			compare(&r, &s);
		if ((random & 0x60000) == 0x60000)
			ndjson_trim(&r);
	}
	ndjson_eof(&r);
	compare(&r, &s);
	MUST(!plain_line(&s, &line, &len));
	MUST(r.dropped == s.dropped);
	ndjson_free(&r);
	return 0;
}
