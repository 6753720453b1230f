/* SPDX-License-Identifier: MIT */
/*
 * A tool call becomes lists of what it names, cleaned so that there is one
 * spelling of each; then every rule is held against the lists. What cannot be
 * read makes a list unclear, which no `allow` gets past.
 */
#include "worker/permission_rules.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "worker/glob.h"

enum {
	PATH_BYTES = 4096,
	COMMAND_BYTES = 16384,
	NAMES_MAX = 256,         /* in one list */
};

/* What a shell may take for more than one command. */
static const char operators[] = ";&|`(<>\n\r";
/* Where, for deny, another command may begin or end. */
static const char separators[] = ";&|`()<>{}'\"\n\r";

struct permission_rules {
	struct permission_rule *rules; /* its texts are owned */
	size_t n;
	bool is_set;
};

struct names {
	char **list;
	size_t n;
	bool is_unclear;         /* there is more than could be read */
};

struct named {
	struct names paths;      /* absolute */
	struct names commands;
	struct names parts;      /* commands, and what they consist of */
};

/* ---- the rules */

struct permission_rules *
permission_rules_new(void)
{
	return xcalloc(1, sizeof(struct permission_rules));
}

static void
clear(struct permission_rules *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free((char *)r->rules[i].scope.tenant);
		free((char *)r->rules[i].scope.agent);
		free((char *)r->rules[i].tool_kind);
		free((char *)r->rules[i].path_pattern);
		free((char *)r->rules[i].command_pattern);
	}
	free(r->rules);
	*r = (struct permission_rules){ 0 };
}

void
permission_rules_set(struct permission_rules *r,
    const struct permission_rule *rules, size_t n)
{
	clear(r);
	r->rules = xcalloc(n + 1, sizeof *r->rules);
	for (size_t i = 0; i < n; i++) {
		struct permission_rule *to = &r->rules[i];

		*to = rules[i];
		to->scope.tenant = xstrdup(rules[i].scope.tenant);
		to->scope.agent = xstrdup(rules[i].scope.agent);
		to->tool_kind = xstrdup(rules[i].tool_kind);
		to->path_pattern = xstrdup(rules[i].path_pattern);
		to->command_pattern = xstrdup(rules[i].command_pattern);
	}
	r->n = n;
	r->is_set = true;
}

void
permission_rules_free(struct permission_rules **r)
{
	if (*r == NULL)
		return;
	clear(*r);
	free(*r);
	*r = NULL;
}

/* ---- what a tool call names */

/* Takes text over; NULL: it could not be read. */
static void
add_name(struct names *to, char *text)
{
	if (text == NULL || to->n == NAMES_MAX) {
		to->is_unclear = true;
		free(text);
		return;
	}
	to->list = xrealloc(to->list, (to->n + 1) * sizeof *to->list);
	to->list[to->n++] = text;
}

static void
free_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

/* Without ".", "..", empty components; absolute. */
static char *
resolve(const char *path)
{
	char *out = xcalloc(strlen(path) + 2, 1);
	size_t len = 0;

	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (len > 0 && out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && *path == '.')) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
		path += *path == '/';
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

/* A home folder's name, or a URI, is not what it looks like: NULL. */
static char *
clean_path(const char *path, const char *cwd)
{
	char *joined, *out;

	if (*path == '\0' || *path == '~' || strstr(path, ":/") != NULL ||
	    strlen(path) >= PATH_BYTES)
		return NULL;
	joined = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
	out = resolve(joined);
	free(joined);
	return out;
}

static void
add_path(struct named *named, const json_t *path, const char *cwd)
{
	if (json_is_null(path))
		return;
	add_name(&named->paths, json_is_string(path) ?
	    clean_path(json_string_value(path), cwd) : NULL);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
	    c == '\v' || c == '\f';
}

/* n bytes, without blanks around them, and with one blank instead of many. */
static char *
clean_command(const char *s, size_t n)
{
	char *out;
	size_t len = 0;

	for (; n > 0 && is_space(*s); n--)
		s++;
	while (n > 0 && is_space(s[n - 1]))
		n--;
	out = xcalloc(n + 1, 1);
	for (size_t i = 0; i < n; i++) {
		char c = s[i] == '\t' ? ' ' : s[i];

		if (c != ' ' || out[len - 1] != ' ')
			out[len++] = c;
	}
	out[len] = '\0';
	return out;
}

