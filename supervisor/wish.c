/* SPDX-License-Identifier: MIT */
/*
 * Modes, models and options that users set: for a turn (submit), or by a
 * command (set_mode, set_config_option). What an agent has taken is kept as
 * wanted of the agent session, and made so again in its next child.
 *
 * An agent is asked when it is idle. A command that comes while it works waits
 * for the end of the turn; one for an agent without a child is kept for the
 * next, which takes what it can.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* A command of a user, until the agent has answered. */
struct wish {
	struct list in_session;
	int64_t command;
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
keep(struct session *s, struct chat_log *log, struct wish *x)
{
	record_wanted(log, x->agent, &(struct wanted_setting){
		.mode_id = x->mode_id, .option = x->option,
		.value = x->value });
	record_command(s->sup->recorder, x->command, "done", NULL, NULL);
	drop(x);
}

static void
refuse(struct session *s, struct wish *x, const char *error)
{
	record_command(s->sup->recorder, x->command, "failed", "unsupported",
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

static struct chat_log *
log_of(struct session *s, const struct wish *x)
{
	struct chat *chat = session_find_chat(s, x->chat);

	MUST(chat != NULL); /* its seat has one */
	return chat->log;
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
			keep(s, log_of(s, x), x);
		else if (rc < 0)
			refuse(s, x, e.text);
	}
}

void
wish_on_configured(struct session *s, struct seat *seat,
    const char *error)
{
	struct wish *x = find(s, seat);

	if (x && x->is_asked && error)
		refuse(s, x, error);
	else if (x && x->is_asked)
		keep(s, log_of(s, x), x);
	wish_go_on(s, seat);
}

void
wish_on_ended(struct session *s, const struct seat *seat)
{
	struct wish *x;

	while ((x = find(s, seat)) != NULL)
		keep(s, log_of(s, x), x);
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
	struct chat_log *log;

	x->command = c->id;
	x->chat = xstrdup(c->chat);
	x->agent = xstrdup(c->agent);
	x->mode_id = xstrdup(c->mode_id);
	x->option = xstrdup(c->option);
	x->value = xstrdup(c->value);
	list_append(&s->wishes, &x->in_session);
	if (seat) {
		wish_go_on(s, seat);
		return;
	}
	log = chat_log_open(sup->recorder, c->session, c->chat,
	    c->chat_last_seq);
	keep(s, log, x);
	chat_log_close(&log);
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
