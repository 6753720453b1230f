/* SPDX-License-Identifier: MIT */
/* Notes of what was announced; see the header. */
#include "bench/heard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/stats.h"

void
heard_add(struct heard *h, const PGnotify *n)
{
	const char *chat = strstr(n->extra, "\"chat\"");
	const char *seq = strstr(n->extra, "\"seq\"");
	struct heard_note *note;

	if (strcmp(n->relname, "hearth_events") != 0 || !chat || !seq)
		return;
	if (h->n == h->room) {
		h->room = h->room ? 2 * h->room : 1024;
		h->at = realloc(h->at, h->room * sizeof *h->at);
		if (!h->at)
			abort();
	}
	note = &h->at[h->n++];
	chat += 6 + strspn(chat + 6, ": \"");
	snprintf(note->chat, sizeof note->chat, "%.36s", chat);
	note->seq = atoll(seq + 5 + strspn(seq + 5, ": "));
	note->at = now();
}

static int
compare(const void *a, const void *b)
{
	const struct heard_note *x = a, *y = b;
	int chats = strcmp(x->chat, y->chat);

	return chats ? chats : (x->at > y->at) - (x->at < y->at);
}

void
heard_sort(struct heard *h)
{
	if (h->n > 0)
		qsort(h->at, h->n, sizeof *h->at, compare);
}

double
heard_of(const struct heard *h, const char *chat, int64_t seq)
{
	size_t begin = 0, end = h->n;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (strcmp(h->at[middle].chat, chat) < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	for (; begin < h->n && strcmp(h->at[begin].chat, chat) == 0; begin++)
		if (h->at[begin].seq >= seq)
			return h->at[begin].at;
	return 0;
}

void
heard_clear(struct heard *h)
{
	free(h->at);
	*h = (struct heard){ 0 };
}
