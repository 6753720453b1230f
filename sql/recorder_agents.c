/* SPDX-License-Identifier: MIT */
/*
 * The same as recorder_turns.c for agent sessions, their children, tool calls
 * and questions for permission.
 *
 * Times are sent as an age in milliseconds, so that only the server's clock
 * counts, however long the item waited. Must never know: when or how it is
 * sent (recorder.c, flush.c).
 */
#include "sql/recorder_build.h"

#include <inttypes.h>
#include <string.h>

void
record_agent_session(struct chat_log *log, const char *agent,
    const struct agent_session_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "agent_session");
	item_add_age(it);
	item_add(it, log->chat);
	item_add(it, agent);
	item_add_int(it, log->r->last_node);
	item_add(it, row->status);
	item_add(it, row->end_reason);
	item_add(it, row->agent_session_id);
	item_add(it, row->resumed_by);
	item_add_json(it, row->offers);
	item_add(it, row->config_hash);
	item_add(it, row->last_error);
	item_add(it, row->last_error_code);
	item_add_int(it, row->pid);
	item_add_known(it, row->crash_count, 0);
	item_add_int(it, row->backoff_ms);
	if (row->status)
		item_note_status(it, "agent", log->chat, agent, 0, row->status);
	item_queue(log->r, it, true);
}

void
record_wanted(struct chat_log *log, const char *agent,
    const struct wanted_setting *setting)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "wanted");
	item_add(it, log->chat);
	item_add(it, agent);
	item_add(it, setting->model);
	item_add(it, setting->mode_id);
	item_add(it, setting->option);
	item_add_json(it, setting->value);
	item_queue(log->r, it, true);
}

void
record_unwanted(struct chat_log *log, const char *agent)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "unwanted");
	item_add(it, log->chat);
	item_add(it, agent);
	item_queue(log->r, it, true);
}

void
record_agent_suspended(struct chat_log *log, const char *agent,
    bool is_suspended)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "agent_suspended");
	item_add_age(it);
	item_add(it, log->chat);
	item_add(it, agent);
	item_add_bool(it, is_suspended);
	item_queue(log->r, it, true);
}

void
record_reattached(struct chat_log *log, int64_t turn, const char *agent,
    const struct reattachment *how)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	json_member(&b, "resumed_by", how->resumed_by);
	if (how->reason)
		json_member(&b, "reason", how->reason);
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
	it = item_statement(log->r, log, "agent_update");
	item_add(it, log->chat);
	item_add(it, agent);
	item_add(it, kind);
	item_add_json(it, payload);
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
	it = item_statement(log->r, log, "usage");
	item_add(it, log->chat);
	item_add(it, agent);
	item_add_int(it, row->turn);
	item_add_known(it, row->turn_cost, 0);
	item_add_known(it, row->context_used, 0);
	item_add_known(it, row->context_size, 0);
	item_queue(log->r, it, true);
}

/* Of a life of a child; NULL: its chat is fenced. */
static struct item *
of_execution(struct recorder *r, struct chat_log *log, const char *name)
{
	return log && log->is_fenced ? NULL : item_statement(r, log, name);
}

void
record_execution_start(struct recorder *r, struct chat_log *log,
    int64_t execution, const char *agent, int64_t pid, int64_t spawn_ms,
    const char *origin)
{
	struct item *it = of_execution(r, log, "execution_start");

	if (!it)
		return;
	item_add_age(it);
	item_add_int(it, execution);
	item_add(it, log ? log->chat : NULL);
	item_add(it, agent);
	item_add_int(it, r->last_node);
	item_add_int(it, pid);
	item_add_known(it, spawn_ms, 0);
	item_add(it, origin);
	item_queue(r, it, true);
}

void
record_execution_ready(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t initialize_ms, int64_t session_ms)
{
	struct item *it = of_execution(r, log, "execution_ready");

	if (!it)
		return;
	item_add_int(it, execution);
	item_add_known(it, initialize_ms, 0);
	item_add_known(it, session_ms, 0);
	item_queue(r, it, true);
}

void
record_execution_end(struct recorder *r, struct chat_log *log,
    int64_t execution, const struct execution_end *end)
{
	struct item *it = of_execution(r, log, "execution_end");

	if (!it)
		return;
	item_add_age(it);
	item_add_int(it, execution);
	item_add_known(it, end->exit_code, 0);
	item_add_known(it, end->term_signal, 1);
	item_add(it, end->end_reason);
	item_add_known(it, end->peak_rss_kb, 1);
	item_add(it, end->stderr_tail);
	item_queue(r, it, true);
}

void
record_execution_memory(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t rss_kb)
{
	struct item *it = of_execution(r, log, "execution_memory");

	if (!it)
		return;
	item_add_int(it, execution);
	item_add_int(it, rss_kb);
	item_queue(r, it, false);
}

void
record_execution_claimed(struct chat_log *log, int64_t execution)
{
	struct item *it = of_execution(log->r, log, "execution_claimed");

	if (!it)
		return;
	item_add_int(it, execution);
	item_add(it, log->chat);
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
	it = item_statement(log->r, log, "tool_call");
	item_add_age(it);
	item_add(it, log->chat);
	item_add_known(it, turn, 1);
	item_add(it, agent);
	item_add(it, row->tool_call_id);
	item_add(it, row->title);
	item_add(it, row->kind);
	item_add(it, row->status);
	item_add_bool(it, row->is_final);
	item_add_json(it, row->raw_input);
	item_add_json(it, row->raw_output);
	item_add_json(it, row->content);
	item_add_json(it, row->locations);
	item_add_int(it, log->last_seq);
	item_queue(log->r, it, true);
}

void
record_late_tool_calls_end(struct chat_log *log, int64_t first_turn,
    const char *agent)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "late_tool_calls_end");
	item_add_age(it);
	item_add(it, log->chat);
	item_add_int(it, first_turn);
	item_add(it, agent);
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
	it = item_statement(log->r, log, "permission");
	item_add_age(it);
	item_add(it, log->chat);
	item_number(it);
	item_add_known(it, turn, 1);
	item_add(it, agent);
	item_add_int(it, execution);
	item_add_int(it, serial);
	item_add(it, tool_call_id);
	item_add_json(it, tool_call);
	item_add_json(it, options);
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
	it = item_statement(log->r, log, "permission_end");
	item_add_age(it);
	item_add(it, log->chat);
	item_number(it);
	item_add_known(it, turn, 1);
	item_add(it, agent);
	item_add_int(it, execution);
	item_add_int(it, serial);
	item_add(it, status);
	item_add(it, option_id);
	item_add(it, answered_by);
	it->note_kind = NOTE_PERMISSION;
	it->note_execution = execution;
	it->note_serial = serial;
	item_queue(log->r, it, true);
}
