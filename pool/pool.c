/* SPDX-License-Identifier: MIT */
/*
 * Seats by session: a bucket of the map is the list of a session's live
 * seats, so that finding one and listing a session's cost the same few steps.
 * Seats whose child has ended wait in `ending` until nothing of it is left.
 */
#include "pool/pool.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "pool/limits.h"
#include "worker/worker.h"

struct seat {
	struct list in_session;   /* bucket.seats, or ending */
	struct list in_use_order; /* pool.by_use: least recently used first */
	struct pool *pool;
	struct bucket *bucket;    /* NULL once the child has ended */
	struct worker *worker;    /* owned */
	char *session, *chat, *agent, *config_hash;
	int64_t execution;
	int64_t idle_timeout;
	int64_t last_used;        /* on base/clock */
	char *lost_reason;        /* until the first prompt */
	bool had_prompt;
	bool is_held;             /* a turn is meant for it */
	bool has_failed;
	bool is_paused;           /* its chat is */
	bool is_leaving;          /* asked to stop: not to be found any more */
	struct limits_tree tree;  /* its processes */
	const char *origin;
};

/* The live seats of one session; there while it has any. */
struct bucket {
	struct list seats;
	char *session;
};

/* Forgotten when a window has passed without another one. */
struct crashes {
	struct crash_history history;
	char *key;
};

struct pool {
	struct ev_loop *loop;
	struct pool_config cfg;
	pool_event_fn *on_event;
	void *ctx;
	struct map sessions;      /* uuid -> struct bucket */
	struct map crashes;       /* chat/agent -> struct crashes */
	struct list by_use;
	struct list ending;
	struct ev_timer idle_timer;
	int64_t next_serial;
	int live;
	bool paused;
	struct permission_rules *rules; /* borrowed by every worker */
	struct limits *limits;
	pool_memory_fn *on_memory; /* NULL: nobody wants to know */
};

/* Output so short a time ago is more to come, perhaps. */
#define RECENT_MS 3000
/* It still works: two rounds of pool/limits.c. */
#define WORKED_MS 10000

static void on_worker_event(void *ctx, struct worker *w,
    const struct agent_event *ev);
static void on_idle_timer(struct ev_loop *loop, ev_timer *t, int revents);
static struct limits *new_limits(struct pool *p);

struct pool *
pool_new(struct ev_loop *loop, const struct pool_config *cfg,
    pool_event_fn *on_event, void *ctx)
{
	struct pool *p = xcalloc(1, sizeof *p);

	p->loop = loop;
	p->on_event = on_event;
	p->ctx = ctx;
	list_init(&p->by_use);
	list_init(&p->ending);
	p->rules = permission_rules_new();
	ev_timer_init(&p->idle_timer, on_idle_timer, 0., 0.);
	p->idle_timer.data = p;
	p->limits = new_limits(p);
	pool_configure(p, cfg);
	return p;
}

/* Looks for idle children about ten times per idle_timeout. */
void
pool_configure(struct pool *p, const struct pool_config *cfg)
{
	double every = (double)cfg->idle_timeout / 1e3 / 10;

	p->cfg = *cfg;
	limits_configure(p->limits, cfg->max_memory);
	ev_timer_stop(p->loop, &p->idle_timer);
	ev_timer_set(&p->idle_timer, 0., every < .1 ? .1 : every > 30 ? 30 :
	    every);
	ev_timer_again(p->loop, &p->idle_timer);
}

void
pool_set_rules(struct pool *p, const struct permission_rule *rules, size_t n)
{
	permission_rules_set(p->rules, rules, n);
}

/* ---- finding */

static bool
is_live(const struct seat *s)
{
	return s->bucket && !s->is_leaving &&
	    worker_state(s->worker) < WORKER_STOPPING;
}

