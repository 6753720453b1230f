/* SPDX-License-Identifier: MIT */
/*
 * Lines out of a stream of bytes, however they arrive. Pure: the caller reads
 * into ndjson_room() and then takes lines until there are no more.
 *
 * A line ends with LF; one CR before it is dropped; blank lines are skipped;
 * the last line needs no LF (ndjson_eof). A scan offset makes a long line that
 * arrives in many pieces cost its length once. A line over the cap is dropped
 * up to its LF and counted. Memory grows with the longest line and is given
 * back after it.
 */
#ifndef HEARTH_NDJSON_H
#define HEARTH_NDJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define NDJSON_CAP ((size_t)64 << 20)

struct ndjson {
	struct buf buf;
	size_t begin;       /* where the first untaken line begins */
	size_t scanned;     /* no LF before this offset */
	size_t cap;
	bool dropping;      /* inside a line that was over the cap */
	bool eof;
	uint64_t dropped;   /* lines dropped for their length */
};

void ndjson_init(struct ndjson *r, size_t cap);
/* Room for at least want bytes; lines taken before become invalid. */
char *ndjson_room(struct ndjson *r, size_t want);
void ndjson_grew(struct ndjson *r, size_t n);
void ndjson_eof(struct ndjson *r);
/*
 * The next line, without its end, valid until the next ndjson_room(). The
 * byte at line[len] may be overwritten by the caller. False: none complete.
 */
bool ndjson_line(struct ndjson *r, char **line, size_t *len);
/* Between wake-ups: gives memory back that no line needs. */
void ndjson_trim(struct ndjson *r);
void ndjson_free(struct ndjson *r);

#endif
