/* SPDX-License-Identifier: MIT */
/*
 * The writer: what happened, in the order in which it happened, into
 * PostgreSQL, exactly once.
 *
 * Items are queued in memory and go out in flushes: all that is queued, of all
 * chats, in one implicit transaction on a pipelined connection (events as one
 * statement of arrays, fenced by session_owners.epoch; the rarer items as
 * statements of their own behind it), and behind it, in a transaction of its
 * own with synchronous_commit off, the notifications. One flush is under way
 * at a time; what comes meanwhile makes up the next.
 *
 * When to flush is decided once per wake-up of the loop, after all reads: at
 * once when something urgent is queued (everything but more text and
 * turn_started), else when flush_interval has passed since the oldest item.
 * The first text of a chat after silence is urgent. Neighbouring texts of one
 * turn, kind and message are one event.
 *
 * A lost connection leaves a flush uncertain: it is sent again, after the new
 * connection has taken the writer's advisory lock (ending the old backend if
 * it must); every item is written so that a second time changes nothing. On
 * SQLSTATE class 22, 23 or 54 the flush is bisected; an offender's texts are
 * repaired, and if that does not help it is dropped with a log line.
 *
 * Everything handed in is copied.
 */
#ifndef HEARTH_RECORDER_H
#define HEARTH_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recorder;
struct chat_log; /* numbers the events of one chat */

struct chat_log *chat_log_open(struct recorder *r, const char *session,
    const char *chat, int64_t last_seq);
/* What is queued is still written. NULL is fine; NULLs *log. */
void chat_log_close(struct chat_log **log);
int64_t chat_log_last_seq(const struct chat_log *log);
/* What waits of it is over its share of the budget (sql/db.h). */
bool chat_log_is_full(const struct chat_log *log);

/* Runs when everything queued before is durable; never from within. */
void record_barrier(struct recorder *r, void (*done)(void *ctx), void *ctx);
/* Between these, items share one transaction whatever the size. */
void record_begin(struct recorder *r);
void record_end(struct recorder *r);

/* turn: 0 when the event belongs to none. */
void record_text(struct chat_log *log, int64_t turn, const char *agent,
    bool reasoning, const char *message_id, const char *text, size_t len,
    bool repaired);
/* payload: JSON; NULL is {}. */
void record_event(struct chat_log *log, int64_t turn, const char *agent,
    const char *kind, const char *payload, size_t len, bool repaired);

/* What was asked for, as it was claimed; all but prompt may be NULL. */
struct turn_start {
	const char *prompt;      /* JSON array of content blocks */
	const char *created_by, *model, *mode_id;
};
/* The event turn_started, the turn's two messages (the prompt, complete; the
 * answer, streaming), the agent session active. Tells hearth_status unless the
 * turn ends in the same flush. Not urgent. */
void record_turn_started(struct chat_log *log, int64_t turn,
    const char *agent, const struct turn_start *start);
/* starting -> running, before the prompt is written (use a barrier). */
void record_turn_running(struct chat_log *log, int64_t turn,
    const char *agent, int64_t execution_id, bool warm);
/* Back to queued: it was claimed and not delivered. error says why,
 * not_before_ms from now it may be claimed again. */
void record_turn_requeued(struct chat_log *log, int64_t turn,
    const char *agent, const char *error, int64_t not_before_ms);
/* "running" <-> "waiting_permission"; tells hearth_status. */
void record_turn_status(struct chat_log *log, int64_t turn,
    const char *status);

struct turn_end {
	const char *status;      /* completed failed cancelled interrupted */
	const char *stop_reason; /* each may be NULL */
	const char *end_reason;
	const char *error;
	const char *error_code;
	const char *cancelled_by;
	int64_t input_tokens, output_tokens; /* -1 unknown */
	bool suspicious;         /* ended well but with nothing at all */
	/* of the agent session after it: "idle" "crashed" "closed"; NULL: as
	 * it is */
	const char *agent_status;
};
/*
 * Ends the turn: the event turn_ended, the turn's row, its open tool calls
 * (cancelled), its open permission requests (cancelled), its messages (content
 * put together from the events), the agent session. Tells hearth_status.
 */
