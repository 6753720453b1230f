/* SPDX-License-Identifier: MIT */
/*
 * agent.json says how an agent is distributed: as an npm package (npx), a
 * Python package (uvx), an archive with a binary. The first of these that is
 * installed is what runs, by its absolute path: npx and uvx themselves would
 * download at every start. What stands in the file ends up in an argv and in a
 * line that a person may paste into a shell, so names are taken by allow-list.
 *
 * Must never know: PostgreSQL.
 */
#include "cli/agent_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/programs.h"
#include "cli/registry.h"

#define PACKAGE_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789@/._+=-"
#define URL_CHARS PACKAGE_CHARS ":%?&~#,"

struct reading {
	const struct agent_machine *m;
	struct agent_json *a;
	struct err *e;
};

/* npm packages whose program has another name than they. */
static const struct {
	const char *package, *program;
} programs[] = {
	{ "@github/copilot", "copilot" },
	{ "@google/gemini-cli", "gemini" },
	{ "@qwen-code/qwen-code", "qwen" },
	{ "opencode-ai", "opencode" },
};

static bool
is_safe(const char *s, const char *chars)
{
	return *s != '\0' && *s != '-' && s[strspn(s, chars)] == '\0' &&
	    strstr(s, "..") == NULL;
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* A member that must be a string of these characters; NULL with the reason. */
static const char *
text_of(const struct reading *r, const json_t *from, const char *kind,
    const char *member, const char *chars)
{
	const char *text = json_string_value(json_object_get(from, member));

	if (text == NULL)
		fail(r->e, "distribution.%s.%s is missing or no text", kind,
		    member);
	else if (!is_safe(text, chars))
		fail(r->e, "distribution.%s.%s is \"%.100s\", which is not "
		    "what belongs there", kind, member, text);
	else
		return text;
	return NULL;
}

/* ---- what it is run with */

static int
add_args(const struct reading *r, json_t *command, const json_t *args,
    const char *kind)
{
	const json_t *arg;
	size_t i;

	if (args != NULL && !json_is_array(args))
		return fail(r->e, "distribution.%s.args is no list", kind);
	json_array_foreach(args, i, arg) {
		if (!json_is_string(arg))
			return fail(r->e, "distribution.%s.args has something "
			    "else than text in it", kind);
		json_array_append(command, (json_t *)arg);
	}
	return 0;
}

static int
add_env(const struct reading *r, json_t *to, const json_t *env,
    const char *kind)
{
	const char *name;
	json_t *value;

	if (env != NULL && !json_is_object(env))
		return fail(r->e, "distribution.%s.env is no object", kind);
	json_object_foreach((json_t *)env, name, value) {
		if (!json_is_string(value) || *name == '\0' ||
		    strchr(name, '=') != NULL)
			return fail(r->e, "distribution.%s.env: \"%.100s\" is "
			    "no variable with a text", kind, name);
		json_object_set(to, name, value);
	}
	return 0;
}

/* That of the default registry for this program, if it knows it. */
static json_t *
base_env(const char *program)
{
	json_t *all = registry_defaults("", NULL), *entry;
	json_t *env = json_pack("{ssss}", "NO_BROWSER", "1", "NO_COLOR", "1");
	size_t i;

	json_array_foreach(all, i, entry)
		if (strcmp(json_string_value(json_array_get(json_object_get(
		    entry, "command"), 0)), program) == 0)
			json_object_update(env, json_object_get(entry, "env"));
	json_decref(all);
	return env;
}

/* It is installed as file, which is taken over. */
static int
use(const struct reading *r, char *file, const json_t *from, const char *kind)
{
	struct agent_json *a = r->a;

	a->command = json_array();
	json_array_append_new(a->command, json_string(file));
	a->env = base_env(last_part(file));
	free(file);
	if (json_array_size(a->command) == 0)
		return fail(r->e, "its program lies in a folder whose name is "
		    "not valid UTF-8");
	if (add_args(r, a->command, json_object_get(from, "args"), kind) == -1)
		return -1;
	return add_env(r, a->env, json_object_get(from, "env"), kind);
}

/* The first way to install it is the one that is told. */
static int
tell_install(const struct reading *r, char *how)
{
	if (r->a->install == NULL)
		r->a->install = how;
	else
		free(how);
	return 0;
}

/* ---- npm */

/* The program that package.json names: the only one, or the likeliest. */
static const char *
bin_name(const json_t *json, const char *package, const char *id)
{
	json_t *bin = json_object_get(json, "bin");
	const char *names[] = { last_part(package), id };

	if (json_is_string(bin))
		return names[0];
	for (int i = 0; i < 2 && json_object_size(bin) > 1; i++)
		if (json_object_get(bin, names[i]) != NULL)
			return names[i];
	return json_object_iter_key(json_object_iter(bin));
}

static void
note_version(const struct reading *r, const json_t *json, const char *wanted)
{
	const char *is = json_string_value(json_object_get(json, "version"));

	if (is != NULL && *wanted != '\0' && strcmp(is, wanted) != 0)
		r->a->note = xasprintf("version %.60s is installed, the file "
		    "names %s", is, wanted);
}

/* dir/.. is npm's prefix if the package lies below it. */
static char *
find_in_prefix(const struct reading *r, const char *dir, const char *package,
    const char *version)
{
	char *name = xasprintf("%s/../lib/node_modules/%s/package.json", dir,
	    package);
	json_t *json = json_load_file(name, 0, NULL);
	const char *bin = json != NULL ? bin_name(json, package, r->a->id) :
	    NULL;
	char *file = bin != NULL && strchr(bin, '/') == NULL ?
	    program_find(bin, dir) : NULL;

	if (file != NULL)
		note_version(r, json, version);
	json_decref(json);
	free(name);
	return file;
}

static char *
find_npm(const struct reading *r, const char *package, const char *version)
{
	const char *dir = r->m->path, *program = last_part(package);
	char *file = NULL;

	while (dir != NULL && file == NULL) {
		size_t n = strcspn(dir, ":");
		char *one = xmemdupz(dir, n);

		if (*one == '/')
			file = find_in_prefix(r, one, package, version);
		free(one);
		dir = dir[n] == ':' ? dir + n + 1 : NULL;
	}
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strcmp(programs[i].package, package) == 0)
			program = programs[i].program;
	return file != NULL ? file : program_find(program, r->m->path);
}

