/* SPDX-License-Identifier: MIT */
/*
 * `hearth projects`: the registry of folders that agents work on. To edit it is
 * to run code as hearthd's user (a setup command), which the server checks
 * (role hearth_admin).
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/project.h"
#include "cli/sessions.h"
#include "cli/show.h"

struct project_arguments {
	const char *verb;
	const char *project;
	/* set: NULL leaves it; "" and an empty list take it away */
	const char *name, *branch, *snapshots;
	json_t *include, *setup;
	bool with_sessions;    /* remove */
};

static int
list_projects(PGconn *conn)
{
	return show_query(conn, NULL, "no projects; hearth run registers the "
	    "folder that it is given", "select p.name, (select count(*) "
	    "from hearth.sessions s where s.project_id = p.id "
	    "and s.archived_at is null) as sessions, (select count(*) "
	    "from hearth.sessions s where s.project_id = p.id "
	    "and s.archived_at is not null) as archived, p.snapshots, "
	    "coalesce(p.default_branch, '') as branch, "
	    "array_to_string(p.include, ' ') as include, "
	    "left(array_to_string(p.setup_command, ' '), 30) as setup, "
	    "p.path from hearth.projects p order by p.name", NO_PARAMS);
}

/*
 * The id and the name of the one project that is meant, as remove_project()
 * chooses it: several may have the path, on different nodes, and a name may
 * be the path of another. NULL after a complaint; the caller clears it.
 */
static PGresult *
find_project(PGconn *conn, const char *given)
{
	char *known = project_resolve(conn, given);
	PGresult *res = NULL;

	if (known != NULL)
		res = db_query(conn, "select p.id, p.name "
		    "from hearth.projects p where p.tenant = '' "
		    "and (p.name = $1 or p.path = rtrim($1, '/')) "
		    "order by p.name = $1 desc, p.node_id nulls first limit 1",
		    PARAMS(known));
	free(known);
	if (res == NULL || PQntuples(res) == 1)
		return res;
	PQclear(res);
	cli_fail("there is no project %s; hearth projects lists them", given);
	return NULL;
}

static int
add_project(PGconn *conn, const struct project_arguments *a)
{
	char *path = project_folder(a->project), *id = NULL;

	if (path != NULL)
		id = db_value(conn, "select hearth.add_project($1, $2)",
		    PARAMS(path, a->name));
	if (id != NULL)
		printf("project %s is registered\n", path);
	free(path);
	free(id);
	return id != NULL ? 0 : CLI_FAILED;
}

static int
complain(PGconn *conn, const PGresult *res, const struct project_arguments *a)
{
	if (strcmp(db_state(res), "23505") == 0)
		return cli_fail("a project named \"%s\" exists already",
		    a->name);
	if (strcmp(db_state(res), "23514") == 0)
		return cli_fail("project %s: not set: a name is not empty, "
		    "snapshots are 0 to 20, words of the setup command and "
		    "patterns are one line each", a->project);
	db_complain(conn, res);
	return CLI_FAILED;
}

/* As text, for a parameter; NULL: none. */
static char *
dump(const json_t *list)
{
	return list != NULL ? json_dumps(list, JSON_COMPACT) : NULL;
}

static int
set_project(PGconn *conn, const struct project_arguments *a)
{
	PGresult *project = find_project(conn, a->project), *res;
	char *include = dump(a->include), *setup = dump(a->setup);
	int status = CLI_FAILED;

	if (project != NULL) {
		res = db_try(conn, "update hearth.projects set "
		    "name = coalesce($2, name), default_branch = case "
		    "when $3::text is null then default_branch "
		    "else nullif($3, '') end, "
		    "snapshots = coalesce($4::integer, snapshots), "
		    "include = case when $5::jsonb is null then include "
		    "else array(select jsonb_array_elements_text($5)) end, "
		    "setup_command = case when $6::jsonb is null "
		    "then setup_command else nullif(array(select "
		    "jsonb_array_elements_text($6)), '{}') end "
		    "where id = $1", PARAMS(db_field(project, 0, "id"),
		    a->name, a->branch, a->snapshots, include, setup));
		status = db_ok(res) ? 0 : complain(conn, res, a);
		PQclear(res);
	}
	if (status == 0)
		printf("project %s is set; it holds from the next new "
		    "worktree\n", a->name != NULL ? a->name : a->project);
	free(setup);
	free(include);
	PQclear(project);
	return status;
}

/* What is to be lost was asked for, but not of who may not remove it then. */
static int
delete_sessions(PGconn *conn, const PGresult *project)
{
	char *may = db_value(conn, "select has_function_privilege("
	    "'hearth.remove_project(text)', 'execute')", NO_PARAMS);
	bool is_allowed = may != NULL && *may == 't';
	PGresult *res = NULL;
	int left = -1;

	if (may != NULL && !is_allowed)
		cli_fail("you may not remove a project, so no session is "
		    "deleted: that is for members of hearth_admin");
	free(may);
	if (is_allowed && follow_listen(conn) == 0)
		res = db_query(conn, "select id from hearth.sessions "
		    "where project_id = $1 order by created_at",
		    PARAMS(db_field(project, 0, "id")));
	if (res != NULL)
		left = sessions_delete(conn, res);
	if (left > 0)
		cli_fail("project %s is not removed: %d of its %d sessions "
		    "%s left", db_field(project, 0, "name"), left,
		    PQntuples(res), left == 1 ? "is" : "are");
	PQclear(res);
	return left == 0 ? 0 : CLI_FAILED;
}

