/* SPDX-License-Identifier: MIT */
/*
 * Memory that is always there: each function returns memory that the caller
 * frees with free(), or aborts with a log line when there is none.
 */
#ifndef HEARTH_ALLOC_H
#define HEARTH_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed */
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s);             /* NULL gives NULL */
char *xmemdupz(const void *p, size_t n);  /* n bytes and a NUL after them */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Gives memory that became free back to the system, if there is much of it: to
 * be called every few seconds. Some milliseconds at worst. */
void give_back_memory(void);

/*
 * A NULL-terminated array of strings, as execve() takes it: deep copy,
 * length, append (list may be NULL at first; s is copied), free.
 */
char **strv_copy(char *const *list);      /* NULL gives NULL */
size_t strv_len(char *const *list);
void strv_add(char ***list, const char *s);
void strv_free(char ***list);             /* NULLs *list */

#endif
