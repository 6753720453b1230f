/* SPDX-License-Identifier: MIT */
/*
 * The same as recorder_turns.c for working copies, changes and decisions on
 * them, artifacts, snapshots; and for commands and the node itself.
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

void
record_worktree(struct chat_log *log, const char *path, const char *branch,
    const char *base_commit)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "worktree");
	item_add_age(it);
	item_add(it, log->session);
	item_add(it, path);
	item_add(it, branch);
	item_add(it, base_commit);
	item_add_int(it, log->r->last_node);
	item_queue(log->r, it, true);
}

void
record_setup(struct chat_log *log, const struct setup_row *row)
{
	struct item *it;

	if (log->is_fenced)
		return;
	it = item_statement(log->r, log, "worktree_setup");
	item_add_age(it);
	item_add(it, log->session);
	item_add_known(it, row->exit_code, 0);
	item_add_int(it, row->ms);
	item_add(it, row->output);
	item_add_bool(it, row->is_now);
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
	buf_printf(&b, ",\"ms\":%" PRId64, row->ms);
	json_member(&b, "command", row->command);
	if (row->exit_code != 0)
		json_member(&b, "last_line", row->last_line);
	buf_addc(&b, '}');
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
	it = item_statement(log->r, log, "change");
	item_add_age(it);
	item_add(it, log->chat);
	item_number(it);
	item_add_known(it, turn, 1);
	item_add(it, agent);
	item_add(it, row->path);
	item_add(it, operation_name(row->operation));
	item_add(it, row->diff);
	item_add(it, row->old_oid);
	item_add(it, row->new_oid);
	item_add(it, row->old_mode);
	item_add(it, row->new_mode);
	item_add(it, row->other_turns);
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
	it = item_statement(log->r, log, "change_decided");
	item_add_age(it);
	if (is_of_chat(log)) {
		item_add(it, log->chat);
		item_number(it);
	} else {
		item_add(it, NULL);
		item_add(it, NULL);
	}
	item_add_int(it, row->change);
	item_add(it, row->status);
	item_add(it, row->error);
	item_add(it, row->decided_by);
	item_add(it, row->part ? row->part->diff : NULL);
	item_add(it, row->part ? row->part->new_oid : NULL);
	item_add(it, row->part ? row->part->new_mode : NULL);
	item_note_status(it, "change", is_of_chat(log) ? log->chat : NULL,
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
	it = item_statement(log->r, log, "artifact");
	item_add_age(it);
	item_add(it, log->chat);
	item_number(it);
	item_add_known(it, turn, 1);
	item_add(it, agent);
	item_add(it, row->type);
	item_add(it, row->url);
	item_add(it, row->title);
	item_add_json(it, row->metadata);
	item_queue(log->r, it, true);
}

void
record_measured(struct recorder *r, const char *session,
    const struct measure_row *row)
{
	struct item *it = item_statement(r, NULL, "worktree_measured");

	item_add_int(it, clock_ms() - row->at);
	item_add(it, session);
	item_add_int(it, r->last_node);
	item_add_known(it, row->behind, 0);
	item_add_known(it, row->ahead, 0);
	item_add_known(it, row->changed_files, 0);
	item_add_known(it, row->size_kb, 0);
	item_queue(r, it, true);
}

void
record_snapshot(struct recorder *r, const struct snapshot_row *row)
{
	struct item *it = item_statement(r, NULL, "snapshot");

	item_add_age(it);
	item_add(it, row->id);
	item_add_int(it, row->project_id);
	item_add_int(it, r->last_node);
	item_add(it, row->path);
	item_add(it, row->status);
	item_add(it, row->base_commit);
	item_add(it, row->session);
	item_add_known(it, row->expires_at, 1);
	item_add(it, row->end_reason);
	item_queue(r, it, true);
}

void
record_snapshots_lost(struct recorder *r, const char *ids)
{
	struct item *it = item_statement(r, NULL, "snapshots_lost");

	item_add_age(it);
	item_add_int(it, r->last_node);
	item_add(it, ids);
	item_queue(r, it, true);
}

void
record_heartbeat(struct recorder *r, bool draining)
{
	struct item *it;

	/* While PostgreSQL is away one of them is enough, and none is best. */
	if (!r->conn)
		return;
	it = item_statement(r, NULL, "heartbeat");
	item_add_int(it, r->node);
	item_add_int(it, r->epoch);
	item_add_bool(it, draining);
	item_queue(r, it, true);
}
