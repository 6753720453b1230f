/* SPDX-License-Identifier: MIT */
/*
 * The writer's memory: what is queued, the numbering of each chat, and the
 * decision when to flush, which on_prepare() takes once per wake-up of the
 * loop.
 *
 * Invariants: an item is in `queue` or in `flight`, in the order in which it
 * was handed in; a chat is in `chats` as long as it has a log, an item, or was
 * in use within the last minute (an answer of the claim may still carry an
 * older last_seq). Callbacks run from the loop only.
 *
 * Must never know: libpq's results. Read on in recorder_turns.c and flush.c.
 */
#include "sql/recorder_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sql/statement.h"

enum { FORGET_AFTER = 60000 };            /* milliseconds */
/* One chat's share of the budget is an eighth: one that floods must not stop
 * the others. */
enum { SHARES = 8 };
/* So many are worth a flush of their own: waiting would not merge them. */
enum { ITEMS_WORTH_IT = 1000 };
/* Of an array's memory, from one flush to the next, when there is a pause. */
enum { KEEP_BYTES = 64 * 1024 };
static const double PAUSE_FIRST = 0.1, PAUSE_LAST = 10; /* seconds */

static void
free_chat(struct chat_log *chat)
{
	free(chat->session);
	free(chat->chat);
	free(chat);
}

static void
release_chat(struct chat_log *chat)
{
	if (chat->opens || chat->items)
		return;
	chat->unused_since = clock_ms();
	if (chat->is_fenced)
		free_chat(chat);
}

struct chat_log *
chat_log_open(struct recorder *r, const char *session, const char *chat,
    int64_t last_seq)
{
	struct chat_log *log = map_get(&r->chats, chat);

	if (!log) {
		log = xcalloc(1, sizeof *log);
		log->r = r;
		log->session = xstrdup(session);
		log->chat = xstrdup(chat);
		log->written_at = INT64_MIN / 2;
		map_set(&r->chats, chat, log);
	}
	log->opens++;
	if (last_seq > log->last_seq)
		log->last_seq = last_seq;
	return log;
}

void
chat_log_close(struct chat_log **log)
{
	struct chat_log *chat = *log;

	if (!chat)
		return;
	*log = NULL;
	MUST(chat->opens > 0);
	chat->opens--;
	release_chat(chat);
}

int64_t
chat_log_last_seq(const struct chat_log *log)
{
	return log->last_seq;
}

bool
chat_log_is_full(const struct chat_log *log)
{
	return log->is_full;
}

void
chat_fence(struct chat_log *chat)
{
	if (chat->is_fenced)
		return;
	chat->is_fenced = true;
	chat->open_text = NULL;
	list_remove(&chat->in_turned);
	map_remove(&chat->r->chats, chat->chat);
	release_chat(chat);
}

static void
forget(void *value, void *ctx)
{
	struct chat_log *chat = value;
	struct recorder *r = ctx;

	if (chat->opens || chat->items ||
	    clock_ms() - chat->unused_since < FORGET_AFTER)
		return;
	map_remove(&r->chats, chat->chat);
	free_chat(chat);
}

static void
on_sweep(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct recorder *r = w->data;

	(void)loop, (void)events;
	map_each(&r->chats, forget, r);
	for (int i = A_HEAD_CHATS; i <= A_AGE && !r->in_flight; i++)
		buf_reset(&r->array[i].b, KEEP_BYTES);
}

struct item *
item_new(struct recorder *r, struct chat_log *chat, enum item_kind kind)
{
	struct item *it = xcalloc(1, sizeof *it);

	it->kind = kind;
	it->chat = chat;
	it->group = r->group;
	it->at = clock_ms();
	it->age = -1;
	return it;
}

static size_t
size_of(const struct item *it)
{
	size_t size = sizeof *it + it->text.len;

	size += it->agent ? strlen(it->agent) + 1 : 0;
	size += it->message_id ? strlen(it->message_id) + 1 : 0;
	for (int i = 0; i < it->n; i++)
		size += it->param[i] ? strlen(it->param[i]) + 1 : 0;
	return size;
}

