/* SPDX-License-Identifier: MIT */
/*
 * What `hearth run` does once and `hearth chat` again and again: a chat is
 * opened, a prompt submitted, and the changed files are listed.
 */
#include "cli/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "cli/db.h"
#include "cli/ids.h"
#include "cli/project.h"

char *
submit_open_chat(PGconn *conn, const struct run_arguments *a)
{
	char *session, *chat;

	if (a->chat != NULL)
		return ids_chat(conn, a->chat);
	session = project_open_session(conn, a->project, a->title);
	if (session == NULL)
		return NULL;
	chat = db_value(conn, "select hearth.open_chat($1)", PARAMS(session));
	free(session);
	return chat;
}

static char *
submit(PGconn *conn, const struct run_arguments *a, const char *chat,
    const char *prompt, const char *by)
{
	if (a->agent == NULL)
		return db_value(conn, "select hearth.follow_up($1, $2, "
		    "created_by => $3, model => $4, mode_id => $5)",
		    PARAMS(chat, prompt, by, a->model, a->mode_id));
	return db_value(conn, "select hearth.submit($1, $2, $3, "
	    "created_by => $4, model => $5, mode_id => $6)",
	    PARAMS(chat, a->agent, prompt, by, a->model, a->mode_id));
}

int
submit_prompt(PGconn *conn, const struct run_arguments *a, const char *chat,
    const char *prompt, const char *by, struct begun *b)
{
	memset(b, 0, sizeof(*b));
	b->seq = db_value(conn, "select coalesce(max(last_seq), 0) "
	    "from hearth.chats where id = $1", PARAMS(chat));
	if (b->seq != NULL)
		b->turn = submit(conn, a, chat, prompt, by);
	return b->turn != NULL ? 0 : -1;
}

void
begun_clear(struct begun *b)
{
	free(b->turn);
	free(b->seq);
	memset(b, 0, sizeof(*b));
}

void
submit_warn_without_node(PGconn *conn)
{
	char *alive = db_value(conn, "select exists (select from hearth.nodes "
	    "where hearth.is_alive(heartbeat_at) and not draining)",
	    NO_PARAMS);

	if (alive != NULL && *alive != 't')
		cli_fail("no hearthd is up: the turn waits until one is");
	free(alive);
}

void
submit_list_changes(PGconn *conn, const char *chat, const char *turn)
{
	PGresult *res = db_query(conn, "select id, operation, file_path, "
	    "coalesce(agent, 'a person') from hearth.pending_changes "
	    "where status = 'pending' and session_id = (select session_id "
	    "from hearth.chats where id = $1) "
	    "and ($2::bigint is null or turn_id = $2) order by file_path",
	    PARAMS(chat, turn));

	for (int i = 0; res != NULL && i < PQntuples(res); i++) {
		char *file = xstrdup(PQgetvalue(res, i, 2));

		utf8_blank_controls(file);
		printf("%4s  %-6s  %s  (%s)\n", PQgetvalue(res, i, 0),
		    PQgetvalue(res, i, 1), file, PQgetvalue(res, i, 3));
		free(file);
	}
	if (res != NULL && PQntuples(res) > 0) {
		fflush(stdout);
		fprintf(stderr, "hearth changes show, accept or reject them "
		    "by their numbers\n");
	}
	PQclear(res);
}