struct seat *
pool_find(const struct pool *p, const char *session, const char *chat,
    const char *agent)
{
	struct bucket *b = map_get(&p->sessions, session);

	if (!b)
		return NULL;
	LIST_EACH(pos, tmp, &b->seats) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_session);

		if (is_live(s) && strcmp(s->chat, chat) == 0 &&
		    strcmp(s->agent, agent) == 0)
			return s;
	}
	return NULL;
}

void
pool_each(const struct pool *p, const char *session,
    void (*fn)(void *ctx, struct seat *seat), void *ctx)
{
	struct bucket *b = map_get(&p->sessions, session);

	if (!b)
		return;
	LIST_EACH(pos, tmp, &b->seats) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_session);

		if (is_live(s))
			fn(ctx, s);
	}
}

bool
pool_has_session(const struct pool *p, const char *session)
{
	return map_get(&p->sessions, session) != NULL;
}

bool
pool_has_remains(const struct pool *p, const char *session)
{
	LIST_EACH(pos, tmp, &p->ending)
		if (strcmp(LIST_ITEM(pos, struct seat, in_session)->session,
		    session) == 0)
			return true;
	return pool_has_session(p, session);
}

struct pool_counts
pool_count(const struct pool *p)
{
	struct pool_counts n = { 0 };

	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);

		if (!is_live(s))
			n.ending++;
		else if (seat_is_ready(s))
			n.idle++;
		else if (seat_has_prompt(s))
			n.working++;
		else
			n.starting++;
	}
	LIST_EACH(pos, tmp, &p->ending)
		n.ending++;
	return n;
}

bool
pool_is_empty(const struct pool *p)
{
	return list_empty(&p->by_use) && list_empty(&p->ending);
}

/* ---- a seat's beginning and end */

static void
enter_bucket(struct seat *s)
{
	struct bucket *b = map_get(&s->pool->sessions, s->session);

	if (!b) {
		b = xcalloc(1, sizeof *b);
		list_init(&b->seats);
		b->session = xstrdup(s->session);
		map_set(&s->pool->sessions, s->session, b);
	}
	s->bucket = b;
	list_append(&b->seats, &s->in_session);
	list_append(&s->pool->by_use, &s->in_use_order);
	limits_enter(s->pool->limits, &s->tree);
	s->pool->live++;
}

static void
leave_bucket(struct seat *s)
{
	struct bucket *b = s->bucket;

	if (!b)
		return;
	list_remove(&s->in_session);
	list_remove(&s->in_use_order);
	limits_leave(s->pool->limits, &s->tree);
	s->bucket = NULL;
	s->pool->live--;
	if (!list_empty(&b->seats))
		return;
	map_remove(&s->pool->sessions, b->session);
	free(b->session);
	free(b);
}

static void
free_seat(struct seat *s)
{
	leave_bucket(s);
	list_remove(&s->in_session);
	worker_free(&s->worker);
	free(s->session);
	free(s->chat);
	free(s->agent);
	free(s->config_hash);
	free(s->lost_reason);
	free(s);
}

/* It waits for a turn, and nothing that it has begun still runs. */
static bool
is_idle(const struct seat *s)
{
	return !s->is_held && seat_is_ready(s) &&
	    !worker_has_terminals(s->worker);
}

/* What it does of itself: output, and processor time, since its last turn. */
static bool
works_unasked(const struct seat *s)
{
	int64_t now = clock_ms();
	int64_t active = worker_last_active(s->worker);

	return (active > s->last_used && now - active < RECENT_MS) ||
	    (s->tree.worked_since > s->last_used &&
	    now - s->tree.worked_at < WORKED_MS);
}

/* The idle one that was used least recently. */
static struct seat *
evictable(const struct pool *p)
{
	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);

		if (is_idle(s) && !works_unasked(s))
			return s;
	}
	return NULL;
}

bool
pool_has_room(const struct pool *p)
{
	return p->live < p->cfg.max_agents || evictable(p);
}

