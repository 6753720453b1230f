/* SPDX-License-Identifier: MIT */
/*
 * Finds where values lie in JSON text without reading them: for what must be
 * kept as it came (an id, an update), which no parser gives back. It trusts
 * nothing: text that is no JSON gives wrong spans or none, but never a span
 * outside of it. Pure.
 */
#ifndef HEARTH_JSON_SKIM_H
#define HEARTH_JSON_SKIM_H

#include <stdbool.h>
#include <stddef.h>

struct json_member {
	const char *name;      /* between the quotes, escapes as they came */
	size_t name_len;
	const char *value;     /* without white space around */
	size_t value_len;
};

/*
 * The length of the object or array at p, up to its closing bracket; 0 when
 * p[0..n) begins with none or it does not end.
 */
size_t json_skim(const char *p, size_t n);
/*
 * The next member of an object. *at is at its '{' at first and moves on to
 * end, which is behind its '}'. False: there are no more.
 */
bool json_skim_member(const char **at, const char *end,
    struct json_member *m);
/* Escapes in the member's name count as what they mean. */
bool json_member_is(const struct json_member *m, const char *name);
/* The last member of that name, as parsers take it. */
bool json_skim_find(const char *p, size_t n, const char *name,
    struct json_member *found);

#endif