static void
add_parts(struct names *parts, const char *text)
{
	add_name(parts, clean_command(text, strlen(text)));
	if (text[strcspn(text, separators)] == '\0')
		return;
	while (*text != '\0') {
		size_t n = strcspn(text, separators);
		char *part = clean_command(text, n);

		if (*part != '\0')
			add_name(parts, part);
		else
			free(part);
		text += n;
		text += *text != '\0';
	}
}

static void
add_line(struct named *named, const char *text)
{
	if (strlen(text) >= COMMAND_BYTES) {
		named->commands.is_unclear = named->parts.is_unclear = true;
		return;
	}
	add_name(&named->commands, clean_command(text, strlen(text)));
	add_parts(&named->parts, text);
}

/* Words of an argv with blanks may be scripts: sh -c 'make clean'. */
static void
add_argv(struct named *named, const json_t *argv)
{
	struct buf line = { 0 };
	size_t i;
	json_t *word;

	json_array_foreach(argv, i, word) {
		const char *text = json_string_value(word);

		if (text == NULL) {
			named->commands.is_unclear = true;
			named->parts.is_unclear = true;
			continue;
		}
		if (i > 0)
			buf_addc(&line, ' ');
		buf_adds(&line, text);
		if (strpbrk(text, " \t\n") != NULL &&
		    strlen(text) < COMMAND_BYTES)
			add_parts(&named->parts, text);
	}
	if (line.len > 0)
		add_line(named, line.data);
	buf_free(&line);
}

static void
add_command(struct named *named, const json_t *command)
{
	if (json_is_string(command)) {
		if (json_string_length(command) > 0)
			add_line(named, json_string_value(command));
	} else if (json_is_array(command)) {
		add_argv(named, command);
	} else if (!json_is_null(command)) {
		named->commands.is_unclear = named->parts.is_unclear = true;
	}
}

static void
read_input(struct named *named, const json_t *input, const char *cwd)
{
	static const char *const paths[] = { "file_path", "path", "filePath",
		"abs_path" };
	static const char *const commands[] = { "command", "cmd" };
	const json_t *member;

	if (input != NULL && !json_is_object(input) && !json_is_null(input))
		named->paths.is_unclear = named->commands.is_unclear =
		    named->parts.is_unclear = true;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		member = json_object_get(input, paths[i]);
		if (member != NULL)
			add_path(named, member, cwd);
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		member = json_object_get(input, commands[i]);
		if (member != NULL)
			add_command(named, member);
	}
}

/* The paths of a list's objects, of those of one type if type is not NULL. */
static void
read_list(struct named *named, const json_t *list, const char *type,
    const char *cwd)
{
	size_t i;
	json_t *item;

	if (type == NULL && list != NULL && !json_is_array(list) &&
	    !json_is_null(list))
		named->paths.is_unclear = true;
	json_array_foreach(list, i, item) {
		const char *is = json_string_value(json_object_get(item,
		    "type"));
		const json_t *path = json_object_get(item, "path");

		if (type != NULL && (is == NULL || strcmp(is, type) != 0))
			continue;
		if (path != NULL)
			add_path(named, path, cwd);
		else
			named->paths.is_unclear = true;
	}
}

