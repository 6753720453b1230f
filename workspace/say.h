/* SPDX-License-Identifier: MIT */
/*
 * hearth-worktree's stdout: records, gathered and written in large pieces.
 * A daemon that is gone ends the program.
 */
#ifndef HEARTH_SAY_H
#define HEARTH_SAY_H

#include <stddef.h>

/* Fields are strings, the last one too; their number is the type's. */
void say(char type, const char *const *fields, size_t n);
/* The same with a last field that may hold any byte. */
void say_long(char type, const char *const *fields, size_t n,
    const char *last, size_t last_len);
void say_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_flush(void);

#define SAY(type, ...) \
	say(type, (const char *const[]){ __VA_ARGS__ }, \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

#endif
