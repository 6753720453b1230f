/* SPDX-License-Identifier: MIT */
/*
 * Names of files as text, and back.
 *
 * Must never know: where names come from.
 */
#include "workspace/name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

char *
name_show(const char *name)
{
	size_t n = strlen(name);
	struct buf out = { 0 };

	if (*name != '"' && utf8_valid_prefix(name, n) == n)
		return xstrdup(name);
	buf_addc(&out, '"');
	while (n) {
		size_t good = utf8_valid_prefix(name, n);

		for (size_t i = 0; i < good; i++) {
			if (name[i] == '"' || name[i] == '\\')
				buf_addc(&out, '\\');
			buf_addc(&out, name[i]);
		}
		if (good < n)
			buf_printf(&out, "\\%03o", (unsigned char)name[good++]);
		name += good;
		n -= good;
	}
	buf_addc(&out, '"');
	return buf_take(&out);
}

static bool
is_octal(const char *p, char first_max)
{
	return p[0] >= '0' && p[0] <= first_max && p[1] >= '0' &&
	    p[1] <= '7' && p[2] >= '0' && p[2] <= '7';
}

/* Takes one escape, which p points behind the backslash of; 0: it is none. */
static size_t
take_escape(const char *p, struct buf *out)
{
	if (*p == '"' || *p == '\\') {
		buf_addc(out, *p);
		return 1;
	}
	if (!is_octal(p, '3') || strncmp(p, "000", 3) == 0)
		return 0;
	buf_addc(out, (char)((p[0] - '0') << 6 | (p[1] - '0') << 3 |
	    (p[2] - '0')));
	return 3;
}

char *
name_read(const char *shown)
{
	struct buf out = { 0 };
	const char *p = shown + 1;
	char *name, *again;

	if (*shown != '"')
		return xstrdup(shown);
	while (*p && *p != '"') {
		size_t n = 1;

		if (*p == '\\')
			n = take_escape(++p, &out);
		else
			buf_addc(&out, *p);
		if (n == 0)
			break;
		p += n;
	}
	name = buf_take(&out);
	again = name_show(name);
	if (strcmp(again, shown) != 0) {
		free(name);
		name = NULL;
	}
	free(again);
	return name;
}