void record_turn_end(struct chat_log *log, int64_t turn, const char *agent,
    const struct turn_end *end);

/* A queued turn that ends without having been claimed (cancel). */
void record_queued_turn_end(struct chat_log *log, int64_t turn,
    const char *agent, const struct turn_end *end);

/* Upsert of the agent session. NULL or negative members stay as they are;
 * agent_session_id "": it has none any more. */
struct agent_session_row {
	const char *status;
	const char *end_reason;
	const char *agent_session_id;
	const char *resumed_by;
	const char *offers;       /* JSON */
	const char *config_hash;
	const char *last_error, *last_error_code;
	int64_t pid;              /* 0: none any more */
	int64_t crash_count;
	int64_t backoff_ms;       /* from now; 0: none any more */
};
void record_agent_session(struct chat_log *log, const char *agent,
    const struct agent_session_row *row);
/* suspended_at, which a new child clears. */
void record_agent_suspended(struct chat_log *log, const char *agent,
    bool is_suspended);
/*
 * The event agent_status: how a new child came to the conversation.
 * resumed_by: "resume" "load" "replay" (then messages of its record were given
 * to the agent, omitted were too many) "new" (nothing was there to give).
 * reason: why the agent's own was lost, or NULL.
 */
struct reattachment {
	const char *resumed_by, *reason;
	int64_t messages, omitted;
};
void record_reattached(struct chat_log *log, int64_t turn,
    const char *agent, const struct reattachment *how);
/* What the agent session's next child is to have, too; NULL: as it is. */
struct wanted_setting {
	const char *model, *mode_id;
	const char *option, *value; /* JSON */
};
void record_wanted(struct chat_log *log, const char *agent,
    const struct wanted_setting *setting);
/* It is to begin with its defaults. */
void record_unwanted(struct chat_log *log, const char *agent);
/* Takes what the agent session keeps of an update out of its payload: plan,
 * commands, mode, config (offers, plan, mode_id, model). */
void record_agent_update(struct chat_log *log, const char *agent,
    const char *kind, const char *payload);

struct usage_row {
	int64_t turn;             /* 0: none; its cost is not known then */
	int64_t turn_cost;        /* so far, in billionths of USD; -1 unknown */
	int64_t context_used, context_size; /* -1 unknown */
};
/* The turn's cost, which the agent session's sum follows, also when the turn
 * is over; and how full the context is. */
void record_usage(struct chat_log *log, const char *agent,
    const struct usage_row *row);

/* log: NULL while it is a spare, which no chat has claimed. */
void record_execution_start(struct recorder *r, struct chat_log *log,
    int64_t execution, const char *agent, int64_t pid, int64_t spawn_ms,
    const char *origin);
/* session_ms: -1, it has none yet. */
void record_execution_ready(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t initialize_ms, int64_t session_ms);
/* What its processes take now, in kB. */
void record_execution_memory(struct recorder *r, struct chat_log *log,
    int64_t execution, int64_t rss_kb);
struct execution_end {
	int exit_code, term_signal;
	const char *end_reason;
	int64_t peak_rss_kb;
	const char *stderr_tail;
};
void record_execution_end(struct recorder *r, struct chat_log *log,
    int64_t execution, const struct execution_end *end);
/* It was a spare and is the chat's from now on. */
void record_execution_claimed(struct chat_log *log, int64_t execution);

struct tool_call_row {
	const char *tool_call_id, *title, *kind, *status;
	bool is_final;
	const char *raw_input, *raw_output, *content, *locations; /* JSON */
};
/* first_seq/last_seq are those of the event recorded just before. */
void record_tool_call(struct chat_log *log, int64_t turn, const char *agent,
    const struct tool_call_row *row);

/* Calls that the agent has open in this turn or a later one of the chat are
 * cancelled: for those that came when the turn was over, at the child's end. */
