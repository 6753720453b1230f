/* SPDX-License-Identifier: MIT */
/*
 * Chained hash table (FNV-1a), doubled when it holds more entries than
 * buckets.
 */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct map_entry {
	struct map_entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

static uint64_t
hash_of(const char *key)
{
	uint64_t h = 14695981039346656037u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211u;
	return h;
}

/* The link that points at key's entry, or at the NULL where it would go. */
static struct map_entry **
link_of(const struct map *m, const char *key, uint64_t hash)
{
	struct map_entry **link = &m->buckets[hash & (m->size - 1)];

	while (*link && ((*link)->hash != hash ||
	    strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static void
grow(struct map *m)
{
	size_t size = m->size ? m->size * 2 : 16;
	struct map_entry **buckets = xcalloc(size, sizeof *buckets);

	for (size_t i = 0; i < m->size; i++) {
		struct map_entry *e = m->buckets[i], *next;

		for (; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (size - 1)];
			buckets[e->hash & (size - 1)] = e;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->size = size;
}

void *
map_get(const struct map *m, const char *key)
{
	struct map_entry *e;

	if (m->count == 0)
		return NULL;
	e = *link_of(m, key, hash_of(key));
	return e ? e->value : NULL;
}

void
map_set(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct map_entry **link;
	size_t n = strlen(key) + 1;

	if (m->count >= m->size)
		grow(m);
	link = link_of(m, key, hash);
	if (!*link) {
		*link = xcalloc(1, sizeof **link + n);
		memcpy((*link)->key, key, n);
		(*link)->hash = hash;
		m->count++;
	}
	(*link)->value = value;
}

void *
map_remove(struct map *m, const char *key)
{
	struct map_entry **link, *e;
	void *value;

	if (m->count == 0)
		return NULL;
	link = link_of(m, key, hash_of(key));
	e = *link;
	if (!e)
		return NULL;
	*link = e->next;
	value = e->value;
	free(e);
	m->count--;
	return value;
}

void
map_each(struct map *m, void (*fn)(void *value, void *ctx), void *ctx)
{
	for (size_t i = 0; i < m->size; i++) {
		struct map_entry *e = m->buckets[i], *next;

		for (; e; e = next) {
			next = e->next;
			fn(e->value, ctx);
		}
	}
}

void
map_free(struct map *m)
{
	for (size_t i = 0; i < m->size; i++) {
		struct map_entry *e = m->buckets[i], *next;

		for (; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(m->buckets);
	*m = (struct map){ 0 };
}
