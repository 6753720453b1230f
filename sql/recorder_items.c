/* SPDX-License-Identifier: MIT */
/*
 * What each record_*() means: which events, which statement with which
 * parameters, which notification. One function here is one file in
 * sql/statements, whose header comment numbers the parameters.
 *
 * Times are sent as an age in milliseconds, so that only the server's clock
 * counts, however long the item waited. Must never know: when or how it is
 * sent (recorder.c, flush.c).
 */
#include "sql/recorder_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sql/statement.h"

/* More text than this is a new event, whatever it is neighbour of. */
enum { TEXT_EVENT_BYTES = 64 * 1024 };

static struct item *
statement(struct recorder *r, struct chat_log *log, const char *name)
{
	struct item *it = item_new(r, log, ITEM_STATEMENT);

	it->statement = statement_find(name);
	return it;
}

static void
add(struct item *it, const char *s)
{
	MUST(it->n < ITEM_PARAMS);
	it->param[it->n++] = xstrdup(s);
}

static void
add_json(struct item *it, const char *s)
{
	it->json |= 1u << it->n;
	add(it, s);
}

static void
add_int(struct item *it, int64_t n)
{
	MUST(it->n < ITEM_PARAMS);
	it->param[it->n++] = xasprintf("%" PRId64, n);
}

/* below: what means "not known" */
static void
add_known(struct item *it, int64_t n, int64_t below)
{
	if (n < below)
		add(it, NULL);
	else
		add_int(it, n);
}

static void
add_bool(struct item *it, bool b)
{
	add(it, b ? "t" : "f");
}

static void
add_age(struct item *it)
{
	it->age = it->n;
	add(it, NULL);
}

static void
number_item(struct item *it)
{
	it->seq = ++it->chat->last_seq;
	add_int(it, it->seq);
}

static void
add_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
	if (value)
		buf_json(b, value, strlen(value));
	else
		buf_adds(b, "null");
}

/* id 0: none. */
static void
note_status(struct item *it, const char *what, const char *chat,
    const char *agent, int64_t id, const char *status)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	add_member(&b, "what", what);
	add_member(&b, "chat", chat);
	add_member(&b, "agent", agent);
	if (id)
		buf_printf(&b, ",\"id\":%" PRId64, id);
	else
		buf_adds(&b, ",\"id\":null");
	add_member(&b, "status", status);
	buf_addc(&b, '}');
	it->note_kind = NOTE_STATUS;
	it->note = buf_take(&b);
}

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

static struct item *
event(struct chat_log *log, int64_t turn, const char *agent, const char *kind)
{
	struct item *it = item_new(log->r, log, ITEM_EVENT);

	it->turn = turn;
	it->agent = xstrdup(agent);
	it->event = xstrdup(kind);
	it->seq = ++log->last_seq;
	return it;
}

void
record_event(struct chat_log *log, int64_t turn, const char *agent,
    const char *kind, const char *payload, size_t len, bool repaired)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = event(log, turn, agent, kind);
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
	struct item *it = event(log, turn, agent, "turn_started");

	buf_printf(&it->text, "{\"prompt\":%s", start->prompt);
	add_member(&it->text, "created_by", start->created_by);
	add_member(&it->text, "model", start->model);
	add_member(&it->text, "mode_id", start->mode_id);
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
	it = statement(log->r, log, "turn_started");
	add_age(it);
	add_int(it, log->started_seq);
	add_int(it, turn);
	add(it, agent);
	it->turn = turn;
	it->agent = xstrdup(agent);
	if (log->running_turn != turn)
		note_status(it, "turn", log->chat, agent, turn, "running");
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
	it = statement(log->r, log, "turn_running");
	add_age(it);
	add_int(it, turn);
	add_known(it, execution_id, 1);
	add_bool(it, warm);
	note_status(it, "turn", log->chat, agent, turn, "running");
	item_queue(log->r, it, true);
}

void
record_turn_requeued(struct chat_log *log, int64_t turn, const char *agent,
    const char *error, int64_t not_before_ms)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "turn_requeued");
	add_age(it);
	add_int(it, turn);
	add(it, error);
	add_int(it, not_before_ms);
	note_status(it, "turn", log->chat, agent, turn, "queued");
	item_queue(log->r, it, true);
}

void
record_turn_status(struct chat_log *log, int64_t turn, const char *status)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "turn_status");
	add_int(it, turn);
	add(it, status);
	note_status(it, "turn", log->chat, NULL, turn, status);
	item_queue(log->r, it, true);
}