void record_late_tool_calls_end(struct chat_log *log, int64_t first_turn,
    const char *agent);

/* A permission request and the event `permission`. Tells hearth_status. */
void record_permission(struct chat_log *log, int64_t turn, const char *agent,
    int64_t execution, int64_t serial, const char *tool_call_id,
    const char *tool_call, const char *options);
/* Its end and the event `permission_answer`. status: answered cancelled
 * expired. */
void record_permission_end(struct chat_log *log, int64_t turn,
    const char *agent, int64_t execution, int64_t serial, const char *status,
    const char *option_id, const char *answered_by);

void record_worktree(struct chat_log *log, const char *path,
    const char *branch, const char *base_commit);
/* Of the worktree that was recorded before. */
struct setup_row {
	int64_t exit_code;        /* -1: it was ended by setup_timeout */
	int64_t ms;
	const char *output;
	bool is_now;              /* it ran just now; else nothing is written
	                           * that is known already */
	/* for the event alone, each in one line */
	const char *command, *last_line;
};
void record_setup(struct chat_log *log, const struct setup_row *row);
/* Tells the chat of it: the event agent_status. */
void record_setup_event(struct chat_log *log, int64_t turn,
    const char *agent, const struct setup_row *row);
struct change_row {
	const char *path;
	char operation;           /* as workspace/workspace.h has it */
	const char *diff, *old_oid, *new_oid, *old_mode, *new_mode;
	const char *other_turns;  /* that may have done it, too: "{7,9}"; NULL */
};
/*
 * A file is different now: supersedes the pending row of the same path, adds
 * one (unless operation is '=') and the event `change`. turn 0 and agent NULL:
 * a person did it.
 */
void record_change(struct chat_log *log, int64_t turn, const char *agent,
    const struct change_row *row);

/* NULLs stay as they are. */
struct snapshot_row {
	const char *id;           /* uuid */
	int64_t project_id;
	const char *path, *status; /* as hearth.snapshots has it */
	const char *base_commit, *session, *end_reason;
	int64_t expires_at;       /* seconds; 0: as it is */
};
void record_snapshot(struct recorder *r, const struct snapshot_row *row);
/* Those of this node that are not among ids (with commas between) are lost. */
void record_snapshots_lost(struct recorder *r, const char *ids);
/* The outcome of a decision on a change, and the event `change`. */
struct decided_row {
	int64_t change;
	const char *agent;        /* the change's */
	const char *before;       /* its status */
	const char *status;       /* its status now; NULL: as it was, because … */
	const char *error;
	const char *decided_by;
	const struct change_row *part; /* only this of it was accepted; NULL: all */
};
/* log: of no chat (the session's own), then without the event. */
void record_decided(struct chat_log *log, const struct decided_row *row);

/* What a working copy was like at that time, clock_ms(); -1: not known. */
struct measure_row {
	int64_t at, behind, ahead, changed_files, size_kb;
};
void record_measured(struct recorder *r, const char *session,
    const struct measure_row *row);

/* archive_session is done; its result has these (-1 not known) and the changes
 * that wait for a decision. */
void record_archived(struct recorder *r, int64_t command, int64_t ahead,
    int64_t changed_files);

/* A thing that a turn brought about, and the event `artifact`. */
struct artifact_row {
	const char *type;         /* "pr" "preview" "screenshot" */
	const char *url, *title;  /* each may be NULL */
	const char *metadata;     /* JSON object */
};
void record_artifact(struct chat_log *log, int64_t turn, const char *agent,
    const struct artifact_row *row);

/*
 * The end of a command; status: done or failed. log: of its session, one that
 * what it did was recorded in; if it turns out that another node has that, the
 * command has failed with "lost". NULL: it did nothing that could be dropped.
 */
void record_command(struct recorder *r, struct chat_log *log, int64_t command,
    const char *status, const char *error_code, const char *error);

/* Every few seconds: nodes.heartbeat_at, draining. */
void record_heartbeat(struct recorder *r, bool draining);

#endif
