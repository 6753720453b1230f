/* SPDX-License-Identifier: MIT */
/*
 * What a tree of processes takes: memory (proportional set size, so that what
 * several share is counted once, and what swapped pages cost in RAM where swap
 * is compressed memory) and processor time.
 *
 * Part of the helper program hearth-memory, as reading smaps_rollup takes
 * milliseconds a process and holds up the process that is read. So it reads
 * one process at a time, with a pause between; and not at all while a tree
 * has the same processes as before, of about the same size (statm).
 *
 * What is read is never a snapshot: processes come and go meanwhile. A tree
 * may be as large as an agent makes it: what is read of it is bounded.
 *
 * Must never know: whose tree it is, and what the figures are for.
 */
#ifndef HEARTH_FOOTPRINT_H
#define HEARTH_FOOTPRINT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Processes of a tree whose memory is read exactly; of further ones, the
 * smaller, it is estimated. */
#define FOOTPRINT_EXACT 64
/* Processes of a tree that are looked at at all. */
#define FOOTPRINT_MOST 4096
/* After so many readings of a tree its memory is read again in any case: the
 * share of what it shares with others changes without it. */
#define FOOTPRINT_STALE 60

struct footprint {
	int64_t pss_kb;
	int64_t cpu_ms;     /* used by all that is or was in it; it may shrink
	                     * when processes end that nobody waits for */
	int processes;
};

/* What was read of all trees before. */
struct footprints;

/* After reading a process's memory it pauses for so many times as long as that
 * took; 0: not at all. */
struct footprints *footprints_new(unsigned pause);
/*
 * The processes below roots (which are not counted themselves) as one tree.
 * serial names the tree from reading to reading.
 */
void footprints_read(struct footprints *f, int64_t serial, const pid_t *roots,
    size_t n, struct footprint *out);
/* How many processes' memory was read so far. */
int64_t footprints_reads(const struct footprints *f);
/* Forgets the trees that were not read for some rounds; ends a round. */
void footprints_end_round(struct footprints *f);
void footprints_free(struct footprints **f);

#endif
