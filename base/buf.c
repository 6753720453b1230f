/* SPDX-License-Identifier: MIT */
/*
 * The growable buffer. It doubles, so that n appended bytes cost O(n).
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

char *
buf_room(struct buf *b, size_t n)
{
	size_t need;

	MUST(n < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
	need = b->len + n + 1;
	if (need > b->size) {
		size_t size = b->size ? b->size : 64;

		while (size < need)
			size *= 2;
		b->data = xrealloc(b->data, size);
		b->size = size;
	}
	return b->data + b->len;
}

void
buf_grew(struct buf *b, size_t n)
{
	MUST(b->len + n < b->size || (n == 0 && b->size == 0));
	b->len += n;
	if (b->size)
		b->data[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_room(b, n);

	if (n)
		memcpy(to, p, n);
	buf_grew(b, n);
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	MUST(n >= 0);
	vsnprintf(buf_room(b, (size_t)n), (size_t)n + 1, fmt, again);
	va_end(again);
	buf_grew(b, (size_t)n);
}

#define EVERY_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Not 0 when one of the eight is a control character, a quote or a backslash.
 * (The sign bit tells; bytes of more than 7 bits are none of these.) */
static uint64_t
must_escape(uint64_t eight)
{
	uint64_t quote = eight ^ EVERY_BYTE('"');
	uint64_t backslash = eight ^ EVERY_BYTE('\\');

	return ((eight - EVERY_BYTE(0x20)) | (quote - EVERY_BYTE(1)) |
	    (backslash - EVERY_BYTE(1))) & ~eight & EVERY_BYTE(0x80);
}

/* How many of the n bytes stand for themselves in a JSON string. */
static size_t
plain_run(const char *s, size_t n)
{
	size_t i = 0;

	for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
		uint64_t eight;

		memcpy(&eight, s + i, sizeof eight);
		if (must_escape(eight))
			break;
	}
	while (i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' &&
	    s[i] != '\\')
		i++;
	return i;
}

void
buf_json(struct buf *b, const char *s, size_t n)
{
	buf_addc(b, '"');
	for (;;) {
		size_t plain = plain_run(s, n);

		buf_add(b, s, plain);
		if (plain == n)
			break;
		s += plain;
		n -= plain + 1;
		if (*s == '"' || *s == '\\') {
			buf_addc(b, '\\');
			buf_addc(b, *s);
		} else if (*s == '\n') {
			buf_adds(b, "\\n");
		} else {
			buf_printf(b, "\\u%04x", (unsigned char)*s);
		}
		s++;
	}
	buf_addc(b, '"');
}

void
buf_consume(struct buf *b, size_t n)
{
	MUST(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

void
buf_reset(struct buf *b, size_t keep)
{
	if (b->size > keep) {
		buf_free(b);
		return;
	}
	b->len = 0;
	if (b->size)
		b->data[0] = '\0';
}

char *
buf_take(struct buf *b)
{
	char *s = b->data ? b->data : xstrdup("");

	*b = (struct buf){ 0 };
	return s;
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}
