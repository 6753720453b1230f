/* SPDX-License-Identifier: MIT */
/*
 * Seats by session ("": the spares): a bucket of the map is the list of a
 * session's live seats, so that finding one and listing a session's cost the
 * same few steps. Seats whose child has ended wait in `ending` until nothing of
 * it is left. One seat is seat.c, who leaves for want of room is room.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/clock.h"
#include "pool/pool_private.h"

static void on_worker_event(void *ctx, struct worker *w,
    const struct agent_event *ev);
static void on_idle_timer(struct ev_loop *loop, ev_timer *t, int revents);

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
	p->limits = room_new_limits(p);
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

struct seat *
pool_find(const struct pool *p, const char *session, const char *chat,
    const char *agent)
{
	struct bucket *b = map_get(&p->sessions, session);

	if (!b)
		return NULL;
	LIST_EACH(pos, tmp, &b->seats) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_session);

		if (seat_is_live(s) && strcmp(s->chat, chat) == 0 &&
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

		if (seat_is_live(s))
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

		if (!seat_is_live(s))
			n.ending++;
		else if (seat_is_spare(s))
			n.spare++;
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
	if (seat_is_spare(s))
		list_prepend(&s->pool->by_use, &s->in_use_order);
	else
		list_append(&s->pool->by_use, &s->in_use_order);
	limits_enter(s->pool->limits, &s->tree, seat_is_spare(s));
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

static enum permission_mode
permission_mode_of(const char *word)
{
	if (strcmp(word, "allow") == 0)
		return PERMISSION_ALLOW;
	if (strcmp(word, "deny") == 0)
		return PERMISSION_DENY;
	return PERMISSION_ASK;
}

/* Whose its worker is; name is the caller's to free. */
static char *
fill_place(struct worker_spec *w, const struct seat_spec *spec)
{
	char *name = xasprintf("%.8s/%s", *spec->chat ? spec->chat : "spare",
	    spec->agent);

	w->name = name;
	w->cwd = spec->cwd;
	w->known_session = spec->known_session;
	w->may_replace = spec->may_replace;
	w->wanted = spec->wanted;
	w->scope = (struct permission_scope){ spec->tenant, spec->agent,
		spec->project_id };
	return name;
}

static int
start_worker(struct pool *p, struct seat *s, const struct seat_spec *spec,
    struct err *e)
{
	char **env = child_environment(), *name;
	struct worker_spec w = {
		.serial = ++p->next_serial,
		.argv = spec->argv,
		.secret_env = spec->env,
		.client_capabilities = spec->client_capabilities,
		.mcp_servers = spec->mcp_servers,
		.permission_mode = permission_mode_of(spec->permission_mode),
		.start_timeout = p->cfg.start_timeout,
		.turn_timeout = p->cfg.turn_timeout,
		.cancel_timeout = p->cfg.cancel_timeout,
		.launcher_words = spec->launcher_words,
		.silence_timeout = p->cfg.silence_timeout,
		.gathers = p->cfg.gathers,
		.rules = p->rules,
		.is_spare = seat_is_spare(s),
	};
	int rc;

	name = fill_place(&w, spec);
	for (char *const *entry = spec->env; entry && *entry; entry++)
		child_setenv(&env, *entry);
	w.envp = env;
	rc = worker_start(p->loop, &w, on_worker_event, s, &s->worker, e);
	strv_free(&env);
	free(name);
	return rc;
}

/* It is in no bucket, and then in that of the spec's session. */
static void
take_place(struct seat *s, const struct seat_spec *spec)
{
	free(s->session);
	free(s->chat);
	s->session = xstrdup(spec->session);
	s->chat = xstrdup(spec->chat);
	s->is_for_turn = strcmp(spec->origin, "cold") == 0;
	s->is_paused = spec->is_paused;
	s->idle_timeout = spec->idle_timeout;
	s->last_used = clock_ms();
	enter_bucket(s);
}

struct seat *
pool_start(struct pool *p, const struct seat_spec *spec, struct err *e)
{
	struct seat *s;

	MUST(!*spec->chat ||
	    !pool_find(p, spec->session, spec->chat, spec->agent));
	MUST(*spec->chat || p->live < p->cfg.max_agents);
	if (room_make(p, e) != 0)
		return NULL;
	s = xcalloc(1, sizeof *s);
	s->pool = p;
	s->agent = xstrdup(spec->agent);
	s->config_hash = xstrdup(spec->config_hash);
	s->execution = spec->execution;
	s->origin = spec->origin;
	take_place(s, spec);
	if (start_worker(p, s, spec, e) != 0) {
		free_seat(s);
		return NULL;
	}
	worker_pause(s->worker, p->paused || s->is_paused);
	return s;
}

static struct seat *
find_spare(const struct pool *p, const struct seat_spec *spec)
{
	struct bucket *b = map_get(&p->sessions, "");

	if (!b)
		return NULL;
	LIST_EACH(pos, tmp, &b->seats) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_session);

		if (seat_can_be_claimed(s) &&
		    strcmp(s->agent, spec->agent) == 0 &&
		    strcmp(s->config_hash, spec->config_hash) == 0)
			return s;
	}
	return NULL;
}

struct seat *
pool_claim(struct pool *p, const struct seat_spec *spec)
{
	struct seat *s = find_spare(p, spec);
	struct worker_spec w = { 0 };
	char *name;

	MUST(!pool_find(p, spec->session, spec->chat, spec->agent));
	if (!s)
		return NULL;
	leave_bucket(s);
	take_place(s, spec);
	name = fill_place(&w, spec);
	worker_claim(s->worker, &w);
	free(name);
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
	case AGENT_WOKEN:
		seat_wake(s);
		return;
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

	if (clock_ms() - c->history.quiet <= p->cfg.restart.window)
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

		if (!seat_is_idle(s))
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
