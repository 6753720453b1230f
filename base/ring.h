/* SPDX-License-Identifier: MIT */
/*
 * The last N bytes of a stream: what a child said on stderr before it died.
 */
#ifndef HEARTH_RING_H
#define HEARTH_RING_H

#include <stddef.h>

struct ring;

struct ring *ring_new(size_t capacity); /* memory is taken at the first add */
void ring_add(struct ring *r, const void *p, size_t n);
size_t ring_len(const struct ring *r);
/*
 * The tail as valid UTF-8 text without NULs (repaired where needed, cut on
 * a character), at most max bytes; the caller frees. "" when empty.
 */
char *ring_text(const struct ring *r, size_t max);
void ring_free(struct ring **r);

#endif
