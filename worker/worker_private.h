/* SPDX-License-Identifier: MIT */
/*
 * The body of struct worker, shared by the files that make up the client:
 *
 *   worker.c    the life: states, start, stop, end
 *   deadlines.c how long what a state implies may take
 *   io.c        the pipes
 *   rpc.c       lines to messages, what is sent and what is pending
 *   answer.c    the agent's requests but for permissions and terminals
 *   answer_terminal.c  terminal/…: the requests, terminals.c does the work
 *   handshake.c initialize
 *   attach.c    session/resume, session/load, session/new
 *   configure.c session/set_config_option, set_mode, set_model
 *   prompt.c    session/prompt, its cancelling and its end
 *   ask.c       session/request_permission
 *   update.c    session/update
 *   gather.c    those of running tools that repeat all that was said
 *   words.c     sentences for people about what went wrong
 *
 * Two rules hold everywhere. Events are told only from the loop, never from
 * within a call that came from outside: what such a call settles is queued
 * and told by worker_kick()'s callback. And after every event the state may
 * be another one, but the worker still exists; only AGENT_GONE may free it.
 */
#ifndef HEARTH_WORKER_PRIVATE_H
#define HEARTH_WORKER_PRIVATE_H

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/list.h"
#include "worker/envelope.h"
#include "worker/findings.h"
#include "worker/ndjson.h"
#include "worker/secrets.h"
#include "worker/settings.h"
#include "worker/terminals.h"
#include "worker/tool_calls.h"
#include "worker/usage.h"
#include "worker/worker.h"

struct ring;

/* A deadline that stands still while the worker is paused. */
struct limit {
	ev_timer timer;
	double left;     /* seconds; meaningful while frozen */
	bool is_set;
};

enum request_kind {
	REQUEST_NONE,
	REQUEST_INITIALIZE,
	REQUEST_NEW_SESSION,
	REQUEST_LOAD_SESSION,
	REQUEST_RESUME_SESSION,
	REQUEST_SETTING,
	REQUEST_PROMPT,
	REQUEST_CLOSE_SESSION,
};

/* An own request that is not answered yet. */
struct pending {
	enum request_kind kind;
	int64_t id;
};
#define PENDING_MAX 4

/* The prompt in flight; open until AGENT_TURN_DONE is about to be told. */
struct turn {
	bool is_open;
	bool was_cancelled;   /* by worker_cancel() */
	bool timed_out;       /* turn_timeout or silence_timeout sent the
	                       * cancel */
	bool was_silent;      /* it was silence_timeout */
	bool cancelled_twice; /* the ladder's second step was taken */
	bool has_output;
	bool used_tool;
	int64_t serial;
	int64_t request_id;
};

/* What the repeat rule must know of the message that streams now. */
struct message {
	bool reasoning;
	bool has_id;          /* a chunk with a message id came */
	unsigned chunks;      /* chunks without an id so far */
	size_t len;
	uint64_t hash;
};

/* An update of a running tool that is not told yet. */
struct gathered {
	char *tool_call_id;   /* NULL: none */
	json_t *update;       /* what it says */
	bool repaired;
	struct buf payload;
	ev_timer timer;
};

/* A line that came before there was a session. */
struct early {
	struct list node;
	size_t len;
	char line[];
};

struct worker {
	/* as given */
	int64_t serial;
	char *label;          /* "worker 17 4c1e…/qwen" */
	char **argv;
	char *path;           /* PATH of the agent's environment, or NULL */
	char *cwd;
	char *capabilities;   /* spec's overrides, JSON or NULL */
	char *mcp_servers;    /* JSON or NULL */
	char *known_session;  /* an earlier child's, to be reopened, or NULL */
	bool may_replace;     /* … or given up, whatever is wrong with it */
	enum permission_mode permission_mode;
	int64_t start_timeout;
	int64_t turn_timeout;
	int64_t cancel_timeout;
	int64_t silence_timeout; /* 0: none */
	struct secrets *secrets; /* that it was given */
	worker_event_fn *on_event;
	void *ctx;
	struct ev_loop *loop;

