/* SPDX-License-Identifier: MIT */
/*
 * The project's setup command, which workspace/ runs in a new working copy:
 * where its outcome is recorded, and the words for a turn that it has failed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "supervisor/private.h"

/* How much of the output goes into an error. */
#define TAIL 1000

/* The end of the output, without blanks around it. */
static char *
tail_of(const struct setup_outcome *o)
{
	size_t n = strlen(o->output);
	const char *p = o->output;

	while (n > 0 && strchr(" \t\r\n", p[n - 1]))
		n--;
	if (n > TAIL) {
		p += n - TAIL;
		n = TAIL;
		/* not from within a character */
		for (; n > 0 && ((unsigned char)*p & 0xC0) == 0x80; p++)
			n--;
	}
	return xmemdupz(p, n);
}

char *
setup_words(const struct setup_outcome *o, int64_t limit)
{
	char *tail, *how, *words;

	if (!o->is_late && o->exit_code == 0)
		return NULL;
	tail = tail_of(o);
	if (o->is_late)
		how = xasprintf("took longer than setup_timeout (%s) and was "
		    "ended", duration_text(limit));
	else if (o->exit_code > 128)
		how = xasprintf("was ended by signal %d", o->exit_code - 128);
	else
		how = xasprintf("failed with exit code %d", o->exit_code);
	words = xasprintf("the project's setup command %s%s%s", how,
	    *tail ? "; its output ends:\n" : "", tail);
	free(tail);
	free(how);
	return words;
}

static void
tell_chats(struct session *s, struct turn *t, const struct setup_row *row)
{
	if (t) {
		record_setup_event(t->chat->log, t->id, t->agent, row);
		return;
	}
	LIST_EACH(pos, tmp, &s->warmings) {
		struct warming *w = LIST_ITEM(pos, struct warming, in_session);

		if (w->chat)
			record_setup_event(w->chat->log, 0, w->agent, row);
	}
}

void
setup_note(struct session *s, struct turn *t, const char **code, char **why)
{
	const struct setup_outcome *o = working_copy_setup(s->copy);
	struct setup_row row;
	char *words;

	if (!o)
		return;
	row = (struct setup_row){
		.exit_code = o->is_late ? -1 : o->exit_code,
		.ms = o->ms,
		.output = o->output,
		.is_now = o->is_now,
	};
	record_setup(s->log, &row);
	if (o->is_now)
		tell_chats(s, t, &row);
	words = setup_words(o, s->sup->setup_timeout);
	if (!words)
		return;
	free(*why);
	*code = o->is_late ? "setup_timeout" : "setup_failed";
	*why = words;
}