static int
make_room(struct pool *p, struct err *e)
{
	struct seat *s;

	if (p->live < p->cfg.max_agents)
		return 0;
	s = evictable(p);
	if (s) {
		seat_stop(s, "evicted: max_agents reached");
		return 0;
	}
	return fail(e, "all of max_agents (%lld) children are at work",
	    (long long)p->cfg.max_agents);
}

static enum permission_mode
permission_mode_of(const char *word)
{
	if (strcmp(word, "allow") == 0)
		return PERMISSION_ALLOW;
	if (strcmp(word, "deny") == 0)
		return PERMISSION_DENY;
	return PERMISSION_ASK;
}

static int
start_worker(struct pool *p, struct seat *s, const struct seat_spec *spec,
    struct err *e)
{
	char **env = child_environment();
	char *name = xasprintf("%.8s/%s", spec->chat, spec->agent);
	struct worker_spec w = {
		.serial = ++p->next_serial,
		.name = name,
		.argv = spec->argv,
		.secret_env = spec->env,
		.cwd = spec->cwd,
		.client_capabilities = spec->client_capabilities,
		.mcp_servers = spec->mcp_servers,
		.known_session = spec->known_session,
		.may_replace = spec->may_replace,
		.wanted = spec->wanted,
		.permission_mode = permission_mode_of(spec->permission_mode),
		.start_timeout = p->cfg.start_timeout,
		.turn_timeout = p->cfg.turn_timeout,
		.cancel_timeout = p->cfg.cancel_timeout,
		.launcher_words = spec->launcher_words,
		.silence_timeout = p->cfg.silence_timeout,
		.rules = p->rules,
		.scope = { spec->tenant, spec->agent, spec->project_id },
	};
	int rc;

	for (char *const *entry = spec->env; entry && *entry; entry++)
		child_setenv(&env, *entry);
	w.envp = env;
	rc = worker_start(p->loop, &w, on_worker_event, s, &s->worker, e);
	strv_free(&env);
	free(name);
	return rc;
}

struct seat *
pool_start(struct pool *p, const struct seat_spec *spec, struct err *e)
{
	struct seat *s;

	MUST(!pool_find(p, spec->session, spec->chat, spec->agent));
	if (make_room(p, e) != 0)
		return NULL;
	s = xcalloc(1, sizeof *s);
	s->pool = p;
	s->session = xstrdup(spec->session);
	s->chat = xstrdup(spec->chat);
	s->agent = xstrdup(spec->agent);
	s->config_hash = xstrdup(spec->config_hash);
	s->execution = spec->execution;
	s->origin = spec->origin;
	s->idle_timeout = spec->idle_timeout;
	s->last_used = clock_ms();
	enter_bucket(s);
	if (start_worker(p, s, spec, e) != 0) {
		free_seat(s);
		return NULL;
	}
	s->is_paused = spec->is_paused;
	worker_pause(s->worker, p->paused || s->is_paused);
	return s;
}

static void
on_worker_event(void *ctx, struct worker *w, const struct agent_event *ev)
{
	struct seat *s = ctx;
	struct pool *p = s->pool;

	(void)w;
	switch (ev->type) {
	case AGENT_READY:
		s->last_used = clock_ms();
		s->lost_reason = xstrdup(ev->ready.lost_reason);
		break;
	case AGENT_TURN_DONE:
		s->last_used = clock_ms();
		break;
	case AGENT_FAILED:
		s->has_failed = s->is_leaving = true;
		break;
	case AGENT_ENDED:
		leave_bucket(s);
		list_append(&p->ending, &s->in_session);
		break;
	case AGENT_GONE:
		list_remove(&s->in_session);
		break;
	default:
		break;
	}
	p->on_event(p->ctx, s, ev);
	if (ev->type == AGENT_GONE)
		free_seat(s);
}

static void
free_crashes(struct crashes *c)
{
	free(c->key);
	free(c);
}

static void
forget_old(void *value, void *ctx)
{
	struct crashes *c = value;
	struct pool *p = ctx;

	if (clock_ms() - c->history.last <= p->cfg.restart.window)
		return;
	map_remove(&p->crashes, c->key);
	free_crashes(c);
}

