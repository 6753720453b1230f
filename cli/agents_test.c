/* SPDX-License-Identifier: MIT */
/*
 * `hearth agents test NAME`: a one-shot turn of the agent in an empty folder,
 * and what was learnt of it: how long each step took and what the agent offers.
 * The scratch folder must be on hearthd's machine, so this command runs there.
 * One project row, agents-test, is used again by every test.
 */
#include <ftw.h>
#include <jansson.h>
#include <stdbool.h>
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

/* The project at the scratch folder, and the turn in it; or NULL. */
static char *
submit_once(PGconn *conn, const char *agent, const char *scratch)
{
	PGresult *res = db_query(conn, "insert into hearth.projects "
	    "(name, path) values ('" PROJECT "', $1) on conflict "
	    "(tenant, name) do update set path = excluded.path",
	    PARAMS(scratch));

	if (res == NULL)
		return NULL;
	PQclear(res);
	return db_value(conn, "select hearth.submit_once('" PROJECT "', $1, "
	    "'" PROMPT "', created_by => 'hearth agents test')",
	    PARAMS(agent));
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

/* What an agent said, which may not command the terminal. */
static void
say(const char *text)
{
	struct buf b = { 0 };

	buf_adds(&b, "");
	render_for_terminal(&b, text);
	fputs(b.data, stdout);
	buf_free(&b);
}

/* A list of objects by one of their members: "2: default, plan". */
static void
print_names(const char *label, const json_t *list, const char *member)
{
	const json_t *item;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("%-14s %zu: ", label, json_array_size(list));
	json_array_foreach(list, i, item) {
		fputs(i > 0 ? ", " : "", stdout);
		say(render_text(item, member));
	}
	putchar('\n');
}

/* A list is either the member itself or stands in it under this name. */
static const json_t *
list_in(const json_t *offers, const char *member, const char *name)
{
	const json_t *it = json_object_get(offers, member);

	return json_is_object(it) ? json_object_get(it, name) : it;
}

/* What can be chosen of an option, which may be sorted into groups. */
static json_t *
choices_of(const json_t *option)
{
	json_t *all = json_array(), *item;
	size_t i;

	json_array_foreach(json_object_get(option, "options"), i, item)
		if (json_is_array(json_object_get(item, "options")))
			json_array_extend(all, json_object_get(item,
			    "options"));
		else
			json_array_append(all, item);
	return all;
}

static void
print_options(const json_t *options)
{
	json_t *option, *choices;
	size_t i;

	print_names("options", options, "id");
	json_array_foreach((json_t *)options, i, option) {
		struct buf label = { 0 };

		choices = choices_of(option);
		buf_adds(&label, "  ");
		render_for_terminal(&label, render_text(option, "id"));
		print_names(label.data, choices, "value");
		buf_free(&label);
		json_decref(choices);
	}
}

/* The members of an object that are not false: "image, embeddedContext". */
static void
print_members(const char *label, const json_t *object)
{
	const char *name, *gap = "";
	json_t *value;

	printf("%-14s ", label);
	json_object_foreach((json_t *)object, name, value) {
		if (json_is_false(value) || json_is_null(value) ||
		    *name == '_')
			continue;
		fputs(gap, stdout);
		say(name);
		gap = ", ";
	}
	puts(*gap == '\0' ? "none" : "");
}

static void
print_capabilities(const json_t *c)
{
	const json_t *sessions = json_object_get(c, "sessionCapabilities");
	json_t *all = json_object();

	json_object_update(all, (json_t *)sessions);
	if (json_is_true(json_object_get(c, "loadSession")))
		json_object_set_new(all, "load", json_true());
	print_members("sessions", all);
	print_members("prompts", json_object_get(c, "promptCapabilities"));
	print_members("mcp", json_object_get(c, "mcpCapabilities"));
	json_decref(all);
}

static void
print_offers(PGconn *conn, const char *chat, const char *agent)
{
	char *text = db_value(conn, "select coalesce(offers, '{}') "
	    "from hearth.agent_sessions where chat_id = $1 and agent = $2",
	    PARAMS(chat, agent));
	json_t *offers = json_loads(text != NULL ? text : "{}", 0, NULL);
	const json_t *info = json_object_get(offers, "agentInfo");

	if (info != NULL) {
		printf("%-14s ", "says it is");
		say(render_text(info, "name"));
		putchar(' ');
		say(render_text(info, "version"));
		putchar('\n');
	}
	if (json_object_size(offers) > 0) /* it got as far as initialize */
		print_capabilities(json_object_get(offers,
		    "agentCapabilities"));
	print_names("modes", list_in(offers, "modes", "availableModes"), "id");
	print_names("models", list_in(offers, "models", "availableModels"),
	    "modelId");
	print_options(list_in(offers, "configOptions", "options"));
	print_names("commands", json_object_get(offers, "availableCommands"),
	    "name");
	print_names("authentication", list_in(offers, "authMethods", "list"),
	    "id");
	json_decref(offers);
	free(text);
}

/* In one transaction: an agent that is refused leaves nothing behind. */
static int
begin_test(PGconn *conn, const char *agent, const char *scratch,
    struct test *t)
{
	PGresult *res = db_query(conn, "begin", NO_PARAMS);

	if (res != NULL)
		t->turn = submit_once(conn, agent, scratch);
	PQclear(res);
	if (t->turn != NULL) {
		t->chat = db_value(conn, "select chat_id from hearth.turns "
		    "where id = $1", PARAMS(t->turn));
		t->session = db_value(conn, "select session_id "
		    "from hearth.turns where id = $1", PARAMS(t->turn));
	}
	res = t->chat != NULL && t->session != NULL ?
	    db_query(conn, "commit", NO_PARAMS) : NULL;
	PQclear(res);
	return res != NULL ? 0 : -1;
}

static int
run_test(PGconn *conn, const char *agent, const struct test *t)
{
	static const struct follow_options options = {
		.by = "hearth agents test" };
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

/* Gives hearthd a moment to end the child and to leave the folder, as it does
 * after each one-shot turn. */
static void
await_end(PGconn *conn, const char *session)
{
	for (int i = 0; i < 50; i++) {
		char *open = db_value(conn, "select archived_at is null "
		    "from hearth.sessions where id = $1", PARAMS(session));
		bool is_open = open != NULL && *open == 't';

		free(open);
		if (!is_open || !follow_wait(conn, false, 100))
			break;
	}
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
		await_end(conn, t.session);
	}
	free(t.session);
	free(t.chat);
	free(t.turn);
	remove_scratch(scratch);
	return status;
}
