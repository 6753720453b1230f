/* SPDX-License-Identifier: MIT */
/*
 * A ring of bytes: the newest overwrite the oldest.
 */
#include "base/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

struct ring {
	size_t capacity;
	size_t len;    /* how many bytes are held */
	size_t next;   /* where the next byte goes */
	char *data;    /* NULL until the first add */
};

struct ring *
ring_new(size_t capacity)
{
	struct ring *r = xcalloc(1, sizeof *r);

	r->capacity = capacity;
	return r;
}

void
ring_add(struct ring *r, const void *p, size_t n)
{
	const char *from = p;

	if (n == 0 || r->capacity == 0)
		return;
	if (!r->data)
		r->data = xmalloc(r->capacity);
	if (n > r->capacity) {
		from += n - r->capacity;
		n = r->capacity;
	}
	size_t first = r->capacity - r->next;

	if (first > n)
		first = n;
	memcpy(r->data + r->next, from, first);
	memcpy(r->data, from + first, n - first);
	r->next = (r->next + n) % r->capacity;
	r->len = r->len + n > r->capacity ? r->capacity : r->len + n;
}

size_t
ring_len(const struct ring *r)
{
	return r->len;
}

char *
ring_text(const struct ring *r, size_t max)
{
	size_t n = r->len < max ? r->len : max;
	struct buf raw = { 0 }, text = { 0 };
	size_t skip = 0;

	for (size_t i = 0; i < n; i++)
		buf_addc(&raw, r->data[(r->next + r->capacity - n + i) %
		    r->capacity]);
	/* the cut may have hit the middle of a character */
	if (n < r->len || r->len == r->capacity)
		while (skip < 3 && skip < n &&
		    ((unsigned char)raw.data[skip] & 0xC0) == 0x80)
			skip++;
	if (n > skip)
		utf8_repair(raw.data + skip, n - skip, true, &text);
	/* each repaired byte grew to three */
	if (text.len > max) {
		size_t over = text.len - max;

		while (over < text.len &&
		    ((unsigned char)text.data[over] & 0xC0) == 0x80)
			over++;
		buf_consume(&text, over);
	}
	buf_free(&raw);
	return buf_take(&text);
}

void
ring_free(struct ring **r)
{
	if (!*r)
		return;
	free((*r)->data);
	free(*r);
	*r = NULL;
}
