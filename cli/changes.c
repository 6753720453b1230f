/* SPDX-License-Identifier: MIT */
/*
 * `hearth changes`: the files that wait for a decision, the difference that one
 * of them makes, and deciding: into the project, out of the worktree, out of
 * the project again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/db.h"
#include "cli/diff.h"
#include "cli/follow.h"
#include "cli/show.h"

struct changes_arguments {
	const char *verb;
	char **ids;           /* ends with NULL */
	const char *chat;     /* --all: of its session */
	const char *hunks;
};

static int
list_changes(PGconn *conn, const char *chat)
{
	return show_query(conn, NULL, "no changes wait",
	    "select c.id, c.operation, c.file_path, "
	    "coalesce(c.agent, 'a person') as agent, c.turn_id as turn, "
	    "hearth.brief(now() - c.created_at) as age, c.session_id "
	    "from hearth.pending_changes c where c.status = 'pending' "
	    "and ($1::uuid is null or c.session_id = (select session_id "
	    "from hearth.chats where id = $1)) order by c.session_id, "
	    "c.file_path", PARAMS(chat));
}

static enum diff_look
look(void)
{
	const char *no = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO))
		return DIFF_AS_IT_IS;
	return no == NULL || *no == '\0' ? DIFF_IN_COLOURS : DIFF_VISIBLE;
}

/* File names are the agent's, too. */
static void
print_line(const char *text)
{
	char *line = xstrdup(text);

	utf8_blank_controls(line);
	puts(line);
	free(line);
}

static int
show_change(PGconn *conn, const char *id)
{
	PGresult *res = db_query(conn, "select operation, file_path, "
	    "coalesce(agent, 'a person'), status, error, diff "
	    "from hearth.pending_changes where id = $1", PARAMS(id));
	struct buf out = { 0 };
	char *head;

	if (res == NULL)
		return CLI_FAILED;
	if (PQntuples(res) == 0) {
		PQclear(res);
		return cli_fail("there is no change %s; hearth changes lists "
		    "them", id);
	}
	head = xasprintf("%s %s by %s, %s", PQgetvalue(res, 0, 0),
	    PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2),
	    PQgetvalue(res, 0, 3));
	print_line(head);
	free(head);
	if (!PQgetisnull(res, 0, 4))
		print_line(PQgetvalue(res, 0, 4));
	diff_render(PQgetvalue(res, 0, 5), look(), &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	PQclear(res);
	return 0;
}

/* Deciding */

static const struct {
	const char *verb, *one, *all; /* all NULL: not possible */
} decisions[] = {
	{ "accept", "select hearth.accept_change($1, 'hearth changes')",
	    "select hearth.accept_changes((select session_id from "
	    "hearth.chats where id = $1), 'hearth changes')" },
	{ "reject", "select hearth.reject_change($1, 'hearth changes')",
	    "select hearth.reject_changes((select session_id from "
	    "hearth.chats where id = $1), 'hearth changes')" },
	{ "revert", "select hearth.revert_change($1, 'hearth changes')",
	    NULL },
};

static int
finish(PGconn *conn, char *command, const char *what)
{
	char *why = NULL;
	int status = CLI_FAILED;

	if (command == NULL)
		return CLI_FAILED;
	switch (command_wait(conn, command, &why)) {
	case COMMAND_DONE:
		status = 0;
		break;
	case COMMAND_FAILED:
		cli_fail("%s: %s", what, why);
		break;
	case COMMAND_WAITS:
		cli_fail("%s: no hearthd is up; it is done when one is",
		    what);
		break;
	case COMMAND_LOST:
		break;
	}
	free(why);
	free(command);
	return status;
}

static int
decide_one(PGconn *conn, const struct changes_arguments *a, const char *sql,
    const char *id)
{
	char *what = xasprintf("change %s", id), *command;
	int status;

	if (a->hunks != NULL)
		command = db_value(conn, "select hearth.accept_hunks($1, "
		    "string_to_array($2, ',')::int[], 'hearth changes')",
		    PARAMS(id, a->hunks));
	else
		command = db_value(conn, sql, PARAMS(id));
	status = finish(conn, command, what);
	if (status == 0)
		printf("change %s: %sed\n", id, a->verb);
	free(what);
	return status;
}

static int
decide_all(PGconn *conn, const char *sql, const char *chat)
{
	char *what = xasprintf("changes of chat %s", chat);
	int status = finish(conn, db_value(conn, sql, PARAMS(chat)), what);

	free(what);
	return status;
}

/* Each of them, whatever becomes of the others. */
static int
decide(PGconn *conn, const struct changes_arguments *a)
{
	size_t i = 0;
	int status = 0;

	while (strcmp(decisions[i].verb, a->verb) != 0)
		i++;
	if (follow_listen(conn) != 0)
		return CLI_FAILED;
	if (a->chat != NULL)
		return decide_all(conn, decisions[i].all, a->chat);
	for (char **id = a->ids; *id != NULL; id++)
		if (decide_one(conn, a, decisions[i].one, *id) != 0)
			status = CLI_FAILED;
	return status;
}

/* How it is called */

static bool
is_decision(const char *verb)
{
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
		if (strcmp(verb, decisions[i].verb) == 0)
			return true;
	return false;
}

static int
check(const struct changes_arguments *a, struct err *e)
{
	size_t n = strv_len(a->ids);
	bool decides = is_decision(a->verb);

	if (!decides && strcmp(a->verb, "list") != 0 &&
	    strcmp(a->verb, "show") != 0)
		return fail(e, "changes: no command \"%s\": list, show, "
		    "accept, reject or revert", a->verb);
	if ((a->chat != NULL && (!decides || n > 0 ||
	    strcmp(a->verb, "revert") == 0)) ||
	    (a->hunks != NULL && (strcmp(a->verb, "accept") != 0 || n != 1)))
		return fail(e, "changes: --all is for accept and reject, "
		    "without ids; --hunks for accept, with one id");
	if (strcmp(a->verb, "list") == 0 && n > 1)
		return fail(e, "changes list: one chat at most");
	if (strcmp(a->verb, "list") != 0 && n == 0 && a->chat == NULL)
		return fail(e, "changes %s: which one? Give its id",
		    a->verb);
	return 0;
}

static int
parse(struct cli *cli, int argc, char **argv, struct changes_arguments *a,
    struct err *e)
{
	static const struct option longs[] = {
		{ "all", required_argument, NULL, 'a' },
		{ "hunks", required_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	static char *none[] = { NULL };
	int c;

	*a = (struct changes_arguments){ "list", none, NULL, NULL };
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "", longs, e)) != -1) {
		if (c == 'a')
			a->chat = optarg;
		else if (c == 'u')
			a->hunks = optarg;
		else
			return -1;
	}
	if (optind < argc) {
		a->verb = argv[optind];
		a->ids = &argv[optind + 1];
	}
	return check(a, e);
}

int
cli_changes(struct cli *cli, int argc, char **argv)
{
	struct changes_arguments a;
	struct err e;
	PGconn *conn;
	int status = 0;

	if (parse(cli, argc, argv, &a, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	if (strcmp(a.verb, "list") == 0)
		status = list_changes(conn, a.ids[0]);
	else if (strcmp(a.verb, "show") != 0)
		status = decide(conn, &a);
	else
		for (char **id = a.ids; *id != NULL; id++)
			if (show_change(conn, *id) != 0)
				status = CLI_FAILED;
	PQfinish(conn);
	return status;
}
