/* SPDX-License-Identifier: MIT */
/*
 * One round follows the other: of all trees, or, when one is about to go, of
 * that one alone (`candidate`). A tree that leaves in the middle of a round is
 * not found by its serial number any more, and that is all.
 */
#include "pool/limits.h"

#include <ev.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "pool/memory.h"

/* Between the end of a round and the next; while there is too much, or for a
 * new tree. */
#define ROUND_SECONDS 5.
#define SOON_SECONDS 1.
/* After a round that failed: whatever it is, it may pass. */
#define FAILED_SECONDS 30.
/* So many rounds with too much, in which none may leave, are logged: what has
 * just come to rest may leave within them. */
#define PATIENCE 6
/* What an idle agent may use of one processor, in thousandths, and in any
 * case: timers, the collection of garbage. */
#define QUIET_PART 20
#define QUIET_MS 20
/* A figure is told again when it has changed by more than an eighth and this,
 * and not too often: it becomes a row. */
#define TOLD_PART 8
#define TOLD_KB (4 << 10)
#define TOLD_MS 10000

struct limits {
	struct ev_loop *loop;
	struct limits_callbacks cb;
	void *ctx;
	struct memory *memory;
	struct list trees;
	int64_t max_kb;          /* 0: none */
	int64_t last_serial;
	int64_t candidate;       /* serial; 0: the round is of all */
	bool has_new;            /* the round saw a tree for the first time:
	                          * what it does shows in the next one */
	int64_t rounds_over;     /* in a row: too much, and none may leave */
	bool is_failing;         /* was logged: no figures */
	ev_timer timer;          /* of the next round */
};

static void on_tree(void *ctx, int64_t serial, const struct footprint *f);
static void on_end(void *ctx, const struct err *e);
static void on_timer(struct ev_loop *loop, ev_timer *t, int events);

struct limits *
limits_new(struct ev_loop *loop, const struct limits_callbacks *cb,
    void *ctx)
{
	static const struct memory_callbacks on = { on_tree, on_end };
	struct limits *l = xcalloc(1, sizeof *l);

	l->loop = loop;
	l->cb = *cb;
	l->ctx = ctx;
	l->memory = memory_new(loop, &on, l);
	list_init(&l->trees);
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->timer.data = l;
	return l;
}

static void
next_round(struct limits *l, double seconds)
{
	ev_timer_stop(l->loop, &l->timer);
	ev_timer_set(&l->timer, seconds, 0.);
	ev_timer_start(l->loop, &l->timer);
}

void
limits_configure(struct limits *l, int64_t max_memory)
{
	l->max_kb = max_memory / 1024;
}

void
limits_enter(struct limits *l, struct limits_tree *t)
{
	*t = (struct limits_tree){ .serial = ++l->last_serial, .pss_kb = -1,
		.told_kb = -1 };
	list_append(&l->trees, &t->in_use_order);
	if (!memory_is_busy(l->memory) && (!ev_is_active(&l->timer) ||
	    ev_timer_remaining(l->loop, &l->timer) > SOON_SECONDS))
		next_round(l, SOON_SECONDS);
}

void
limits_used(struct limits *l, struct limits_tree *t)
{
	if (!list_linked(&t->in_use_order))
		return;
	list_remove(&t->in_use_order);
	list_append(&l->trees, &t->in_use_order);
}

void
limits_leave(struct limits *l, struct limits_tree *t)
{
	(void)l;
	list_remove(&t->in_use_order);
}

void
limits_free(struct limits **lp)
{
	struct limits *l = *lp;

	if (!l)
		return;
	ev_timer_stop(l->loop, &l->timer);
	memory_free(&l->memory);
	free(l);
	*lp = NULL;
}

static struct limits_tree *
find(const struct limits *l, int64_t serial)
{
	LIST_EACH(pos, tmp, &l->trees) {
		struct limits_tree *t =
		    LIST_ITEM(pos, struct limits_tree, in_use_order);

		if (t->serial == serial)
			return t;
	}
	return NULL;
}

/* ---- asking */

static void
add(struct limits *l, const struct limits_tree *t)
{
	pid_t roots[LIMITS_ROOTS];
	size_t n = l->cb.roots(l->ctx, t, roots, LIMITS_ROOTS);

	memory_add(l->memory, t->serial, roots, n);
}

static void
sample_all(struct limits *l)
{
	l->candidate = 0;
	l->has_new = false;
	LIST_EACH(pos, tmp, &l->trees)
		add(l, LIST_ITEM(pos, struct limits_tree, in_use_order));
	memory_ask(l->memory);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct limits *l = timer->data;

	(void)loop;
	(void)events;
	/* without children no helper; the next one starts both */
	if (list_empty(&l->trees))
		memory_rest(l->memory);
	else
		sample_all(l);
}