static int
read_npx(const struct reading *r, const json_t *from)
{
	const char *package = text_of(r, from, "npx", "package",
	    PACKAGE_CHARS);
	const char *at;
	char *bare, *file;

	if (package == NULL)
		return -1;
	at = strchr(package + 1, '@');
	bare = at != NULL ? xmemdupz(package, (size_t)(at - package)) :
	    xstrdup(package);
	if (*last_part(bare) == '\0') {
		free(bare);
		return fail(r->e, "distribution.npx.package is \"%.100s\", "
		    "which names no package", package);
	}
	file = find_npm(r, bare, at != NULL ? at + 1 : "");
	free(bare);
	return file != NULL ? use(r, file, from, "npx") :
	    tell_install(r, xasprintf("npm install -g %s", package));
}

/* ---- Python, binaries */

static int
read_uvx(const struct reading *r, const json_t *from)
{
	const char *package = text_of(r, from, "uvx", "package",
	    PACKAGE_CHARS);
	char *name, *local, *file;

	if (package == NULL)
		return -1;
	name = xmemdupz(package, strcspn(package, "=@"));
	local = xasprintf("%s/.local/bin", r->m->home);
	file = strchr(name, '/') == NULL ? program_find(name, r->m->path) :
	    NULL;
	if (file == NULL && strchr(name, '/') == NULL)
		file = program_find(name, local);
	free(local);
	free(name);
	return file != NULL ? use(r, file, from, "uvx") :
	    tell_install(r, xasprintf("uv tool install %s", package));
}

static int
read_binary(const struct reading *r, const json_t *platforms)
{
	const json_t *from = json_object_get(platforms, r->m->platform);
	const char *cmd, *archive;
	char *file;

	if (from == NULL)
		return tell_install(r, xasprintf("it is not distributed for "
		    "%s", r->m->platform));
	cmd = text_of(r, from, "binary", "cmd", PACKAGE_CHARS);
	archive = cmd != NULL ? text_of(r, from, "binary", "archive",
	    URL_CHARS) : NULL;
	if (archive == NULL)
		return -1;
	if (*last_part(cmd) == '\0')
		return fail(r->e, "distribution.binary.cmd is \"%.100s\", "
		    "which is no program", cmd);
	file = program_find(last_part(cmd), r->m->path);
	return file != NULL ? use(r, file, from, "binary") :
	    tell_install(r, xasprintf("download %s, unpack it, and put %s on "
	    "PATH", archive, last_part(cmd)));
}

static const struct {
	const char *name;
	int (*read)(const struct reading *r, const json_t *from);
} kinds[] = {
	{ "npx", read_npx },
	{ "uvx", read_uvx },
	{ "binary", read_binary },
};

int
agent_json_read(const json_t *agent, const struct agent_machine *m,
    struct agent_json *a, struct err *e)
{
	const json_t *ways = json_object_get(agent, "distribution");
	const char *id = json_string_value(json_object_get(agent, "id"));
	const char *name = json_string_value(json_object_get(agent, "name"));
	struct reading r = { m, a, e };

	memset(a, 0, sizeof(*a));
	if (id == NULL || *id == '\0')
		return fail(e, "it has no id");
	a->id = xstrdup(id);
	a->title = xstrdup(name != NULL ? name : id);
	if (!json_is_object(ways))
		return fail(e, "agent \"%.64s\" has no distribution", id);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const json_t *from = json_object_get(ways, kinds[i].name);

		if (from != NULL && a->command == NULL &&
		    kinds[i].read(&r, from) == -1)
			return -1;
	}
	if (a->command == NULL && a->install == NULL)
		return fail(e, "agent \"%.64s\" is distributed in no way that "
		    "is known here: npx, uvx or binary", id);
	return 0;
}

void
agent_json_free(struct agent_json *a)
{
	free(a->id);
	free(a->title);
	free(a->install);
	free(a->note);
	json_decref(a->command);
	json_decref(a->env);
	memset(a, 0, sizeof(*a));
}
