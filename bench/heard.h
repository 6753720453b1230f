/* SPDX-License-Identifier: MIT */
/*
 * What was heard on hearth_events, and when: from that and the numbers of the
 * rows it follows when a reader could have seen a row, without reading any
 * while it is measured.
 */
#ifndef BENCH_HEARD_H
#define BENCH_HEARD_H

#include <libpq-fe.h>
#include <stdint.h>

struct heard_note {
	char chat[40];
	int64_t seq;
	double at;  /* see now() */
};

struct heard {
	struct heard_note *at;
	size_t n, room;
};

/* Passes over what comes from another channel. */
void heard_add(struct heard *h, const PGnotify *n);
/* Once no more is added: by chat, within a chat as it came. */
void heard_sort(struct heard *h);
/* When the row was announced; 0: never. Needs heard_sort(). */
double heard_of(const struct heard *h, const char *chat, int64_t seq);
void heard_clear(struct heard *h);

#endif