/* ---- answers */

static bool
has_changed(const struct limits_tree *t, int64_t now)
{
	int64_t by = llabs(t->pss_kb - t->told_kb);

	if (t->told_kb < 0)
		return true;
	return by > TOLD_KB && by > t->told_kb / TOLD_PART &&
	    now - t->told_at >= TOLD_MS;
}

/* Less is no rest: a process has ended whose time nobody has taken over. */
static bool
is_quiet(const struct limits_tree *t, int64_t cpu_ms, int64_t now)
{
	int64_t used = llabs(cpu_ms - t->cpu_ms);

	return used <= QUIET_MS ||
	    used <= (now - t->sampled_at) * QUIET_PART / 1000;
}

static void
on_tree(void *ctx, int64_t serial, const struct footprint *f)
{
	struct limits *l = ctx;
	struct limits_tree *t = find(l, serial);
	int64_t now = clock_ms();

	/* nothing: it is being started, or has just ended */
	if (!t || f->processes == 0)
		return;
	l->has_new = l->has_new || t->pss_kb < 0;
	if (t->pss_kb >= 0 && !is_quiet(t, f->cpu_ms, now)) {
		t->worked_since = t->sampled_at;
		t->worked_at = now;
	}
	/* the second look at a candidate adds to what the first one saw */
	t->is_quiet = t->pss_kb >= 0 && (!l->candidate || t->is_quiet) &&
	    t->worked_at != now;
	t->cpu_ms = f->cpu_ms;
	t->sampled_at = now;
	t->pss_kb = f->pss_kb;
	if (!has_changed(t, now))
		return;
	t->told_kb = t->pss_kb;
	t->told_at = now;
	l->cb.told(l->ctx, t);
}

static bool
may_leave(const struct limits *l, const struct limits_tree *t)
{
	return t->is_quiet && l->cb.may_leave(l->ctx, t);
}

/* In kB, of those that have been sampled. */
static int64_t
sum_of(const struct limits *l)
{
	int64_t sum = 0;

	LIST_EACH(pos, tmp, &l->trees) {
		const struct limits_tree *t =
		    LIST_ITEM(pos, struct limits_tree, in_use_order);

		if (t->pss_kb >= 0)
			sum += t->pss_kb;
	}
	return sum;
}

static struct limits_tree *
choose(const struct limits *l)
{
	LIST_EACH(pos, tmp, &l->trees) {
		struct limits_tree *t =
		    LIST_ITEM(pos, struct limits_tree, in_use_order);

		if (may_leave(l, t))
			return t;
	}
	return NULL;
}

static void
warn(struct limits *l, int64_t sum)
{
	if (++l->rounds_over != PATIENCE)
		return;
	log_warning("hearthd", "the agents take %" PRId64 " MiB, more than "
	    "max_memory (%" PRId64 " MiB), and none is idle: none is stopped",
	    sum >> 10, l->max_kb >> 10);
}

/* All have been sampled: one must go, or not. */
static void
judge(struct limits *l)
{
	struct limits_tree *t;
	int64_t sum = sum_of(l);

	if (l->max_kb == 0 || sum <= l->max_kb) {
		l->rounds_over = 0;
		next_round(l, l->has_new ? SOON_SECONDS : ROUND_SECONDS);
		return;
	}
	t = choose(l);
	if (!t) {
		warn(l, sum);
		next_round(l, SOON_SECONDS);
		return;
	}
	l->rounds_over = 0;
	l->candidate = t->serial;
	add(l, t);
	memory_ask(l->memory);
}

/* The one that was chosen has been looked at again. */
static void
settle(struct limits *l)
{
	struct limits_tree *t = find(l, l->candidate);

	if (t && may_leave(l, t)) {
		l->cb.evict(l->ctx, t);
		next_round(l, 0.);
	} else {
		next_round(l, SOON_SECONDS);
	}
	l->candidate = 0;
}

static void
on_end(void *ctx, const struct err *e)
{
	struct limits *l = ctx;

	if (e) {
		if (!l->is_failing)
			log_warning("hearthd", "max_memory is not watched: %s",
			    e->text);
		l->is_failing = true;
		l->candidate = 0;
		next_round(l, FAILED_SECONDS);
		return;
	}
	l->is_failing = false;
	if (l->candidate)
		settle(l);
	else
		judge(l);
}
