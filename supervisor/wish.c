/* SPDX-License-Identifier: MIT */
/*
 * Modes, models and options that users set: for a turn (submit), or by a
 * command (set_mode, set_config_option). What an agent has taken is kept as
 * wanted of the agent session, and made so again in its next child.
 *
 * An agent is asked when it is idle. A command that comes while it works or is
 * being started waits for that; one for an agent without a child is kept for
 * the next, which takes what it can. What was asked of a child that did not
 * live to answer is refused: it may have died of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* A command of a user, until the agent has answered. */
struct wish {
	struct list in_session;
	int64_t command, chat_last_seq;
	char *chat, *agent;
	char *mode_id, *option, *value;
	bool is_asked;
};

static void
drop(struct wish *x)
{
	list_remove(&x->in_session);
	free(x->chat);
	free(x->agent);
	free(x->mode_id);
	free(x->option);
	free(x->value);
	free(x);
}

/* It is so, or will be in the next child. */
static void
keep(struct session *s, struct wish *x)
{
	struct chat *known = session_find_chat(s, x->chat);
	struct chat_log *log = known ? known->log : chat_log_open(
	    s->sup->recorder, s->id, x->chat, x->chat_last_seq);

	record_wanted(log, x->agent, &(struct wanted_setting){
		.mode_id = x->mode_id, .option = x->option,
		.value = x->value });
	if (!known)
		chat_log_close(&log);
	record_command(s->sup->recorder, s->log, x->command, "done", NULL,
	    NULL);
	drop(x);
}

static void
refuse(struct session *s, struct wish *x, const char *code, const char *error)
{
	record_command(s->sup->recorder, s->log, x->command, "failed", code,
	    error);
	drop(x);
}

static struct wish *
find(struct session *s, const struct seat *seat)
{
	LIST_EACH(pos, tmp, &s->wishes) {
		struct wish *x = LIST_ITEM(pos, struct wish, in_session);

		if (strcmp(x->chat, seat_chat(seat)) == 0 &&
		    strcmp(x->agent, seat_agent(seat)) == 0)
			return x;
	}
	return NULL;
}

void
wish_go_on(struct session *s, struct seat *seat)
{
	struct wish *x;
	struct err e;
	int rc;

	while (seat_is_ready(seat) && (x = find(s, seat)) != NULL) {
		rc = seat_configure(seat, &(struct agent_setting){
			.mode_id = x->mode_id, .option = x->option,
			.value = x->value }, &e);
		x->is_asked = rc == 1;
		if (rc == 0)
			keep(s, x);
		else if (rc < 0)
			refuse(s, x, "unsupported", e.text);
	}
}

void
wish_on_configured(struct session *s, struct seat *seat,
    const char *error)
{
	struct wish *x = find(s, seat);

	if (x && x->is_asked && error)
		refuse(s, x, "unsupported", error);
	else if (x && x->is_asked)
		keep(s, x);
	wish_go_on(s, seat);
}

void
wish_refuse_asked(struct session *s, const struct seat *seat,
    const char *code, const char *why)
{
	struct wish *x = find(s, seat);

	if (x && x->is_asked)
		refuse(s, x, code, why);
}

void
wish_is_not_asked(struct session *s, const struct seat *seat)
{
	struct wish *x = find(s, seat);

	if (x)
		x->is_asked = false;
}

/* There is a child, or one is on its way that has been told already what it is
 * to be; and so it may be with a turn that is being claimed. */
static bool
has_child(struct session *s, const struct wish *x)
{
	struct turn *t = session_find_turn(s, x->chat, x->agent);

	return s->is_claiming || (t && t->state == TURN_STARTING) ||
	    warm_is_under_way(s, x->chat, x->agent) ||
	    pool_find(s->sup->pool, s->id, x->chat, x->agent);
}

void
wishes_settle(struct session *s)
{
	LIST_EACH(pos, tmp, &s->wishes) {
		struct wish *x = LIST_ITEM(pos, struct wish, in_session);

		if (!has_child(s, x))
			keep(s, x);
	}
}

void
wishes_lose(struct session *s, const char *why)
{
	LIST_EACH(pos, tmp, &s->wishes)
		refuse(s, LIST_ITEM(pos, struct wish, in_session), "lost",
		    why);
}

void
wishes_free(struct session *s)
{
	LIST_EACH(pos, tmp, &s->wishes)
		drop(LIST_ITEM(pos, struct wish, in_session));
}

void
wish_take(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_get(sup, c->session);
	struct seat *seat = pool_find(sup->pool, c->session, c->chat,
	    c->agent);
	struct wish *x = xcalloc(1, sizeof *x);

	x->command = c->id;
	x->chat_last_seq = c->chat_last_seq;
	x->chat = xstrdup(c->chat);
	x->agent = xstrdup(c->agent);
	x->mode_id = xstrdup(c->mode_id);
	x->option = xstrdup(c->option);
	x->value = xstrdup(c->value);
	list_append(&s->wishes, &x->in_session);
	if (seat)
		wish_go_on(s, seat);
	else
		wishes_settle(s);
	session_tidy(s);
}

/* ---- a turn's */

/* As a user wants it from now on, not for this turn alone. */
static void
is_configured(struct turn *t)
{
	t->is_configured = true;
	record_wanted(t->chat->log, t->agent, &(struct wanted_setting){
		.model = t->model, .mode_id = t->mode_id });
}

bool
turn_is_configured(struct turn *t, struct seat *seat)
{
	struct err e;
	int rc;

	if (t->is_configured || (!t->model && !t->mode_id))
		return true;
	rc = seat_configure(seat, &(struct agent_setting){
		.model = t->model, .mode_id = t->mode_id }, &e);
	if (rc == 0)
		is_configured(t);
	else if (rc > 0)
		t->is_configuring = true;
	else
		turn_fail(t, "unsupported", e.text);
	return rc == 0;
}

void
turn_on_configured(struct turn *t, const char *error)
{
	bool was_asked = t->is_configuring;

	t->is_configuring = false;
	if (was_asked && error)
		turn_fail(t, "unsupported", error);
	else if (was_asked)
		is_configured(t);
}
