/* SPDX-License-Identifier: MIT */
/*
 * A reason in words, handed up to whoever decides what happens next.
 *
 * A function that can fail because of the world (not because of a bug)
 * takes a struct err and returns -1 with the reason in it. Nothing is
 * logged on the way up: the caller that decides logs once, with the name
 * of the object.
 */
#ifndef HEARTH_ERR_H
#define HEARTH_ERR_H

struct err {
	char text[1024];
};

/* Formats the reason into e (which may be NULL); always returns -1. */
int fail(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Aborts with a log line when a condition that only a bug can break does
 * not hold. Never for input, the network, or the file system.
 */
#define MUST(cond) \
	((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__))
void must_failed(const char *cond, const char *file, int line)
	__attribute__((noreturn));

#endif