	/* life */
	enum worker_state state; /* written by worker_set_state() alone */
	struct child *child;
	struct limit start_limit;
	struct limit turn_limit;
	struct limit cancel_limit;
	struct limit silence_limit;
	ev_timer grace;          /* a pipe was closed: wait for the exit */
	ev_timer quiet;          /* after session/load: is the replay over? */
	ev_timer kick;           /* never runs: fed to tell queued things */
	const char *grace_reason;
	char *end_reason;        /* why it was stopped, NULL: it was not */
	bool was_planned;
	bool is_spare;           /* not claimed yet */
	bool is_ready;
	bool has_failed;         /* AGENT_FAILED was told */
	bool is_paused;
	bool is_frozen;
	bool was_woken;       /* by what was said to it; not told yet */
	int64_t spawn_at;
	int64_t wanted_at;       /* spawned, or claimed */
	int64_t opened_at;       /* when a session was asked for */
	int64_t initialize_ms;
	int64_t last_active;
	int64_t excused_until;   /* before, nobody waited for the agent's word */
	int64_t paused_at;

	/* pipes */
	ev_io in_watcher;
	ev_io err_watcher;
	ev_io out_watcher;
	bool in_open;
	bool err_open;
	bool out_open;
	struct ndjson in;
	struct buf out;          /* what stdin could not take yet … */
	size_t out_at;           /* … from this offset */
	size_t prompt_len;       /* of the last prompt, for the queue's bound */
	struct ring *err_ring;

	/* protocol */
	int64_t last_id;
	struct pending pending[PENDING_MAX];
	bool initialized;
	unsigned messages;       /* valid ones */
	unsigned noise;          /* lines that were none */
	unsigned strays;         /* errors and batches that belong nowhere */
	char *first_noise;
	json_t *init_result;     /* until READY */
	json_t *auth_methods;    /* of initialize's answer, NULL: none */
	char *session_id;
	size_t session_id_len;
	bool can_close;          /* session/close is offered */
	bool mixes_up_answers;   /* worker/quirks.h */
	bool is_unproven;        /* it was reopened, and not prompted yet */
	enum request_kind opening; /* how a session was asked for last */
	bool is_reopening;       /* known_session's answer is awaited */
	bool swallows_past;      /* session/load: the replay, until a prompt */
	int64_t replayed_at;     /* when its last update came, 0: none did */
	int64_t answered_at;     /* when session/load was answered */
	bool sent_mcp;           /* the request for it had MCP servers */
	bool without_mcp;        /* it was refused with them */
	char *lost_reason;       /* why known_session was given up, or NULL */
	json_t *session_result;  /* of the session's answer, until READY */
	bool offers_read;        /* fs/read_text_file was offered */
	bool offers_write;
	struct list early;
	unsigned early_count;
	size_t early_bytes;
	unsigned early_dropped;
	bool is_replaying;       /* early lines are told now */
	bool saw_foreign;        /* another session's update was logged */

	/* settings */
	struct settings settings;
	json_t *known_offers;    /* of known_session, in an earlier child */
	struct list wishes;      /* struct wish; the first is being asked for */
	struct setting_step step;
	char *config_id;         /* step's */
	const char *asked;       /* the method that was sent for it */
	bool tells_refusal;      /* they are worker_configure()'s */
	char *refusal;

	/* turn */
	struct turn turn;
	struct message message;
	struct tool_calls *tools;
	bool gathers;
	struct gathered gathered;
	struct findings *findings;
	struct cost_meter cost;
	struct buf text;         /* the chunk at hand, reused */
	struct buf message_id;

	/* permissions */
	struct list asks;        /* struct ask: open, or settled and not told */
	unsigned open_asks;
	int64_t last_ask;

