/* SPDX-License-Identifier: MIT */
/*
 * Aligned output. Widths are counted in characters (UTF-8 code points), two
 * spaces stand between columns, and nothing stands after the last cell. Must
 * never know: where rows come from.
 */
#include "cli/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/utf8.h"

struct table {
	int columns;
	size_t cells, size;
	char **cell;      /* row by row; the first row is the headers */
	bool *right;      /* per column */
};

static int
characters(const char *s)
{
	int n = 0;

	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void
append(struct table *t, const char *text)
{
	char *cell = xstrdup(text != NULL ? text : "");

	utf8_blank_controls(cell);
	if (t->cells == t->size) {
		t->size = t->size * 2 + 64;
		t->cell = xrealloc(t->cell, t->size * sizeof(char *));
	}
	t->cell[t->cells++] = cell;
}

struct table *
table_new(int columns, const char *const *headers)
{
	struct table *t = xcalloc(1, sizeof(*t));

	MUST(columns > 0);
	t->columns = columns;
	t->right = xcalloc((size_t)columns, sizeof(bool));
	for (int i = 0; i < columns; i++) {
		t->right[i] = headers[i][0] == '>';
		append(t, headers[i] + (t->right[i] ? 1 : 0));
	}
	return t;
}

void
table_add(struct table *t, const char *cell)
{
	append(t, cell);
}

static void
measure(const struct table *t, int *widths)
{
	for (size_t i = 0; i < t->cells; i++) {
		int n = characters(t->cell[i]);
		size_t column = i % (size_t)t->columns;

		if (n > widths[column])
			widths[column] = n;
	}
}

/* At most room characters of it (room < 0: all). */
static void
print_cut(FILE *f, const char *s, int room)
{
	for (; *s != '\0'; s++) {
		if ((*s & 0xc0) != 0x80 && room-- == 0)
			return;
		putc(*s, f);
	}
}

static void
print_row(const struct table *t, FILE *f, char *const *row,
    const int *widths, int width)
{
	int used = 0;

	for (int i = 0; i < t->columns; i++) {
		int pad = widths[i] - characters(row[i]);
		bool last = i == t->columns - 1;

		fprintf(f, "%s%*s", i > 0 ? "  " : "", t->right[i] ? pad : 0,
		    "");
		used += i > 0 ? 2 : 0;
		print_cut(f, row[i], !last || width == 0 ? -1 :
		    width > used ? width - used : 0);
		if (!last)
			fprintf(f, "%*s", t->right[i] ? 0 : pad, "");
		used += widths[i];
	}
	putc('\n', f);
}

void
table_print(const struct table *t, FILE *f, int width)
{
	int *widths = xcalloc((size_t)t->columns, sizeof(int));
	size_t columns = (size_t)t->columns;

	MUST(t->cells % columns == 0);
	measure(t, widths);
	for (size_t i = 0; i < t->cells; i += columns)
		print_row(t, f, t->cell + i, widths, width);
	free(widths);
}

void
table_free(struct table **tp)
{
	struct table *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->cells; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t->right);
	free(t);
	*tp = NULL;
}

int
table_terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1)
		return 0;
	return size.ws_col;
}
