/* SPDX-License-Identifier: MIT */
/*
 * One round follows the other: of all trees, or, when one is about to go or to
 * sleep, of that one alone (`candidate`, and `step` says what for). A tree that
 * leaves in the middle of a round is not found by its serial number any more,
 * and that is all.
 */
#include "pool/limits.h"

#include <ev.h>
#include <inttypes.h>
#include <stdio.h>
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
/* What is to be called rest lasts at least so long. */
#define REST_MS 500
/* A figure is told again when it has changed by more than an eighth and this,
 * and not too often: it becomes a row. */
#define TOLD_PART 8
#define TOLD_KB (4 << 10)
#define TOLD_MS 10000

/* What a round is for. */
enum step {
	LOOK,        /* at all */
	LOOK_EVICT,  /* at the candidate, which may be about to go */
	LOOK_SLEEP,  /* likewise, to sleep */
	PAGE_OUT,    /* it is frozen */
};

struct limits {
	struct ev_loop *loop;
	struct limits_callbacks cb;
	void *ctx;
	struct memory *memory;
	struct list trees;
	int64_t max_kb;          /* 0: none */
	int64_t last_serial;
	enum step step;
	int64_t candidate;       /* serial; 0: the round is of all */
	char refusal[256];       /* why it cannot be hibernated, or "" */
	bool has_new;            /* the round saw a tree for the first time:
	                          * what it does shows in the next one */
	int64_t rounds_over;     /* in a row: too much, and none may leave */
	bool is_failing;         /* was logged: no figures */
	ev_timer timer;          /* of the next round */
};

static void on_tree(void *ctx, int64_t serial, const struct footprint *f,
    const char *refusal);
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
limits_enter(struct limits *l, struct limits_tree *t, bool goes_first)
{
	*t = (struct limits_tree){ .serial = ++l->last_serial, .pss_kb = -1,
		.told_kb = -1, .goes_first = goes_first };
	if (goes_first)
		list_prepend(&l->trees, &t->in_use_order);
	else
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
	t->is_asked = t->cannot_sleep = false;
	list_remove(&t->in_use_order);
	list_append(&l->trees, &t->in_use_order);
}