static void
on_idle_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct pool *p = t->data;
	int64_t now = clock_ms();

	(void)loop;
	(void)revents;
	map_each(&p->crashes, forget_old, p);
	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);
		int64_t limit = s->idle_timeout >= 0 ? s->idle_timeout :
		    p->cfg.idle_timeout;
		int64_t active;

		if (!is_idle(s))
			continue;
		/* updates that still flow keep it warm */
		active = worker_last_active(s->worker);
		if (active < s->last_used)
			active = s->last_used;
		/* and so does what it has left running */
		if (active < s->tree.worked_at)
			active = s->tree.worked_at;
		if (now - active >= limit)
			seat_stop(s, "idle_timeout");
	}
}

/* ---- memory */

static struct seat *
seat_of(const struct limits_tree *t)
{
	return LIST_ITEM(t, struct seat, tree);
}

static size_t
roots_of(void *ctx, const struct limits_tree *t, pid_t *out, size_t max)
{
	(void)ctx;
	return worker_keepers(seat_of(t)->worker, out, max);
}

static bool
may_leave(void *ctx, const struct limits_tree *t)
{
	const struct seat *s = seat_of(t);

	(void)ctx;
	return is_idle(s) &&
	    clock_ms() - worker_last_active(s->worker) >= RECENT_MS;
}

static void
evict(void *ctx, struct limits_tree *t)
{
	(void)ctx;
	seat_stop(seat_of(t), "evicted: max_memory reached");
}

static void
told(void *ctx, struct limits_tree *t)
{
	struct pool *p = ctx;

	if (p->on_memory)
		p->on_memory(p->ctx, seat_of(t), t->pss_kb);
}

static struct limits *
new_limits(struct pool *p)
{
	static const struct limits_callbacks cb = { roots_of, may_leave,
		evict, told };

	return limits_new(p->loop, &cb, p);
}

void
pool_on_memory(struct pool *p, pool_memory_fn *fn)
{
	p->on_memory = fn;
}

/* ---- all of them */

void
pool_pause(struct pool *p, bool paused)
{
	if (p->paused == paused)
		return;
	p->paused = paused;
	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);

		worker_pause(s->worker, paused || s->is_paused);
	}
}

void
pool_pause_chat(struct pool *p, const char *session, const char *chat,
    bool paused)
{
	struct bucket *b = map_get(&p->sessions, session);

	if (!b)
		return;
	LIST_EACH(pos, tmp, &b->seats) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_session);

		if (strcmp(s->chat, chat) != 0)
			continue;
		s->is_paused = paused;
		worker_pause(s->worker, p->paused || paused);
	}
}

void
pool_stop(struct pool *p, const char *reason)
{
	LIST_EACH(pos, tmp, &p->by_use)
		seat_stop(LIST_ITEM(pos, struct seat, in_use_order), reason);
}

void
pool_kill(struct pool *p, const char *reason)
{
	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);

		s->is_leaving = true;
		worker_kill(s->worker, reason);
	}
}

static void
free_history(void *value, void *ctx)
{
	(void)ctx;
	free_crashes(value);
}

void
pool_free(struct pool **pool)
{
	struct pool *p = *pool;

	if (!p)
		return;
	ev_timer_stop(p->loop, &p->idle_timer);
	LIST_EACH(pos, tmp, &p->by_use)
		free_seat(LIST_ITEM(pos, struct seat, in_use_order));
	LIST_EACH(pos, tmp, &p->ending)
		free_seat(LIST_ITEM(pos, struct seat, in_session));
	map_each(&p->crashes, free_history, NULL);
	map_free(&p->crashes);
	map_free(&p->sessions);
	permission_rules_free(&p->rules);
	limits_free(&p->limits);
	free(p);
	*pool = NULL;
}

/* ---- crashes */

static char *
history_key(const char *chat, const char *agent)
{
	return xasprintf("%s/%s", chat, agent);
}

