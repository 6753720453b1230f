/* SPDX-License-Identifier: MIT */
/*
 * Applies some of the hunks of a unified diff, each where the diff says. What
 * the diff says of the old file is compared with it, so a diff of another file
 * never makes anything.
 */
#include "workspace/hunks.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
	const char *at, *end;
};

/* The next line, its newline included; false at the end. */
static bool
next_line(struct cursor *c, const char **line, size_t *n)
{
	const char *eol;

	if (c->at == c->end)
		return false;
	eol = memchr(c->at, '\n', (size_t)(c->end - c->at));
	*line = c->at;
	*n = eol ? (size_t)(eol - c->at) + 1 : (size_t)(c->end - c->at);
	c->at += *n;
	return true;
}

static bool
is_hunk(const char *line, size_t n)
{
	return n > 3 && strncmp(line, "@@ ", 3) == 0;
}

size_t
hunks_count(const char *diff, size_t n)
{
	struct cursor c = { diff, diff + n };
	const char *line;
	size_t count = 0;

	while (next_line(&c, &line, &n))
		count += is_hunk(line, n);
	return count;
}

static bool
is_chosen(const char *numbers, size_t hunk)
{
	char *end;

	for (const char *p = numbers; *p; p = *end ? end + 1 : end) {
		if (strtoull(p, &end, 10) == hunk)
			return true;
		if (end == p)
			return false;
	}
	return false;
}

static size_t
highest(const char *numbers)
{
	size_t most = 0;
	char *end;

	for (const char *p = numbers; *p; p = *end ? end + 1 : end) {
		size_t n = strtoull(p, &end, 10);

		most = n > most ? n : most;
		if (end == p)
			break;
	}
	return most;
}

/* "@@ -12,3 +12,4 @@": how many old lines stand before the hunk. */
static size_t
lines_before(const char *line)
{
	size_t first = 0, count = 1;

	if (sscanf(line, "@@ -%zu,%zu", &first, &count) < 1)
		return 0;
	/* without old lines it names the line that it stands behind */
	return count == 0 || first == 0 ? first : first - 1;
}

static void
copy_lines(struct cursor *old, size_t *done, size_t until, struct buf *out)
{
	const char *line;
	size_t n;

	while (*done < until && next_line(old, &line, &n)) {
		buf_add(out, line, n);
		(*done)++;
	}
}

/* The diff's line has a newline that the file's last line may lack. */
static bool
is_same_line(const char *line, size_t n, const char *mark, size_t mark_n)
{
	if (n == mark_n)
		return memcmp(line, mark, n) == 0;
	return n + 1 == mark_n && memcmp(line, mark, n) == 0 &&
	    line[n - 1] != '\n';
}

struct job {
	struct cursor old;
	size_t done;        /* lines of old */
	const char *numbers;
	size_t hunk;
	bool chosen;
	struct buf *out;
};

/*
 * A line of a hunk's body; is_bare: the file has no newline behind it. -1: the
 * old file has another line there.
 */
static int
take_line(struct job *j, const char *line, size_t n, bool is_bare)
{
	const char *mine;
	size_t mine_n;

	if (*line == '+') {
		if (j->chosen)
			buf_add(j->out, line + 1, n - 1 - is_bare);
		return 0;
	}
	if (!next_line(&j->old, &mine, &mine_n) ||
	    !is_same_line(mine, mine_n, line + 1, n - 1))
		return -1;
	j->done++;
	if (*line == ' ' || !j->chosen)
		buf_add(j->out, mine, mine_n);
	return 0;
}

int
hunks_apply(const struct buf *old, const struct buf *diff,
    const char *numbers, struct buf *out, struct err *e)
{
	struct job j = { .old = { old->data, old->data + old->len },
		.numbers = numbers, .out = out };
	struct cursor c = { diff->data, diff->data + diff->len };
	const char *line;
	size_t n;

	buf_adds(out, "");
	if (hunks_count(diff->data, diff->len) < highest(numbers))
		return fail(e, "the difference has no hunk %zu",
		    highest(numbers));
	while (next_line(&c, &line, &n)) {
		if (is_hunk(line, n)) {
			j.chosen = is_chosen(numbers, ++j.hunk);
			copy_lines(&j.old, &j.done, lines_before(line), out);
		} else if (j.hunk && strchr(" +-", *line) &&
		    take_line(&j, line, n, c.at < c.end && *c.at == '\\') <
		    0) {
			return fail(e, "the difference is not one of this "
			    "file");
		}
	}
	copy_lines(&j.old, &j.done, (size_t)-1, out);
	return 0;
}
