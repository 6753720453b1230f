/* SPDX-License-Identifier: MIT */
/* /proc/meminfo for all of it, /sys/block for each zram device in use. */
#include "pool/swap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* mem_used_total of a zram device. */
static int64_t
zram_kb(const char *name)
{
	char path[64];
	int64_t used = 0;
	FILE *f;

	snprintf(path, sizeof path, "/sys/block/%.20s/mm_stat", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*d %*d %" SCNd64, &used) != 1)
		used = 0;
	fclose(f);
	return used / 1024;
}

static int64_t
all_zram_kb(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[512];
	int64_t sum = 0;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, " \t\n")] = '\0';
		if (strncmp(line, "/dev/zram", 9) == 0)
			sum += zram_kb(line + 5);
	}
	if (f)
		fclose(f);
	return sum;
}

void
swap_read(struct swap *s)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	int64_t kb;

	*s = (struct swap){ .total_kb = 0 };
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "SwapTotal: %" SCNd64, &kb) == 1)
			s->total_kb = kb;
		else if (sscanf(line, "SwapFree: %" SCNd64, &kb) == 1)
			s->free_kb = kb;
		else if (sscanf(line, "Zswap: %" SCNd64, &kb) == 1)
			s->ram_kb += kb;
	}
	if (f)
		fclose(f);
	if (s->total_kb > 0)
		s->ram_kb += all_zram_kb();
}

int64_t
swap_cost_kb(const struct swap *s, int64_t swapped_kb)
{
	int64_t used = s->total_kb - s->free_kb;

	if (used <= 0)
		return 0;
	/* metadata of a device that is nearly empty is nobody's */
	if (s->ram_kb >= used)
		return swapped_kb;
	return (int64_t)((double)swapped_kb * (double)s->ram_kb /
	    (double)used);
}
