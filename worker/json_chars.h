/* SPDX-License-Identifier: MIT */
/*
 * What scan.c, json_repair.c and json_skim.c must see alike in JSON text:
 * white space, plain runs inside strings, \u escapes. Inline, because these
 * are the inner loops of the hot path. Pure; nothing is read past end.
 */
#ifndef HEARTH_JSON_CHARS_H
#define HEARTH_JSON_CHARS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define JSON_EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

static inline bool
json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline const char *
json_skip_space(const char *p, const char *end)
{
	while (p < end && json_is_space(*p))
		p++;
	return p;
}

/* Not a quote, a backslash or a control character. */
static inline bool
json_is_plain(char c)
{
	return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

/*
 * The end of the run of plain bytes at p. *high is no longer 0 when one of
 * them is not ASCII.
 */
static inline const char *
json_skip_plain(const char *p, const char *end, uint64_t *high)
{
	const uint64_t top = JSON_EACH_BYTE(0x80);

	while (end - p >= 8) {
		uint64_t x, quote, slash, hit;

		memcpy(&x, p, 8);
		quote = x ^ JSON_EACH_BYTE('"');
		slash = x ^ JSON_EACH_BYTE('\\');
		hit = ((quote - JSON_EACH_BYTE(1)) & ~quote) |
		    ((slash - JSON_EACH_BYTE(1)) & ~slash) |
		    ((x - JSON_EACH_BYTE(0x20)) & ~x);
		hit &= top;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		if (hit) {
			/* the lowest hit is a true one; what is above is not
			 * of the run */
			*high |= x & top & (hit ^ (hit - 1));
			return p + (__builtin_ctzll(hit) >> 3);
		}
#else
		if (hit)
			break;
#endif
		*high |= x & top;
		p += 8;
	}
	while (p < end && json_is_plain(*p))
		*high |= (unsigned char)*p++ & 0x80;
	return p;
}

/* The four hex digits at p, or -1. */
static inline int
json_hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)p[i];

		if (c >= '0' && c <= '9')
			c -= '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			c = (c | 0x20) - 'a' + 10;
		else
			return -1;
		value = value << 4 | c;
	}
	return value;
}

/*
 * The character that the escape at p, which begins with \u, stands for, with
 * its low half when it is the high half of a pair; *len is what it takes. A
 * half alone and U+0000 give U+FFFD and *bad; -1: these are no hex digits.
 */
static inline int
json_unicode_escape(const char *p, const char *end, int *len, bool *bad)
{
	int c = json_hex4(p + 2, end);
	int low = -1;

	*len = 6;
	*bad = false;
	if (c > 0 && (c & 0xF800) != 0xD800)
		return c;
	if (c < 0)
		return -1;
	if ((c & 0xFC00) == 0xD800 && end - p >= 12 &&
	    p[6] == '\\' && p[7] == 'u')
		low = json_hex4(p + 8, end);
	if (low >= 0xDC00 && low <= 0xDFFF) {
		*len = 12;
		return 0x10000 + ((c & 0x3FF) << 10 | (low & 0x3FF));
	}
	*bad = true;
	return 0xFFFD;
}

#endif