static int
remove_project(PGconn *conn, const struct project_arguments *a)
{
	PGresult *project = find_project(conn, a->project), *res = NULL;

	if (project != NULL &&
	    (!a->with_sessions || delete_sessions(conn, project) == 0))
		res = db_query(conn, "select hearth.remove_project($1)",
		    PARAMS(db_field(project, 0, "name")));
	if (res != NULL)
		printf("project %s is removed; its folder is as it was\n",
		    a->project);
	PQclear(project);
	PQclear(res);
	return res != NULL ? 0 : CLI_FAILED;
}

/* How it is called */

static int
check(const struct project_arguments *a, struct err *e)
{
	bool sets = strcmp(a->verb, "set") == 0;
	bool has_settings = a->branch != NULL || a->snapshots != NULL ||
	    a->include != NULL || a->setup != NULL;

	if (strcmp(a->verb, "list") == 0 ? a->project != NULL :
	    a->project == NULL)
		return fail(e, "projects %s: %s", a->verb, a->project == NULL ?
		    "which one? Give its name or its folder" :
		    "unexpected argument");
	if (!sets && (has_settings || (a->name != NULL &&
	    strcmp(a->verb, "add") != 0)))
		return fail(e, "projects %s: settings are for projects set",
		    a->verb);
	if (sets && !has_settings && a->name == NULL)
		return fail(e, "projects set: nothing to set; see hearth "
		    "projects --help");
	if (a->with_sessions && strcmp(a->verb, "remove") != 0)
		return fail(e, "projects %s: --sessions is for remove",
		    a->verb);
	if (a->snapshots != NULL && (*a->snapshots == '\0' ||
	    strspn(a->snapshots, "0123456789") != strlen(a->snapshots) ||
	    strlen(a->snapshots) > 4))
		return fail(e, "projects set: --snapshots takes a number, not "
		    "\"%s\"", a->snapshots);
	return 0;
}

static int
add_pattern(struct project_arguments *a, const char *pattern, struct err *e)
{
	if (a->include == NULL)
		a->include = json_array();
	if (*pattern == '\0')
		return json_array_clear(a->include);
	return json_array_append_new(a->include, json_string(pattern)) == 0 ?
	    0 : fail(e, "projects set: --include is not valid UTF-8");
}

/* The words behind PROJECT. */
static int
take_setup(struct project_arguments *a, char *const *words, struct err *e)
{
	if (*words == NULL)
		return 0;
	if (strcmp(a->verb, "set") != 0 || a->setup != NULL)
		return fail(e, "projects %s: unexpected argument \"%s\"",
		    a->verb, *words);
	a->setup = json_array();
	for (; *words != NULL; words++)
		if (json_array_append_new(a->setup, json_string(*words)) != 0)
			return fail(e, "projects set: the setup command is "
			    "not valid UTF-8");
	return 0;
}

static int
take_option(struct project_arguments *a, int c, struct err *e)
{
	switch (c) {
	case 'n': a->name = optarg; return 0;
	case 'b': a->branch = optarg; return 0;
	case 's': a->snapshots = optarg; return 0;
	case 'i': return add_pattern(a, optarg, e);
	case 'c': a->setup = json_array(); return 0;
	case 'w': a->with_sessions = true; return 0;
	default: return -1;
	}
}

static int
parse(struct cli *cli, int argc, char **argv, struct project_arguments *a,
    struct err *e)
{
	static const struct option longs[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "branch", required_argument, NULL, 'b' },
		{ "snapshots", required_argument, NULL, 's' },
		{ "include", required_argument, NULL, 'i' },
		{ "no-setup", no_argument, NULL, 'c' },
		{ "sessions", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*a = (struct project_arguments){ .verb = "list" };
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "", longs, e)) != -1)
		if (take_option(a, c, e) == -1)
			return -1;
	if (optind < argc)
		a->verb = argv[optind++];
	if (optind < argc)
		a->project = argv[optind++];
	if (take_setup(a, argv + optind, e) == -1)
		return -1;
	return check(a, e);
}

static const struct {
	const char *verb;
	int (*run)(PGconn *conn, const struct project_arguments *a);
} verbs[] = {
	{ "add", add_project },
	{ "set", set_project },
	{ "remove", remove_project },
};

static int
run_verb(struct cli *cli, const struct project_arguments *a)
{
	PGconn *conn;
	size_t i = 0, n = sizeof(verbs) / sizeof(verbs[0]);
	int status;

	while (i < n && strcmp(verbs[i].verb, a->verb) != 0)
		i++;
	if (i == n && strcmp(a->verb, "list") != 0)
		return cli_usage("projects: no command \"%s\": list, add, set "
		    "or remove", a->verb);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = i < n ? verbs[i].run(conn, a) : list_projects(conn);
	PQfinish(conn);
	return status;
}

int
cli_projects(struct cli *cli, int argc, char **argv)
{
	struct project_arguments a;
	struct err e;
	int status;

	status = parse(cli, argc, argv, &a, &e) == -1 ?
	    cli_usage("%s", e.text) : run_verb(cli, &a);
	json_decref(a.include);
	json_decref(a.setup);
	return status;
}
