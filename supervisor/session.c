/* SPDX-License-Identifier: MIT */
/*
 * Sessions: what this node keeps in memory of one while it has turns or
 * children, and the claiming of its turns. One claim per session is under way
 * at a time; a hint that comes meanwhile makes another follow.
 *
 * A hint names a turn. If it is the only one that is known to wait, and its
 * seat is warm, it is claimed the short way; whenever anything is in doubt the
 * full claim looks at the whole queue.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/private.h"

/* A session claims at most from so many warm children. */
#define WARM_SEATS 64
/* How long short claims may pass over turns that could not start. */
#define LOOK_AGAIN_MS 1000

static void on_claimed(void *ctx, const char *session,
    const struct claimed_turn *c, bool more, const struct err *e);
static void settle_claim(struct supervisor *sup, const char *session,
    const struct claimed_turn *c, bool more, const struct err *e);

struct session *
session_find(struct supervisor *sup, const char *id)
{
	return map_get(&sup->sessions, id);
}

struct session *
session_get(struct supervisor *sup, const char *id)
{
	struct session *s = session_find(sup, id);

	if (s)
		return s;
	s = xcalloc(1, sizeof *s);
	s->sup = sup;
	s->id = xstrdup(id);
	list_init(&s->chats);
	list_init(&s->turns);
	list_init(&s->wishes);
	list_init(&s->warmings);
	list_init(&s->late_commands);
	list_init(&s->suspects);
	list_init(&s->tasks);
	s->log = chat_log_open(sup->recorder, id, id, 0);
	map_set(&sup->sessions, id, s);
	return s;
}

struct chat *
session_find_chat(struct session *s, const char *id)
{
	LIST_EACH(pos, tmp, &s->chats) {
		struct chat *c = LIST_ITEM(pos, struct chat, in_session);

		if (strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

struct chat *
session_chat(struct session *s, const char *id, int64_t last_seq)
{
	struct chat *c = session_find_chat(s, id);

	if (c)
		return c;
	c = xcalloc(1, sizeof *c);
	c->session = s;
	c->id = xstrdup(id);
	c->log = chat_log_open(s->sup->recorder, s->id, id, last_seq);
	list_append(&s->chats, &c->in_session);
	return c;
}

struct turn *
session_find_turn(struct session *s, const char *chat, const char *agent)
{
	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);

		if (t->state != TURN_ENDED && strcmp(t->chat->id, chat) == 0 &&
		    strcmp(t->agent, agent) == 0)
			return t;
	}
	return NULL;
}

struct turn *
session_turn_by_id(struct session *s, int64_t id)
{
	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);

		if (t->id == id)
			return t;
	}
	return NULL;
}

/* ---- claiming */

struct warm_list {
	struct session *session;
	struct warm_seat seats[WARM_SEATS];
	size_t n;
};

static void
add_warm(void *ctx, struct seat *seat)
{
	struct warm_list *warm = ctx;

	/*
	 * One that lost its conversation is told of it first. One with a turn
	 * is not to be had, and were the claim lost, the turn would be taken
	 * for one that it has brought.
	 */
	if (!seat_is_ready(seat) || seat_lost_reason(seat) ||
	    session_find_turn(warm->session, seat_chat(seat),
	    seat_agent(seat)) || warm->n == WARM_SEATS)
		return;
	warm->seats[warm->n++] = (struct warm_seat){
		.chat = seat_chat(seat),
		.agent = seat_agent(seat),
		.execution_id = seat_execution(seat),
		.config_hash = seat_config_hash(seat),
	};
}

/* Then nothing can be claimed before it has ended. */
static bool
has_exclusive_turn(struct session *s)
{
	LIST_EACH(pos, tmp, &s->turns)
		if (LIST_ITEM(pos, struct turn, in_session)->is_exclusive)
			return true;
	return false;
}

static void
forget_hint(struct session *s)
{
	s->hinted = 0;
	free(s->hinted_chat);
	free(s->hinted_agent);
	s->hinted_chat = s->hinted_agent = NULL;
}

static void
on_claimed_warm(void *ctx, const char *session,
    const struct claimed_turn *c, bool more, const struct err *e)
{
	struct supervisor *sup = ctx;
	struct session *s = session_find(sup, session);

	if (!c && !e && s) {
		s->is_claiming = false;
		/* nobody would remember the turn that this was about */
		forget_hint(s);
		session_claim(s);
		wishes_settle(s);
		session_tidy(s);
	} else {
		settle_claim(ctx, session, c, more, e);
	}
}

/* Those that were passed over because they could not start may be able to. */
static bool
is_look_due(const struct session *s)
{
	return s->passed_over && clock_ms() - s->passed_over > LOOK_AGAIN_MS;
}

/* The short way, when the one turn that is known of waits for a warm seat. */
static bool
claim_hinted(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct seat *seat;

	if (!s->hinted || !list_empty(&s->turns) || is_look_due(s) ||
	    !copy_is_clean(s) || !session_find_chat(s, s->hinted_chat))
		return false;
	seat = pool_find(sup->pool, s->id, s->hinted_chat, s->hinted_agent);
	if (!seat || !seat_is_ready(seat) || seat_lost_reason(seat))
		return false;
	db_claim_warm(sup->db, s->id, s->hinted, &(struct warm_seat){
		.chat = seat_chat(seat),
		.agent = seat_agent(seat),
		.execution_id = seat_execution(seat),
		.config_hash = seat_config_hash(seat),
	    }, on_claimed_warm, sup);
	return true;
}

