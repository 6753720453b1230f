/* SPDX-License-Identifier: MIT */
/*
 * One agent process and the protocol spoken with it: the client side of ACP,
 * protocol version 1, over the pipes of a base/child.
 *
 * The life of a worker stands in worker/worker_state.def; worker_state() says
 * where it is. What happens is told through one callback as struct
 * agent_event; no callback runs inside a worker_*() call that was made from
 * outside a callback; from within a callback every function but worker_free()
 * may be called (worker_free() only in AGENT_GONE).
 *
 * Owned by the pool. Must never know: PostgreSQL, the pool, other workers.
 */
#ifndef HEARTH_WORKER_H
#define HEARTH_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/agent_event.h"
#include "worker/permission_rules.h"

struct ev_loop;
struct worker;

enum worker_state {
#define STATE(name, meaning) WORKER_##name,
#define EDGE(from, to)
#include "worker/worker_state.def"
#undef STATE
#undef EDGE
	WORKER_STATES
};

enum permission_mode { PERMISSION_ASK, PERMISSION_ALLOW, PERMISSION_DENY };

struct worker_spec {
	int64_t serial;            /* never reused; names it in log lines */
	const char *name;          /* "4c1e…/qwen", for log lines */
	char *const *argv;
	char *const *envp;         /* the whole environment … */
	char *const *secret_env;   /* … and what of it must not be seen in
	                            * errors and logs ("K=V"); NULL: nothing */
	const char *cwd;           /* absolute: the session's worktree; of a
	                            * spare: where its process is to be */
	const char *client_capabilities; /* JSON object or NULL: overrides the
	                            * members it names of what is offered by
	                            * default (no fs, no terminal) */
	const char *mcp_servers;   /* JSON array or NULL */
	const char *known_session; /* the agent's id of the session that an
	                            * earlier child had: reopened if the agent
	                            * can; "": it is lost; NULL: there was none */
	bool may_replace;          /* a new one will do if that fails, for
	                            * whatever reason */
	enum permission_mode permission_mode;
	int64_t start_timeout;     /* milliseconds, as all below */
	int64_t turn_timeout;
	int64_t cancel_timeout;
	int64_t launcher_words;    /* so many words of argv are the launcher:
	                            * its terminals begin with them, too */
	int64_t silence_timeout;   /* 0: none */
	const char *wanted;        /* JSON object of settings (model, mode,
	                            * options by id) to make so once there is a
	                            * session, as far as the agent takes them,
	                            * and (offers) of what known_session offered;
	                            * or NULL */
	const struct permission_rules *rules; /* before permission_mode;
	                            * borrowed, may change; NULL: none */
	struct permission_scope scope; /* which of them hold */
	bool gathers;              /* of the many updates that say again and
	                            * again what a running tool has said, some
	                            * are told */
	bool is_spare;             /* is initialized and then waits for
	                            * worker_claim(), for a session */
};

typedef void worker_event_fn(void *ctx, struct worker *w,
    const struct agent_event *ev);

/*
 * Starts the agent. Returns 0 and *out; AGENT_READY or AGENT_FAILED follows.
 * Returns -1 only when no process can be made at all.
 */
int worker_start(struct ev_loop *loop, const struct worker_spec *spec,
    worker_event_fn *on_event, void *ctx, struct worker **out,
    struct err *e);

enum worker_state worker_state(const struct worker *w);
const char *worker_state_name(enum worker_state s);
int64_t worker_serial(const struct worker *w);
pid_t worker_pid(const struct worker *w);
/* What the agent calls its session; NULL before it is ready. */
const char *worker_session_id(const struct worker *w);
/* When the last byte came from the agent, on base/clock. */
int64_t worker_last_active(const struct worker *w);
/* Commands that the agent has in terminals are still running. */
bool worker_has_terminals(const struct worker *w);
/*
 * The keepers (base/child.h) below which all its processes are: the agent's and
 * those of its terminals. Returns how many, at most max.
 */
size_t worker_keepers(const struct worker *w, pid_t *out, size_t max);

/*
 * Gives a worker in the state SPARE a session, as spec has it: name, cwd,
 * known_session, may_replace, wanted and scope are taken over, the rest stays
 * as it was started. AGENT_READY or AGENT_FAILED follows. Its process stays
 * where it was: the agent hears of cwd by the request for the session.
 */
void worker_claim(struct worker *w, const struct worker_spec *spec);
/*
 * Sends session/prompt; the worker must be IDLE. blocks is a JSON array of
 * content blocks; preface, if not NULL, a text that goes before them as a block
 * of its own. turn comes back in AGENT_TURN_DONE. turn_timeout runs from here,
 * silence_timeout runs from the last byte on the agent's stdout, while no
 * tool call, no permission and no terminal is waited for.
 */
void worker_prompt(struct worker *w, int64_t turn, const char *preface,
    const char *blocks);
/*
 * Makes the settings so; the worker must be IDLE. 0: they are. 1: it is asked for, and
 * AGENT_CONFIGURED follows within start_timeout; until then the worker is not
 * IDLE. -1: the agent does not offer one of them.
 */
int worker_configure(struct worker *w, const struct agent_setting *s,
    struct err *e);
/*
 * Cancels the prompt in flight: session/cancel and "cancelled" for every open
 * permission; at half of cancel_timeout again, with $/cancel_request; at
 * cancel_timeout the turn is done with error_code "cancel_timeout" and the
 * child is stopped. Nothing when no prompt is in flight.
 */
void worker_cancel(struct worker *w);
/*
 * Answers an open permission request with one of its options. Returns -1 when
 * it is not open any more or has no such option. permission_expire() picks a
 * reject option (else "cancelled").
 */
int worker_answer_permission(struct worker *w, int64_t serial,
    const char *option_id, struct err *e);
void worker_expire_permission(struct worker *w, int64_t serial);

/*
 * Stops all its processes (child_freeze()); the worker must be IDLE and have no
 * terminals. They go on by themselves when anything is said to the agent, which
 * is told by AGENT_WOKEN, and when it is stopped.
 */
void worker_freeze(struct worker *w);
void worker_thaw(struct worker *w);
bool worker_is_frozen(const struct worker *w);

/*
 * Stops reading from the agent (back-pressure) or goes on. While paused, the
 * turn, silence and cancel timers stand still.
 */
void worker_pause(struct worker *w, bool paused);
/*
 * Ends the agent: stdin is closed, then SIGTERM, then SIGKILL of the tree. A
 * prompt in flight is done with error_code "agent_crashed" unless told. reason
 * becomes end_reason.
 */
void worker_stop(struct worker *w, const char *reason);
/* The same without patience. */
void worker_kill(struct worker *w, const char *reason);
void worker_free(struct worker **w);

#endif
