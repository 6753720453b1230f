/* SPDX-License-Identifier: MIT */
/*
 * What a worker tells about its agent: one tagged struct, handed up through
 * the pool. Everything in it is borrowed for the callback. JSON stands as
 * text that PostgreSQL's jsonb accepts (valid UTF-8, no U+0000, no lone
 * surrogate, depth at most 512, finite numbers). And what goes the other way: a
 * setting.
 */
#ifndef HEARTH_AGENT_EVENT_H
#define HEARTH_AGENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What somebody wants of an agent's session; NULL: as it is. */
struct agent_setting {
	const char *model, *mode_id;
	const char *option, *value; /* a config option's id; JSON */
};

enum agent_event_type {
	AGENT_SPAWNED,    /* the child runs: spawned */
	AGENT_INITIALIZED, /* a spare is, and can be claimed: initialized */
	AGENT_READY,      /* initialized and has a session: ready */
	AGENT_CONFIGURED, /* the settings that were wanted are made, or refused:
	                   * configured */
	AGENT_TEXT,       /* streamed text or reasoning: text */
	AGENT_UPDATE,     /* any other update: update */
	AGENT_ARTIFACT,   /* something with a URL was brought about: artifact */
	AGENT_PERMISSION, /* the agent asks, or asked and policy answered:
	                   * permission */
	AGENT_PERMISSION_SETTLED, /* one that was open is answered or void:
	                   * settled */
	AGENT_WOKEN,      /* it was frozen, and goes on for what was said */
	AGENT_TURN_DONE,  /* session/prompt is over, however: done */
	AGENT_FAILED,     /* never became ready, or can't be used any more; the
	                   * worker is already being stopped: failed */
	AGENT_ENDED,      /* the process has ended: ended. The last but GONE */
	AGENT_GONE,       /* its whole tree is gone; the worker may be freed */
};

/* The merged state of a tool call after an update (digest of ACP's rules). */
struct agent_tool {
	const char *tool_call_id;
	const char *title;      /* never NULL */
	const char *kind;       /* "read" "edit" … as the agent said; "other" */
	const char *status;     /* "pending" "in_progress" "completed" "failed" */
	bool is_final;          /* completed or failed */
	bool is_new;            /* first seen with this update */
	/* JSON or NULL; raw_output and content only when is_final, and once */
	const char *raw_input;
	const char *raw_output;
	const char *content;
	const char *locations;
};

/* What a usage_update says; -1 unknown. */
struct agent_usage {
	int64_t turn;           /* the last prompt's turn, 0: none yet */
	int64_t context_used;   /* tokens; not what was billed */
	int64_t context_size;
	int64_t turn_cost;      /* of that turn so far, in billionths of USD */
};

/* A thing that a turn brought about. */
struct agent_artifact {
	const char *type;       /* "pr" "preview" "screenshot" */
	const char *url;        /* NULL: an image without one */
	const char *title;
	const char *metadata;   /* JSON object: provider, repository, number,
	                         * state; path; tool_call_id, column, index,
	                         * bytes, mime_type */
};

struct agent_event {
	enum agent_event_type type;
	union {
		struct {
			pid_t pid;
			int64_t spawn_ms;
		} spawned;
		struct {
			int64_t initialize_ms; /* spawn to initialize's answer */
		} initialized;
		struct {
			int64_t initialize_ms; /* likewise */
			int64_t session_ms;    /* until there was a session */
			const char *session_id;
			const char *resumed_by; /* "new" "resume" "load" */
			/* "new" though there was a conversation: why, for
			 * people; else NULL */
			const char *lost_reason;
			const char *offers;    /* JSON object: modes, models,
			                        * configOptions, agentInfo,
			                        * agentCapabilities, authMethods */
		} ready;
		struct {
			const char *error;     /* NULL: they are so */
		} configured;
		struct {
			bool reasoning;
			const char *message_id; /* NULL: the agent gave none */
			const char *text;       /* valid UTF-8, no NUL */
			size_t len;
			bool repaired;
		} text;
		struct {
			/* the event kind: "tool_call" "tool_update" "commands" "plan"
			 * "mode" "config" "usage" "session_info" "unknown" */
			const char *kind;
			const char *payload;    /* the update object, JSON */
			size_t len;
			bool repaired;
			const struct agent_tool *tool; /* tool_call, tool_update */
			const struct agent_usage *usage; /* usage */
		} update;
		struct agent_artifact artifact;
		struct {
			int64_t serial;         /* names it for worker_answer…() */
			const char *tool_call_id;
			const char *tool_call;  /* the request's toolCall, JSON */
			const char *options;    /* JSON array */
			bool repaired;
			const struct agent_tool *tool;
			/* a rule, or policy allow or deny, has answered
			 * already: */
			bool answered;
			const char *option_id;  /* NULL: answered "cancelled" */
			int64_t rule;           /* that decided, or 0 */
		} permission;
		struct {
			int64_t serial;
			const char *option_id;  /* NULL: cancelled */
			/* "answered", "cancelled" (turn or child ended, or the agent
			 * withdrew it), "expired" */
			const char *status;
		} settled;
		struct {
			int64_t turn;           /* as given to worker_prompt() */
			/* as the agent said it, NULL when there was no result */
			const char *stop_reason;
			/*
			 * NULL: the prompt was answered with a stop reason.
			 * "turn_timeout" "silence_timeout" "cancel_timeout"
			 * "agent_crashed"
			 * "auth_required" "agent_error" "protocol_error"
			 * "session_lost": it does not know its session
			 */
			const char *error_code;
			const char *error;      /* for people */
			bool was_cancelled;     /* worker_cancel() came first */
			bool was_empty;         /* no text, no tool call */
			bool used_tool;         /* at least one tool call */
			bool mixes_up_next;     /* this child would answer the next
			                         * prompt with what belongs here */
			int64_t input_tokens;   /* -1 unknown */
			int64_t output_tokens;
		} done;
		struct {
			const char *error_code; /* "agent_missing" "start_timeout"
			                         * "auth_required" "protocol_version"
			                         * "agent_crashed" "agent_error"
			                         * "not_acp"; "resume_failed" while
			                         * it reopened its session, and
			                         * "session_lost" if it may be
			                         * replaced; "settings_failed" while
			                         * what an earlier child had was set
			                         */
			const char *error;      /* names the likely cause */
		} failed;
		struct {
			int exit_code;          /* -1: by a signal, or never ran */
			int term_signal;        /* 0: exited */
			bool was_planned;       /* worker_stop() came first */
			const char *end_reason; /* "exit code 3", "SIGKILL",
			                         * worker_stop()'s reason, … */
			const char *stderr_tail;
			int64_t peak_rss_kb;
		} ended;
	};
};

#endif
