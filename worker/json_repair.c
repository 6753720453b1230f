/* SPDX-License-Identifier: MIT */
/*
 * Repair of JSON text before it is parsed. One walk over the text that knows
 * only strings, numbers and depth; as long as nothing is wrong, nothing is
 * copied. Broken syntax is passed on as it is: the parser refuses it. A repair
 * must never turn text that is no JSON into JSON that means something, hence
 * only a number of correct form becomes null, or one of the three words that
 * Python writes where it has no number: an answer that is lost for one of them
 * is a turn without an end.
 *
 * Repairing twice is the same as once (tests/fuzz_envelope.c).
 */
#include "worker/json_repair.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "worker/json_chars.h"

/* Doubles end at 1.7976931348623157e308 and at 4.9e-324. */
#define MAX_EXPONENT 308
#define MAX_MANTISSA "17976931348623157"
#define MIN_EXPONENT (-324)
/* More digits than this carry no meaning, and cost PostgreSQL dearly. */
#define MAX_DIGITS 300

struct walk {
	const char *begin;
	const char *p;
	const char *end;
	const char *copied; /* all before is in mended, once it is not empty */
	struct buf mended;
	bool is_dirty;
};

/* A number of correct form, taken apart. */
struct number {
	long digits;
	long leading;       /* the power of ten of the first digit not 0; of a
	                     * zero, the exponent */
	bool is_zero;
	char mantissa[sizeof MAX_MANTISSA - 1]; /* from that digit on */
	size_t mantissa_len;
};

static void
replace(struct walk *w, const char *from, const char *to, const char *with,
    size_t n)
{
	buf_add(&w->mended, w->copied, (size_t)(from - w->copied));
	buf_add(&w->mended, with, n);
	w->copied = to;
	w->is_dirty = true;
}

/* A run of bytes that are not all ASCII. */
static void
mend_utf8(struct walk *w, const char *from, const char *to)
{
	struct buf good = { 0 };
	size_t n = (size_t)(to - from);

	if (utf8_valid_prefix(from, n) == n)
		return;
	utf8_repair(from, n, false, &good);
	replace(w, from, to, good.data, good.len);
	buf_free(&good);
}

static void
walk_escape(struct walk *w)
{
	int len = 2;
	bool bad = false;

	if (w->end - w->p < 2) {
		w->p = w->end;
		return;
	}
	if (w->p[1] == 'u' &&
	    json_unicode_escape(w->p, w->end, &len, &bad) < 0)
		len = 2;
	if (bad)
		replace(w, w->p, w->p + len, "\\ufffd", 6);
	/* what a backslash escapes may itself be no ASCII */
	w->p += (unsigned char)w->p[1] < 0x80 ? len : 1;
}