static json_t *
load(const char *text)
{
	return text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static void
read_call(struct named *named, const struct permission_call *call)
{
	json_t *locations = load(call->locations);
	json_t *input = load(call->raw_input);
	json_t *content = load(call->content);

	read_list(named, locations, NULL, call->cwd);
	read_list(named, content, "diff", call->cwd);
	read_input(named, input, call->cwd);
	json_decref(locations);
	json_decref(input);
	json_decref(content);
}

/* ---- matching */

/* What of the path is below the folder; NULL: it is not. */
static const char *
below(const char *path, const char *folder)
{
	size_t n = folder != NULL ? strlen(folder) : 0;

	while (n > 0 && folder[n - 1] == '/')
		n--;
	if (folder == NULL || strncmp(path, folder, n) != 0)
		return NULL;
	if (path[n] == '\0')
		return path + n;
	return path[n] == '/' ? path + n + 1 : NULL;
}

static bool
path_matches(const char *pattern, const char *path,
    const struct permission_call *call)
{
	const char *rest, *name;

	if (*pattern == '/')
		return glob_matches(GLOB_PATH, pattern, path);
	rest = below(path, call->cwd);
	if (rest == NULL)
		rest = below(path, call->real_cwd);
	if (rest == NULL)
		return false;
	name = strrchr(rest, '/');
	if (strchr(pattern, '/') == NULL && name != NULL)
		rest = name + 1;
	return glob_matches(GLOB_PATH, pattern, rest);
}

/* Nothing in it that could begin another command, but what the pattern has. */
static bool
is_plain(const char *command, const char *pattern)
{
	for (const char *op = operators; *op != '\0'; op++)
		if (strchr(command, *op) != NULL &&
		    strchr(pattern, *op) == NULL)
			return false;
	return strstr(command, "$(") == NULL || strstr(pattern, "$(") != NULL;
}

static bool
is_allowed(const struct permission_rule *r, const struct named *named,
    const struct permission_call *call)
{
	const struct names *paths = &named->paths;
	const struct names *commands = &named->commands;
	bool has_paths = paths->n > 0 || paths->is_unclear;
	bool has_commands = commands->n > 0 || commands->is_unclear;

	if (r->path_pattern == NULL && r->command_pattern == NULL)
		return true;
	/* each that it has needs a pattern, and each pattern one of them */
	if (paths->is_unclear || commands->is_unclear ||
	    has_paths != (r->path_pattern != NULL) ||
	    has_commands != (r->command_pattern != NULL))
		return false;
	for (size_t i = 0; i < paths->n; i++)
		if (!path_matches(r->path_pattern, paths->list[i], call))
			return false;
	for (size_t i = 0; i < commands->n; i++)
		if (!is_plain(commands->list[i], r->command_pattern) ||
		    !glob_matches(GLOB_LINE, r->command_pattern,
		    commands->list[i]))
			return false;
	return true;
}

static bool
is_touched(const struct permission_rule *r, const struct named *named,
    const struct permission_call *call)
{
	const struct names *paths = &named->paths;
	const struct names *parts = &named->parts;
	bool path = r->path_pattern == NULL || paths->is_unclear;
	bool command = r->command_pattern == NULL || parts->is_unclear;

	for (size_t i = 0; !path && i < paths->n; i++)
		path = path_matches(r->path_pattern, paths->list[i], call);
	for (size_t i = 0; !command && i < parts->n; i++)
		command = glob_matches(GLOB_LINE, r->command_pattern,
		    parts->list[i]);
	return path && command;
}

static bool
holds_for(const struct permission_scope *rule,
    const struct permission_scope *who)
{
	if (rule->tenant != NULL && rule->tenant[0] != '\0' &&
	    (who->tenant == NULL || strcmp(rule->tenant, who->tenant) != 0))
		return false;
	if (rule->agent != NULL &&
	    (who->agent == NULL || strcmp(rule->agent, who->agent) != 0))
		return false;
	return rule->project_id == 0 || rule->project_id == who->project_id;
}

static bool
matches(const struct permission_rule *r, const struct named *named,
    const struct permission_call *call)
{
	if (r->tool_kind != NULL && strcmp(r->tool_kind,
	    call->kind != NULL ? call->kind : "other") != 0)
		return false;
	return r->decision == DECISION_ALLOW ? is_allowed(r, named, call) :
	    is_touched(r, named, call);
}

const struct permission_rule *
permission_rules_find(const struct permission_rules *r,
    const struct permission_scope *who, const struct permission_call *call)
{
	static const struct permission_rule unknown = {
		.decision = DECISION_ASK,
	};
	const struct permission_rule *found = NULL;
	struct named named = { 0 };

	if (!r->is_set)
		return &unknown;
	if (r->n == 0)
		return NULL;
	read_call(&named, call);
	for (size_t i = 0; found == NULL && i < r->n; i++)
		if (holds_for(&r->rules[i].scope, who) &&
		    matches(&r->rules[i], &named, call))
			found = &r->rules[i];
	free_names(&named.paths);
	free_names(&named.commands);
	free_names(&named.parts);
	return found;
}