	/* terminals */
	bool can_run_more;       /* other commands behind the launcher */
	bool offers_terminals;
	bool is_child_gone;      /* but perhaps not the terminals */
	struct terminals *terminals;
	struct list waits;       /* struct wait: terminal/wait_for_exit */
	unsigned n_waits;
	const struct permission_rules *rules; /* the owner's, or NULL */
	char *tenant, *agent;    /* which of them hold */
	int64_t project_id;
	char *real_cwd;          /* cwd without symbolic links, or NULL */
};

/* deadlines.c */
void deadlines_init(struct worker *w);
/* Starts and stops them as the state wants it. */
void deadlines_sync(struct worker *w);
/* They stand still from now on, or go on; is_paused is set already. */
void deadlines_freeze(struct worker *w, bool frozen);
void deadlines_free(struct worker *w);

/* worker.c */
void worker_set_state(struct worker *w, enum worker_state s);
/* Tells GONE once both the child and its terminals are. */
void worker_check_gone(struct worker *w);
void worker_tell(struct worker *w, const struct agent_event *ev);
/* Has queued things told from the loop, soon. */
void worker_kick(struct worker *w);
/*
 * The agent can't be used any more: ends it, and tells AGENT_FAILED (before
 * READY) or ends the turn in flight. reason is for end_reason, error for
 * people. Does nothing when it is being stopped already.
 */
void worker_give_up(struct worker *w, const char *code, const char *reason,
    const char *error, bool at_once);
/* A pipe was closed: unless the exit follows within 500 ms, give up. */
void worker_expect_exit(struct worker *w, const char *reason);
static inline bool
worker_is_live(const struct worker *w)
{
	return w->state < WORKER_STOPPING;
}

/* io.c */
void io_init(struct worker *w);
void io_open(struct worker *w);
/* Offers w->out to the agent; never blocks. */
void io_flush(struct worker *w);
size_t io_queued(const struct worker *w);
void io_close_stdin(struct worker *w);
/* Starts or stops reading stdout as is_paused says. */
void io_pause(struct worker *w);
/* The process has ended: reads what is left, then closes all. */
void io_drain(struct worker *w);
void io_free(struct worker *w);

/* rpc.c */
void rpc_line(struct worker *w, const char *line, size_t len);
/* Sends a request; params is JSON text on one line. Returns its id. */
int64_t rpc_request(struct worker *w, enum request_kind kind,
    const char *method, const char *params);
void rpc_notify(struct worker *w, const char *method, const char *params);
void rpc_result(struct worker *w, const char *id, const char *result);
void rpc_error(struct worker *w, const char *id, int code,
    const char *message);
/* Whether so many bytes more can be queued for an agent that does not read. */
bool rpc_has_room(const struct worker *w, size_t n);
/* An id as text and one as a value: 7 is not "7", whatever the spelling. */
bool rpc_is_id(const char *text, const json_t *id);
/* JSON text that may have line breaks between its tokens, without them. */
void rpc_add_json(struct buf *b, const char *json);

/* answer.c */
void answer_request(struct worker *w, const struct envelope *m);

/* answer_terminal.c */
void terminal_init(struct worker *w, const struct worker_spec *spec);
void terminal_on_request(struct worker *w, const struct envelope *m);
/* The agent withdraws request_id. False: nothing waits by that name. */
bool terminal_on_withdrawn(struct worker *w, const json_t *request_id);
void terminal_free(struct worker *w);

/* handshake.c */
void handshake_initialize(struct worker *w);
void handshake_on_initialize(struct worker *w, const struct envelope *m);
/* The agent refused method, at its start: for want of a login, or so. */
void handshake_give_up_refused(struct worker *w, const char *method,
    const struct envelope *m);
void handshake_on_timeout(struct worker *w);
void handshake_free(struct worker *w);

