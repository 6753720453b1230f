/* SPDX-License-Identifier: MIT */
/*
 * What is notified on hearth_work: small JSON objects that our own functions
 * make, so that a parser would be too much. A notification is a hint; what it
 * is about is asked for. Must never know: who does that.
 */
#include "sql/db_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The member of a flat JSON object whose texts need no escapes; "" when it is
 * not there. */
static const char *
member(const char *json, const char *name, char out[static 72])
{
	char key[24];
	const char *at;
	size_t n;

	out[0] = '\0';
	snprintf(key, sizeof key, "\"%s\":", name);
	at = strstr(json, key);
	if (!at)
		return out;
	at += strlen(key);
	at += *at == '"';
	n = strcspn(at, "\",}");
	snprintf(out, 72, "%.*s", n < 72 ? (int)n : 0, at);
	return out;
}

/* {"session":"uuid","turn":1,"chat":"uuid","agent":"name"}, the same with
 * "typing":1 for the turn, {"command":1}, {"rules":true}, {"agents":true}. */
void
on_work(void *ctx, const char *channel, const char *payload)
{
	struct db *db = ctx;
	char command[72], rules[72], session[72], turn[72], chat[72], agent[72];
	char typing[72], agents[72];
	struct queued_turn q = {
		.session = member(payload, "session", session),
		.turn = atoll(member(payload, "turn", turn)),
		.chat = member(payload, "chat", chat),
		.agent = member(payload, "agent", agent),
	};

	if (strcmp(channel, "hearth_work") != 0 || !db->is_up ||
	    db->is_closing)
		return;
	if (*member(payload, "command", command))
		db->cb->commands(db->ctx);
	if (*member(payload, "rules", rules))
		db->cb->rules(db->ctx);
	if (*member(payload, "agents", agents))
		db->cb->agents(db->ctx);
	if (strlen(session) != 36)
		return;
	if (strlen(chat) != 36 || !*agent)
		q.chat = q.agent = NULL;
	if (!*member(payload, "typing", typing))
		db->cb->work(db->ctx, &q);
	else if (q.chat)
		db->cb->typing(db->ctx, session, chat, agent);
}
