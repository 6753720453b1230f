/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a flush: stored (items are freed, barriers become due);
 * uncertain because the connection was lost, or to be tried again, or the
 * data's fault (the items go back to the head of the queue, in order); fenced
 * (the items of the lost sessions are dropped).
 *
 * Read on in repair.c for poison.
 */
#include "sql/recorder_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static size_t
count_units(const struct recorder *r)
{
	size_t units = 0;
	unsigned group = 0;

	LIST_EACH(pos, tmp, &r->flight) {
		const struct item *it = LIST_ITEM(pos, struct item, node);

		if (!it->group || it->group != group)
			units++;
		group = it->group;
	}
	return units;
}

void
flush_undo(struct recorder *r)
{
	struct list *at = &r->queue;

	while (!list_empty(&r->flight)) {
		struct list *node = r->flight.prev;

		list_remove(node);
		/* in front of what stands first */
		list_append(at->next, node);
		r->queued++;
	}
	r->flying = 0;
	r->is_urgent = !list_empty(&r->queue);
}

static void
finish(struct recorder *r)
{
	LIST_EACH(pos, tmp, &r->flight) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->kind == ITEM_BARRIER) {
			list_remove(pos);
			list_append(&r->done, pos);
		} else {
			item_free(r, it);
		}
	}
	r->flying = 0;
	r->is_careful = false;
	r->is_uncertain = false;
	/* After poison: twice as many, until all is as usual again. */
	if (r->limit && (r->limit *= 2) > FLUSH_ITEMS)
		r->limit = 0;
	r->pause_s = 0.1;
}

static bool
is_class(const struct sql_error *e, const char *classes)
{
	for (; *classes; classes += 2) {
		if (e->state[0] == classes[0] && e->state[1] == classes[1])
			return true;
	}
	return false;
}

/* Returns how many. */
static size_t
drop_chat_items(struct recorder *r, struct chat_log *chat)
{
	size_t dropped = 0;

	chat->opens++;  /* it outlives its items here */
	LIST_EACH(pos, tmp, &r->queue) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->chat != chat)
			continue;
		if (it->command)
			command_lose(r, it->command);
		r->queued--;
		dropped++;
		item_free(r, it);
	}
	chat_fence(chat);
	chat->opens--;
	if (!chat->opens) {
		free(chat->session);
		free(chat->chat);
		free(chat);
	}
	return dropped;
}

struct fenced {
	struct recorder *r;
	const char *session;
	size_t dropped;
};

static void
drop_if_fenced(void *value, void *ctx)
{
	struct chat_log *chat = value;
	struct fenced *f = ctx;

	if (strcmp(chat->session, f->session) == 0)
		f->dropped += drop_chat_items(f->r, chat);
}

/* Another node has these sessions (or they were deleted). */
static void
on_fenced(struct recorder *r, char *sessions)
{
	char *rest = NULL;
	size_t lost = 0;

	for (char *s = strtok_r(sessions, ", ", &rest); s;
	    s = strtok_r(NULL, ", ", &rest)) {
		struct fenced f = { r, s, 0 };

		/* Cut off at the end of a long list: the next flush says. */
		if (strlen(s) != 36)
			continue;
		lost++;
		map_each(&r->chats, drop_if_fenced, &f);
		log_warning("recorder", "session %s belongs to another node or "
		    "is gone: %zu items dropped", s, f.dropped);
		r->cb->fenced(r->ctx, s);
	}
	if (lost == 0)
		pause_flushing(r, "fenced, and PostgreSQL does not say which "
		    "session");
}

static void
on_failure(struct recorder *r)
{
	struct sql_error e = r->failure;
	struct item *offender = r->offender;
	size_t units = count_units(r), items = r->flying;
	char why[768];

	flush_undo(r);
	snprintf(why, sizeof why, "PostgreSQL: %s (SQLSTATE %s)", e.text,
	    e.state);
	if (strcmp(e.state, "HE002") == 0) {
		on_fenced(r, e.detail);
	} else if (is_class(&e, "08" "57" "0A" "26")) {
		/* or a plan from before the schema's upgrade */
		conn_drop(r->conn, why);
	} else if (is_class(&e, "40" "53" "55" "58" "XX" "25")) {
		pause_flushing(r, why);
	} else if (strcmp(e.state, "23505") == 0 && !r->is_uncertain) {
		/* Events that are there already: only the others are new. */
		log_error("recorder", "%s (%s)", why, e.detail);
		r->is_uncertain = true;
	} else if (is_class(&e, "42" "3F" "28")) {
		pause_flushing(r, why);
		r->cb->fatal(r->ctx, why);
	} else {
		repair(r, &e, offender, units, items);
	}
}

void
flush_on_ended(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct recorder *r = ctx;

	(void)res;
	r->in_flight = false;
	if (e && e->state[0] && !r->failure.state[0])
		r->failure = *e;
	if (!r->failure.state[0]) {
		finish(r);
	} else if (e && is_class(e, "08")) {
		/* Uncertain: it is sent again over the next connection. */
		r->is_uncertain = true;
		flush_undo(r);
	} else {
		on_failure(r);
	}
}
