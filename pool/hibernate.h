/* SPDX-License-Identifier: MIT */
/*
 * Whether an idle tree of processes may be hibernated, and its memory's way to
 * swap: the tree is stopped by its keeper (base/keeper.h), then its private
 * pages are paged out with process_madvise(MADV_PAGEOUT). Once it goes on it
 * fetches back what it touches.
 *
 * Part of the helper program hearth-memory: it reads /proc and waits for the
 * disk. Must never know: whose tree it is.
 */
#ifndef HEARTH_HIBERNATE_H
#define HEARTH_HIBERNATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hibernation {
	/* of the machine, and of this program */
	bool has_call;           /* the kernel has process_madvise() */
	bool is_allowed;         /* CAP_SYS_NICE, which it takes */
	int64_t swap_total_kb, swap_free_kb;
	/* of the tree; of the processes how many are: */
	int processes;
	int hidden;              /* not to be looked into */
	int listening;           /* somebody may call them */
	int clients;             /* of a program on another host or in a
	                          * container, which would miss them */
	int busy;                /* running, or waiting for a disk */
	int stopped;
	int64_t memory_kb;       /* that would have to go to swap */
};

/* Why not, in words for people; NULL: it may. is_stopped: it should have been
 * stopped for that already. Pure. */
const char *hibernation_refusal(const struct hibernation *h, bool is_stopped);
/* The same of the machine alone. */
const char *hibernation_lacks(const struct hibernation *h);

/* Looks at the processes below roots; n 0: at the machine alone. */
void hibernation_look(const pid_t *roots, size_t n, struct hibernation *h);
/* Pages out. NULL, or why nothing was. */
const char *hibernation_page_out(const pid_t *roots, size_t n);

#endif
