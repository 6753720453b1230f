/* SPDX-License-Identifier: MIT */
/*
 * The words of a launcher. The sandbox: everything is read-only but the
 * working copy, what the agent keeps of itself in $HOME, and a /tmp of its own;
 * state_dir (with the socket of the embedded database and other sessions'
 * copies) is hidden; processes outside are not seen. Root keeps no capability,
 * with which it could mount everything writable again. The network is not cut:
 * agents talk to their models.
 *
 * Nothing is put into a session of its own (--new-session): there is no
 * terminal to guard, and hearthd's signals would not reach the agent.
 *
 * Must never know: which hearthd will run it, where anything lies there.
 */
#include "cli/launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/db.h"

#ifndef PKGLIBEXECDIR
#define PKGLIBEXECDIR "/usr/local/libexec/hearth"
#endif
#define FOLDERS 4

/* What agents write below $HOME: settings, logins, transcripts. */
static const struct {
	const char *program;
	const char *folders[FOLDERS];
} keeps[] = {
	{ "claude-agent-acp", { ".claude", ".claude.json" } },
	{ "claude-code-acp", { ".claude", ".claude.json" } },
	{ "codex-acp", { ".codex" } },
	{ "copilot", { ".copilot" } },
	{ "gemini", { ".gemini" } },
	{ "goose", { ".config/goose", ".local/share/goose",
	    ".local/state/goose" } },
	{ "opencode", { ".config/opencode", ".local/share/opencode",
	    ".local/state/opencode", ".cache/opencode" } },
	{ "qwen", { ".qwen" } },
};

static int
append(json_t **list, const char *word, const char *option, struct err *e)
{
	if (*list == NULL)
		*list = json_array();
	if (json_array_append_new(*list, json_string(word)) == -1)
		return fail(e, "%s \"%s\" is not valid UTF-8", option, word);
	return 0;
}

int
launcher_option(struct launcher_choice *l, int c, const char *value,
    struct err *e)
{
	switch (c) {
	case 'S':
		l->is_sandbox = true;
		return 0;
	case 'W':
		if (*value != '/' && strncmp(value, "{home}/", 7) != 0)
			return fail(e, "--writable takes an absolute path, or "
			    "one that begins with {home}/, not \"%s\"", value);
		return append(&l->writable, value, "--writable", e);
	case 'H':
		if (*value == '-' || *value == '\0')
			return fail(e, "--ssh takes a host, not \"%s\"", value);
		l->host = value;
		return 0;
	case 'L':
		return append(&l->words, value, "--launcher", e);
	default:
		return 1;
	}
}

int
launcher_check(const struct launcher_choice *l, struct err *e)
{
	if (l->is_sandbox + (l->host != NULL) + (l->words != NULL) > 1)
		return fail(e, "--sandbox, --ssh and --launcher exclude each "
		    "other");
	if (l->writable != NULL && !l->is_sandbox)
		return fail(e, "--writable is for --sandbox");
	return 0;
}

void
launcher_clear(struct launcher_choice *l)
{
	json_decref(l->words);
	json_decref(l->writable);
	memset(l, 0, sizeof(*l));
}

static void
add_words(json_t *list, const char *const *words)
{
	for (; *words != NULL; words++)
		json_array_append_new(list, json_string(*words));
}

static void
add_writable(json_t *list, const char *path)
{
	add_words(list, (const char *const[]){ "--bind-try", path, path,
	    NULL });
}

static void
add_own_folders(json_t *list, const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash != NULL ? slash + 1 : program;

	for (size_t i = 0; i < sizeof(keeps) / sizeof(keeps[0]); i++) {
		if (strcmp(keeps[i].program, name) != 0)
			continue;
		for (int j = 0; j < FOLDERS && keeps[i].folders[j]; j++) {
			char *path = xasprintf("{home}/%s",
			    keeps[i].folders[j]);

			add_writable(list, path);
			free(path);
		}
	}
}

