/* SPDX-License-Identifier: MIT */
/*
 * The default registry: the agents that speak ACP and are known to work, as a
 * table, and how it gets into hearth.agents without ever overwriting what a
 * person changed. hearth.agent_defaults remembers what was written last: a
 * column that still has that value follows, any other stays; an agent that was
 * removed does not come back. An agent is enabled when its program appears on
 * PATH, and never disabled by itself.
 */
#include "cli/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/programs.h"
#include "cli/db.h"

#define WORDS 4

static const struct entry {
	const char *name, *title;
	const char *command[WORDS];
	const char *env[WORDS];  /* "K=V" sets, "K" unsets */
} entries[] = {
	{ "claude", "Claude Code", { "claude-agent-acp" },
	    { "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT" } },
	{ "codex", "Codex", { "codex-acp" }, { NULL } },
	{ "copilot", "GitHub Copilot", { "copilot", "--acp", "--stdio" },
	    { NULL } },
	{ "gemini", "Gemini CLI", { "gemini", "--acp" },
	    { "GEMINI_CLI_NO_RELAUNCH=1" } },
	{ "goose", "Goose", { "goose", "acp" }, { NULL } },
	{ "opencode", "OpenCode", { "opencode", "acp" }, { NULL } },
	{ "qwen", "Qwen Code", { "qwen", "--acp" }, { NULL } },
};

/* Nothing may open a browser on a server, or colour what is recorded. */
static const char *const env_of_all[WORDS] = { "NO_BROWSER=1", "NO_COLOR=1" };

static void
add_env(json_t *env, const char *const *list)
{
	for (int i = 0; i < WORDS && list[i] != NULL; i++) {
		size_t n = strcspn(list[i], "=");
		char *name = xmemdupz(list[i], n);

		json_object_set_new(env, name, list[i][n] == '=' ?
		    json_string(list[i] + n + 1) : json_null());
		free(name);
	}
}

static json_t *
make_entry(const struct entry *from, const char *mode, const char *path)
{
	json_t *command = json_array(), *env = json_object();
	char *program = program_find(from->command[0], path);

	for (int i = 0; i < WORDS && from->command[i] != NULL; i++)
		json_array_append_new(command, json_string(from->command[i]));
	add_env(env, env_of_all);
	add_env(env, from->env);
	json_t *entry = json_pack("{ss ss so so ss sb}", "name", from->name,
	    "title", from->title, "command", command, "env", env,
	    "permission_mode", mode, "enabled", program != NULL);
	free(program);
	MUST(entry != NULL);
	return entry;
}

json_t *
registry_defaults(const char *path, const char *demo)
{
	const struct entry demo_entry = { "demo", "Demo agent (no model)",
		{ demo }, { NULL } };
	json_t *all = json_array();

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		json_array_append_new(all, make_entry(&entries[i], "ask",
		    path));
	if (demo != NULL)
		json_array_append_new(all, make_entry(&demo_entry, "allow",
		    path));
	return all;
}

/* New entries, and those that follow; e is the default, d what it was. */
static const char seed_sql[] =
	"with entry as materialized ("
	"  select e ->> 'name' as name, e || jsonb_build_object('enabled', "
	"      (e ->> 'enabled')::boolean "
	"      or coalesce((d.entry ->> 'enabled')::boolean, false)) as e, "
	"    d.entry as d"
	"  from jsonb_array_elements($1::jsonb) e"
	"    left join hearth.agent_defaults d on d.name = e ->> 'name'"
	"), fresh as ("
	"  insert into hearth.agents"
	"    (name, title, command, env, permission_mode, enabled)"
	"  select name, e ->> 'title',"
	"      array(select jsonb_array_elements_text(e -> 'command')),"
	"      e -> 'env', e ->> 'permission_mode',"
	"      (e ->> 'enabled')::boolean"
	"    from entry where d is null"
	"  on conflict do nothing returning name"
	"), followed as ("
	"  update hearth.agents a set"
	"    title = case when a.title is not distinct from d ->> 'title'"
	"      then e ->> 'title' else a.title end,"
	"    command = case when to_jsonb(a.command) = d -> 'command'"
	"      then array(select jsonb_array_elements_text(e -> 'command'))"
	"      else a.command end,"
	"    env = case when a.env = d -> 'env' then e -> 'env'"
	"      else a.env end,"
	"    permission_mode = case when a.permission_mode ="
	"      d ->> 'permission_mode' then e ->> 'permission_mode'"
	"      else a.permission_mode end,"
	"    enabled = case when a.enabled = (d ->> 'enabled')::boolean"
	"      then (e ->> 'enabled')::boolean else a.enabled end"
	"  from entry where entry.name = a.name and d is not null and d <> e"
	") "
	"insert into hearth.agent_defaults (name, entry) "
	"select name, e from entry where d <> e or name in (select name "
	"from fresh) "
	"on conflict (name) do update set entry = excluded.entry, "
	"updated_at = now()";

static bool
is_member_of_owner(PGconn *conn)
{
	PGresult *res = db_try(conn,
	    "select pg_has_role('hearth_owner', 'member')", NO_PARAMS);
	bool is = db_ok(res) && *PQgetvalue(res, 0, 0) == 't';

	PQclear(res);
	return is;
}

int
registry_write(PGconn *conn, const json_t *defaults)
{
	PGresult *res;
	char *text;
	int rc;

	if (!is_member_of_owner(conn))
		return 0;
	text = json_dumps(defaults, JSON_COMPACT);
	PQclear(PQexec(conn, "set role hearth_owner"));
	res = db_query(conn, seed_sql, PARAMS(text));
	rc = res != NULL ? 0 : -1;
	PQclear(res);
	PQclear(PQexec(conn, "reset role"));
	free(text);
	return rc;
}

int
registry_seed(PGconn *conn)
{
	char *demo = child_helper_path("hearth-demo-agent");
	json_t *all = registry_defaults(NULL, demo);
	int rc = registry_write(conn, all);

	json_decref(all);
	free(demo);
	return rc;
}
