/* SPDX-License-Identifier: MIT */
/*
 * Children that are started ahead of any turn, because a user asked for it
 * (warm()) or is about to prompt (typing()). A warming is what is under way for
 * one (chat, agent): asked in PostgreSQL what it takes, the working copy made,
 * the child started. It ends when the child is ready, or with the reason why
 * there is none. Whoever asks for the same meanwhile joins it.
 *
 * A turn that comes meanwhile finds the child as it finds any other. A warming
 * takes room that is free or that an idle child leaves, but never from turns
 * that wait for room themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* Hints of typing that are remembered until the next poll: anybody who may
 * connect can send some. */
#define TYPED_MAX 10000

static const char *
name_of(const struct warming *w)
{
	static char name[160];

	snprintf(name, sizeof name, "chat %.8s/%s", w->chat_id, w->agent);
	return name;
}

static struct seat *
seat_of(const struct warming *w)
{
	return pool_find(w->session->sup->pool, w->session->id, w->chat_id,
	    w->agent);
}

static struct warming *
find(struct session *s, const char *chat, const char *agent)
{
	LIST_EACH(pos, tmp, &s->warmings) {
		struct warming *w = LIST_ITEM(pos, struct warming, in_session);

		if (!w->is_closed && strcmp(w->chat_id, chat) == 0 &&
		    strcmp(w->agent, agent) == 0)
			return w;
	}
	return NULL;
}

bool
warm_is_under_way(struct session *s, const char *chat, const char *agent)
{
	return find(s, chat, agent) != NULL;
}

static void
forget(struct warming *w)
{
	list_remove(&w->in_session);
	launch_clear(&w->launch);
	free(w->chat_id);
	free(w->agent);
	asked_free(&w->asked);
	free(w);
}

void
warm_forget_all(struct session *s)
{
	LIST_EACH(pos, tmp, &s->warmings)
		forget(LIST_ITEM(pos, struct warming, in_session));
}

static void
record_status(struct warming *w, const char *status, const char *reason)
{
	record_agent_session(w->chat->log, w->agent,
	    &(struct agent_session_row){
		.status = status,
		.end_reason = reason,
		.pid = -1,
		.crash_count = -1,
		.backoff_ms = -1,
	    });
}

/* Its end: code NULL, the child is ready. */
static void
settle(struct warming *w, const char *code, const char *why)
{
	struct session *s = w->session;

	if (code)
		log_info(name_of(w), "not warm: %s", why);
	/* a child, or a turn that starts one, says itself what becomes of it */
	if (code && w->is_announced && !w->is_started && !seat_of(w) &&
	    !session_find_turn(s, w->chat_id, w->agent))
		record_status(w, "closed", why);
	asked_answer(&w->asked, s, code, why);
	forget(w);
	wishes_settle(s);
}

void
warm_settle(struct session *s, const char *chat, const char *agent,
    const char *code, const char *why)
{
	LIST_EACH(pos, tmp, &s->warmings) {
		struct warming *w = LIST_ITEM(pos, struct warming, in_session);

		/* one that is being asked for looks for itself then */
		if (w->chat && (!chat || strcmp(w->chat_id, chat) == 0) &&
		    (!agent || strcmp(w->agent, agent) == 0))
			settle(w, code, why);
	}
}

void
warm_close(struct session *s, const char *chat, const char *agent)
{
	LIST_EACH(pos, tmp, &s->warmings) {
		struct warming *w = LIST_ITEM(pos, struct warming, in_session);

		if ((!chat || strcmp(w->chat_id, chat) == 0) &&
		    (!agent || strcmp(w->agent, agent) == 0))
			w->is_closed = true;
	}
	warm_settle(s, chat, agent, "closed", "closed by a user");
}

/* The seat that there is, unless it idles with another configuration. */
static struct seat *
usable_seat(struct warming *w)
{
	struct seat *seat = seat_of(w);

	if (!seat || !seat_is_ready(seat) ||
	    session_find_turn(w->session, w->chat_id, w->agent) ||
	    strcmp(seat_config_hash(seat), w->launch.config_hash) == 0)
		return seat;
	seat_stop(seat, "the agent's configuration has changed");
	return NULL;
}

static bool
has_room(const struct supervisor *sup)
{
	return list_empty(&sup->for_room) && pool_has_room(sup->pool);
}

static void
start_child(struct warming *w)
{
	struct err e;

	w->is_started = launch_start(&w->launch, w->chat, w->agent,
	    w->execution, "warmed", &e) != NULL;
	if (!w->is_started)
		settle(w, "start_failed", e.text);
}

static void
announce(struct warming *w)
{
	if (w->is_announced)
		return;
	w->is_announced = true;
	record_status(w, "warming", NULL);
}

static void
advance(struct warming *w)
{
	struct supervisor *sup = w->session->sup;
	struct seat *seat = usable_seat(w);

	if (seat && (seat_is_ready(seat) || seat_has_prompt(seat))) {
		settle(w, NULL, NULL);
	} else if (seat || w->is_started) {
		return; /* what the child tells will settle it */
	} else if (sup->is_draining) {
		settle(w, "stopping", "hearthd is being stopped");
	} else if (w->session->is_retiring) {
		settle(w, "closed", "the session has ended");
	} else if (!has_room(sup)) {
		settle(w, "no_room", "all of max_agents children are at work");
	} else {
		announce(w);
		if (copy_is_ready_for(w->session))
			start_child(w);
	}
}

void
warm_advance_all(struct session *s)
{
	LIST_EACH(pos, tmp, &s->warmings) {
		struct warming *w = LIST_ITEM(pos, struct warming, in_session);

		if (w->chat)
			advance(w);
	}
}

static void
on_details(void *ctx, const struct claimed_turn *t, const char *code,
    const char *why)
{
	struct warming *w = ctx;
	struct session *s = w->session;

	if (!t) {
		settle(w, code, why);
	} else if (w->is_closed) {
		settle(w, "closed", "closed by a user");
	} else if (s->is_lost) {
		settle(w, "lost", "the session's agents are being stopped");
	} else {
		w->chat = session_chat(s, t->chat, t->chat_last_seq);
		w->execution = t->execution_id;
		launch_fill(&w->launch, t);
		copy_prepare(s, t);
		advance(w);
	}
	session_tidy(s);
}

void
warm_ask(struct session *s, const char *chat, const char *agent,
    int64_t command)
{
	struct warming *w = find(s, chat, agent);

	if (!w) {
		w = xcalloc(1, sizeof *w);
		w->session = s;
		w->chat_id = xstrdup(chat);
		w->agent = xstrdup(agent);
		list_append(&s->warmings, &w->in_session);
		db_warm(s->sup->db, s->id, chat, agent, on_details, w);
	}
	asked_add(&w->asked, command);
}

/* Keystrokes come in hundreds: one question per pair and poll. */
static bool
was_typed(struct supervisor *sup, const char *chat, const char *agent)
{
	static char there;
	char *key = xasprintf("%s/%s", chat, agent);
	bool was = sup->typed.count >= TYPED_MAX || map_get(&sup->typed, key);

	if (!was)
		map_set(&sup->typed, key, &there);
	free(key);
	return was;
}

void
warm_typing(struct supervisor *sup, const char *session, const char *chat,
    const char *agent)
{
	struct seat *seat = pool_find(sup->pool, session, chat, agent);
	struct session *s = session_find(sup, session);

	if (seat)
		seat_touch(seat);
	else if (sup->is_up && !sup->is_draining &&
	    (!s || s->n_ending == 0) && !was_typed(sup, chat, agent))
		warm_ask(session_get(sup, session), chat, agent, 0);
}