void
session_claim(struct session *s)
{
	struct supervisor *sup = s->sup;
	struct warm_list warm = { .session = s };

	if (s->is_claiming || !sup->is_up || sup->is_draining || s->is_lost ||
	    s->is_retiring || s->n_ending > 0 || has_exclusive_turn(s)) {
		s->wants_claim = true;
		return;
	}
	s->wants_claim = false;
	s->is_claiming = true;
	if (!claim_hinted(s)) {
		/* What a person did between turns must be read before the
		 * agent begins. */
		if (copy_is_clean(s))
			pool_each(sup->pool, s->id, add_warm, &warm);
		db_claim(sup->db, s->id, warm.seats, warm.n, on_claimed, sup);
	}
	forget_hint(s);
}

/*
 * Others make room before the one that the turn waits for. It is not held: what
 * is before the turn may need the room.
 */
static void
expect_seat(struct session *s, const struct queued_turn *q)
{
	struct seat *seat = q->turn && q->chat ?
	    pool_find(s->sup->pool, s->id, q->chat, q->agent) : NULL;

	if (seat)
		seat_touch(seat);
}

void
session_hint(struct session *s, const struct queued_turn *q)
{
	/* of two that wait, nobody knows which is the next */
	bool is_alone = !s->wants_claim && q->turn && q->chat;

	forget_hint(s);
	if (is_alone) {
		s->hinted = q->turn;
		s->hinted_chat = xstrdup(q->chat);
		s->hinted_agent = xstrdup(q->agent);
	}
	expect_seat(s, q);
	session_claim(s);
}

static void
give_back(struct session *s, const struct claimed_turn *c, const char *why,
    int64_t not_before)
{
	struct chat *known = session_find_chat(s, c->chat);
	struct chat_log *log = known && !s->is_lost ? known->log :
	    chat_log_open(s->sup->recorder, s->id, c->chat,
	    c->chat_last_seq);

	record_turn_requeued(log, c->turn, c->agent, why, not_before);
	if (!known || s->is_lost)
		chat_log_close(&log);
}

static void
take_turn(struct session *s, const struct claimed_turn *c)
{
	/* it is ours again before its children have ended */
	if (s->is_lost)
		give_back(s, c, "the session's agents are still being stopped",
		    1000);
	else if (late_commands_reset(s, c->chat, c->agent))
		give_back(s, c, "its agent is being reset", 0);
	else
		turn_begin(s, c);
}

static void
on_claimed(void *ctx, const char *session, const struct claimed_turn *c,
    bool more, const struct err *e)
{
	struct supervisor *sup = ctx;
	struct session *s = session_find(sup, session);

	if (s)
		s->passed_over = more && !c ? clock_ms() : 0;
	settle_claim(sup, session, c, more, e);
}

static void
settle_claim(struct supervisor *sup, const char *session,
    const struct claimed_turn *c, bool more, const struct err *e)
{
	struct session *s = session_find(sup, session);
	bool again;

	if (!s)
		return;
	s->is_claiming = false;
	/* a hint that came meanwhile, or turns behind this one */
	again = s->wants_claim || (c && more);
	/* What waits though nothing is in its way here (its agent is paused, it
	 * backs off) is found again when that is over: see supervisor_look(). */
	s->wants_claim = more && (c || !list_empty(&s->turns));
	if (s->wants_claim)
		forget_hint(s);
	if (e) {
		log_debug("hearthd", "claim in session %s: %s", session,
		    e->text);
	} else if (c) {
		take_turn(s, c);
	}
	/* else it may have taken one, which is given back when the database
	 * is there again */
	if (!e)
		late_commands_run(s);
	wishes_settle(s);
	if (again && !e)
		session_claim(s);
	session_tidy(s);
}

/* ---- the end */

static void
free_chat(struct chat *c)
{
	list_remove(&c->in_session);
	chat_log_close(&c->log);
	free(c->id);
	free(c);
}

void
session_free(struct session *s)
{
	map_remove(&s->sup->sessions, s->id);
	task_drop_all(s, NULL, NULL);
	LIST_EACH(pos, tmp, &s->turns)
		turn_forget(LIST_ITEM(pos, struct turn, in_session));
	warm_forget_all(s);
	whose_forget(s);
	left_forget(s);
	LIST_EACH(pos, tmp, &s->chats)
		free_chat(LIST_ITEM(pos, struct chat, in_session));
	wishes_free(s);
	chat_log_close(&s->log);
	working_copy_free(&s->copy);
	free(s->left_chat);
	free(s->left_saved);
	free(s->left_reason);
	late_commands_drop(s);
	forget_hint(s);
	free(s->id);
	free(s);
}

void
session_tidy(struct session *s)
{
	if (list_empty(&s->turns) && list_empty(&s->warmings) &&
	    !s->is_claiming && !s->is_retiring && s->n_ending == 0 &&
	    list_empty(&s->late_commands) && list_empty(&s->tasks) &&
	    !s->is_asking_copy &&
	    s->copy_work == COPY_IDLE &&
	    !pool_has_session(s->sup->pool, s->id))
		session_free(s);
}

static void
stop_seat(void *ctx, struct seat *seat)
{
	seat_stop(seat, ctx);
}

void
session_lose(struct session *s)
{
	char reason[] = "another node has taken the session";

	log_warning("hearthd", "session %s: %s", s->id, reason);
	s->is_lost = true;
	if (s->copy_work != COPY_REMOVING)
		s->is_retiring = false;
	pool_each(s->sup->pool, s->id, stop_seat, reason);
	wishes_lose(s, reason);
	late_commands_lose(s, reason);
	warm_settle(s, NULL, NULL, "lost", reason);
	task_drop_all(s, "lost", reason);
	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);

		cancels_lose(t, reason);
		if (t->waits == 0)
			turn_forget(t);
	}
	session_tidy(s);
}
