/* SPDX-License-Identifier: MIT */
/*
 * Owns every worker: (chat, agent) -> seat -> worker. A seat is one life of a
 * child (an execution): it is started for a (chat, agent), serves its turns,
 * and ends for good when its child ends; the next turn gets a new seat. So a
 * late end of an old child can never touch its successor.
 *
 * A spare is a seat without a (chat, agent): its child is initialized and waits
 * for a chat to claim it; session and chat are "" until then. From there on it
 * is a seat like any other.
 *
 * Limits: at most max_agents children; when one more is needed, a spare goes,
 * else the idle one that was used least recently, unless it works unasked: since
 * its last turn updates have flowed or its processes have used the processor. It
 * goes, too, when all of them take more than max_memory (pool/limits.h). A child
 * that was idle for idle_timeout, with all its processes, is retired, unless it
 * is a spare. Crashes are counted per (chat, agent) by pool/restart_policy.h.
 *
 * Must never know: libpq, JSON-RPC, what a turn means.
 */
#ifndef HEARTH_POOL_H
#define HEARTH_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "pool/restart_policy.h"
#include "worker/agent_event.h"
#include "worker/permission_rules.h"

struct ev_loop;
struct pool;
struct seat;

struct pool_config {
	int64_t max_agents;
	int64_t idle_timeout;    /* milliseconds, as all below */
	int64_t start_timeout;
	int64_t turn_timeout;
	int64_t cancel_timeout;
	int64_t silence_timeout; /* 0: none */
	bool gathers;            /* updates of running tools, where they say
	                          * again and again the same */
	struct restart_policy restart;
	int64_t max_memory;      /* bytes; 0: no limit */
};

/*
 * What an agent did. In AGENT_ENDED the seat is out of the pool already:
 * pool_find() no longer gives it. It is valid until the callback of AGENT_GONE
 * returns.
 */
typedef void pool_event_fn(void *ctx, struct seat *seat,
    const struct agent_event *ev);

struct pool *pool_new(struct ev_loop *loop, const struct pool_config *cfg,
    pool_event_fn *on_event, void *ctx);
void pool_configure(struct pool *p, const struct pool_config *cfg);
/* All its processes take clearly more or less memory than was told before. */
typedef void pool_memory_fn(void *ctx, struct seat *seat, int64_t pss_kb);
/* It is hibernated, or woken, which may be told from within a seat_*() call. */
typedef void pool_sleep_fn(void *ctx, struct seat *seat, bool is_asleep);
/* Before the first child is started. */
void pool_on_memory(struct pool *p, pool_memory_fn *fn,
    pool_sleep_fn *on_sleep);
void pool_free(struct pool **p);   /* kills what is left */
/* From now on every child's permissions are decided by these, in this order;
 * they are copied. Before the first call each of them is a question. */
void pool_set_rules(struct pool *p, const struct permission_rule *rules,
    size_t n);

struct seat_spec {
	const char *session, *chat, *agent; /* "" "" and the agent: a spare */
	int64_t execution;         /* the id of this life */
	const char *config_hash;
	char *const *argv;
	char *const *env;          /* "K=V" sets, "K" unsets, on top of the
	                            * allow-listed environment */
	const char *cwd;
	const char *client_capabilities; /* JSON or NULL */
	const char *mcp_servers;   /* JSON or NULL */
	const char *known_session; /* as in worker/worker.h */
	bool may_replace;
	const char *wanted;        /* likewise */
	const char *permission_mode; /* ask allow deny */
	int64_t idle_timeout;      /* -1: the pool's */
	bool is_paused;            /* as by pool_pause_chat() */
	int64_t launcher_words;    /* so many words of argv are launcher */
	int64_t project_id;        /* which permission rules it falls under … */
	const char *tenant;        /* … besides those of its agent */
	const char *origin;        /* of its execution: cold spare warmed;
	                            * static */
};

/* The (chat, agent)'s live seat (starting, idle or at work), or NULL. */
struct seat *pool_find(const struct pool *p, const char *session,
    const char *chat, const char *agent);
/*
 * Starts a child; there must be no live seat for the pair. NULL with the
 * reason when no process can be made or max_agents are all at work.
 */
struct seat *pool_start(struct pool *p, const struct seat_spec *spec,
    struct err *e);
/*
 * Gives a spare of the agent with that config_hash to the spec's chat; there
 * must be no live seat for the pair. What the spec says of the child itself is
 * not looked at: it runs. NULL when there is none.
 */