static void
record_turn_ended(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_end *end)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	add_member(&b, "status", end->status);
	add_member(&b, "stop_reason", end->stop_reason);
	if (end->end_reason)
		add_member(&b, "end_reason", end->end_reason);
	if (end->error)
		add_member(&b, "error", end->error);
	if (end->error_code)
		add_member(&b, "error_code", end->error_code);
	if (end->cancelled_by)
		add_member(&b, "cancelled_by", end->cancelled_by);
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
	struct item *it = statement(log->r, log, name);

	add_age(it);
	add_int(it, turn);
	add(it, end->status);
	add(it, end->stop_reason);
	add(it, end->end_reason);
	add(it, end->error);
	add(it, end->error_code);
	add(it, end->cancelled_by);
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
	add_known(it, end->input_tokens, 0);
	add_known(it, end->output_tokens, 0);
	add_bool(it, end->suspicious);
	add(it, end->agent_status);
	/* Where its events begin and end; 0: it began before we did. */
	add_int(it, log->started_turn == turn ? log->started_seq : 0);
	add_int(it, log->last_seq);
	it->turn = turn;
	it->is_plain = log->started_turn == turn &&
	    log->busy_seq < log->started_seq;
	note_status(it, "turn", log->chat, agent, turn, end->status);
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
	note_status(it, "turn", log->chat, agent, turn, end->status);
	item_queue(log->r, it, true);
	record_end(log->r);
}

void
record_agent_session(struct chat_log *log, const char *agent,
    const struct agent_session_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "agent_session");
	add_age(it);
	add(it, log->chat);
	add(it, agent);
	add_int(it, log->r->last_node);
	add(it, row->status);
	add(it, row->end_reason);
	add(it, row->agent_session_id);
	add(it, row->resumed_by);
	add_json(it, row->offers);
	add(it, row->config_hash);
	add(it, row->last_error);
	add(it, row->last_error_code);
	add_int(it, row->pid);
	add_known(it, row->crash_count, 0);
	add_int(it, row->backoff_ms);
	if (row->status)
		note_status(it, "agent", log->chat, agent, 0, row->status);
	item_queue(log->r, it, true);
}

void
record_wanted(struct chat_log *log, const char *agent,
    const struct wanted_setting *setting)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "wanted");
	add(it, log->chat);
	add(it, agent);
	add(it, setting->model);
	add(it, setting->mode_id);
	add(it, setting->option);
	add_json(it, setting->value);
	item_queue(log->r, it, true);
}

void
record_unwanted(struct chat_log *log, const char *agent)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "unwanted");
	add(it, log->chat);
	add(it, agent);
	item_queue(log->r, it, true);
}

void
record_agent_suspended(struct chat_log *log, const char *agent,
    bool is_suspended)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "agent_suspended");
	add_age(it);
	add(it, log->chat);
	add(it, agent);
	add_bool(it, is_suspended);
	item_queue(log->r, it, true);
}

void
record_reattached(struct chat_log *log, int64_t turn, const char *agent,
    const struct reattachment *how)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	add_member(&b, "resumed_by", how->resumed_by);
	if (how->reason)
		add_member(&b, "reason", how->reason);
	if (strcmp(how->resumed_by, "replay") == 0)
		buf_printf(&b, ",\"messages\":%" PRId64 ",\"omitted\":%"
		    PRId64, how->messages, how->omitted);
	buf_addc(&b, '}');
	record_event(log, turn, agent, "agent_status", b.data, b.len, false);
	buf_free(&b);
}

void
record_agent_update(struct chat_log *log, const char *agent,
    const char *kind, const char *payload)
{
	struct item *it;

	if (log->is_fenced || !payload)
		return;
	it = statement(log->r, log, "agent_update");
	add(it, log->chat);
	add(it, agent);
	add(it, kind);
	add_json(it, payload);
	item_queue(log->r, it, true);
}

void
record_usage(struct chat_log *log, const char *agent,
    const struct usage_row *row)
{
	struct item *it;

	if (log->is_fenced || (row->turn_cost < 0 && row->context_used < 0 &&
	    row->context_size < 0))
		return;
	it = statement(log->r, log, "usage");
	add(it, log->chat);
	add(it, agent);
	add_int(it, row->turn);
	add_known(it, row->turn_cost, 0);
	add_known(it, row->context_used, 0);
	add_known(it, row->context_size, 0);
	item_queue(log->r, it, true);
}

/* Of a life of a child; NULL: its chat is fenced. */
static struct item *
of_execution(struct recorder *r, struct chat_log *log, const char *name)
{
	return log && log->is_fenced ? NULL : statement(r, log, name);
}

void
record_execution_start(struct recorder *r, struct chat_log *log,
    int64_t execution, const char *agent, int64_t pid, int64_t spawn_ms,
    const char *origin)
{
	struct item *it = of_execution(r, log, "execution_start");

	if (!it)
		return;
	add_age(it);
	add_int(it, execution);
	add(it, log ? log->chat : NULL);
	add(it, agent);
	add_int(it, r->last_node);
	add_int(it, pid);
	add_known(it, spawn_ms, 0);
	add(it, origin);
	item_queue(r, it, true);
}

