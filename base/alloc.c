/* SPDX-License-Identifier: MIT */
/*
 * Allocation that aborts instead of failing: a daemon that has no memory left
 * for a few bytes cannot go on in any useful way, and its keepers clean up.
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Less of it is not worth the page faults that bring it back. */
#define GIVE_BACK_BYTES (2u << 20)

static void *
checked(void *p)
{
	MUST(p != NULL);
	return p;
}

void *
xmalloc(size_t size)
{
	return checked(malloc(size ? size : 1));
}

void *
xcalloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *
xrealloc(void *ptr, size_t size)
{
	return checked(realloc(ptr, size ? size : 1));
}

char *
xstrdup(const char *s)
{
	return s ? checked(strdup(s)) : NULL;
}

char *
xmemdupz(const void *p, size_t n)
{
	char *s = xmalloc(n + 1);

	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	MUST(vasprintf(&s, fmt, ap) >= 0);
	va_end(ap);
	return s;
}

size_t
strv_len(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

void
give_back_memory(void)
{
	/* What was given back counts as free still. */
	static size_t given_back;
	struct mallinfo2 m = mallinfo2();

	if (m.fordblks > given_back + GIVE_BACK_BYTES) {
		malloc_trim(0);
		given_back = m.fordblks;
	} else if (m.fordblks < given_back) {
		given_back = m.fordblks;
	}
}

char **
strv_copy(char *const *list)
{
	size_t n = strv_len(list);
	char **copy;

	if (!list)
		return NULL;
	copy = xcalloc(n + 1, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

void
strv_add(char ***list, const char *s)
{
	size_t n = strv_len(*list);

	*list = xrealloc(*list, (n + 2) * sizeof **list);
	(*list)[n] = xstrdup(s);
	(*list)[n + 1] = NULL;
}

void
strv_free(char ***list)
{
	if (!*list)
		return;
	for (char **s = *list; *s; s++)
		free(*s);
	free(*list);
	*list = NULL;
}
