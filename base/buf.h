/* SPDX-License-Identifier: MIT */
/*
 * A growable run of bytes. All fields are readable; only these functions
 * change them. A zeroed struct is an empty buffer. data[len] is always NUL
 * once anything was appended, so that text can be handed on as a string.
 */
#ifndef HEARTH_BUF_H
#define HEARTH_BUF_H

#include <stddef.h>

struct buf {
	char *data;
	size_t len;
	size_t size;
};

/* Makes room for n more bytes (plus the NUL) and returns where they go. */
char *buf_room(struct buf *b, size_t n);
/* After writing n bytes into the room. */
void buf_grew(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Appends s as a JSON string, with the quotes; s is valid UTF-8. */
void buf_json(struct buf *b, const char *s, size_t n);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Empties it; gives the memory back when it holds more than keep bytes. */
void buf_reset(struct buf *b, size_t keep);
/* The bytes as a NUL-terminated string that the caller frees; b is empty. */
char *buf_take(struct buf *b);
void buf_free(struct buf *b);

#endif