void
limits_ask_sleep(struct limits *l, struct limits_tree *t)
{
	t->is_asked = true;
	if (!memory_is_busy(l->memory))
		next_round(l, 0.);
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
add(struct limits *l, const struct limits_tree *t, enum memory_wish wish)
{
	pid_t roots[LIMITS_ROOTS];
	size_t n = l->cb.roots(l->ctx, t, roots, LIMITS_ROOTS);

	memory_add(l->memory, t->serial, wish, roots, n);
}

/* At one of them, for a step. */
static void
look_at(struct limits *l, const struct limits_tree *t, enum step step)
{
	l->candidate = t->serial;
	l->step = step;
	l->refusal[0] = '\0';
	add(l, t, step == LOOK_SLEEP ? MEMORY_MAY_SLEEP :
	    step == PAGE_OUT ? MEMORY_PAGE_OUT : MEMORY_SIZE);
	memory_ask(l->memory);
}

static void
sample_all(struct limits *l)
{
	l->candidate = 0;
	l->step = LOOK;
	l->has_new = false;
	LIST_EACH(pos, tmp, &l->trees)
		add(l, LIST_ITEM(pos, struct limits_tree, in_use_order),
		    MEMORY_SIZE);
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

/* So short a time shows work, but no rest: the next look goes on from where
 * this one did. */
static void
note_work(struct limits_tree *t, int64_t cpu_ms, int64_t now)
{
	bool was_seen = t->pss_kb >= 0;

	if (was_seen && !is_quiet(t, cpu_ms, now)) {
		t->worked_since = t->sampled_at;
		t->worked_at = now;
		t->is_quiet = false;
	} else if (was_seen && now - t->sampled_at < REST_MS) {
		return;
	} else {
		t->is_quiet = was_seen;
	}
	t->cpu_ms = cpu_ms;
	t->sampled_at = now;
}

static void
on_tree(void *ctx, int64_t serial, const struct footprint *f,
    const char *refusal)
{
	struct limits *l = ctx;
	struct limits_tree *t = find(l, serial);
	int64_t now = clock_ms();

	if (refusal)
		snprintf(l->refusal, sizeof l->refusal, "%s", refusal);
	/* nothing: it is being started, or has just ended */
	if (!t || f->processes == 0)
		return;
	l->has_new = l->has_new || t->pss_kb < 0;
	note_work(t, f->cpu_ms, now);
	t->pss_kb = f->pss_kb;
	if (!has_changed(t, now) && l->step != PAGE_OUT)
		return;
	t->told_kb = t->pss_kb;
	t->told_at = now;
	l->cb.told(l->ctx, t);
}

static bool
may_leave(const struct limits *l, const struct limits_tree *t)
{
	return (t->is_quiet || t->goes_first) && l->cb.may_leave(l->ctx, t);
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

bool
limits_have_room(const struct limits *l, int64_t kb)
{
	return l->max_kb == 0 || sum_of(l) + kb <= l->max_kb;
}

static bool
is_asked(const struct limits *l, const struct limits_tree *t)
{
	(void)l;
	return t->is_asked;
}

static bool
may_sleep(const struct limits *l, const struct limits_tree *t)
{
	return !t->goes_first && !t->cannot_sleep && t->is_quiet &&
	    l->cb.may_sleep(l->ctx, t, false);
}

static struct limits_tree *
choose(const struct limits *l, bool (*may)(const struct limits *l,
    const struct limits_tree *t))
{
	LIST_EACH(pos, tmp, &l->trees) {
		struct limits_tree *t =
		    LIST_ITEM(pos, struct limits_tree, in_use_order);

		if (may(l, t))
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
	struct limits_tree *t = choose(l, is_asked);
	int64_t sum = sum_of(l);
	enum step step = LOOK_SLEEP;

	if (t) {
		look_at(l, t, step);
		return;
	}
	if (l->max_kb == 0 || sum <= l->max_kb) {
		l->rounds_over = 0;
		next_round(l, l->has_new ? SOON_SECONDS : ROUND_SECONDS);
		return;
	}
	t = choose(l, may_sleep);
	if (!t) {
		t = choose(l, may_leave);
		step = LOOK_EVICT;
	}
	if (!t) {
		warn(l, sum);
		next_round(l, SOON_SECONDS);
		return;
	}
	l->rounds_over = 0;
	look_at(l, t, step);
}

static void
settle_eviction(struct limits *l, struct limits_tree *t)
{
	if (t && may_leave(l, t)) {
		l->cb.evict(l->ctx, t);
		next_round(l, 0.);
	} else {
		next_round(l, SOON_SECONDS);
	}
}

static void
refuse(struct limits *l, struct limits_tree *t, const char *why)
{
	bool was_asked = t->is_asked;

	t->is_asked = false;
	t->cannot_sleep = true;
	l->cb.refused(l->ctx, t, why, was_asked);
}

/* Whether it may still sleep, now that it has been looked at for that. */
static void
settle_sleep(struct limits *l, struct limits_tree *t)
{
	if (!t || !l->cb.may_sleep(l->ctx, t, t->is_asked) ||
	    (!t->is_asked && !may_sleep(l, t))) {
		if (t)
			t->is_asked = false;
		next_round(l, SOON_SECONDS);
	} else if (*l->refusal) {
		refuse(l, t, l->refusal);
		next_round(l, 0.);
	} else {
		l->cb.freeze(l->ctx, t);
		look_at(l, t, PAGE_OUT);
	}
}

/* If it was woken meanwhile, it may sleep another time. */
static void
settle_page_out(struct limits *l, struct limits_tree *t)
{
	if (t && l->cb.is_frozen(l->ctx, t)) {
		if (*l->refusal) {
			l->cb.thaw(l->ctx, t);
			refuse(l, t, l->refusal);
		} else {
			t->is_asked = false;
			l->cb.slept(l->ctx, t);
		}
	}
	next_round(l, 0.);
}

/* The one that was chosen has been looked at. */
static void
settle(struct limits *l)
{
	struct limits_tree *t = find(l, l->candidate);

	l->candidate = 0;
	if (l->step == LOOK_EVICT)
		settle_eviction(l, t);
	else if (l->step == LOOK_SLEEP)
		settle_sleep(l, t);
	else
		settle_page_out(l, t);
}

/* There will be no answer: nobody stays frozen, or waits for it. */
static void
give_up(struct limits *l, const struct err *e)
{
	LIST_EACH(pos, tmp, &l->trees) {
		struct limits_tree *t =
		    LIST_ITEM(pos, struct limits_tree, in_use_order);

		if (l->step == PAGE_OUT && t->serial == l->candidate)
			l->cb.thaw(l->ctx, t);
		if (t->is_asked)
			refuse(l, t, e->text);
	}
	l->candidate = 0;
	next_round(l, FAILED_SECONDS);
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
		give_up(l, e);
		return;
	}
	l->is_failing = false;
	if (l->candidate)
		settle(l);
	else
		judge(l);
}
