/* SPDX-License-Identifier: MIT */
/*
 * The project's setup command, which workspace/ runs in a new working copy:
 * where its outcome is recorded, and the words for a turn that it has failed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/options.h"
#include "base/utf8.h"
#include "supervisor/private.h"

/* How much of the output goes into an error; of its last line, which is what
 * most commands say of their end; and of the command. */
#define TAIL 1000
#define LINE 200
#define COMMAND 100

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

/* For people, in one line: at most that much of it. */
static char *
shorten(const char *text, size_t most)
{
	bool is_long = strlen(text) > most;
	char *cut = xasprintf("%.*s%s", (int)(is_long ? utf8_cut(text, most) :
	    strlen(text)), text, is_long ? "…" : "");

	utf8_blank_controls(cut);
	return cut;
}

static char *
show_command(char *const *argv)
{
	struct buf b = { 0 };
	char *all, *shown;

	buf_adds(&b, "");
	for (char *const *word = argv; word && *word; word++)
		buf_printf(&b, "%s%s", word == argv ? "" : " ", *word);
	all = buf_take(&b);
	shown = shorten(all, COMMAND);
	free(all);
	return shown;
}

static char *
show_last_line(const struct setup_outcome *o)
{
	char *tail = tail_of(o);
	const char *line = strrchr(tail, '\n');
	char *shown = shorten(line ? line + 1 : tail, LINE);

	free(tail);
	return shown;
}

static char *
show_end(const struct setup_outcome *o, int64_t limit)
{
	if (o->is_late)
		return xasprintf("took longer than setup_timeout (%s) and was "
		    "ended", duration_text(limit));
	if (o->exit_code > 128)
		return xasprintf("was ended by signal %d", o->exit_code - 128);
	return xasprintf("failed with exit code %d", o->exit_code);
}

char *
setup_words(const struct setup_outcome *o, char *const *argv, int64_t limit)
{
	char *command, *how, *line, *tail, *words;
	bool has_more;

	if (!o->is_late && o->exit_code == 0)
		return NULL;
	command = show_command(argv);
	how = show_end(o, limit);
	line = show_last_line(o);
	tail = tail_of(o);
	has_more = strcmp(tail, line) != 0;
	words = xasprintf("the setup command \"%s\" %s%s%s%s%s", command, how,
	    *line ? ": " : "", line, has_more ? "; its output ends:\n" : "",
	    has_more ? tail : "");
	free(tail);
	free(line);
	free(how);
	free(command);
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

static void
tell(struct session *s, struct turn *t, const struct setup_outcome *o,
    char *const *argv)
{
	struct setup_row row = {
		.exit_code = o->is_late ? -1 : o->exit_code,
		.ms = o->ms,
		.output = o->output,
		.is_now = o->is_now,
	};
	char *command, *line;

	record_setup(s->log, &row);
	/* one that ran earlier was told then */
	if (!o->is_now)
		return;
	row.command = command = show_command(argv);
	row.last_line = line = show_last_line(o);
	tell_chats(s, t, &row);
	free(command);
	free(line);
}

void
setup_note(struct session *s, struct turn *t, const char **code, char **why)
{
	const struct setup_outcome *o = working_copy_setup(s->copy);
	char *const *argv = working_copy_setup_command(s->copy);
	char *words;

	if (!o)
		return;
	tell(s, t, o, argv);
	words = setup_words(o, argv, s->sup->setup_timeout);
	if (!words)
		return;
	free(*why);
	*code = o->is_late ? "setup_timeout" : "setup_failed";
	*why = words;
}
