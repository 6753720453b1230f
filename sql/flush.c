/* SPDX-License-Identifier: MIT */
/*
 * One flush: what is queued goes out as one transaction (the fence, the events
 * as one statement of arrays, then the other items one by one), and behind it
 * the notifications, all in one write.
 *
 * Outcomes: stored (items are freed, barriers become due); uncertain because
 * the connection was lost, or to be tried again, or the data's fault (the
 * items go back to the head of the queue, in order); fenced (the items of the
 * lost sessions are dropped). Sending an item a second time changes nothing,
 * see the header of each file in sql/statements.
 *
 * Read on in repair.c for poison, flush_quick.c for short turns and notes.c for
 * what readers are told.
 */
#include "sql/recorder_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

/* More rows at a time are slower: the server's memory for their arrays comes
 * from the kernel anew for each flush. */
enum { FLUSH_ITEMS = 1500, FLUSH_BYTES = 4 << 20 };

/*
 * Moves items from queue to flight. A unit is an item, or a whole group. The
 * group that is being recorded right now waits until it is complete.
 */
static void
take(struct recorder *r)
{
	size_t units = 0, bytes = 0;
	unsigned group = 0;

	r->flying = 0;
	LIST_EACH(pos, tmp, &r->queue) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (!it->group || it->group != group) {
			if ((r->limit && units >= r->limit) ||
			    r->flying >= FLUSH_ITEMS || bytes >= FLUSH_BYTES ||
			    (it->group && it->group == r->group))
				break;
			units++;
		}
		group = it->group;
		bytes += it->size;
		if (it->chat)
			it->chat->open_text = NULL;
		list_remove(&it->node);
		list_append(&r->flight, &it->node);
		r->queued--;
		r->flying++;
	}
	/* Whatever waits behind a full flush need not wait for its time. */
	r->is_urgent = !list_empty(&r->queue);
}

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
add_event(struct recorder *r, const struct item *it, int64_t now)
{
	struct sql_array *a = r->array;
	struct buf *json = &a[A_PAYLOAD].b;

	array_uuid(&a[A_CHAT], it->chat->chat);
	array_int8(&a[A_SEQ], it->seq);
	if (it->turn)
		array_int8(&a[A_TURN], it->turn);
	else
		array_null(&a[A_TURN]);
	array_string(&a[A_AGENT], it->agent);
	array_string(&a[A_KIND], it->kind == ITEM_EVENT ? it->event :
	    it->reasoning ? "reasoning" : "text");
	array_bool(&a[A_REPAIRED], it->repaired);
	array_int8(&a[A_AGE], now - it->at);
	array_json_open(&a[A_PAYLOAD]);
	if (it->kind == ITEM_EVENT) {
		buf_add(json, it->text.data, it->text.len);
	} else {
		buf_adds(json, "{\"text\":");
		buf_json(json, it->text.data, it->text.len);
		if (it->message_id) {
			buf_adds(json, ",\"message_id\":");
			buf_json(json, it->message_id, strlen(it->message_id));
		}
		buf_addc(json, '}');
	}
	array_json_close(&a[A_PAYLOAD]);
}

static void
begin_arrays(struct recorder *r)
{
	struct sql_array *a = r->array;

	array_begin(&a[A_HEAD_CHATS], SQL_UUID);
	array_begin(&a[A_HEAD_SEQS], SQL_INT8);
	array_begin(&a[A_CHAT], SQL_UUID);
	array_begin(&a[A_SEQ], SQL_INT8);
	array_begin(&a[A_TURN], SQL_INT8);
	array_begin(&a[A_AGENT], SQL_TEXT);
	array_begin(&a[A_KIND], SQL_TEXT);
	array_begin(&a[A_PAYLOAD], SQL_JSONB);
	array_begin(&a[A_REPAIRED], SQL_BOOL);
	array_begin(&a[A_AGE], SQL_INT8);
}

/* The session is fenced, and its chat's last_seq rises, once per flush. */
static void
note_chat(struct recorder *r, const struct item *it)
{
	struct chat_log *chat = it->chat;

	if (chat->flush != r->flush) {
		chat->flush = r->flush;
		chat->flush_seq = 0;
		chat->flush_start = NULL;
		array_uuid(&r->array[A_SESSIONS], chat->session);
	}
	if (it->seq > chat->flush_seq)
		chat->flush_seq = it->seq;
}

static void
on_statement(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct item *it = ctx;
	struct recorder *r = it->chat ? it->chat->r : it->ctx;

	(void)res;
	if (e && e->state[0] && !r->failure.state[0]) {
		r->failure = *e;
		r->offender = it;
	}
}

static void
on_fence(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct recorder *r = ctx;

	(void)res;
	if (e && e->state[0] && !r->failure.state[0])
		r->failure = *e;
}

static void
on_batch(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct recorder *r = ctx;

	if (e && e->state[0] && !r->failure.state[0])
		r->failure = *e;
	if (res && !r->is_uncertain && *PQcmdTuples((PGresult *)res) &&
	    atoi(PQcmdTuples((PGresult *)res)) < r->array[A_SEQ].n)
		log_warning("recorder", "%d events were sent, %s were stored: "
		    "a chat is gone, or they were there already",
		    r->array[A_SEQ].n, PQcmdTuples((PGresult *)res));
}

/* What may be stored already is sent in a way that costs twice as much. */
static int
events_statement(const struct recorder *r)
{
	return r->is_uncertain ? r->s_events_again : r->s_events;
}

static void
send_events(struct recorder *r, conn_result_fn *done, void *ctx)
{
	struct params p = { 0 };

	for (int i = A_HEAD_CHATS; i <= A_AGE; i++)
		params_array(&p, &r->array[i]);
	conn_send(r->conn, events_statement(r), &p, done, ctx);
}

