/* SPDX-License-Identifier: MIT */
/*
 * Lines out of a stream of bytes.
 *
 * The buffer holds [taken lines][begin .. untaken .. len). No LF lies in
 * [begin, scanned), so every byte is searched once. What was taken is moved
 * out of the way only when it is at least half of all, so every byte is moved
 * a bounded number of times. Whether a line is over the cap depends on its
 * length alone (CR included), never on how it arrived.
 *
 * Nothing is moved or freed but in ndjson_room() and ndjson_trim(): a line
 * stays valid until then. Must never know what a line means.
 */
#include "worker/ndjson.h"

#include <string.h>

/* A buffer up to this size is kept for the next read. */
#define KEEP ((size_t)256 << 10)

void
ndjson_init(struct ndjson *r, size_t cap)
{
	*r = (struct ndjson){ .cap = cap };
}

static void
shrink(struct ndjson *r)
{
	struct buf smaller = { 0 };

	if (r->buf.size <= KEEP || r->buf.len >= r->buf.size / 4)
		return;
	buf_add(&smaller, r->buf.data, r->buf.len);
	buf_free(&r->buf);
	r->buf = smaller;
}

void
ndjson_trim(struct ndjson *r)
{
	buf_consume(&r->buf, r->begin);
	r->scanned -= r->begin;
	r->begin = 0;
	if (r->buf.len == 0)
		buf_reset(&r->buf, KEEP);
	else
		shrink(r);
}

char *
ndjson_room(struct ndjson *r, size_t want)
{
	if (r->begin > 0 && r->begin >= r->buf.len - r->begin)
		ndjson_trim(r);
	return buf_room(&r->buf, want);
}

void
ndjson_grew(struct ndjson *r, size_t n)
{
	buf_grew(&r->buf, n);
}

void
ndjson_eof(struct ndjson *r)
{
	r->eof = true;
}

static bool
is_blank(const char *p, size_t n)
{
	while (n > 0 && (*p == ' ' || *p == '\t' || *p == '\r')) {
		p++;
		n--;
	}
	return n == 0;
}

/*
 * Takes the bytes up to the next LF, or up to the end of the stream. False:
 * no line is complete; what belongs to a line over the cap is forgotten.
 */
static bool
take(struct ndjson *r, char **line, size_t *len)
{
	char *data = r->buf.data;
	char *lf;

	if (r->begin == r->buf.len)
		return false;
	lf = memchr(data + r->scanned, '\n', r->buf.len - r->scanned);
	r->scanned = lf ? (size_t)(lf + 1 - data) : r->buf.len;
	if (!lf && !r->eof) {
		if (!r->dropping && r->buf.len - r->begin > r->cap) {
			r->dropping = true;
			r->dropped++;
		}
		if (r->dropping)
			r->begin = r->buf.len;
		return false;
	}
	*line = data + r->begin;
	*len = r->scanned - r->begin - (lf ? 1 : 0);
	r->begin = r->scanned;
	return true;
}

bool
ndjson_line(struct ndjson *r, char **line, size_t *len)
{
	while (take(r, line, len)) {
		if (r->dropping) {
			r->dropping = false;
			continue;
		}
		if (*len > r->cap) {
			r->dropped++;
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

void
ndjson_free(struct ndjson *r)
{
	buf_free(&r->buf);
	*r = (struct ndjson){ .cap = r->cap };
}
