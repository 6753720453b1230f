/* SPDX-License-Identifier: MIT */
/*
 * What each record_*() about texts, events and turns means: which statement
 * with which parameters, which notification. One function here is one file in
 * sql/statements, whose header comment numbers the parameters.
 *
 * Times are sent as an age in milliseconds, so that only the server's clock
 * counts, however long the item waited. Must never know: when or how it is
 * sent (recorder.c, flush.c).
 */
#include "sql/recorder_build.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

/* More text than this is a new event, whatever it is neighbour of. */
enum { TEXT_EVENT_BYTES = 64 * 1024 };

static bool
same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool
joins(const struct item *it, int64_t turn, const char *agent, bool reasoning,
    const char *message_id, size_t len)
{
	return it && it->chat->r->interval > 0 && it->turn == turn &&
	    it->reasoning == reasoning &&
	    it->group == it->chat->r->group && same(it->agent, agent) &&
	    same(it->message_id, message_id) &&
	    it->text.len + len <= TEXT_EVENT_BYTES;
}

/* The first text of a turn, or of a chat after silence, does not wait. */
static bool
is_first(const struct chat_log *log, int64_t turn)
{
	return log->text_turn != turn ||
	    clock_ms() - log->written_at >= log->r->interval;
}

void
record_text(struct chat_log *log, int64_t turn, const char *agent,
    bool reasoning, const char *message_id, const char *text, size_t len,
    bool repaired)
{
	struct recorder *r = log->r;
	struct item *it = log->open_text;
	bool urgent;

	if (log->is_fenced || len == 0)
		return;
	if (joins(it, turn, agent, reasoning, message_id, len)) {
		buf_add(&it->text, text, len);
		it->repaired |= repaired;
		it->size += len;
		r->bytes += len;
		chat_count(log, (ptrdiff_t)len);
		return;
	}
	/* A second event in the queue makes nobody wait less. */
	urgent = !it && is_first(log, turn);
	it = item_new(r, log, ITEM_TEXT);
	it->turn = turn;
	it->agent = xstrdup(agent);
	it->message_id = xstrdup(message_id);
	it->reasoning = reasoning;
	it->repaired = repaired;
	it->seq = ++log->last_seq;
	buf_add(&it->text, text, len);
	log->text_turn = turn;
	item_queue(r, it, urgent);
}

void
record_event(struct chat_log *log, int64_t turn, const char *agent,
    const char *kind, const char *payload, size_t len, bool repaired)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_event(log, turn, agent, kind);
	it->repaired = repaired;
	if (payload)
		buf_add(&it->text, payload, len);
	else
		buf_adds(&it->text, "{}");
	item_queue(log->r, it, true);
}

static void
record_turn_prompt(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_start *start)
{
	struct item *it = item_event(log, turn, agent, "turn_started");

	buf_printf(&it->text, "{\"prompt\":%s", start->prompt);
	json_member(&it->text, "created_by", start->created_by);
	json_member(&it->text, "model", start->model);
	json_member(&it->text, "mode_id", start->mode_id);
	buf_addc(&it->text, '}');
	log->started_turn = turn;
	log->started_seq = it->seq;
	item_queue(log->r, it, false);
}

void
record_turn_started(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_start *start)
{
	struct item *it;

	if (log->is_fenced)
		return;
	record_begin(log->r);
	record_turn_prompt(log, turn, agent, start);
	it = item_statement(log->r, log, "turn_started");
	item_add_age(it);
	item_add_int(it, log->started_seq);
	item_add_int(it, turn);
	item_add(it, agent);
	it->turn = turn;
	it->agent = xstrdup(agent);
	if (log->running_turn != turn)
		item_note_status(it, "turn", log->chat, agent, turn, "running");
	item_queue(log->r, it, false);
	record_end(log->r);
}

void
record_turn_running(struct chat_log *log, int64_t turn, const char *agent,
    int64_t execution_id, bool warm)
{
	struct item *it;

	if (log->is_fenced)
		return;
	log->running_turn = turn;
	it = item_statement(log->r, log, "turn_running");
	item_add_age(it);
	item_add_int(it, turn);
	item_add_known(it, execution_id, 1);
	item_add_bool(it, warm);
	item_note_status(it, "turn", log->chat, agent, turn, "running");
	item_queue(log->r, it, true);
}

void
record_turn_requeued(struct chat_log *log, int64_t turn, const char *agent,
    const char *error, int64_t not_before_ms)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "turn_requeued");
	item_add_age(it);
	item_add_int(it, turn);
	item_add(it, error);
	item_add_int(it, not_before_ms);
	item_note_status(it, "turn", log->chat, agent, turn, "queued");
	item_queue(log->r, it, true);
}

void
record_turn_status(struct chat_log *log, int64_t turn, const char *status)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "turn_status");
	item_add_int(it, turn);
	item_add(it, status);
	item_note_status(it, "turn", log->chat, NULL, turn, status);
	item_queue(log->r, it, true);
}

static void
record_turn_ended(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_end *end)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	json_member(&b, "status", end->status);
	json_member(&b, "stop_reason", end->stop_reason);
	if (end->end_reason)
		json_member(&b, "end_reason", end->end_reason);
	if (end->error)
		json_member(&b, "error", end->error);
	if (end->error_code)
		json_member(&b, "error_code", end->error_code);
	if (end->cancelled_by)
		json_member(&b, "cancelled_by", end->cancelled_by);
	if (end->input_tokens >= 0)
		buf_printf(&b, ",\"input_tokens\":%" PRId64,
		    end->input_tokens);
	if (end->output_tokens >= 0)
		buf_printf(&b, ",\"output_tokens\":%" PRId64,
		    end->output_tokens);
	if (end->suspicious)
		buf_adds(&b, ",\"suspicious\":true");
	buf_addc(&b, '}');
	record_event(log, turn, agent, "turn_ended", b.data, b.len, false);
	buf_free(&b);
}

static struct item *
end_statement(struct chat_log *log, const char *name, int64_t turn,
    const struct turn_end *end)
{
	struct item *it = item_statement(log->r, log, name);

	item_add_age(it);
	item_add_int(it, turn);
	item_add(it, end->status);
	item_add(it, end->stop_reason);
	item_add(it, end->end_reason);
	item_add(it, end->error);
	item_add(it, end->error_code);
	item_add(it, end->cancelled_by);
	return it;
}

void
record_turn_end(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_end *end)
{
	struct item *it;

	if (log->is_fenced)
		return;
	record_begin(log->r);
	record_turn_ended(log, turn, agent, end);
	it = end_statement(log, "turn_end", turn, end);
	item_add_known(it, end->input_tokens, 0);
	item_add_known(it, end->output_tokens, 0);
	item_add_bool(it, end->suspicious);
	item_add(it, end->agent_status);
	/* Where its events begin and end; 0: it began before we did. */
	item_add_int(it, log->started_turn == turn ? log->started_seq : 0);
	item_add_int(it, log->last_seq);
	it->turn = turn;
	it->is_plain = log->started_turn == turn &&
	    log->busy_seq < log->started_seq;
	item_note_status(it, "turn", log->chat, agent, turn, end->status);
	item_queue(log->r, it, true);
	record_end(log->r);
}

void
record_queued_turn_end(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_end *end)
{
	struct item *it;

	if (log->is_fenced)
		return;
	record_begin(log->r);
	record_turn_ended(log, turn, agent, end);
	it = end_statement(log, "queued_turn_end", turn, end);
	item_note_status(it, "turn", log->chat, agent, turn, end->status);
	item_queue(log->r, it, true);
	record_end(log->r);
}
