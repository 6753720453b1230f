/* SPDX-License-Identifier: MIT */
/*
 * Whose a change is: who was at work since the last tree. Nobody: a person
 * did it. One turn: it is that turn's. Several, in a session that lets turns
 * run side by side: the change names one of them and says which others it may
 * have been, never one alone.
 *
 * A turn comes under suspicion when its agent gets the prompt, and is cleared
 * by the first tree after its end: if that fails, the next one tells its
 * changes. An agent that goes on after its turn is suspected, too, and so are
 * turns that a crash of hearthd cut off, and turns that have left processes
 * running (supervisor/left.c): what these did may as well be a person's.
 *
 * Must never know: how a tree is taken. Read on in supervisor/copy.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "supervisor/private.h"

void
whose_add(struct session *s, struct chat *chat, int64_t turn,
    const char *agent, enum suspicion how)
{
	struct suspect *x;

	LIST_EACH(pos, tmp, &s->suspects) {
		x = LIST_ITEM(pos, struct suspect, in_session);
		if (x->turn == turn && strcmp(x->agent, agent) == 0 &&
		    (x->how == SUSPECT_LEFT) == (how == SUSPECT_LEFT))
			return;
	}
	x = xcalloc(1, sizeof *x);
	x->chat = chat;
	x->turn = turn;
	x->agent = xstrdup(agent);
	x->how = how;
	list_append(&s->suspects, &x->in_session);
}

void
whose_recall(struct session *s, const char *unread)
{
	char *lines = xstrdup(unread), *rest = lines, *line;

	/* later this process knows better than the rows */
	if (s->is_recalled)
		rest = NULL;
	s->is_recalled = true;
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *agent;
		int64_t turn = strtoll(line, &agent, 10);

		if (*agent == ' ')
			whose_add(s, NULL, turn, agent + 1,
			    SUSPECT_AT_WORK);
	}
	free(lines);
}

/* Better a turn than an agent that was done with its own, and that than what
 * it left. */
static const struct suspect *
first_of(struct session *s, const struct turn *ending)
{
	const struct suspect *first = NULL;

	LIST_EACH(pos, tmp, &s->suspects) {
		const struct suspect *x = LIST_ITEM(pos, struct suspect,
		    in_session);

		if (ending && x->turn == ending->id)
			return x;
		if (!first || x->how < first->how)
			first = x;
	}
	return first;
}

/* What an agent has left running is its own in its next turn; what it left,
 * or somebody else, is no certain claim. */
static bool
may_be_too(const struct suspect *x, const struct suspect *by)
{
	if (x == by)
		return by->how == SUSPECT_LEFT;
	return x->how != SUSPECT_LEFT || x->chat != by->chat ||
	    strcmp(x->agent, by->agent) != 0;
}

/* "{7,9}": whose it may be besides, or NULL; the caller frees it. */
static char *
others_than(struct session *s, const struct suspect *by)
{
	struct buf list = { 0 };

	LIST_EACH(pos, tmp, &s->suspects) {
		const struct suspect *x = LIST_ITEM(pos, struct suspect,
		    in_session);

		/* turn 0: its agent has had none since it was started */
		if (x->turn != 0 && may_be_too(x, by))
			buf_printf(&list, "%c%lld", list.len ? ',' : '{',
			    (long long)x->turn);
	}
	if (list.len == 0)
		return NULL;
	buf_addc(&list, '}');
	return buf_take(&list);
}

void
whose_record(struct session *s, struct chat *finder,
    const struct turn *ending, const struct file_change *changes, size_t n)
{
	const struct suspect *by = first_of(s, ending);
	char *others = others_than(s, by);

	copy_record_changes(by && by->chat ? by->chat : finder,
	    by && by->how == SUSPECT_AT_WORK ? by->turn : 0,
	    by ? by->agent : NULL, others, changes, n);
	free(others);
}

static void
clear(struct suspect *x)
{
	list_remove(&x->in_session);
	free(x->agent);
	free(x);
}

static bool
is_at_work(struct session *s, const struct suspect *x)
{
	const struct turn *t = session_turn_by_id(s, x->turn);

	return t && x->how == SUSPECT_AT_WORK && t->state != TURN_STARTING &&
	    t->state != TURN_ENDED;
}

void
whose_told(struct session *s, const struct turn *ending)
{
	LIST_EACH(pos, tmp, &s->suspects) {
		struct suspect *x = LIST_ITEM(pos, struct suspect, in_session);

		if (x->how != SUSPECT_LEFT && (!is_at_work(s, x) ||
		    (ending && x->turn == ending->id)))
			clear(x);
	}
}

void
whose_drop_left(struct session *s)
{
	LIST_EACH(pos, tmp, &s->suspects) {
		struct suspect *x = LIST_ITEM(pos, struct suspect, in_session);

		if (x->how == SUSPECT_LEFT)
			clear(x);
	}
}

void
whose_forget_chat(struct session *s, const char *chat)
{
	LIST_EACH(pos, tmp, &s->suspects) {
		struct suspect *x = LIST_ITEM(pos, struct suspect, in_session);

		if (x->chat && strcmp(x->chat->id, chat) == 0) {
			x->chat = NULL;
			x->turn = 0;
			if (x->how == SUSPECT_AT_WORK)
				x->how = SUSPECT_LATE;
		}
	}
}

void
whose_forget(struct session *s)
{
	LIST_EACH(pos, tmp, &s->suspects)
		clear(LIST_ITEM(pos, struct suspect, in_session));
}
