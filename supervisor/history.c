/* SPDX-License-Identifier: MIT */
/*
 * What was said before, when a new child takes a conversation over. An agent
 * that has reopened it knows; one that could not is told with its first prompt,
 * from the chat's record, as much as fits. Either way the chat says so in an
 * event agent_status.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* About 20,000 tokens. */
#define HISTORY_BYTES ((int64_t)80 << 10)
/* How long a turn waits when its record could not be read. */
#define NO_RECORD_MS 500

void
history_note(struct chat *chat, int64_t turn, const char *agent,
    const struct agent_event *ready)
{
	/* A new one says so when what it is told is known. */
	if (strcmp(ready->ready.resumed_by, "new") == 0)
		return;
	record_reattached(chat->log, turn, agent, &(struct reattachment){
		.resumed_by = ready->ready.resumed_by });
}

static char *
make_preface(const struct transcript *said)
{
	char *cut = said->omitted == 0 ? xstrdup("") : xasprintf(
	    " It is long: the oldest %lld messages are left out.",
	    (long long)said->omitted);
	char *text = xasprintf("The process that you ran in has ended, and with "
	    "it your memory of this conversation. This is its record, without "
	    "the tools that were used; the files are as they were left.%s\n\n"
	    "%s\n\nHere the record ends. What follows is new; answer that.",
	    cut, said->text);

	free(cut);
	return text;
}

static void
take(struct turn *t, const struct transcript *said)
{
	struct seat *seat = pool_find(t->session->sup->pool, t->session->id,
	    t->chat->id, t->agent);
	const char *resumed_by = said->messages > 0 ? "replay" : "new";

	t->is_history_read = true;
	if (!seat || !seat_lost_reason(seat))
		return;
	if (said->messages > 0)
		t->preface = make_preface(said);
	record_reattached(t->chat->log, t->id, t->agent,
	    &(struct reattachment){
		.resumed_by = resumed_by,
		.reason = seat_lost_reason(seat),
		.messages = said->messages,
		.omitted = said->omitted,
	    });
	record_agent_session(t->chat->log, t->agent,
	    &(struct agent_session_row){ .resumed_by = resumed_by, .pid = -1,
		.crash_count = -1, .backoff_ms = -1 });
}

static void
on_transcript(void *ctx, const char *session, int64_t turn,
    const struct transcript *said, const struct err *e)
{
	struct supervisor *sup = ctx;
	struct session *s = session_find(sup, session);
	struct turn *t = s ? session_turn_by_id(s, turn) : NULL;

	if (!t)
		return;
	t->waits--;
	if (s->is_lost) {
		turn_forget(t);
		session_tidy(s);
		return;
	}
	if (e)
		turn_requeue(t, e->text, NO_RECORD_MS);
	else
		take(t, said);
	turn_advance(t);
}

bool
history_is_ready(struct turn *t, const struct seat *seat)
{
	struct supervisor *sup = t->session->sup;

	if (t->is_history_read || !seat_lost_reason(seat))
		return true;
	t->waits++;
	db_transcript(sup->db, t->session->id, t->chat->id, t->id,
	    HISTORY_BYTES, on_transcript, sup);
	return false;
}
