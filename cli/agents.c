/* SPDX-License-Identifier: MIT */
/*
 * `hearth agents`: the registry. Editing it is to run code as hearthd's user,
 * which the server checks (role hearth_admin); nothing is checked here but
 * what a person may have mistyped. Read next: cli/agents_test.c.
 */
#include "cli/agents.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/programs.h"
#include "cli/db.h"
#include "cli/show.h"
#include "cli/table.h"

/* With the commands, and whether they are found on this PATH. */
static void
print_agents(const PGresult *res)
{
	static const char *const headers[] = { "name", "enabled", "paused",
		"permissions", "found", "command" };
	struct table *t = table_new(6, headers);

	for (int i = 0; i < PQntuples(res); i++) {
		char *file = program_find(PQgetvalue(res, i, 4), NULL);

		for (int j = 0; j < 4; j++)
			table_add(t, PQgetvalue(res, i, j));
		table_add(t, file != NULL ? "yes" : "no");
		table_add(t, PQgetvalue(res, i, 5));
		free(file);
	}
	table_print(t, stdout, table_terminal_width());
	table_free(&t);
}

/* Who may not read commands sees the rest. */
static int
list_agents(PGconn *conn)
{
	PGresult *res = db_try(conn, "select name, "
	    "case when enabled then 'yes' else 'no' end, "
	    "case when paused then 'yes' else '' end, permission_mode, "
	    "(launcher || command)[1], "
	    "array_to_string(launcher || command, ' ') "
	    "from hearth.agents order by name", NO_PARAMS);
	int status = 0;

	if (db_ok(res))
		print_agents(res);
	else if (strcmp(db_state(res), "42501") == 0)
		status = show_query(conn, NULL, "no agents", "select name, "
		    "title, enabled, paused, permission_mode "
		    "from hearth.agent_list order by name", NO_PARAMS);
	else {
		db_complain(conn, res);
		status = CLI_FAILED;
	}
	PQclear(res);
	return status;
}

static int
add_env(json_t *env, const char *setting, struct err *e)
{
	size_t n = strcspn(setting, "=");
	char *name;

	if (n == 0 || setting[n] == '\0')
		return fail(e, "agents add: --env takes NAME=VALUE, not "
		    "\"%s\"", setting);
	name = xmemdupz(setting, n);
	if (json_object_set_new(env, name, json_string(setting + n + 1)) == -1)
		fail(e, "agents add: --env %s is not valid UTF-8", name);
	else
		n = 0;
	free(name);
	return n == 0 ? 0 : -1;
}

static int
check_permission(const char *mode, struct err *e)
{
	if (strcmp(mode, "ask") == 0 || strcmp(mode, "allow") == 0 ||
	    strcmp(mode, "deny") == 0)
		return 0;
	return fail(e, "agents add: --permission is ask, allow or deny, not "
	    "\"%s\"", mode);
}

static int
parse_add_option(struct agent_arguments *a, int c, struct err *e)
{
	switch (c) {
	case 'e':
		return add_env(a->env, optarg, e);
	case 't':
		a->title = optarg;
		return 0;
	case 'p':
		a->permission = optarg;
		return check_permission(optarg, e);
	default:
		return c == '?' ? -1 :
		    launcher_option(&a->launcher, c, optarg, e);
	}
}

int
agents_parse_add(struct cli *cli, int argc, char **argv,
    struct agent_arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "env", required_argument, NULL, 'e' },
		{ "title", required_argument, NULL, 't' },
		{ "permission", required_argument, NULL, 'p' },
		LAUNCHER_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int c;

	memset(a, 0, sizeof(*a));
	a->permission = "ask";
	a->env = json_object();
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "e:t:p:", options, e)) != -1)
		if (parse_add_option(a, c, e) == -1)
			return -1;
	if (argc - optind < 2)
		return fail(e, "agents add: a name and a command are needed: "
		    "hearth agents add NAME -- COMMAND ARG...");
	a->name = argv[optind];
	a->command = argv + optind + 1;
	return launcher_check(&a->launcher, e);
}

static char *
command_as_json(char *const *command)
{
	json_t *array = json_array();
	char *text;

	for (; *command != NULL; command++)
		json_array_append_new(array, json_string(*command));
	text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return text;
}

static int
insert_agent(PGconn *conn, const struct agent_arguments *a)
{
	char *command = command_as_json(a->command);
	char *env = json_dumps(a->env, JSON_COMPACT);
	json_t *words = launcher_make(&a->launcher, a->command[0]);
	char *launcher = json_dumps(words, JSON_COMPACT);
	PGresult *res = db_try(conn, "insert into hearth.agents "
	    "(name, title, command, env, permission_mode, launcher) "
	    "values ($1, $2, array(select jsonb_array_elements_text("
	    "$3::jsonb)), $4::jsonb, $5, array(select "
	    "jsonb_array_elements_text($6::jsonb)))", PARAMS(a->name, a->title,
	    command, env, a->permission, launcher));
	int status = 0;

	if (strcmp(db_state(res), "23505") == 0)
		status = cli_fail("agent \"%s\" exists already: remove it "
		    "first, or choose another name", a->name);
	else if (strcmp(db_state(res), "23514") == 0)
		status = cli_fail("\"%s\" is no name for an agent: lower case "
		    "letters, digits, _ . - and at most 64 of them", a->name);
	else if (!db_ok(res)) {
		db_complain(conn, res);
		status = CLI_FAILED;
	}
	PQclear(res);
	free(launcher);
	json_decref(words);
	free(env);
	free(command);
	return status;
}

