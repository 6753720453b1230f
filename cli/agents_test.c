/* SPDX-License-Identifier: MIT */
/*
 * `hearth agents test NAME`: one turn of the agent in an empty folder, and
 * what was learnt of it: how long each step took and what the agent offers.
 * The scratch folder must be on hearthd's machine, so this command runs there.
 * One project row, agents-test, is used again by every test.
 */
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/agents.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/render.h"

#define PROJECT "agents-test"
#define PROMPT "Reply with the single word: ready"

struct test {
	char *session, *chat, *turn;
};

/* The project at the scratch folder; the id of a session, or NULL. */
static char *
open_scratch_session(PGconn *conn, const char *scratch)
{
	PGresult *res = db_query(conn, "insert into hearth.projects "
	    "(name, path) values ('" PROJECT "', $1) on conflict "
	    "(tenant, name) do update set path = excluded.path",
	    PARAMS(scratch));

	if (res == NULL)
		return NULL;
	PQclear(res);
	return db_value(conn, "select hearth.open_session('" PROJECT "', $1)",
	    PARAMS("hearth agents test"));
}

static void
print_time(const PGresult *res, const char *column, const char *label)
{
	const char *ms = db_field(res, 0, column);

	if (ms != NULL)
		printf("%-14s %s ms\n", label, ms);
}

static void
print_times(PGconn *conn, const char *turn)
{
	PGresult *res = db_query(conn, "select e.spawn_ms, e.initialize_ms, "
	    "e.session_ms, "
	    "round(extract(epoch from t.first_event_at - t.queued_at) * 1000) "
	    "as first_event, "
	    "round(extract(epoch from t.ended_at - t.queued_at) * 1000) "
	    "as whole from hearth.turns t left join hearth.executions e "
	    "on e.id = t.execution_id where t.id = $1", PARAMS(turn));

	if (res != NULL && PQntuples(res) > 0) {
		print_time(res, "spawn_ms", "spawn");
		print_time(res, "initialize_ms", "initialize");
		print_time(res, "session_ms", "session/new");
		print_time(res, "first_event", "first event");
		print_time(res, "whole", "whole turn");
	}
	PQclear(res);
}

/* A list of objects by one of their members: "default, plan". */
static void
print_names(const char *label, const json_t *list, const char *member)
{
	const json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("%-14s ", label);
	json_array_foreach(list, i, item)
		printf("%s%s", i > 0 ? ", " : "", render_text(item, member));
	putchar('\n');
}

/* A list is either the member itself or stands in it under this name. */
static const json_t *
list_in(const json_t *offers, const char *member, const char *name)
{
	const json_t *it = json_object_get(offers, member);

	return json_is_object(it) ? json_object_get(it, name) : it;
}

static void
print_offers(PGconn *conn, const char *chat, const char *agent)
{
	char *text = db_value(conn, "select coalesce(offers, '{}') "
	    "from hearth.agent_sessions where chat_id = $1 and agent = $2",
	    PARAMS(chat, agent));
	json_t *offers = json_loads(text != NULL ? text : "{}", 0, NULL);
	const json_t *info = json_object_get(offers, "agentInfo");

	if (info != NULL)
		printf("%-14s %s %s\n", "says it is", render_text(info,
		    "name"), render_text(info, "version"));
	print_names("modes", list_in(offers, "modes", "availableModes"), "id");
	print_names("models", list_in(offers, "models", "availableModels"),
	    "modelId");
	print_names("options", list_in(offers, "configOptions", "options"),
	    "id");
	print_names("commands", list_in(offers, "commands",
	    "availableCommands"), "name");
	print_names("authentication", list_in(offers, "authMethods", "list"),
	    "id");
	json_decref(offers);
	free(text);
}

/* In one transaction: an agent that is refused leaves no session behind. */
static int
begin_test(PGconn *conn, const char *agent, const char *scratch,
    struct test *t)
{
	PGresult *res = db_query(conn, "begin", NO_PARAMS);

	if (res != NULL)
		t->session = open_scratch_session(conn, scratch);
	PQclear(res);
	if (t->session != NULL)
		t->chat = db_value(conn, "select hearth.open_chat($1)",
		    PARAMS(t->session));
	if (t->chat != NULL)
		t->turn = db_value(conn, "select hearth.submit($1, $2, "
		    "'" PROMPT "', created_by => 'hearth agents test')",
		    PARAMS(t->chat, agent));
	res = t->turn != NULL ? db_query(conn, "commit", NO_PARAMS) : NULL;
	PQclear(res);
	return res != NULL ? 0 : -1;
}

static int
run_test(PGconn *conn, const char *agent, const struct test *t)
{
	static const struct follow_options options = { false };
	int status = follow_turn(conn, t->chat, t->turn, 0, &options);

	putchar('\n');
	print_times(conn, t->turn);
	print_offers(conn, t->chat, agent);
	puts(status == 0 ? "ok" : "FAIL");
	return status;
}

static int
refuse_without_node(PGconn *conn)
{
	char *up = db_value(conn, "select exists (select from hearth.nodes "
	    "where hearth.is_alive(heartbeat_at))", NO_PARAMS);
	int status = up == NULL ? CLI_FAILED : *up == 't' ? 0 :
	    cli_fail("no hearthd is up to run the agent: start one");

	free(up);
	return status;
}

/* Ends the child and gives hearthd a moment to leave the folder. */
static void
close_session(PGconn *conn, const char *session)
{
	char *command = db_value(conn, "select hearth.archive_session($1)",
	    PARAMS(session));
	char *open = NULL;

	for (int i = 0; command != NULL && i < 50; i++) {
		open = db_value(conn, "select status in ('pending', "
		    "'running') from hearth.commands where id = $1",
		    PARAMS(command));
		if (open == NULL || *open != 't' ||
		    !follow_wait(conn, false, 100))
			break;
		free(open);
		open = NULL;
	}
	free(open);
	free(command);
}

static int
on_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* With whatever the agent left in it; no link is followed. */
static void
remove_scratch(const char *scratch)
{
	if (nftw(scratch, on_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		cli_fail("the scratch folder %s could not be removed", scratch);
}

int
agents_test(PGconn *conn, const char *name)
{
	char scratch[] = "/tmp/hearth-agents-test-XXXXXX";
	struct test t = { NULL, NULL, NULL };
	int status = refuse_without_node(conn);

	if (status != 0 || follow_listen(conn) == -1)
		return CLI_FAILED;
	if (mkdtemp(scratch) == NULL || chmod(scratch, 0755) == -1)
		return cli_fail("%s cannot be made", scratch);
	status = CLI_FAILED;
	if (begin_test(conn, name, scratch, &t) == 0) {
		status = run_test(conn, name, &t);
		close_session(conn, t.session);
	}
	free(t.session);
	free(t.chat);
	free(t.turn);
	remove_scratch(scratch);
	return status;
}
