/* SPDX-License-Identifier: MIT */
/*
 * A hash table from strings to pointers. Keys are copied; values are the
 * caller's. A zeroed struct is an empty map.
 */
#ifndef HEARTH_MAP_H
#define HEARTH_MAP_H

#include <stddef.h>

struct map_entry;

struct map {
	struct map_entry **buckets;
	size_t size;   /* number of buckets, a power of two */
	size_t count;  /* entries */
};

void *map_get(const struct map *m, const char *key); /* NULL: not there */
void map_set(struct map *m, const char *key, void *value);
void *map_remove(struct map *m, const char *key);    /* what was there */
/*
 * Calls fn for each value; fn may remove the entry it is called for, and no
 * other change is allowed meanwhile.
 */
void map_each(struct map *m, void (*fn)(void *value, void *ctx), void *ctx);
void map_free(struct map *m);                        /* not the values */

#endif