void
record_execution_ready(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t initialize_ms, int64_t session_ms)
{
	struct item *it = of_execution(r, log, "execution_ready");

	if (!it)
		return;
	add_int(it, execution);
	add_known(it, initialize_ms, 0);
	add_known(it, session_ms, 0);
	item_queue(r, it, true);
}

void
record_execution_end(struct recorder *r, struct chat_log *log,
    int64_t execution, const struct execution_end *end)
{
	struct item *it = of_execution(r, log, "execution_end");

	if (!it)
		return;
	add_age(it);
	add_int(it, execution);
	add_known(it, end->exit_code, 0);
	add_known(it, end->term_signal, 1);
	add(it, end->end_reason);
	add_known(it, end->peak_rss_kb, 1);
	add(it, end->stderr_tail);
	item_queue(r, it, true);
}

void
record_execution_memory(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t rss_kb)
{
	struct item *it = of_execution(r, log, "execution_memory");

	if (!it)
		return;
	add_int(it, execution);
	add_int(it, rss_kb);
	item_queue(r, it, false);
}

void
record_execution_claimed(struct chat_log *log, int64_t execution)
{
	struct item *it = of_execution(log->r, log, "execution_claimed");

	if (!it)
		return;
	add_int(it, execution);
	add(it, log->chat);
	item_queue(log->r, it, true);
}

void
record_tool_call(struct chat_log *log, int64_t turn, const char *agent,
    const struct tool_call_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	log->busy_seq = log->last_seq;
	it = statement(log->r, log, "tool_call");
	add_age(it);
	add(it, log->chat);
	add_known(it, turn, 1);
	add(it, agent);
	add(it, row->tool_call_id);
	add(it, row->title);
	add(it, row->kind);
	add(it, row->status);
	add_bool(it, row->is_final);
	add_json(it, row->raw_input);
	add_json(it, row->raw_output);
	add_json(it, row->content);
	add_json(it, row->locations);
	add_int(it, log->last_seq);
	item_queue(log->r, it, true);
}

void
record_late_tool_calls_end(struct chat_log *log, int64_t first_turn,
    const char *agent)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "late_tool_calls_end");
	add_age(it);
	add(it, log->chat);
	add_int(it, first_turn);
	add(it, agent);
	item_queue(log->r, it, true);
}

void
record_permission(struct chat_log *log, int64_t turn, const char *agent,
    int64_t execution, int64_t serial, const char *tool_call_id,
    const char *tool_call, const char *options)
{
	struct item *it;

	if (log->is_fenced)
		return;
	log->busy_seq = log->last_seq;
	it = statement(log->r, log, "permission");
	add_age(it);
	add(it, log->chat);
	number_item(it);
	add_known(it, turn, 1);
	add(it, agent);
	add_int(it, execution);
	add_int(it, serial);
	add(it, tool_call_id);
	add_json(it, tool_call);
	add_json(it, options);
	it->note_kind = NOTE_PERMISSION;
	it->note_execution = execution;
	it->note_serial = serial;
	item_queue(log->r, it, true);
}

void
record_permission_end(struct chat_log *log, int64_t turn, const char *agent,
    int64_t execution, int64_t serial, const char *status,
    const char *option_id, const char *answered_by)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "permission_end");
	add_age(it);
	add(it, log->chat);
	number_item(it);
	add_known(it, turn, 1);
	add(it, agent);
	add_int(it, execution);
	add_int(it, serial);
	add(it, status);
	add(it, option_id);
	add(it, answered_by);
	it->note_kind = NOTE_PERMISSION;
	it->note_execution = execution;
	it->note_serial = serial;
	item_queue(log->r, it, true);
}

void
record_worktree(struct chat_log *log, const char *path, const char *branch,
    const char *base_commit)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "worktree");
	add_age(it);
	add(it, log->session);
	add(it, path);
	add(it, branch);
	add(it, base_commit);
	add_int(it, log->r->last_node);
	item_queue(log->r, it, true);
}

void
record_setup(struct chat_log *log, const struct setup_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "worktree_setup");
	add_age(it);
	add(it, log->session);
	add_known(it, row->exit_code, 0);
	add_int(it, row->ms);
	add(it, row->output);
	add_bool(it, row->is_now);
	item_queue(log->r, it, true);
}

void
record_setup_event(struct chat_log *log, int64_t turn, const char *agent,
    const struct setup_row *row)
{
	struct buf b = { 0 };

	buf_printf(&b, "{\"setup\":\"%s\",\"exit_code\":",
	    row->exit_code == 0 ? "done" : "failed");
	if (row->exit_code < 0)
		buf_adds(&b, "null");
	else
		buf_printf(&b, "%" PRId64, row->exit_code);
	buf_printf(&b, ",\"ms\":%" PRId64 "}", row->ms);
	record_event(log, turn, agent, "agent_status", b.data, b.len, false);
	buf_free(&b);
}