static int
add_agent(struct cli *cli, int argc, char **argv)
{
	struct agent_arguments a;
	struct err e;
	PGconn *conn;
	char *file;
	int status;

	argv[0] = (char *)"agents add";
	if (agents_parse_add(cli, argc, argv, &a, &e) == -1) {
		json_decref(a.env);
		launcher_clear(&a.launcher);
		return cli_usage("%s", e.text);
	}
	conn = db_open(cli);
	status = conn != NULL ? insert_agent(conn, &a) : CLI_FAILED;
	file = status == 0 ? program_find(a.command[0], NULL) : NULL;
	if (status == 0)
		printf("agent %s is registered%s; try it with hearth agents "
		    "test %s\n", a.name, file != NULL ? "" :
		    ", but its command was not found on this PATH", a.name);
	free(file);
	PQfinish(conn);
	json_decref(a.env);
	launcher_clear(&a.launcher);
	return status;
}

static int
no_such_agent(const char *name)
{
	return cli_fail("there is no agent \"%s\"; hearth agents lists them",
	    name);
}

static void
warn_if_missing(PGconn *conn, const char *name)
{
	char *command = db_value(conn, "select (launcher || command)[1] "
	    "from hearth.agents where name = $1", PARAMS(name));
	char *file = command != NULL ? program_find(command, NULL) : NULL;

	if (command != NULL && file == NULL)
		cli_fail("%s was not found on this PATH: install it, or see "
		    "that it is on the PATH of hearthd", command);
	free(file);
	free(command);
}

/* A statement that must hit the agent of that name. */
static int
change(PGconn *conn, const char *sql, const char *name, const char *done)
{
	PGresult *res = db_query(conn, sql, PARAMS(name));
	int hit = res != NULL ? atoi(PQcmdTuples(res)) : -1;

	PQclear(res);
	if (hit == -1)
		return CLI_FAILED;
	if (hit == 0)
		return no_such_agent(name);
	printf("agent %s is %s\n", name, done);
	return 0;
}

static int
remove_agent(PGconn *conn, const char *name)
{
	return change(conn, "delete from hearth.agents where name = $1", name,
	    "removed");
}

static int
enable_agent(PGconn *conn, const char *name)
{
	int status = change(conn, "update hearth.agents set enabled = true "
	    "where name = $1", name, "enabled");

	if (status == 0)
		warn_if_missing(conn, name);
	return status;
}

static int
disable_agent(PGconn *conn, const char *name)
{
	return change(conn, "update hearth.agents set enabled = false "
	    "where name = $1", name, "disabled");
}

static const struct verb {
	const char *name;
	int (*run)(PGconn *conn, const char *agent);
} verbs[] = {
	{ "remove", remove_agent },
	{ "enable", enable_agent },
	{ "disable", disable_agent },
	{ "test", agents_test },
};

/* The verbs that take one agent, and list, which takes none. */
static int
run_verb(struct cli *cli, char **words)
{
	const struct verb *verb = NULL;
	PGconn *conn;
	int status;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (words[0] != NULL && strcmp(verbs[i].name, words[0]) == 0)
			verb = &verbs[i];
	if (words[0] != NULL && verb == NULL && strcmp(words[0], "list") != 0)
		return cli_usage("agents: no command \"%s\": list, add, "
		    "import, remove, enable, disable, launcher or test",
		    words[0]);
	if (verb != NULL && words[1] == NULL)
		return cli_usage("agents %s: which agent?", verb->name);
	if (verb == NULL && words[0] != NULL && words[1] != NULL)
		return cli_usage("agents list: unexpected argument \"%s\"",
		    words[1]);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = verb != NULL ? verb->run(conn, words[1]) : list_agents(conn);
	PQfinish(conn);
	return status;
}

int
cli_agents(struct cli *cli, int argc, char **argv)
{
	char **words;
	struct err e;

	if (argc > 1 && strcmp(argv[1], "add") == 0)
		return add_agent(cli, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "import") == 0)
		return agents_import(cli, argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "launcher") == 0)
		return agents_launcher(cli, argc - 1, argv + 1);
	if (cli_plain(cli, argc, argv, 0, 2, &words, &e) == -1)
		return cli_usage("%s", e.text);
	return run_verb(cli, words);
}
