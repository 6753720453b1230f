/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 as PostgreSQL accepts it: well-formed, no surrogates, no overlong
 * forms, nothing above U+10FFFF. Pure functions.
 */
#ifndef HEARTH_UTF8_H
#define HEARTH_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Length of the longest valid prefix of p[0..n). n means all is valid. */
size_t utf8_valid_prefix(const char *p, size_t n);
/*
 * Appends p to out with every bad sequence (maximal subpart, as Unicode
 * recommends) as U+FFFD and, when no_nul, every NUL byte as U+FFFD too.
 * Returns true when anything was repaired.
 */
bool utf8_repair(const char *p, size_t n, bool no_nul, struct buf *out);
/* The largest m <= n such that p[0..m) does not end inside a character. */
size_t utf8_cut(const char *p, size_t n);
/* Every control character, also those of C1 (U+0080 to U+009F), becomes
 * blanks: what is left is one line, which commands no terminal. */
void utf8_blank_controls(char *text);

#endif