/* From behind the opening quote to behind the closing one. */
static void
walk_string(struct walk *w)
{
	while (w->p < w->end) {
		uint64_t high = 0;
		const char *from = w->p;

		w->p = json_skip_plain(w->p, w->end, &high);
		if (high)
			mend_utf8(w, from, w->p);
		if (w->p == w->end)
			return;
		if (*w->p == '"') {
			w->p++;
			return;
		}
		if (*w->p == '\\')
			walk_escape(w);
		else
			w->p++;
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Counts digits at p; power is that of the first one. */
static const char *
take_digits(struct number *x, const char *p, const char *end, long power)
{
	for (; p < end && is_digit(*p); p++, power--) {
		x->digits++;
		if (x->is_zero && *p == '0')
			continue;
		if (x->is_zero)
			x->leading = power;
		x->is_zero = false;
		if (x->mantissa_len < sizeof x->mantissa)
			x->mantissa[x->mantissa_len++] = *p;
	}
	return p;
}

static const char *
take_exponent(struct number *x, const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	long value = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return NULL;
	for (; p < end && is_digit(*p); p++)
		if (value < 1000000)
			value = value * 10 + (*p - '0');
	x->leading += negative ? -value : value;
	return p;
}

/* False: p[0..n) has not the form of a JSON number. */
static bool
read_number(struct number *x, const char *p, const char *end)
{
	const char *whole, *stop;

	*x = (struct number){ .is_zero = true };
	if (p < end && *p == '-')
		p++;
	whole = p;
	while (p < end && is_digit(*p))
		p++;
	if (p == whole || (*whole == '0' && p - whole > 1))
		return false;
	take_digits(x, whole, p, (long)(p - whole) - 1);
	if (p < end && *p == '.') {
		stop = take_digits(x, p + 1, end, -1);
		if (stop == p + 1)
			return false;
		p = stop;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
		p = take_exponent(x, p + 1, end);
	return p == end;
}

static bool
is_holdable(const struct number *x)
{
	if (x->digits > MAX_DIGITS)
		return false;
	if (x->leading == MAX_EXPONENT)
		return memcmp(x->mantissa, MAX_MANTISSA,
		    x->mantissa_len) <= 0;
	return x->leading < MAX_EXPONENT && x->leading >= MIN_EXPONENT;
}

static bool
is_of_number(char c)
{
	return is_digit(c) || c == '.' || c == '-' || c == '+' || c == 'e' ||
	    c == 'E';
}

static void
walk_number(struct walk *w)
{
	const char *from = w->p;
	struct number x;

	while (w->p < w->end && is_of_number(*w->p))
		w->p++;
	/* the many short ones without an exponent need no closer look */
	if (w->p - from < 4)
		return;
	if (read_number(&x, from, w->p) && !is_holdable(&x))
		replace(w, from, w->p, "null", 4);
}

static bool
is_one_of(char c, const char *these)
{
	return c != '\0' && strchr(these, c) != NULL;
}

static bool
is_word(const struct walk *w, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(w->end - w->p) >= n && memcmp(w->p, word, n) == 0 &&
	    (w->p + n == w->end || is_one_of(w->p[n], ",]} \t"));
}

/* NaN, Infinity, -Infinity, where a value may stand. */
static void
walk_word(struct walk *w)
{
	size_t n = is_word(w, "NaN") ? strlen("NaN") :
	    is_word(w, "Infinity") ? strlen("Infinity") : 0;
	const char *from = w->p;

	w->p += n > 0 ? n : 1;
	if (n == strlen("Infinity") && from > w->begin && from[-1] == '-')
		from--;
	if (n > 0 && from > w->begin && is_one_of(from[-1], ":,[ \t"))
		replace(w, from, w->p, "null", 4);
}

static void
walk_high(struct walk *w)
{
	const char *from = w->p;

	while (w->p < w->end && (unsigned char)*w->p >= 0x80)
		w->p++;
	mend_utf8(w, from, w->p);
}

/* False: too deep. */
static bool
walk_all(struct walk *w)
{
	unsigned depth = 0;

	while (w->p < w->end) {
		char c = *w->p;

		if (c == '"') {
			w->p++;
			walk_string(w);
		} else if (is_of_number(c)) {
			walk_number(w);
		} else if (c == 'N' || c == 'I') {
			walk_word(w);
		} else if ((unsigned char)c >= 0x80) {
			walk_high(w);
		} else {
			if ((c == '{' || c == '[') && ++depth > JSON_DEPTH)
				return false;
			if ((c == '}' || c == ']') && depth > 0)
				depth--;
			w->p++;
		}
	}
	return true;
}

enum json_repair
json_repair(const char *p, size_t n, struct buf *out)
{
	struct walk w = { .begin = p, .p = p, .end = p + n, .copied = p };
	enum json_repair result = JSON_CLEAN;

	if (!walk_all(&w)) {
		result = JSON_TOO_DEEP;
	} else if (w.is_dirty) {
		result = JSON_REPAIRED;
		buf_add(&w.mended, w.copied, (size_t)(w.end - w.copied));
		buf_add(out, w.mended.data, w.mended.len);
	}
	buf_free(&w.mended);
	return result;
}
