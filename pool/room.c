/* SPDX-License-Identifier: MIT */
/*
 * Who leaves when there is too little room, by number (max_agents) or by memory
 * (max_memory, pool/limits.h), and who gives memory back without leaving.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/pool_private.h"

/* Output so short a time ago is more to come, perhaps. */
#define RECENT_MS 3000

/* It still works: two rounds of pool/limits.c. */
#define WORKED_MS 10000

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

/* A spare may go whatever it does. */
static bool
may_go(const struct seat *s)
{
	return seat_is_spare(s) ? seat_is_live(s) : seat_is_idle(s);
}

/* A spare, else the idle one that was used least recently. */
static struct seat *
evictable(const struct pool *p)
{
	LIST_EACH(pos, tmp, &p->by_use) {
		struct seat *s = LIST_ITEM(pos, struct seat, in_use_order);

		if (may_go(s) && (seat_is_spare(s) || !works_unasked(s)))
			return s;
	}
	return NULL;
}

bool
pool_has_room(const struct pool *p)
{
	return p->live < p->cfg.max_agents || evictable(p);
}

bool
pool_has_spare_room(const struct pool *p, int64_t kb)
{
	return p->live < p->cfg.max_agents && limits_have_room(p->limits, kb);
}

int
room_make(struct pool *p, struct err *e)
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
	return may_go(s) && (seat_is_spare(s) ||
	    clock_ms() - worker_last_active(s->worker) >= RECENT_MS);
}

static bool
is_frozen(void *ctx, const struct limits_tree *t)
{
	(void)ctx;
	return worker_is_frozen(seat_of(t)->worker);
}

static bool
may_sleep(void *ctx, const struct limits_tree *t, bool is_asked)
{
	if (is_frozen(ctx, t))
		return false;
	return is_asked ? seat_is_idle(seat_of(t)) : may_leave(ctx, t);
}

static void
freeze(void *ctx, struct limits_tree *t)
{
	(void)ctx;
	worker_freeze(seat_of(t)->worker);
}

static void
thaw(void *ctx, struct limits_tree *t)
{
	(void)ctx;
	worker_thaw(seat_of(t)->worker);
}

static void
slept(void *ctx, struct limits_tree *t)
{
	struct pool *p = ctx;
	struct seat *s = seat_of(t);

	log_info(s->agent, "chat %.8s is hibernated: it takes %lld MB now",
	    s->chat, (long long)t->pss_kb >> 10);
	s->is_hibernated = true;
	p->on_sleep(p->ctx, s, true);
}

static void
refused(void *ctx, struct limits_tree *t, const char *why, bool is_asked)
{
	struct seat *s = seat_of(t);

	(void)ctx;
	log_info(s->agent, "chat %.8s is not hibernated: %s", s->chat, why);
	if (is_asked)
		seat_stop(s, "suspended");
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

	p->on_memory(p->ctx, seat_of(t), t->pss_kb);
}

struct limits *
room_new_limits(struct pool *p)
{
	static const struct limits_callbacks cb = {
		.roots = roots_of, .may_leave = may_leave,
		.may_sleep = may_sleep, .freeze = freeze, .thaw = thaw,
		.is_frozen = is_frozen, .slept = slept, .refused = refused,
		.evict = evict, .told = told,
	};

	return limits_new(p->loop, &cb, p);
}

void
pool_on_memory(struct pool *p, pool_memory_fn *fn, pool_sleep_fn *on_sleep)
{
	p->on_memory = fn;
	p->on_sleep = on_sleep;
}
