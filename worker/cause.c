/* SPDX-License-Identifier: MIT */
/*
 * See cause.h: a table of words that runtimes, shells and launchers use, the
 * more certain first. Matched in any case.
 *
 * Tests: tests/unit_cause.c.
 */
#include "worker/cause.h"

#include <stddef.h>
#include <string.h>

#include "worker/envelope.h"

#define EXIT_NOT_RUNNABLE 126 /* of a shell, env, ssh … */
#define EXIT_NOT_FOUND 127

#define MISSING "is something that it needs not installed, or not on " \
	"hearthd's PATH?"
#define LOGIN "does it need a login? Run it once in a terminal as " \
	"hearthd's user"
#define FLAG "is its ACP flag wrong for the installed version?"

static const struct {
	const char *words[10];
	const char *cause;
	bool at_any_time;    /* else only before it was ready */
} causes[] = {
	{ { "heap out of memory", "heap limit", "out of memory" },
	    "did it run out of memory? For Node.js see "
	    "NODE_OPTIONS=--max-old-space-size", true },
	{ { "bwrap: " }, "can the sandbox not be made here? See hearthd(8), "
	    "LAUNCHERS", false },
	{ { "permission denied (", "host key verification failed",
	    "could not resolve hostname", "ssh: connect to host" },
	    "can ssh not log in without a question? Try it once as hearthd's "
	    "user", false },
	{ { "requires node", "node.js version", "unsupported node",
	    "unsupported engine", "node version" },
	    "does it need another version of Node.js?", false },
	{ { "unknown option", "unknown argument", "unknown flag",
	    "unrecognized option", "unrecognized argument",
	    "unexpected argument", "invalid option", "bad option",
	    "no such option" }, FLAG, false },
	{ { "unknown command", "no such command", "unrecognized subcommand",
	    "unrecognized command", "invalid choice", "unknown arguments",
	    "flag provided but not defined", "illegal option" }, FLAG,
	    false },
	{ { "command not found", ": not found", "no such file or directory",
	    "cannot find module", "cannot find package", "enoent",
	    "modulenotfounderror", "could not determine executable" },
	    MISSING, false },
	{ { "enotfound", "econnrefused", "eai_again", "getaddrinfo",
	    "network is unreachable", "could not resolve host",
	    "name resolution" }, "can it not reach the network?", false },
	{ { "usage:" }, FLAG, false },
};

static bool
has_word(const char *said, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasestr(said, *words) != NULL)
			return true;
	return false;
}

const char *
cause_find(const char *said, int exit_code, bool was_ready)
{
	for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
		if ((causes[i].at_any_time || !was_ready) &&
		    has_word(said, causes[i].words))
			return causes[i].cause;
	if (was_ready)
		return NULL;
	if (envelope_says_login(said))
		return LOGIN;
	if (exit_code == EXIT_NOT_FOUND)
		return MISSING;
	if (exit_code == EXIT_NOT_RUNNABLE)
		return "is something that it starts not executable?";
	return exit_code == 0 ? FLAG : NULL;
}
