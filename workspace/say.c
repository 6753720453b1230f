/* SPDX-License-Identifier: MIT */
/*
 * Writes hearth-worktree's records. Bounded: at most one piece and one record
 * are in memory. Blocking writes, so a slow daemon slows the helper down.
 *
 * Must never know: what the records mean.
 */
#include "workspace/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "workspace/record.h"

#define PIECE 65536

static struct buf pending;

void
say_flush(void)
{
	size_t done = 0;

	while (done < pending.len) {
		ssize_t n = write(STDOUT_FILENO, pending.data + done,
		    pending.len - done);

		if (n < 0 && errno != EINTR)
			exit(1);
		done += n > 0 ? (size_t)n : 0;
	}
	buf_reset(&pending, 0);
}

static void
pend(const struct record *r)
{
	record_add(&pending, r);
	if (pending.len >= PIECE)
		say_flush();
}

void
say_long(char type, const char *const *fields, size_t n, const char *last,
    size_t last_len)
{
	struct record r = { .type = type, .n = n + 1, .last_len = last_len };

	for (size_t i = 0; i < n; i++)
		r.field[i] = fields[i];
	r.field[n] = last;
	pend(&r);
}

void
say(char type, const char *const *fields, size_t n)
{
	if (n == 0) {
		pend(&(struct record){ .type = type });
		return;
	}
	say_long(type, fields, n - 1, fields[n - 1], strlen(fields[n - 1]));
}

void
say_note(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	SAY('N', text);
}
