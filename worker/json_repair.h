/* SPDX-License-Identifier: MIT */
/*
 * Makes JSON text that PostgreSQL's jsonb (and jansson) will take, before it
 * is parsed: invalid UTF-8, the escape for U+0000 and lone surrogate escapes
 * become U+FFFD; a number that no double can hold becomes null, and so do NaN,
 * Infinity and -Infinity. Structure is not checked, save that nesting over
 * JSON_DEPTH is refused. Pure.
 */
#ifndef HEARTH_JSON_REPAIR_H
#define HEARTH_JSON_REPAIR_H

#include <stddef.h>

#include "base/buf.h"

#define JSON_DEPTH 512

enum json_repair { JSON_CLEAN, JSON_REPAIRED, JSON_TOO_DEEP };

/* JSON_REPAIRED: the mended text was appended to out. Else out is untouched. */
enum json_repair json_repair(const char *p, size_t n, struct buf *out);

#endif