/* A later mount covers an earlier one: the working copy is the last. */
static json_t *
make_sandbox(const struct launcher_choice *l, const char *program)
{
	json_t *list = json_array(), *path;
	size_t i;

	add_words(list, (const char *const[]){ "bwrap", "--ro-bind", "/", "/",
	    "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
	    "--setenv", "TMPDIR", "/tmp",
	    "--ro-bind-try", "{project}", "{project}",
	    "--tmpfs", "{state_dir}", NULL });
	add_own_folders(list, program);
	json_array_foreach(l->writable, i, path)
		add_writable(list, json_string_value(path));
	add_words(list, (const char *const[]){
	    "--bind", "{worktree}", "{worktree}", "--chdir", "{worktree}",
	    "--unshare-pid", "--die-with-parent", "--cap-drop", "ALL", "--",
	    NULL });
	return list;
}

/* ssh hands one line to the shell there, hence the quoted placeholders. */
static json_t *
make_ssh(const char *host)
{
	json_t *list = json_array();

	add_words(list, (const char *const[]){ "ssh", "-T",
	    "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "--", host,
	    "exec " PKGLIBEXECDIR "/hearth-keeper --remote -C {worktree:sh} "
	    "-- env {env} {command}", NULL });
	return list;
}

json_t *
launcher_make(const struct launcher_choice *l, const char *program)
{
	if (l->is_sandbox)
		return make_sandbox(l, program);
	if (l->host != NULL)
		return make_ssh(l->host);
	return l->words != NULL ? json_incref(l->words) : json_array();
}

/* ---- of an agent that is there */

static int
parse(struct cli *cli, int argc, char **argv, struct launcher_choice *l,
    const char **name, struct err *e)
{
	static const struct option options[] = { LAUNCHER_OPTIONS,
		{ NULL, 0, NULL, 0 } };
	int c;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "", options, e)) != -1)
		if (c == '?' || launcher_option(l, c, optarg, e) != 0)
			return -1;
	if (argc - optind != 1)
		return fail(e, "agents launcher: one agent is needed: hearth "
		    "agents launcher NAME [--sandbox | --ssh HOST | --launcher "
		    "WORD...]");
	*name = argv[optind];
	return launcher_check(l, e);
}

static int
set_launcher(PGconn *conn, const char *name, const struct launcher_choice *l)
{
	char *program = db_value(conn, "select command[1] from hearth.agents "
	    "where name = $1", PARAMS(name));
	PGresult *res;
	json_t *words;
	char *text;
	int status;

	if (program == NULL)
		return cli_fail("agent \"%s\" cannot be read: hearth agents "
		    "lists those that are there", name);
	words = launcher_make(l, program);
	text = json_dumps(words, JSON_COMPACT);
	res = db_query(conn, "update hearth.agents set launcher = "
	    "array(select jsonb_array_elements_text($2::jsonb)) "
	    "where name = $1", PARAMS(name, text));
	status = res != NULL ? 0 : CLI_FAILED;
	if (status == 0)
		printf("agent %s is started %s\n", name,
		    json_array_size(words) == 0 ? "without a launcher" :
		    l->is_sandbox ? "in a sandbox" :
		    l->host != NULL ? "through ssh" : "by its launcher");
	PQclear(res);
	free(text);
	json_decref(words);
	free(program);
	return status;
}

int
agents_launcher(struct cli *cli, int argc, char **argv)
{
	struct launcher_choice l = { 0 };
	const char *name = NULL;
	PGconn *conn;
	struct err e;
	int status;

	argv[0] = (char *)"agents launcher";
	if (parse(cli, argc, argv, &l, &name, &e) == -1) {
		launcher_clear(&l);
		return cli_usage("%s", e.text);
	}
	conn = db_open(cli);
	status = conn != NULL ? set_launcher(conn, name, &l) : CLI_FAILED;
	PQfinish(conn);
	launcher_clear(&l);
	return status;
}