static void
add_heads(struct recorder *r)
{
	LIST_EACH(pos, tmp, &r->flight) {
		struct item *it = LIST_ITEM(pos, struct item, node);
		struct chat_log *chat = it->chat;

		if (!chat || !it->seq || it->seq != chat->flush_seq)
			continue;
		array_uuid(&r->array[A_HEAD_CHATS], chat->chat);
		array_int8(&r->array[A_HEAD_SEQS], chat->flush_seq);
		chat->written_at = clock_ms();
	}
}

/* One statement for each event, so that the one that fails is known. */
static void
send_events_singly(struct recorder *r, int64_t now)
{
	LIST_EACH(pos, tmp, &r->flight) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->kind != ITEM_TEXT && it->kind != ITEM_EVENT)
			continue;
		begin_arrays(r);
		array_uuid(&r->array[A_HEAD_CHATS], it->chat->chat);
		array_int8(&r->array[A_HEAD_SEQS], it->seq);
		add_event(r, it, now);
		send_events(r, on_statement, it);
	}
	begin_arrays(r);
}

static void
send_all_events(struct recorder *r, int64_t now)
{
	begin_arrays(r);
	if (r->is_careful) {
		send_events_singly(r, now);
	} else {
		LIST_EACH(pos, tmp, &r->flight) {
			struct item *it = LIST_ITEM(pos, struct item, node);

			if (it->kind == ITEM_TEXT || it->kind == ITEM_EVENT)
				add_event(r, it, now);
		}
	}
	add_heads(r);
	if (r->array[A_HEAD_CHATS].n)
		send_events(r, on_batch, r);
}

static void
send_statement(struct recorder *r, struct item *it, int64_t now)
{
	struct params p = { 0 };

	for (int i = 0; i < it->n; i++) {
		if (i == it->age)
			params_int8(&p, now - it->at);
		else
			params_text(&p, it->param[i]);
	}
	if (!it->chat)
		it->ctx = r;
	conn_send(r->conn, it->statement, &p, on_statement, it);
}

static void
send_fence(struct recorder *r)
{
	struct params p = { 0 };

	params_int8(&p, r->flush);
	params_int8(&p, r->node);
	params_int8(&p, r->epoch);
	params_array(&p, &r->array[A_SESSIONS]);
	conn_send(r->conn, r->s_fence, &p, on_fence, r);
}

/* Before the transaction: what it needs, and what it is about. */
static void
survey(struct recorder *r)
{
	array_begin(&r->array[A_SESSIONS], SQL_UUID);
	LIST_EACH(pos, tmp, &r->flight) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->chat)
			note_chat(r, it);
		if (it->kind != ITEM_STATEMENT)
			continue;
		quick_join(r, it);
		conn_need(r->conn, it->statement);
	}
	/* Readers hear of a turn's events before they hear of its end. */
	LIST_EACH(pos, tmp, &r->flight) {
		const struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->chat && it->seq && it->seq == it->chat->flush_seq)
			notes_add_events(r, it->chat);
	}
	LIST_EACH(pos, tmp, &r->flight) {
		const struct item *it = LIST_ITEM(pos, struct item, node);

		if (!it->is_joined)
			notes_add_item(r, it);
	}
}

static void on_stored(void *ctx, const PGresult *res,
    const struct sql_error *e);

void
flush_send(struct recorder *r)
{
	int64_t now = clock_ms();

	if (++r->flush == 0)
		r->flush = 1;
	take(r);
	if (list_empty(&r->flight) && !notes_need(r))
		return;
	r->failure.state[0] = '\0';
	r->offender = NULL;
	conn_need(r->conn, r->s_fence);
	conn_need(r->conn, events_statement(r));
	conn_need(r->conn, r->s_notify);
	survey(r);
	notes_need(r);
	r->in_flight = true;
	send_fence(r);
	send_all_events(r, now);
	LIST_EACH(pos, tmp, &r->flight) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->kind != ITEM_STATEMENT || it->is_joined)
			continue;
		if (it->start)
			quick_send(r, it, now, on_statement);
		else
			send_statement(r, it, now);
	}
	conn_sync(r->conn, on_stored, r);
	if (notes_need(r))
		notes_send(r);
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

static void
drop_chat_items(struct recorder *r, struct chat_log *chat)
{
	chat->opens++;  /* it outlives its items here */
	LIST_EACH(pos, tmp, &r->queue) {
		struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->chat != chat)
			continue;
		if (it->command)
			command_lose(r, it->command);
		r->queued--;
		item_free(r, it);
	}
	chat_fence(chat);
	chat->opens--;
	if (!chat->opens) {
		free(chat->session);
		free(chat->chat);
		free(chat);
	}
}

struct fenced {
	struct recorder *r;
	const char *session;
};

static void
drop_if_fenced(void *value, void *ctx)
{
	struct chat_log *chat = value;
	const struct fenced *f = ctx;

	if (strcmp(chat->session, f->session) == 0)
		drop_chat_items(f->r, chat);
}

/* Another node has these sessions (or they were deleted). */
static void
on_fenced(struct recorder *r, char *sessions)
{
	char *rest = NULL;
	size_t lost = 0;

	for (char *s = strtok_r(sessions, ", ", &rest); s;
	    s = strtok_r(NULL, ", ", &rest)) {
		struct fenced f = { r, s };
		size_t before = r->queued;

		/* Cut off at the end of a long list: the next flush says. */
		if (strlen(s) != 36)
			continue;
		lost++;
		map_each(&r->chats, drop_if_fenced, &f);
		log_warning("recorder", "session %s belongs to another node or "
		    "is gone: %zu items dropped", s, before - r->queued);
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

static void
on_stored(void *ctx, const PGresult *res, const struct sql_error *e)
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
