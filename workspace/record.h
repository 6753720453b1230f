/* SPDX-License-Identifier: MIT */
/*
 * What the helper program hearth-worktree says on its stdout: records.
 *
 *   <decimal length> ':' <type> <field> NUL <field> NUL … <last field> NUL
 *
 * The length counts from the type to the last NUL. Only the last field may
 * hold NUL bytes itself. Types and their fields:
 *
 *   C  path, branch ("" none), base commit      the copy is there
 *   K  id, project's number, status, base commit ("" not known), session
 *      ("" none), expiry in seconds ("0" none), error  a prepared copy
 *   S  "1" ran just now or "0" before, "1" ended by its limit or "0", exit
 *      code, milliseconds, output            the setup command
 *   W  watch descriptors in decimal, with spaces between
 *   D  "1" whole or "0", why not                all folders were walked
 *   T  tree before, tree now
 *   F  operation, old oid, new oid, old mode, new mode ("" none), path, diff
 *   L  process                                  one below it may go on writing
 *   A  commit ("" none)                         what was saved of a copy
 *   M  behind, ahead, changed files, kB ("" not known)
 *   P  the same fields: the part of a change that was accepted
 *   O  id of the change, why not ("" done: a word), the same in words
 *   N  note for the log
 *   Z                                           the end: all was said
 *
 * The same grammar has what it is told on its stdin, and its journal:
 *
 *   X  id, verb, old oid, new oid, old mode, new mode, hunks, path, text,
 *      other text                               see workspace/decide.h
 *   J  see workspace/write.c
 *
 * Must never know: who reads or writes it.
 */
#ifndef HEARTH_RECORD_H
#define HEARTH_RECORD_H

#include <stddef.h>

#include "base/buf.h"

#define RECORD_FIELDS 11
/* More than the longest path and the largest diff, or the texts that a person
 * may hand in, together. */
#define RECORD_MAX (40u << 20)

struct record {
	char type;
	size_t n;                         /* fields, the last one included */
	const char *field[RECORD_FIELDS]; /* each ends with a NUL */
	size_t last_len;                  /* length of field[n - 1] */
};

void record_add(struct buf *out, const struct record *r);
/*
 * Reads the record at the beginning of p[0..n). Returns the bytes it takes,
 * 0 when it is not all there yet, -1 when this is no record. r->field points
 * into p.
 */
long record_next(const char *p, size_t n, struct record *r);

#endif