void
chat_count(struct chat_log *chat, ptrdiff_t bytes)
{
	struct recorder *r = chat->r;
	size_t share = r->budget / SHARES;

	chat->bytes += (size_t)bytes;
	if (chat->is_fenced || (chat->is_full ? chat->bytes >= share / 2 :
	    chat->bytes <= share))
		return;
	chat->is_full = !chat->is_full;
	if (list_linked(&chat->in_turned)) /* and back, before it was told */
		list_remove(&chat->in_turned);
	else
		list_append(&r->turned, &chat->in_turned);
}

void
item_queue(struct recorder *r, struct item *it, bool urgent)
{
	it->size = size_of(it);
	r->bytes += it->size;
	if (it->chat) {
		it->chat->items++;
		chat_count(it->chat, (ptrdiff_t)it->size);
		it->chat->open_text = it->kind == ITEM_TEXT ? it : NULL;
	}
	list_append(&r->queue, &it->node);
	r->queued++;
	if (urgent)
		r->is_urgent = true;
}

void
item_free(struct recorder *r, struct item *it)
{
	list_remove(&it->node);
	r->bytes -= it->size;
	if (it->chat) {
		if (it->chat->open_text == it)
			it->chat->open_text = NULL;
		it->chat->items--;
		chat_count(it->chat, -(ptrdiff_t)it->size);
		release_chat(it->chat);
	}
	for (int i = 0; i < it->n; i++)
		free(it->param[i]);
	free(it->event);
	free(it->agent);
	free(it->message_id);
	buf_free(&it->text);
	free(it->note);
	free(it);
}

void
record_barrier(struct recorder *r, void (*done)(void *ctx), void *ctx)
{
	struct item *it = item_new(r, NULL, ITEM_BARRIER);

	it->done = done;
	it->ctx = ctx;
	item_queue(r, it, true);
}

void
record_begin(struct recorder *r)
{
	if (r->group_depth++ > 0)
		return;
	if (++r->last_group == 0)
		r->last_group = 1;
	r->group = r->last_group;
}

void
record_end(struct recorder *r)
{
	MUST(r->group_depth > 0);
	if (--r->group_depth == 0)
		r->group = 0;
}

void
pause_flushing(struct recorder *r, const char *why)
{
	log_warning("recorder", "%s; trying again in %.1f s (%zu items, "
	    "%zu bytes wait)", why, r->pause_s, r->queued, r->bytes);
	ev_timer_stop(r->loop, &r->pause);
	ev_timer_set(&r->pause, r->pause_s, 0);
	ev_timer_start(r->loop, &r->pause);
	r->pause_s = r->pause_s * 2 > PAUSE_LAST ? PAUSE_LAST : r->pause_s * 2;
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int events)
{
	/* It only wakes the loop: on_prepare() decides. */
	(void)loop, (void)w, (void)events;
}

/* Barriers with nothing in front of them need no flush. */
static void
ripen_barriers(struct recorder *r)
{
	while (list_empty(&r->flight) && !list_empty(&r->queue)) {
		struct list *node = r->queue.next;

		if (LIST_ITEM(node, struct item, node)->kind != ITEM_BARRIER)
			break;
		list_remove(node);
		list_append(&r->done, node);
		r->queued--;
	}
}

static void
run_barriers(struct recorder *r)
{
	ripen_barriers(r);
	while (!list_empty(&r->done)) {
		struct item *it = LIST_ITEM(r->done.next, struct item, node);
		void (*done)(void *ctx) = it->done;
		void *ctx = it->ctx;

		item_free(r, it);
		done(ctx);
		ripen_barriers(r);
	}
}

static void
tell_pressure(struct recorder *r)
{
	while (!list_empty(&r->turned)) {
		struct chat_log *chat = LIST_ITEM(r->turned.next,
		    struct chat_log, in_turned);

		list_remove(&chat->in_turned);
		r->cb->chat_pressure(r->ctx, chat->session, chat->chat,
		    chat->is_full);
	}
	if (!r->is_full && r->bytes > r->budget)
		r->is_full = true;
	else if (r->is_full && r->bytes < r->budget / 2)
		r->is_full = false;
	else
		return;
	r->cb->pressure(r->ctx, r->is_full);
}

