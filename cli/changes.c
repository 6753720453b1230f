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
#include "cli/ids.h"
#include "cli/show.h"

struct changes_arguments {
	const char *verb;
	char **ids;           /* ends with NULL */
	const char *whole;    /* --all: a chat or a session, whose changes all
	                       * are meant */
	const char *hunks;
	bool is_applied;      /* list: what was accepted */
};

/* Who else it may have been, as in the view hearth.files_changed; "others":
 * how their turns are told. */
#define OR_BY(others) "coalesce((select " others " from hearth.turns t " \
	"where t.id = any(c.other_turns) and (c.turn_id is not null " \
	"or t.agent is distinct from c.agent)), '') || " \
	"case when c.turn_id is null and c.agent is not null " \
	"and c.other_turns is not null then ' or a person' else '' end"

static int
list_changes(PGconn *conn, const struct changes_arguments *a)
{
	const char *given = a->ids[0];
	char *session = given != NULL ? ids_session_or_chat(conn, given) :
	    NULL;
	int status = CLI_FAILED;

	if (given == NULL || session != NULL)
		status = show_query(conn, NULL, a->is_applied ?
		    "no changes are accepted" : "no changes wait",
		    "select c.id, c.operation as change, "
		    "coalesce(c.agent, 'a person') || "
		    OR_BY("string_agg(distinct ' or ' || t.agent, '')")
		    " as by, "
		    "c.turn_id as turn, "
		    "hearth.brief(now() - c.created_at) as age, "
		    "left(p.name, 16) as project, "
		    "left(coalesce(c.chat_id, c.session_id)::text, 8) as chat, "
		    "c.file_path as file from hearth.pending_changes c "
		    "join hearth.sessions s on s.id = c.session_id "
		    "join hearth.projects p on p.id = s.project_id "
		    "where c.status = $2 "
		    "and ($1::uuid is null or c.session_id = $1) "
		    "order by p.name, c.session_id, c.file_path, c.id",
		    PARAMS(session, a->is_applied ? "applied" : "pending"));
	free(session);
	return status;
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

/* What it is, and where. */
static void
print_head(const PGresult *res)
{
	char *line = xasprintf("change %s: %s %s, %s", db_field(res, 0, "id"),
	    db_field(res, 0, "operation"), db_field(res, 0, "file_path"),
	    db_field(res, 0, "status"));

	print_line(line);
	free(line);
	line = xasprintf("by %s, %s ago, project %s, %s",
	    db_field(res, 0, "who"), db_field(res, 0, "age"),
	    db_field(res, 0, "project"), db_field(res, 0, "place"));
	print_line(line);
	free(line);
	if (db_field(res, 0, "error") != NULL)
		print_line(db_field(res, 0, "error"));
}

static int
show_change(PGconn *conn, const char *id)
{
	PGresult *res = db_query(conn, "select c.id, c.operation, c.file_path, "
	    "c.status, c.error, c.diff, coalesce(c.agent, 'a person') || "
	    "coalesce(' in turn ' || c.turn_id, '') || "
	    OR_BY("string_agg(' or ' || t.agent || ' in turn ' || t.id, '' "
	    "order by t.id)") " as who, "
	    "hearth.brief(now() - c.created_at) as age, p.name as project, "
	    "coalesce('chat ' || c.chat_id, 'session ' || c.session_id) "
	    "as place from hearth.pending_changes c "
	    "join hearth.sessions s on s.id = c.session_id "
	    "join hearth.projects p on p.id = s.project_id where c.id = $1",
	    PARAMS(id));
	struct buf out = { 0 };

	if (res == NULL)
		return CLI_FAILED;
	if (PQntuples(res) == 0) {
		PQclear(res);
		return cli_fail("there is no change %s; hearth changes lists "
		    "them", id);
	}
	print_head(res);
	diff_render(db_field(res, 0, "diff"), look(), &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	PQclear(res);
	return 0;
}

/* Deciding */

static const struct {
	const char *verb, *one;
	const char *all;      /* of a session; NULL: one by one */
} decisions[] = {
	{ "accept", "select hearth.accept_change($1, 'hearth changes')",
	    "select hearth.accept_changes($1, 'hearth changes')" },
	{ "reject", "select hearth.reject_change($1, 'hearth changes')",
	    "select hearth.reject_changes($1, 'hearth changes')" },
	{ "revert", "select hearth.revert_change($1, 'hearth changes')",
	    NULL },
};

/* command: NULL: it could not be given (complained). */
static int
finish(PGconn *conn, const char *command, const char *what)
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
	free(command);
	free(what);
	return status;
}

/* Newest first: a later change of a file may build on an earlier one. */
static int
revert_all(PGconn *conn, const struct changes_arguments *a, const char *sql,
    const char *session)
{
	PGresult *res = db_query(conn, "select id from hearth.pending_changes "
	    "where session_id = $1 and status = 'applied' order by id desc",
	    PARAMS(session));
	int status = res != NULL ? 0 : CLI_FAILED;

	for (int i = 0; res != NULL && i < PQntuples(res); i++)
		if (decide_one(conn, a, sql, PQgetvalue(res, i, 0)) != 0)
			status = CLI_FAILED;
	if (res != NULL && PQntuples(res) == 0)
		puts("no changes are accepted");
	PQclear(res);
	return status;
}

/* How many they were the command says: more may wait by now, or did not yet. */
static int
decide_pending(PGconn *conn, const struct changes_arguments *a,
    const char *sql, const char *session)
{
	char *what = xasprintf("changes of session %s", session);
	char *command = db_value(conn, sql, PARAMS(session)), *count = NULL;

	if (finish(conn, command, what) == 0)
		count = db_value(conn, "select jsonb_array_length("
		    "args -> 'changes') from hearth.commands where id = $1",
		    PARAMS(command));
	free(command);
	free(what);
	if (count == NULL)
		return CLI_FAILED;
	printf("%s change%s %sed\n", count, strcmp(count, "1") == 0 ? "" :
	    "s", a->verb);
	free(count);
	return 0;
}

static int
decide_all(PGconn *conn, const struct changes_arguments *a, size_t i)
{
	char *session = ids_session_or_chat(conn, a->whole);
	int status = CLI_FAILED;

	if (session != NULL && decisions[i].all == NULL)
		status = revert_all(conn, a, decisions[i].one, session);
	else if (session != NULL)
		status = decide_pending(conn, a, decisions[i].all, session);
	free(session);
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
	if (a->whole != NULL)
		return decide_all(conn, a, i);
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
	bool lists = strcmp(a->verb, "list") == 0;

	if (!decides && !lists && strcmp(a->verb, "show") != 0)
		return fail(e, "changes: no command \"%s\": list, show, "
		    "accept, reject or revert", a->verb);
	if (a->whole != NULL && (!decides || n > 0))
		return fail(e, "changes %s: --all CHAT is for accept, reject "
		    "and revert, without ids", a->verb);
	if (a->hunks != NULL && (strcmp(a->verb, "accept") != 0 || n != 1))
		return fail(e, "changes %s: --hunks is for accept, with one "
		    "id", a->verb);
	if (a->is_applied && !lists)
		return fail(e, "changes %s: --applied is for list", a->verb);
	if (lists && n > 1)
		return fail(e, "changes list: one chat at most");
	if (!lists && n == 0 && a->whole == NULL)
		return fail(e, "changes %s: which one? Give its id, as hearth "
		    "changes lists it", a->verb);
	return 0;
}

static int
parse(struct cli *cli, int argc, char **argv, struct changes_arguments *a,
    struct err *e)
{
	static const struct option longs[] = {
		{ "all", required_argument, NULL, 'a' },
		{ "hunks", required_argument, NULL, 'u' },
		{ "applied", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	static char *none[] = { NULL };
	int c;

	*a = (struct changes_arguments){ .verb = "list", .ids = none };
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "", longs, e)) != -1)
		switch (c) {
		case 'a': a->whole = optarg; break;
		case 'u': a->hunks = optarg; break;
		case 'p': a->is_applied = true; break;
		default: return -1;
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
		status = list_changes(conn, &a);
	else if (strcmp(a.verb, "show") != 0)
		status = decide(conn, &a);
	else
		for (char **id = a.ids; *id != NULL; id++)
			if (show_change(conn, *id) != 0)
				status = CLI_FAILED;
	PQfinish(conn);
	return status;
}
