/* SPDX-License-Identifier: MIT */
/*
 * Validation and repair of UTF-8, by the table of well-formed byte sequences
 * in the Unicode standard. Eight ASCII bytes are passed at a time.
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/*
 * Looks at one sequence at p (n > 0). Returns its length when it is well
 * formed; else minus the length of the bad bytes to be replaced by one U+FFFD.
 */
static int
sequence(const unsigned char *p, size_t n)
{
	unsigned char lo = 0x80, hi = 0xBF;
	int want;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xC2 && p[0] <= 0xDF) {
		want = 2;
	} else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
		want = 3;
		if (p[0] == 0xE0)
			lo = 0xA0;
		if (p[0] == 0xED)
			hi = 0x9F;
	} else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
		want = 4;
		if (p[0] == 0xF0)
			lo = 0x90;
		if (p[0] == 0xF4)
			hi = 0x8F;
	} else {
		return -1;
	}
	for (int i = 1; i < want; i++) {
		if ((size_t)i >= n || p[i] < lo || p[i] > hi)
			return -i;
		lo = 0x80;
		hi = 0xBF;
	}
	return want;
}

size_t
utf8_valid_prefix(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0;

	while (i < n) {
		uint64_t eight;
		int k;

		if (n - i >= 8) {
			memcpy(&eight, p + i, 8);
			if ((eight & 0x8080808080808080u) == 0) {
				i += 8;
				continue;
			}
		}
		k = sequence(p + i, n - i);
		if (k < 0)
			return i;
		i += (size_t)k;
	}
	return n;
}

bool
utf8_repair(const char *s, size_t n, bool no_nul, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)s;
	bool repaired = false;
	size_t plain = 0, i = 0;

	while (i < n) {
		int k = sequence(p + i, n - i);

		if (k > 0 && !(no_nul && p[i] == 0)) {
			i += (size_t)k;
			continue;
		}
		if (k > 0)
			k = -1;
		buf_add(out, s + plain, i - plain);
		buf_add(out, REPLACEMENT, 3);
		i += (size_t)-k;
		plain = i;
		repaired = true;
	}
	buf_add(out, s + plain, n - plain);
	return repaired;
}

size_t
utf8_cut(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t back = 1;

	while (back < 4 && back < n && (p[n - back] & 0xC0) == 0x80)
		back++;
	/* p[n-back] begins the last character, if anything does; a character
	 * is unfinished when all that there is of it is good */
	if (back <= n && p[n - back] >= 0xC2 && p[n - back] <= 0xF4 &&
	    sequence(p + n - back, back) == -(int)back)
		return n - back;
	return n;
}

void
utf8_blank_controls(char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)text[0];
		unsigned char next = (unsigned char)text[1];

		if (c < ' ' || c == 0x7f) {
			*text = ' ';
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			*text++ = ' ';
			*text = ' ';
		}
	}
}
