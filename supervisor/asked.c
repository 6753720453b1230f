/* SPDX-License-Identifier: MIT */
/*
 * Commands that wait for the end of something: a turn, a child's start. They
 * are answered then, for whatever a command has asked for has to be durable
 * before it is done: a crash in between has it carried out again.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "supervisor/private.h"

static bool
has(const struct asked *a, int64_t command)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->commands[i] == command)
			return true;
	return false;
}

void
asked_add(struct asked *a, int64_t command)
{
	if (command == 0 || has(a, command))
		return;
	a->commands = xrealloc(a->commands,
	    (a->n + 1) * sizeof *a->commands);
	a->commands[a->n++] = command;
}

void
asked_subtract(struct asked *a, const struct asked *others)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		if (!has(others, a->commands[i]))
			a->commands[n++] = a->commands[i];
	a->n = n;
}

void
asked_answer(struct asked *a, struct session *s, const char *code,
    const char *why)
{
	for (size_t i = 0; i < a->n; i++)
		record_command(s->sup->recorder, s->log, a->commands[i],
		    code ? "failed" : "done", code, code ? why : NULL);
	asked_free(a);
}

void
asked_free(struct asked *a)
{
	free(a->commands);
	*a = (struct asked){ .n = 0 };
}
