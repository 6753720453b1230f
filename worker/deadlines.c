/* SPDX-License-Identifier: MIT */
/*
 * How long a worker may take: to start, for a turn, to cancel it, and to be
 * silent. Which of these limits runs follows from the state alone; all of them
 * stand still while the worker is paused.
 *
 * Must never know: what happens then; handshake.c, configure.c and prompt.c do.
 */
#include <ev.h>

#include "worker/worker_private.h"

static void
set_limit(struct worker *w, struct limit *l, int64_t ms)
{
	l->is_set = true;
	l->left = (double)ms / 1000;
	if (w->is_paused)
		return;
	ev_now_update(w->loop);
	ev_timer_set(&l->timer, l->left, 0.);
	ev_timer_start(w->loop, &l->timer);
}

static void
clear_limit(struct worker *w, struct limit *l)
{
	l->is_set = false;
	ev_timer_stop(w->loop, &l->timer);
}

static void
want_limit(struct worker *w, struct limit *l, bool wanted, int64_t ms)
{
	if (wanted && !l->is_set)
		set_limit(w, l, ms);
	else if (!wanted && l->is_set)
		clear_limit(w, l);
}

void
deadlines_sync(struct worker *w)
{
	want_limit(w, &w->start_limit, w->state <= WORKER_CONFIGURING &&
	    w->state != WORKER_SPARE, w->start_timeout);
	want_limit(w, &w->turn_limit, w->state == WORKER_PROMPTING,
	    w->turn_timeout);
	want_limit(w, &w->cancel_limit, w->state == WORKER_CANCELLING,
	    w->cancel_timeout / 2);
	want_limit(w, &w->silence_limit, w->state == WORKER_PROMPTING &&
	    w->silence_timeout > 0, w->silence_timeout);
}

static void
on_start_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;

	(void)loop;
	(void)revents;
	w->start_limit.is_set = false;
	if (w->state == WORKER_CONFIGURING)
		configure_on_timeout(w);
	else
		handshake_on_timeout(w);
}

static void
on_turn_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;

	(void)loop;
	(void)revents;
	w->turn_limit.is_set = false;
	prompt_on_timeout(w);
}

static void
on_cancel_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;

	(void)loop;
	(void)revents;
	w->cancel_limit.is_set = false;
	if (prompt_on_cancel_timeout(w))
		set_limit(w, &w->cancel_limit,
		    w->cancel_timeout - w->cancel_timeout / 2);
}

/* Not begun anew with every byte: it looks when the last one came. */
static void
on_silence_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct worker *w = t->data;
	int64_t left;

	(void)loop;
	(void)revents;
	w->silence_limit.is_set = false;
	left = prompt_on_silence(w);
	if (left > 0)
		set_limit(w, &w->silence_limit, left);
}

void
deadlines_init(struct worker *w)
{
	ev_init(&w->start_limit.timer, on_start_limit);
	ev_init(&w->turn_limit.timer, on_turn_limit);
	ev_init(&w->cancel_limit.timer, on_cancel_limit);
	ev_init(&w->silence_limit.timer, on_silence_limit);
	/* What the agent has said by now is read first. */
	ev_set_priority(&w->silence_limit.timer, EV_MINPRI);
	w->start_limit.timer.data = w;
	w->turn_limit.timer.data = w;
	w->cancel_limit.timer.data = w;
	w->silence_limit.timer.data = w;
}

static void
freeze_limit(struct worker *w, struct limit *l, bool frozen)
{
	if (!l->is_set)
		return;
	if (frozen) {
		l->left = ev_timer_remaining(w->loop, &l->timer);
		if (l->left < 0)
			l->left = 0;
		ev_timer_stop(w->loop, &l->timer);
	} else {
		ev_timer_set(&l->timer, l->left, 0.);
		ev_timer_start(w->loop, &l->timer);
	}
}

void
deadlines_freeze(struct worker *w, bool frozen)
{
	ev_now_update(w->loop);
	freeze_limit(w, &w->start_limit, frozen);
	freeze_limit(w, &w->turn_limit, frozen);
	freeze_limit(w, &w->cancel_limit, frozen);
	freeze_limit(w, &w->silence_limit, frozen);
}

void
deadlines_free(struct worker *w)
{
	clear_limit(w, &w->start_limit);
	clear_limit(w, &w->turn_limit);
	clear_limit(w, &w->cancel_limit);
	clear_limit(w, &w->silence_limit);
}