static bool
has_notes(const struct recorder *r)
{
	return r->array[A_CHANNEL].n || r->array[A_EXECUTION].n ||
	    r->array[A_CHANGE_PATH].n;
}

/* Whether to flush now; else sees to it that the loop wakes up in time. */
static bool
is_due(struct recorder *r)
{
	int64_t left;

	if (list_empty(&r->queue))
		return has_notes(r);
	if (r->is_urgent || r->queued >= ITEMS_WORTH_IT)
		return true;
	left = LIST_ITEM(r->queue.next, struct item, node)->at + r->interval -
	    clock_ms();
	if (left <= 0)
		return true;
	if (!ev_is_active(&r->due)) {
		ev_timer_set(&r->due, (double)left / 1000, 0);
		ev_timer_start(r->loop, &r->due);
	}
	return false;
}

static void
on_prepare(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	struct recorder *r = w->data;

	(void)loop, (void)events;
	run_barriers(r);
	tell_pressure(r);
	if (!r->conn || !conn_is_up(r->conn) || r->in_flight ||
	    r->notes_in_flight || ev_is_active(&r->pause) || !is_due(r))
		return;
	ev_timer_stop(r->loop, &r->due);
	flush_send(r);
}

struct recorder *
recorder_new(struct ev_loop *loop, int64_t interval, size_t budget,
    const struct recorder_callbacks *cb, void *ctx)
{
	struct recorder *r = xcalloc(1, sizeof *r);

	r->loop = loop;
	r->cb = cb;
	r->ctx = ctx;
	r->interval = interval;
	r->budget = budget;
	r->pause_s = PAUSE_FIRST;
	list_init(&r->queue);
	list_init(&r->flight);
	list_init(&r->done);
	list_init(&r->turned);
	notes_begin(r);
	r->s_fence = statement_find("fence");
	r->s_events = statement_find("events");
	r->s_events_again = statement_find("events_again");
	r->s_notify = statement_find("notify");
	r->s_notify_permissions = statement_find("notify_permissions");
	r->s_notify_changes = statement_find("notify_changes");
	r->s_turn_started = statement_find("turn_started");
	r->s_turn_end = statement_find("turn_end");
	r->s_turn_quick = statement_find("turn_quick");
	ev_prepare_init(&r->prepare, on_prepare);
	ev_timer_init(&r->due, on_timer, 0, 0);
	ev_timer_init(&r->pause, on_timer, 0, 0);
	ev_timer_init(&r->sweep, on_sweep, 30, 30);
	r->prepare.data = r->due.data = r->pause.data = r->sweep.data = r;
	ev_prepare_start(loop, &r->prepare);
	ev_timer_start(loop, &r->sweep);
	return r;
}

static void
free_items(struct recorder *r, struct list *list)
{
	LIST_EACH(pos, tmp, list)
		item_free(r, LIST_ITEM(pos, struct item, node));
}

static void
free_value(void *value, void *ctx)
{
	(void)ctx;
	free_chat(value);
}

void
recorder_free(struct recorder **rp)
{
	struct recorder *r = *rp;

	if (!r)
		return;
	ev_prepare_stop(r->loop, &r->prepare);
	ev_timer_stop(r->loop, &r->due);
	ev_timer_stop(r->loop, &r->pause);
	ev_timer_stop(r->loop, &r->sweep);
	free_items(r, &r->queue);
	free_items(r, &r->flight);
	free_items(r, &r->done);
	map_each(&r->chats, free_value, NULL);
	map_free(&r->chats);
	for (int i = 0; i < ARRAYS; i++)
		array_free(&r->array[i]);
	free(r);
	*rp = NULL;
}

void
recorder_attach(struct recorder *r, struct conn *conn, int64_t node,
    int64_t epoch)
{
	r->conn = conn;
	r->node = r->last_node = node;
	r->epoch = epoch;
	r->pause_s = PAUSE_FIRST;
	ev_timer_stop(r->loop, &r->pause);
}

void
recorder_detach(struct recorder *r)
{
	r->conn = NULL;
}
