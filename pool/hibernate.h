/* SPDX-License-Identifier: MIT */
/*
 * Whether an idle tree of processes may be hibernated, and its memory's way to
 * swap: the tree is stopped by its keeper (base/keeper.h), then its pages are
 * paged out, by the memory.reclaim of its cgroup where it has one with that,
 * else its private ones with process_madvise(MADV_PAGEOUT). Once it goes on it
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

#include "base/delegation.h"

/* How a tree's memory gets to swap. */
enum hibernation_way {
	HIBERNATION_NOT,
	HIBERNATION_BY_CGROUP,   /* memory.reclaim */
	HIBERNATION_BY_ADVICE,   /* process_madvise() */
};

struct hibernation {
	/* of the machine, of hearthd and of this program */
	bool has_call;           /* the kernel has process_madvise() */
	bool is_allowed;         /* CAP_SYS_NICE, which it takes */
	bool has_reclaim;        /* the tree's cgroup; without a tree: those
	                          * that trees would have */
	enum delegation_lack lack; /* why they have not */
	int64_t swap_total_kb, swap_free_kb;
	/* of the tree; of the processes how many are: */
	int processes;
	int outside;             /* not in the tree's cgroup, if it has one */
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
/* The same of the machine, where no tree is in question. */
const char *hibernation_lacks(const struct hibernation *h);

enum hibernation_way hibernation_way(const struct hibernation *h);

/* Looks at the processes below roots, which hearthd (d) has; n 0: at the
 * machine alone. */
void hibernation_look(const struct delegation *d, const pid_t *roots,
    size_t n, struct hibernation *h);
/* Pages out what is stopped. NULL, or why nothing was. */
const char *hibernation_page_out(const struct delegation *d,
    enum hibernation_way way, const pid_t *roots, size_t n);

#endif
