/* SPDX-License-Identifier: MIT */
/*
 * What is taken away of sessions that have no turn:
 *
 *   ended    an ephemeral session: its children, its working copy; archived
 *   away     the working copy alone, saved before, of a session that was
 *            archived, or was used least recently above worktree_budget
 *   deleted  children, working copy, everything saved, all rows
 *   chat     the rows of a chat that was deleted
 *
 * Each in this order, so that whatever ends hearthd in between, the next look
 * finds it again: they are looked for in PostgreSQL, at each start, after each
 * turn of an ephemeral session and every few seconds.
 *
 * While a session retires nothing begins in it. A turn that was queued
 * meanwhile keeps an ephemeral one from being archived, and gets a new working
 * copy.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

#define AT_ONCE 50

static void on_left(void *ctx, const char *session, bool more);

static void
stop_seat(void *ctx, struct seat *seat)
{
	(void)ctx;
	seat_stop(seat, "its session has ended");
}

static void
settle(struct session *s)
{
	s->is_retiring = false;
	free(s->left_chat);
	free(s->left_saved);
	free(s->left_reason);
	s->left_chat = s->left_saved = s->left_reason = NULL;
	task_advance(s);
	if (s->wants_claim)
		session_claim(s);
	session_tidy(s);
}

static void
tell_left(struct session *s)
{
	db_session_left(s->sup->db, &(struct left_session){
		.why = s->leaving,
		.session = s->id,
		.chat = s->left_chat,
		.is_removed = s->is_copy_removed,
		.saved = s->left_saved,
		.reason = s->left_reason,
	    }, on_left, s->sup);
}

static void
on_left(void *ctx, const char *session, bool more)
{
	struct session *s = session_find(ctx, session);

	if (!s)
		return;
	if (more && !s->is_lost)
		tell_left(s);
	else
		settle(s);
}

/* What its children left to be recorded is. */
static void
on_durable(void *ctx)
{
	struct session *s = ctx;

	s->copy_work = COPY_IDLE;
	if (s->is_lost)
		settle(s);
	else
		tell_left(s);
}

static void
note_removed(struct session *s)
{
	const char *saved = working_copy_saved(s->copy);

	if (s->leaving != LEAVING_AWAY)
		return;
	s->left_saved = xstrdup(saved);
	log_info("hearthd", "session %s: its working copy was put away; %s%s",
	    s->id, saved ? "what was in it is commit " :
	    "there was nothing to be saved", saved ? saved : "");
}

static void
note_kept(struct session *s, const struct err *e)
{
	s->left_reason = xstrdup(e->text);
	if (s->leaving == LEAVING_AWAY)
		log_warning("hearthd", "session %s: its working copy stays "
		    "where it is: %s", s->id, e->text);
	else
		log_error("hearthd", "session %s has ended, but its working "
		    "copy could not be removed: %s", s->id, e->text);
}

static void
on_removed(void *ctx, const struct err *e)
{
	struct session *s = ctx;

	s->is_copy_made = false;
	s->is_copy_removed = e == NULL;
	if (e)
		note_kept(s, e);
	else
		note_removed(s);
	working_copy_free(&s->copy);
	record_barrier(s->sup->recorder, on_durable, s);
}

void
retire_advance(struct session *s)
{
	if (!s->is_retiring || s->copy_work != COPY_IDLE || !s->copy ||
	    s->leaving == LEAVING_CHAT ||
	    pool_has_remains(s->sup->pool, s->id))
		return;
	s->copy_work = COPY_REMOVING;
	if (s->leaving == LEAVING_AWAY)
		working_copy_put_away(s->copy, on_removed, s);
	else if (s->leaving == LEAVING_DELETED)
		working_copy_erase(s->copy, on_removed, s);
	else
		working_copy_remove(s->copy, on_removed, s);
}

static bool
is_busy(const struct session *s)
{
	return s->is_retiring || s->is_claiming || s->is_lost ||
	    !list_empty(&s->turns) || !list_empty(&s->warmings) ||
	    !list_empty(&s->tasks) || s->copy_work != COPY_IDLE;
}

static void
retire(struct session *s, const struct leaving_session *l)
{
	if (is_busy(s) || (l->why == LEAVING_AWAY &&
	    pool_has_remains(s->sup->pool, s->id)))
		return;
	s->is_retiring = true;
	s->leaving = l->why;
	copy_prepare(s, &l->copy);
	pool_each(s->sup->pool, s->id, stop_seat, NULL);
	retire_advance(s);
}

static bool
has_turn(const struct session *s, const char *chat)
{
	LIST_EACH(pos, tmp, &s->turns)
		if (strcmp(LIST_ITEM(pos, struct turn, in_session)->chat->id,
		    chat) == 0)
			return true;
	return false;
}

/* Its children have ended, the question knows that; the session goes on. */
static void
retire_chat(struct session *s, const char *chat)
{
	/* a task may tell in the chat what it finds */
	if (s->is_retiring || s->is_lost || !list_empty(&s->warmings) ||
	    !list_empty(&s->tasks) || has_turn(s, chat))
		return;
	s->is_retiring = true;
	s->leaving = LEAVING_CHAT;
	s->left_chat = xstrdup(chat);
	whose_forget_chat(s, chat);
	tell_left(s);
}

static void
on_leaving(void *ctx, const struct leaving_session *sessions, size_t n)
{
	struct supervisor *sup = ctx;

	sup->is_sweeping = false;
	for (size_t i = 0; i < n && !sup->is_draining; i++) {
		struct session *s = session_get(sup, sessions[i].copy.session);

		if (sessions[i].why == LEAVING_CHAT)
			retire_chat(s, sessions[i].chat);
		else
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
	db_leaving_sessions(sup->db, &sup->limits, AT_ONCE, on_leaving, sup);
}
