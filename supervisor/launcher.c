/* SPDX-License-Identifier: MIT */
/*
 * Expansion of a launcher's placeholders: pure, one pass over each word, and
 * what was put in is not looked at again, so that a folder named {command}
 * is only a folder.
 *
 * Must never know: what any launcher is (bwrap, ssh, kubectl …); the client
 * writes those (cli/launcher.c).
 */
#include "supervisor/launcher.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

struct expansion {
	char *const *command;
	char *const *env;
	const struct launcher_place *at;
	bool has_command;    /* {command} was seen */
};

/* One word of a POSIX shell: in single quotes nothing is special. */
static void
add_quoted(struct buf *b, const char *word)
{
	buf_addc(b, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *word);
	}
	buf_addc(b, '\'');
}

static void
add_command(struct buf *b, char *const *command)
{
	for (char *const *word = command; *word != NULL; word++) {
		if (word != command)
			buf_addc(b, ' ');
		add_quoted(b, *word);
	}
}

/* Options first, as env(1) wants them. */
static void
add_env(struct buf *b, char *const *env)
{
	const char *gap = "";

	for (char *const *e = env; e != NULL && *e != NULL; e++) {
		if (strchr(*e, '=') != NULL)
			continue;
		buf_printf(b, "%s-u ", gap);
		add_quoted(b, *e);
		gap = " ";
	}
	for (char *const *e = env; e != NULL && *e != NULL; e++) {
		if (strchr(*e, '=') == NULL)
			continue;
		buf_adds(b, gap);
		add_quoted(b, *e);
		gap = " ";
	}
}

static bool
is_name(const char *name, size_t n, const char *known)
{
	return strlen(known) == n && memcmp(name, known, n) == 0;
}

static const char *
place_named(const struct launcher_place *at, const char *name, size_t n)
{
	if (is_name(name, n, "worktree"))
		return at->worktree;
	if (is_name(name, n, "project"))
		return at->project;
	if (is_name(name, n, "state_dir"))
		return at->state_dir;
	if (is_name(name, n, "home"))
		return at->home;
	return NULL;
}

/* What the n bytes between two braces stand for; false: nothing. */
static bool
add_placeholder(struct expansion *x, struct buf *b, const char *name, size_t n)
{
	bool is_quoted = n > 3 && memcmp(name + n - 3, ":sh", 3) == 0;
	const char *place = place_named(x->at, name, is_quoted ? n - 3 : n);

	if (place != NULL && is_quoted)
		add_quoted(b, place);
	else if (place != NULL)
		buf_adds(b, place);
	else if (is_name(name, n, "command"))
		add_command(b, x->command);
	else if (is_name(name, n, "env"))
		add_env(b, x->env);
	else
		return false;
	x->has_command = x->has_command || is_name(name, n, "command");
	return true;
}

static char *
expand_word(struct expansion *x, const char *word)
{
	struct buf b = { 0 };

	buf_adds(&b, "");
	while (*word != '\0') {
		size_t n = *word == '{' ? strcspn(word + 1, "{}") : 0;

		if (*word == '{' && word[n + 1] == '}' &&
		    add_placeholder(x, &b, word + 1, n))
			word += n + 2;
		else
			buf_addc(&b, *word++);
	}
	return buf_take(&b);
}

char **
launcher_expand(char *const *argv, size_t n, char *const *env,
    const struct launcher_place *at)
{
	struct expansion x = { argv + n, env, at, false };
	char **list = NULL;

	for (size_t i = 0; i < n; i++) {
		char *word = expand_word(&x, argv[i]);

		strv_add(&list, word);
		free(word);
	}
	for (char *const *word = argv + n; !x.has_command && *word; word++)
		strv_add(&list, *word);
	return list;
}

bool
launcher_names_place(char *const *argv, size_t n)
{
	static const char *const names[] = { "{worktree}", "{worktree:sh}",
		"{project}", "{project:sh}" };

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof names / sizeof *names; k++)
			if (strstr(argv[i], names[k]) != NULL)
				return true;
	return false;
}
