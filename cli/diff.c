/* SPDX-License-Identifier: MIT */
/* Pure: a diff in, what is printed of it out. */
#include "cli/diff.h"

#include <stdbool.h>
#include <string.h>

static const char *
colour_of(const char *line, bool is_in_hunk)
{
	if (strncmp(line, "@@ ", 3) == 0)
		return "\033[36m";
	if (!is_in_hunk)
		return "\033[1m";
	if (*line == '+')
		return "\033[32m";
	return *line == '-' ? "\033[31m" : NULL;
}

/* ESC as ^[, and DEL as ^?; of UTF-8 the C1 controls, too. */
static void
add_visible(struct buf *out, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			buf_printf(out, "^%c", c ^ 0x40);
		else if (c == 0xc2 && i + 1 < n &&
		    (unsigned char)p[i + 1] < 0xa0)
			buf_printf(out, "^%c", (p[++i] & 0x1f) ^ 0x40);
		else
			buf_addc(out, (char)c);
	}
}

static void
add_line(struct buf *out, const char *line, size_t n, bool is_in_hunk,
    bool has_colours)
{
	const char *colour = has_colours ? colour_of(line, is_in_hunk) : NULL;

	if (colour)
		buf_adds(out, colour);
	add_visible(out, line, n);
	if (colour)
		buf_adds(out, "\033[0m");
	buf_addc(out, '\n');
}

void
diff_render(const char *diff, enum diff_look look, struct buf *out)
{
	size_t len = strlen(diff);
	bool is_in_hunk = false;

	buf_adds(out, "");
	if (look == DIFF_AS_IT_IS) {
		buf_add(out, diff, len);
		if (len > 0 && diff[len - 1] != '\n')
			buf_addc(out, '\n');
		return;
	}
	while (*diff) {
		size_t n = strcspn(diff, "\n");

		if (strncmp(diff, "diff --git ", 11) == 0)
			is_in_hunk = false;
		if (strncmp(diff, "@@ ", 3) == 0)
			is_in_hunk = true;
		add_line(out, diff, n, is_in_hunk, look == DIFF_IN_COLOURS);
		diff += n + (diff[n] == '\n');
	}
}
