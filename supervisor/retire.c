/* SPDX-License-Identifier: MIT */
/*
 * The end of ephemeral sessions: when all their turns have ended, and that is
 * durable, their children are stopped, their working copies removed, and last
 * they are archived. Whatever ends hearthd in between, the next look finds them
 * again: they are looked for in PostgreSQL, at each start, after each of their
 * turns and every few seconds.
 *
 * While one retires nothing begins in it. A turn that was queued meanwhile keeps
 * it from being archived, and gets a new working copy.
 */
#include "base/log.h"
#include "supervisor/private.h"

#define AT_ONCE 50

static void
stop_seat(void *ctx, struct seat *seat)
{
	(void)ctx;
	seat_stop(seat, "its session has ended");
}

static void
on_retired(void *ctx, const char *session)
{
	struct session *s = session_find(ctx, session);

	if (!s)
		return;
	s->is_retiring = false;
	task_advance(s);
	if (s->wants_claim)
		session_claim(s);
	session_tidy(s);
}

/* What its children left to be recorded is. */
static void
on_durable(void *ctx)
{
	struct session *s = ctx;

	s->copy_work = COPY_IDLE;
	if (s->is_lost) {
		s->is_retiring = false;
		session_tidy(s);
	} else {
		db_retire_session(s->sup->db, s->id, s->is_copy_removed,
		    on_retired, s->sup);
	}
}

static void
on_removed(void *ctx, const struct err *e)
{
	struct session *s = ctx;

	s->is_copy_made = false;
	s->is_copy_removed = e == NULL;
	working_copy_free(&s->copy);
	if (e)
		log_error("hearthd", "session %s has ended, but its working "
		    "copy could not be removed: %s", s->id, e->text);
	record_barrier(s->sup->recorder, on_durable, s);
}

void
retire_advance(struct session *s)
{
	if (!s->is_retiring || s->copy_work != COPY_IDLE || !s->copy ||
	    pool_has_remains(s->sup->pool, s->id))
		return;
	s->copy_work = COPY_REMOVING;
	working_copy_remove(s->copy, on_removed, s);
}

static void
retire(struct session *s, const struct claimed_turn *c)
{
	if (s->is_retiring || s->is_claiming || s->is_lost ||
	    !list_empty(&s->turns) || !list_empty(&s->warmings) ||
	    !list_empty(&s->tasks) || s->copy_work != COPY_IDLE)
		return;
	s->is_retiring = true;
	copy_prepare(s, c);
	pool_each(s->sup->pool, s->id, stop_seat, NULL);
	retire_advance(s);
}

static void
on_ended(void *ctx, const struct claimed_turn *sessions, size_t n)
{
	struct supervisor *sup = ctx;

	sup->is_sweeping = false;
	for (size_t i = 0; i < n && !sup->is_draining; i++) {
		struct session *s = session_get(sup, sessions[i].session);

		retire(s, &sessions[i]);
		session_tidy(s);
	}
	if (sup->sweep_again)
		retire_sweep(sup);
}

void
retire_sweep(struct supervisor *sup)
{
	sup->sweep_again = sup->is_sweeping;
	if (sup->is_sweeping || !sup->is_up || sup->is_draining)
		return;
	sup->is_sweeping = true;
	db_ended_sessions(sup->db, AT_ONCE, on_ended, sup);
}