/* attach.c */
/* Initialized: asks for a session; the worker is OPENING until READY. */
void attach_begin(struct worker *w);
void attach_on_answer(struct worker *w, const struct envelope *m);
/* How the session was asked for: "session/new" … */
const char *attach_method(const struct worker *w);
/* True: a replay of what is known already. */
bool attach_swallow(struct worker *w, const struct envelope *m);
/* Keeps a line for after READY; bounded. */
void attach_keep(struct worker *w, const char *line, size_t len);
void attach_on_quiet(struct worker *w);
void attach_free(struct worker *w);

/* configure.c */
/* The spec's wanted: settings to make so after READY. */
void configure_want(struct worker *w, const char *wanted);
bool configure_is_wanted(const struct worker *w);
/* It is READY and being made what was wanted of an earlier child. */
bool configure_is_for_earlier(const struct worker *w);
/* The next request; or CONFIGURING is over, and told. */
void configure_next(struct worker *w);
void configure_on_answer(struct worker *w, const struct envelope *m);
void configure_on_timeout(struct worker *w);
void configure_free(struct worker *w);

/* prompt.c */
void prompt_on_answer(struct worker *w, const struct envelope *m);
/* Ends the turn in flight without an answer. */
void prompt_fail(struct worker *w, const char *code, const char *error);
void prompt_on_timeout(struct worker *w);
/* How long the agent may still be silent, in ms; 0: the turn was cancelled. */
int64_t prompt_on_silence(struct worker *w);
/* True: another step was taken, wait as long again. */
bool prompt_on_cancel_timeout(struct worker *w);

/* ask.c */
void ask_on_request(struct worker *w, const struct envelope *m);
/* The agent withdraws request_id. False: it names no open permission. */
bool ask_on_withdrawn(struct worker *w, const json_t *request_id);
/* Settles all that are open as cancelled; they are told later. */
void ask_cancel_all(struct worker *w);
/* Tells what was settled and forgets it. From the loop only. */
void ask_tell_settled(struct worker *w);
void ask_free(struct worker *w);

/* update.c */
void update_init(struct worker *w);
/* What was found in what was told. */
void update_tell_findings(struct worker *w);
/* The hot path. False: the line is none of its. */
bool update_scan(struct worker *w, const char *line, size_t len);
void update_on_notification(struct worker *w, const struct envelope *m);
/* Merges a tool call's state and marks the turn; NULL when it has no id. */
const struct agent_tool *update_merge_tool(struct worker *w, json_t *tool);

/* gather.c */
void gather_init(struct worker *w);
/* Before a tool call is merged with an update: what waited is told, unless the
 * update says all of it again. */
void gather_before(struct worker *w, const json_t *update);
/* After it was: true, it is told later. */
bool gather_hold(struct worker *w, const struct envelope *m, json_t *update,
    const struct agent_tool *tool);
/* Tells what waits. */
void gather_release(struct worker *w);
void gather_free(struct worker *w);

/* words.c; what returns text leaves it to the caller to free, and none of it
 * has a secret of the agent in it */
/* The last lines of stderr: "; stderr ends with: …", "" when it was silent. */
char *words_stderr(const struct worker *w);
/* All of stderr that is kept, at most max bytes. */
char *words_stderr_tail(const struct worker *w, size_t max);
/* What an error says. */
char *words_said(const struct worker *w, const struct envelope *m);
/*
 * The likely cause of an end or a silence and what it said last: " (is …?);
 * stderr ends with: …". otherwise: the cause when nothing points to another,
 * or NULL. exit_code: -1 when it has not exited.
 */
char *words_cause(const struct worker *w, int exit_code,
    const char *otherwise);
char *words_exit(const struct child_exit *x);     /* "exit code 3" */
char *words_missing(const struct worker *w, const struct child_exit *x);
/* How to log in, from initialize's authMethods; "" when it named none. */
char *words_auth_hint(const struct worker *w, const json_t *methods);
void words_clean(char *text); /* control characters become spaces */

#endif
