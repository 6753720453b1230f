/* SPDX-License-Identifier: MIT */
/*
 * The machine's swap, and what of it is memory after all: zram and zswap keep
 * pages compressed in RAM, so what is swapped out still costs a part of its
 * size there.
 *
 * Part of the helper program hearth-memory.
 */
#ifndef HEARTH_SWAP_H
#define HEARTH_SWAP_H

#include <stdint.h>

struct swap {
	int64_t total_kb;  /* 0: there is none */
	int64_t free_kb;
	int64_t ram_kb;    /* that zram and zswap take for what is in it */
};

void swap_read(struct swap *s);
/* What so many kB in it cost in RAM: as all of it does, on average. Pure. */
int64_t swap_cost_kb(const struct swap *s, int64_t swapped_kb);

#endif