struct seat *pool_claim(struct pool *p, const struct seat_spec *spec);
/* Whether pool_start() would find room now, be it by an idle child's leaving;
 * that may become so by time alone. */
bool pool_has_room(const struct pool *p);
/* The same for a spare, which takes about so many kB: nobody leaves for it. */
bool pool_has_spare_room(const struct pool *p, int64_t kb);
/* Calls fn for each live seat of the session; "": each spare. */
void pool_each(const struct pool *p, const char *session,
    void (*fn)(void *ctx, struct seat *seat), void *ctx);
/* True until the last child of the session has ended. */
bool pool_has_session(const struct pool *p, const char *session);
/* True until nothing of them is left, whatever they had started included. */
bool pool_has_remains(const struct pool *p, const char *session);
/* Back-pressure: no child's output is read while true. */
void pool_pause(struct pool *p, bool paused);
/* The same for the chat's children alone. */
void pool_pause_chat(struct pool *p, const char *session, const char *chat,
    bool paused);
/* Stops all; pool_is_empty() once nothing is left. */
void pool_stop(struct pool *p, const char *reason);
void pool_kill(struct pool *p, const char *reason);
bool pool_is_empty(const struct pool *p);

struct pool_counts {
	int starting, idle, working, spare, ending;
};
struct pool_counts pool_count(const struct pool *p);

/* After AGENT_FAILED or an unplanned AGENT_ENDED: counts it. Returns for how
 * many milliseconds the pair may not be started; *count: crashes in a row. */
int64_t pool_note_crash(struct pool *p, const struct seat *seat, int *count);
/* Forgets the pair's crashes. */
void pool_reset(struct pool *p, const char *chat, const char *agent);

const char *seat_session(const struct seat *s);
const char *seat_chat(const struct seat *s);
const char *seat_agent(const struct seat *s);
const char *seat_config_hash(const struct seat *s);
int64_t seat_execution(const struct seat *s);
pid_t seat_pid(const struct seat *s);
/* The keepers below which all its processes are, at most max; how many. */
size_t seat_keepers(const struct seat *s, pid_t *out, size_t max);
/* When it had its first prompt, in milliseconds of CLOCK_BOOTTIME; 0: it had
 * none. What has begun before is the agent's own. */
int64_t seat_first_prompt(const struct seat *s);
/* The turn that the child was prompted with last; 0: none. */
int64_t seat_last_turn(const struct seat *s);
/* No chat has claimed it. */
bool seat_is_spare(const struct seat *s);
/* A spare that can be claimed. */
bool seat_can_be_claimed(const struct seat *s);
/* What its processes took when last looked at, in kB; -1: nobody looked. */
int64_t seat_memory(const struct seat *s);
bool seat_is_ready(const struct seat *s);  /* has a session, no prompt */
bool seat_has_prompt(const struct seat *s);
/* AGENT_FAILED came: it never became usable, or is so no more. */
bool seat_has_failed(const struct seat *s);
/* True until the first prompt of a child that was started, or claimed, for
 * it. */
bool seat_is_fresh(const struct seat *s);
const char *seat_origin(const struct seat *s);
/* Why its conversation began anew though there was one, until it has a
 * prompt; else NULL. */
const char *seat_lost_reason(const struct seat *s);
/* What the agent calls its session; NULL before it is ready. */
const char *seat_agent_session(const struct seat *s);

/* As worker_configure(); the seat must be ready, and with 1 is not until
 * AGENT_CONFIGURED. */
int seat_configure(struct seat *s, const struct agent_setting *setting,
    struct err *e);
/* preface: text that goes before the blocks, or NULL. */
void seat_prompt(struct seat *s, int64_t turn, const char *preface,
    const char *blocks);
void seat_cancel(struct seat *s);
int seat_answer_permission(struct seat *s, int64_t serial,
    const char *option_id, struct err *e);
void seat_expire_permission(struct seat *s, int64_t serial);
/* While a turn is meant for it, it is neither evicted nor retired. */
void seat_hold(struct seat *s, bool is_held);
void seat_stop(struct seat *s, const char *reason);
/* Gives its memory back, unless it is at work (-1, and how): it is hibernated,
 * or ended where that cannot be. */
int seat_suspend(struct seat *s, struct err *e);
/* It will be needed soon: it is woken, and others are evicted before it. */
void seat_touch(struct seat *s);

#endif
