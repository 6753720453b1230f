/* SPDX-License-Identifier: MIT */
/*
 * `hearth agents import FILE`: agents as the public ACP registry describes
 * them, into hearth.agents. FILE is one agent.json, or a registry.json with a
 * list of them. What is installed is registered; of the rest a line says how
 * to install it. Nothing is downloaded, and an entry that a person may have
 * changed is replaced with --force only.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "cli/agent_json.h"
#include "cli/agents.h"
#include "cli/db.h"

struct import {
	const char *file, *name; /* name: instead of the id, or NULL */
	bool force;
	int done;                /* registered, or registered already */
};

static int
parse(struct cli *cli, int argc, char **argv, struct import *in, struct err *e)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "force", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "n:f", options, e)) != -1) {
		if (c == '?')
			return -1;
		if (c == 'n')
			in->name = optarg;
		else
			in->force = true;
	}
	if (argc - optind != 1)
		return fail(e, "agents import: one file is needed: hearth "
		    "agents import FILE [--name NAME] [--force]");
	in->file = argv[optind];
	return 0;
}

/*
 * "new", "same", "differs" or "replaced"; NULL after a complaint. The row's
 * launcher and permissions are a person's and stay.
 */
static char *
store(PGconn *conn, const struct agent_json *a, const char *name, bool force)
{
	char *command = json_dumps(a->command, JSON_COMPACT);
	char *env = json_dumps(a->env, JSON_COMPACT);
	PGresult *res = db_try(conn, "with entry as (select $1::text as name, "
	    "$2::text as title, array(select jsonb_array_elements_text("
	    "$3::jsonb)) as command, $4::jsonb as env), "
	    "fresh as (insert into hearth.agents (name, title, command, env) "
	    "select * from entry on conflict do nothing returning name), "
	    "replaced as (update hearth.agents a set title = e.title, "
	    "command = e.command, env = e.env, enabled = true from entry e "
	    "where a.name = e.name and $5::boolean returning a.name) "
	    "select case when exists (select from fresh) then 'new' "
	    "when exists (select from hearth.agents a join entry e "
	    "on a.name = e.name and a.command = e.command and a.env = e.env) "
	    "then 'same' when exists (select from replaced) then 'replaced' "
	    "else 'differs' end", PARAMS(name, a->title, command, env,
	    force ? "true" : "false"));
	char *said = NULL;

	if (db_ok(res))
		said = xstrdup(PQgetvalue(res, 0, 0));
	else if (strcmp(db_state(res), "23514") == 0)
		cli_fail("\"%s\" is no name for an agent: give one with "
		    "--name: lower case letters, digits, _ . -", name);
	else
		db_complain(conn, res);
	PQclear(res);
	free(env);
	free(command);
	return said;
}

static void
import_installed(PGconn *conn, struct import *in, const struct agent_json *a)
{
	const char *name = in->name != NULL ? in->name : a->id;
	char *said = store(conn, a, name, in->force);
	bool differs = said != NULL && strcmp(said, "differs") == 0;

	if (differs)
		cli_fail("agent %s is registered already, and otherwise: "
		    "--force replaces it, --name gives this one another name",
		    name);
	else if (said != NULL)
		printf("agent %s %s: %s%s%s%s\n", name,
		    strcmp(said, "new") == 0 ? "is registered" :
		    strcmp(said, "same") == 0 ? "is registered already" :
		    "was replaced", json_string_value(json_array_get(
		    a->command, 0)), a->note != NULL ? " (" : "",
		    a->note != NULL ? a->note : "", a->note != NULL ? ")" : "");
	in->done += said != NULL && !differs;
	free(said);
}

static void
import_one(PGconn *conn, struct import *in, const struct agent_machine *m,
    const json_t *agent)
{
	struct agent_json a;
	struct err e;

	if (agent_json_read(agent, m, &a, &e) == -1)
		cli_fail("%s: %s", in->file, e.text);
	else if (a.command == NULL)
		cli_fail("%s is not installed: %s; then import it again",
		    a.id, a.install);
	else
		import_installed(conn, in, &a);
	agent_json_free(&a);
}

/* The list in the file, or the file as a list of one; NULL: complained. */
static json_t *
read_file(const struct import *in)
{
	json_error_t why;
	json_t *all, *json = json_load_file(in->file, 0, &why);

	if (json == NULL) {
		if (why.line > 0)
			cli_fail("%s:%d: %s", in->file, why.line, why.text);
		else
			cli_fail("%s: %s", in->file, why.text);
		return NULL;
	}
	all = json_incref(json_object_get(json, "agents"));
	if (all == NULL && json_is_object(json))
		all = json_pack("[O]", json);
	json_decref(json);
	if (json_is_array(all) && json_array_size(all) > 0 &&
	    (in->name == NULL || json_array_size(all) == 1))
		return all;
	if (json_is_array(all) && json_array_size(all) > 1)
		cli_fail("%s has %zu agents: --name is for one", in->file,
		    json_array_size(all));
	else
		cli_fail("%s: it is neither an agent.json nor a registry.json "
		    "with a list of agents", in->file);
	json_decref(all);
	return NULL;
}

/* As the registry names platforms. */
static char *
platform(void)
{
	struct utsname u;

	return xasprintf("linux-%s", uname(&u) == 0 ? u.machine : "unknown");
}

static int
import_all(PGconn *conn, struct import *in, const json_t *all)
{
	char *on = platform();
	const char *home = getenv("HOME");
	struct agent_machine m = { getenv("PATH"), home != NULL ? home : "/",
		on };
	const json_t *agent;
	size_t i;

	json_array_foreach(all, i, agent)
		import_one(conn, in, &m, agent);
	free(on);
	return in->done > 0 ? 0 : CLI_FAILED;
}

int
agents_import(struct cli *cli, int argc, char **argv)
{
	struct import in = { 0 };
	PGconn *conn;
	struct err e;
	json_t *all;
	int status;

	argv[0] = (char *)"agents import";
	if (parse(cli, argc, argv, &in, &e) == -1)
		return cli_usage("%s", e.text);
	all = read_file(&in);
	if (all == NULL)
		return CLI_FAILED;
	conn = db_open(cli);
	status = conn != NULL ? import_all(conn, &in, all) : CLI_FAILED;
	PQfinish(conn);
	json_decref(all);
	return status;
}