int64_t
pool_note_crash(struct pool *p, const struct seat *seat, int *count)
{
	char *key = history_key(seat->chat, seat->agent);
	struct crashes *c = map_get(&p->crashes, key);
	int64_t wait;

	if (!c) {
		c = xcalloc(1, sizeof *c);
		c->key = xstrdup(key);
		map_set(&p->crashes, key, c);
	}
	wait = restart_policy_crash(&p->cfg.restart, &c->history, clock_ms(),
	    drand48());
	*count = c->history.count;
	free(key);
	return wait;
}

void
pool_reset(struct pool *p, const char *chat, const char *agent)
{
	struct crashes *c;
	char *key;

	if (p->crashes.count == 0)
		return;
	key = history_key(chat, agent);
	c = map_remove(&p->crashes, key);
	free(key);
	if (c)
		free_crashes(c);
}

/* ---- one seat */

const char *
seat_session(const struct seat *s)
{
	return s->session;
}

const char *
seat_chat(const struct seat *s)
{
	return s->chat;
}

const char *
seat_agent(const struct seat *s)
{
	return s->agent;
}

const char *
seat_config_hash(const struct seat *s)
{
	return s->config_hash;
}

int64_t
seat_execution(const struct seat *s)
{
	return s->execution;
}

pid_t
seat_pid(const struct seat *s)
{
	return worker_pid(s->worker);
}

bool
seat_is_ready(const struct seat *s)
{
	return is_live(s) && worker_state(s->worker) == WORKER_IDLE;
}

bool
seat_has_prompt(const struct seat *s)
{
	enum worker_state state = worker_state(s->worker);

	return state == WORKER_PROMPTING || state == WORKER_CANCELLING;
}

bool
seat_has_failed(const struct seat *s)
{
	return s->has_failed;
}

bool
seat_is_fresh(const struct seat *s)
{
	return !s->had_prompt && strcmp(s->origin, "cold") == 0;
}

const char *
seat_origin(const struct seat *s)
{
	return s->origin;
}

const char *
seat_lost_reason(const struct seat *s)
{
	return s->lost_reason;
}

int
seat_configure(struct seat *s, const struct agent_setting *setting,
    struct err *e)
{
	return worker_configure(s->worker, setting, e);
}

void
seat_prompt(struct seat *s, int64_t turn, const char *preface,
    const char *blocks)
{
	s->had_prompt = true;
	free(s->lost_reason);
	s->lost_reason = NULL;
	seat_touch(s);
	worker_prompt(s->worker, turn, preface, blocks);
}

void
seat_touch(struct seat *s)
{
	s->last_used = clock_ms();
	list_remove(&s->in_use_order);
	list_append(&s->pool->by_use, &s->in_use_order);
	limits_used(s->pool->limits, &s->tree);
}

void
seat_cancel(struct seat *s)
{
	worker_cancel(s->worker);
}

int
seat_answer_permission(struct seat *s, int64_t serial, const char *option_id,
    struct err *e)
{
	return worker_answer_permission(s->worker, serial, option_id, e);
}

void
seat_expire_permission(struct seat *s, int64_t serial)
{
	worker_expire_permission(s->worker, serial);
}

void
seat_hold(struct seat *s, bool is_held)
{
	s->is_held = is_held;
}

void
seat_stop(struct seat *s, const char *reason)
{
	if (s->is_leaving)
		return;
	s->is_leaving = true;
	limits_leave(s->pool->limits, &s->tree);
	worker_stop(s->worker, reason);
}

int
seat_suspend(struct seat *s, struct err *e)
{
	if (seat_has_prompt(s) || s->is_held)
		return fail(e, "the agent has a turn");
	if (!seat_is_ready(s))
		return fail(e, "the agent is being started");
	if (!is_idle(s))
		return fail(e, "commands that the agent has in terminals are "
		    "still running");
	seat_stop(s, "suspended");
	return 0;
}
