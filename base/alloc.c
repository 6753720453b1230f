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
#include <unistd.h>

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

/* What is resident and private, and not in use. */
static size_t
idle_bytes(void)
{
	struct mallinfo2 m = mallinfo2();
	size_t resident = 0, shared = 0, private, used = m.uordblks + m.hblkhd;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %zu %zu", &resident, &shared) != 2)
		resident = shared = 0;
	if (f)
		fclose(f);
	private = (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
	return private > used ? private - used : 0;
}

void
give_back_memory(void)
{
	/* Stacks and fragments, which stay however often this is done. */
	static size_t rest;
	size_t idle = idle_bytes();

	if (idle > rest + GIVE_BACK_BYTES) {
		malloc_trim(0);
		rest = idle_bytes();
	} else if (idle < rest) {
		rest = idle;
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
