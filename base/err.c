/* SPDX-License-Identifier: MIT */
/*
 * Reasons in words, and the end of a program that has found a bug in itself.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int
fail(struct err *e, const char *fmt, ...)
{
	struct err made;
	va_list ap;

	if (e) {
		/* e->text may be one of the arguments */
		va_start(ap, fmt);
		vsnprintf(made.text, sizeof made.text, fmt, ap);
		va_end(ap);
		memcpy(e->text, made.text, strlen(made.text) + 1);
	}
	return -1;
}

void
must_failed(const char *cond, const char *file, int line)
{
	log_error("bug", "%s:%d: \"%s\" does not hold", file, line, cond);
	abort();
}
