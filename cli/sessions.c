/* SPDX-License-Identifier: MIT */
/*
 * `hearth sessions`: the working copies, and what becomes of them as a whole.
 * `hearth close --session` archives one, too; the words are the functions'.
 */
#include "cli/sessions.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/command.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/ids.h"
#include "cli/project.h"
#include "cli/show.h"

static int
list_sessions(PGconn *conn, const char *project, bool archived)
{
	char *known = project != NULL ? project_resolve(conn, project) : NULL;
	int status = CLI_FAILED;

	if (project == NULL || known != NULL)
		status = show_query(conn, NULL, archived ?
		    "no sessions are archived" : "no sessions",
		    "select s.id as session, left(p.name, 16) as project, "
		    "case when s.deleted_at is not null then 'being deleted' "
		    "when w.status = 'active' then 'on disk' "
		    "else coalesce(w.status, 'not begun') end as files, "
		    "hearth.brief(now() - coalesce(hearth.worktree_used(w), "
		    "s.created_at)) as used, (select count(*) "
		    "from hearth.chats c where c.session_id = s.id) as chats, "
		    "(select count(*) from hearth.pending_changes c "
		    "where c.session_id = s.id and c.status = 'pending') "
		    "as changes, coalesce(s.title, '') as title "
		    "from hearth.sessions s "
		    "join hearth.projects p on p.id = s.project_id "
		    "left join hearth.worktrees w on w.session_id = s.id "
		    "where (s.archived_at is not null) = $2::boolean "
		    "and ($1::text is null or $1 in (p.name, p.path)) "
		    "order by coalesce(hearth.worktree_used(w), s.created_at) "
		    "desc", PARAMS(known, archived ? "true" : "false"));
	free(known);
	return status;
}

static const struct verb {
	const char *name, *sql, *done;
} verbs[] = {
	{ "archive", "select hearth.archive_session($1, 'hearth sessions')",
	    "archived" },
	{ "restore", "select hearth.restore_session($1, 'hearth sessions')",
	    "restored" },
	{ "delete", "select hearth.delete_session($1, 'hearth sessions')",
	    "deleted" },
};

/* command: what it was asked for; NULL: it could not be (complained). */
static int
finish(PGconn *conn, const struct verb *v, const char *session,
    const char *command)
{
	int status = CLI_FAILED;
	char *why = NULL;

	if (command == NULL)
		return CLI_FAILED;
	switch (command_wait(conn, command, &why)) {
	case COMMAND_DONE:
		printf("session %s is %s\n", session, v->done);
		status = 0;
		break;
	case COMMAND_FAILED:
		cli_fail("session %s is not %s: %s", session, v->done, why);
		break;
	case COMMAND_WAITS:
		cli_fail("session %s: no hearthd is up; it is %s when one is",
		    session, v->done);
		break;
	case COMMAND_LOST:
		break;
	}
	free(why);
	return status;
}

static int
carry_out(PGconn *conn, const struct verb *v, const char *session)
{
	char *command = db_value(conn, v->sql, PARAMS(session));
	int status = finish(conn, v, session, command);

	free(command);
	return status;
}

int
sessions_delete(PGconn *conn, const PGresult *ids)
{
	static const struct verb *v = &verbs[2];
	int n = PQntuples(ids), left = 0;
	char **commands = xcalloc((size_t)n + 1, sizeof *commands);

	for (int i = 0; i < n; i++)
		commands[i] = db_value(conn, v->sql,
		    PARAMS(PQgetvalue(ids, i, 0)));
	for (int i = 0; i < n; i++) {
		if (finish(conn, v, PQgetvalue(ids, i, 0), commands[i]) != 0)
			left++;
		free(commands[i]);
	}
	free(commands);
	return left;
}

/* Each of them, whatever becomes of the others. */
static int
carry_out_all(PGconn *conn, const struct verb *v, char *const *given)
{
	int status = follow_listen(conn) == 0 ? 0 : CLI_FAILED;

	for (; status != CLI_FAILED && *given != NULL; given++) {
		char *session = ids_session(conn, *given);

		if (session == NULL || carry_out(conn, v, session) != 0)
			status = -1;
		free(session);
	}
	return status == 0 ? 0 : CLI_FAILED;
}

struct session_arguments {
	const struct verb *verb;  /* NULL: list */
	char **given;
	const char *project;
	bool archived;
};

static int
check(struct session_arguments *a, const char *word, struct err *e)
{
	bool lists = word == NULL || strcmp(word, "list") == 0;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (word != NULL && strcmp(word, verbs[i].name) == 0)
			a->verb = &verbs[i];
	if (!lists && a->verb == NULL)
		return fail(e, "sessions: no command \"%s\": list, archive, "
		    "restore or delete", word);
	if (lists && *a->given != NULL)
		return fail(e, "sessions list: unexpected argument \"%s\"",
		    *a->given);
	if (!lists && (a->project != NULL || a->archived))
		return fail(e, "sessions %s: -p and --archived are for list",
		    word);
	if (!lists && *a->given == NULL)
		return fail(e, "sessions %s: which one? Give its id, as "
		    "hearth sessions lists it", word);
	return 0;
}

static int
parse(struct cli *cli, int argc, char **argv, struct session_arguments *a,
    struct err *e)
{
	static const struct option longs[] = {
		{ "project", required_argument, NULL, 'p' },
		{ "archived", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	memset(a, 0, sizeof(*a));
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "p:", longs, e)) != -1)
		switch (c) {
		case 'p': a->project = optarg; break;
		case 'a': a->archived = true; break;
		default: return -1;
		}
	a->given = argv + optind + (optind < argc);
	return check(a, argv[optind], e);
}

int
cli_sessions(struct cli *cli, int argc, char **argv)
{
	struct session_arguments a;
	struct err e;
	PGconn *conn;
	int status;

	if (parse(cli, argc, argv, &a, &e) == -1)
		return cli_usage("%s", e.text);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = a.verb != NULL ? carry_out_all(conn, a.verb, a.given) :
	    list_sessions(conn, a.project, a.archived);
	PQfinish(conn);
	return status;
}