static const char *
operation_name(char operation)
{
	switch (operation) {
	case 'c':
		return "create";
	case 'e':
		return "edit";
	case 'd':
		return "delete";
	default:
		MUST(operation == '=');
		return NULL;
	}
}

void
record_change(struct chat_log *log, int64_t turn, const char *agent,
    const struct change_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "change");
	add_age(it);
	add(it, log->chat);
	number_item(it);
	add_known(it, turn, 1);
	add(it, agent);
	add(it, row->path);
	add(it, operation_name(row->operation));
	add(it, row->diff);
	add(it, row->old_oid);
	add(it, row->new_oid);
	add(it, row->old_mode);
	add(it, row->new_mode);
	add(it, row->other_turns);
	it->note_kind = NOTE_CHANGE;
	it->note = xstrdup(row->path);
	item_queue(log->r, it, true);
}

/* A session's own log has its id in place of a chat's. */
static bool
is_of_chat(const struct chat_log *log)
{
	return strcmp(log->session, log->chat) != 0;
}

void
record_decided(struct chat_log *log, const struct decided_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "change_decided");
	add_age(it);
	if (is_of_chat(log)) {
		add(it, log->chat);
		number_item(it);
	} else {
		add(it, NULL);
		add(it, NULL);
	}
	add_int(it, row->change);
	add(it, row->status);
	add(it, row->error);
	add(it, row->decided_by);
	add(it, row->part ? row->part->diff : NULL);
	add(it, row->part ? row->part->new_oid : NULL);
	add(it, row->part ? row->part->new_mode : NULL);
	note_status(it, "change", is_of_chat(log) ? log->chat : NULL,
	    row->agent, row->change, row->status ? row->status : row->before);
	item_queue(log->r, it, true);
}

void
record_artifact(struct chat_log *log, int64_t turn, const char *agent,
    const struct artifact_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = statement(log->r, log, "artifact");
	add_age(it);
	add(it, log->chat);
	number_item(it);
	add_known(it, turn, 1);
	add(it, agent);
	add(it, row->type);
	add(it, row->url);
	add(it, row->title);
	add_json(it, row->metadata);
	item_queue(log->r, it, true);
}

void
record_command(struct recorder *r, int64_t command, const char *status,
    const char *error_code, const char *error)
{
	struct item *it = statement(r, NULL, "command_end");

	add_age(it);
	add_int(it, command);
	add(it, status);
	add(it, error_code);
	add(it, error);
	note_status(it, "command", NULL, NULL, command, status);
	item_queue(r, it, true);
}

void
record_archived(struct recorder *r, int64_t command, int64_t ahead,
    int64_t changed_files)
{
	struct item *it = statement(r, NULL, "archive_end");

	add_age(it);
	add_int(it, command);
	add_known(it, ahead, 0);
	add_known(it, changed_files, 0);
	note_status(it, "command", NULL, NULL, command, "done");
	item_queue(r, it, true);
}

void
record_measured(struct recorder *r, const char *session,
    const struct measure_row *row)
{
	struct item *it = statement(r, NULL, "worktree_measured");

	add_int(it, clock_ms() - row->at);
	add(it, session);
	add_int(it, r->last_node);
	add_known(it, row->behind, 0);
	add_known(it, row->ahead, 0);
	add_known(it, row->changed_files, 0);
	add_known(it, row->size_kb, 0);
	item_queue(r, it, true);
}

void
record_snapshot(struct recorder *r, const struct snapshot_row *row)
{
	struct item *it = statement(r, NULL, "snapshot");

	add_age(it);
	add(it, row->id);
	add_int(it, row->project_id);
	add_int(it, r->last_node);
	add(it, row->path);
	add(it, row->status);
	add(it, row->base_commit);
	add(it, row->session);
	add_known(it, row->expires_at, 1);
	add(it, row->end_reason);
	item_queue(r, it, true);
}

void
record_snapshots_lost(struct recorder *r, const char *ids)
{
	struct item *it = statement(r, NULL, "snapshots_lost");

	add_age(it);
	add_int(it, r->last_node);
	add(it, ids);
	item_queue(r, it, true);
}

void
record_heartbeat(struct recorder *r, bool draining)
{
	struct item *it;

	/* While PostgreSQL is away one of them is enough, and none is best. */
	if (!r->conn)
		return;
	it = statement(r, NULL, "heartbeat");
	add_int(it, r->node);
	add_int(it, r->epoch);
	add_bool(it, draining);
	item_queue(r, it, true);
}
