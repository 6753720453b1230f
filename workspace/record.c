/* SPDX-License-Identifier: MIT */
/*
 * Records between hearth-worktree and the daemon: written whole, read from
 * whatever has arrived so far. The reader trusts nothing: a length over
 * RECORD_MAX, a wrong number of fields or an unknown type is no record.
 *
 * Pure: no I/O. The grammar is in workspace/record.h.
 */
#include "workspace/record.h"

#include <string.h>

#include "base/err.h"

static const struct {
	char type;
	size_t fields;
} kinds[] = {
	{ 'C', 3 }, { 'W', 1 }, { 'D', 2 }, { 'T', 2 }, { 'F', 7 },
	{ 'A', 1 }, { 'L', 1 }, { 'M', 4 }, { 'N', 1 }, { 'P', 7 }, { 'O', 3 }, { 'X', 10 },
	{ 'J', 11 }, { 'S', 5 }, { 'K', 7 }, { 'Z', 0 },
};

static long
fields_of(char type)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].type == type)
			return (long)kinds[i].fields;
	return -1;
}

void
record_add(struct buf *out, const struct record *r)
{
	size_t len = 1;

	MUST(fields_of(r->type) == (long)r->n);
	for (size_t i = 0; i + 1 < r->n; i++)
		len += strlen(r->field[i]) + 1;
	if (r->n)
		len += r->last_len + 1;
	buf_printf(out, "%zu:%c", len, r->type);
	for (size_t i = 0; i + 1 < r->n; i++)
		buf_add(out, r->field[i], strlen(r->field[i]) + 1);
	if (r->n) {
		buf_add(out, r->field[r->n - 1], r->last_len);
		buf_addc(out, '\0');
	}
}

/* Splits the payload, which begins after the type. */
static int
split(const char *p, size_t n, struct record *r)
{
	for (size_t i = 0; i + 1 < r->n; i++) {
		const char *end = memchr(p, '\0', n);

		if (!end)
			return -1;
		r->field[i] = p;
		n -= (size_t)(end - p) + 1;
		p = end + 1;
	}
	if (r->n == 0)
		return n == 0 ? 0 : -1;
	if (n == 0 || p[n - 1] != '\0')
		return -1;
	r->field[r->n - 1] = p;
	r->last_len = n - 1;
	return 0;
}

long
record_next(const char *p, size_t n, struct record *r)
{
	size_t len = 0, at = 0;
	long fields;

	while (at < n && p[at] >= '0' && p[at] <= '9' && len <= RECORD_MAX)
		len = len * 10 + (size_t)(p[at++] - '0');
	if (len > RECORD_MAX)
		return -1;
	if (at == n)
		return 0;
	if (p[at] != ':' || len == 0)
		return -1;
	at++;
	if (n - at < len)
		return 0;
	fields = fields_of(p[at]);
	if (fields < 0)
		return -1;
	*r = (struct record){ .type = p[at], .n = (size_t)fields };
	return split(p + at + 1, len - 1, r) == 0 ? (long)(at + len) : -1;
}
