/* SPDX-License-Identifier: MIT */
/*
 * `hearth close`: an agent's child, a chat, or a session with all its chats.
 * Nothing that was said or changed is removed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/ids.h"

#define WHO "hearth close"

/* What is to be closed. */
struct closing {
	const char *session;    /* or NULL, then … */
	const char *chat;
	const char *agent;      /* in the chat, or NULL: all of it */
};

static int
parse(struct cli *cli, int argc, char **argv, struct closing *it,
    struct err *e)
{
	static const struct option options[] = {
		{ "session", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c, left;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "s:", options, e)) != -1) {
		if (c == '?')
			return -1;
		it->session = optarg;
	}
	left = argc - optind;
	if (it->session != NULL && left > 0)
		return fail(e, "close: unexpected argument \"%s\": a session "
		    "is closed with all its chats", argv[optind]);
	if (it->session == NULL && left == 0)
		return fail(e, "close: which chat? See hearth close --help");
	if (left > 2)
		return fail(e, "close: unexpected argument \"%s\"",
		    argv[optind + 2]);
	it->chat = left > 0 ? argv[optind] : NULL;
	it->agent = left > 1 ? argv[optind + 1] : NULL;
	return 0;
}

/* The id of the command; NULL after a complaint. */
static char *
ask(PGconn *conn, const struct closing *it)
{
	if (it->session != NULL)
		return db_value(conn, "select hearth.archive_session($1, '"
		    WHO "')", PARAMS(it->session));
	if (it->agent != NULL)
		return db_value(conn, "select hearth.close_agent($1, $2, '"
		    WHO "')", PARAMS(it->chat, it->agent));
	return db_value(conn, "select hearth.close_chat($1, '" WHO "')",
	    PARAMS(it->chat));
}

static char *
name(const struct closing *it)
{
	if (it->session != NULL)
		return xasprintf("session %s", it->session);
	if (it->agent != NULL)
		return xasprintf("agent %s in chat %s", it->agent, it->chat);
	return xasprintf("chat %s", it->chat);
}

static int
close_it(PGconn *conn, const struct closing *given)
{
	char *id = given->session != NULL ? ids_session(conn, given->session) :
	    ids_chat(conn, given->chat);
	struct closing whole = *given, *it = &whole;
	char *command, *what, *why = NULL;
	int status = CLI_FAILED;

	if (id == NULL)
		return CLI_FAILED;
	*(it->session != NULL ? &it->session : &it->chat) = id;
	command = follow_listen(conn) == 0 ? ask(conn, it) : NULL;
	what = name(it);
	if (command != NULL)
		switch (command_wait(conn, command, &why)) {
		case COMMAND_DONE:
			printf("%s is closed\n", what);
			status = 0;
			break;
		case COMMAND_FAILED:
			cli_fail("%s is not closed: %s", what, why);
			break;
		case COMMAND_WAITS:
			printf("%s is being closed; no hearthd is up, the next "
			    "one ends what is left of it\n", what);
			status = 0;
			break;
		case COMMAND_LOST:
			break;
		}
	free(why);
	free(what);
	free(command);
	free(id);
	return status;
}

int
cli_close(struct cli *cli, int argc, char **argv)
{
	struct closing it = { NULL, NULL, NULL };
	struct err e;
	PGconn *conn;
	int status;

	if (parse(cli, argc, argv, &it, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = close_it(conn, &it);
	PQfinish(conn);
	return status;
}
