/* SPDX-License-Identifier: MIT */
/*
 * The demo agent's mind. A prompt of which every line is an order is done
 * line by line; else it may be one order with a text of several lines; else
 * it is a chat. orders[] is the list, fits() reads its patterns. A new order
 * is one function and one row.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contrib/demo_agent.h"
#include "contrib/demo_files.h"
#include "contrib/demo_orders.h"
#include "contrib/demo_tools.h"

#define MAX_NUMBER 100000
#define SLOWLY_MS 500

/* text with a line end; the caller frees. */
static char *
as_lines(const char *before, const char *text)
{
	size_t old = strlen(before), new = strlen(text);
	char *all;

	if (asprintf(&all, "%s%s%s%s", before,
	    old > 0 && before[old - 1] != '\n' ? "\n" : "", text,
	    new > 0 && text[new - 1] != '\n' ? "\n" : "") < 0)
		demo_die("out of memory");
	return all;
}

static void
do_write(char **args)
{
	char *before, *after;

	if (!demo_tools_peek(args[0], &before))
		return;
	after = as_lines("", args[1]);
	if (demo_tools_change("Write", args[0], before, after))
		demo_sayf("I wrote %s.", args[0]);
	free(before);
	free(after);
}

static void
do_append(char **args)
{
	char *before, *after;

	if (!demo_tools_peek(args[1], &before))
		return;
	after = as_lines(before != NULL ? before : "", args[0]);
	if (demo_tools_change("Append to", args[1], before, after))
		demo_sayf("I added a line to %s.", args[1]);
	free(before);
	free(after);
}

/* All of old in text replaced by new; *n is how many. The caller frees. */
static char *
replace(const char *text, const char *old, const char *new, int *n)
{
	char *all = NULL;
	const char *hit;
	size_t len = 0;
	FILE *f = open_memstream(&all, &len);

	if (f == NULL)
		demo_die("out of memory");
	for (*n = 0; (hit = strstr(text, old)) != NULL; ++*n) {
		fprintf(f, "%.*s%s", (int)(hit - text), text, new);
		text = hit + strlen(old);
	}
	fputs(text, f);
	if (fclose(f) != 0)
		demo_die("out of memory");
	return all;
}

static void
do_replace(char **args)
{
	char *before = demo_tools_read(args[2]);
	char *after;
	int n;

	if (before == NULL)
		return;
	after = replace(before, args[0], args[1], &n);
	if (n == 0)
		demo_sayf("I found no \"%s\" in %s.", args[0], args[2]);
	else if (demo_tools_change("Edit", args[2], before, after))
		demo_sayf("I replaced %d %s in %s.", n,
		    n == 1 ? "place" : "places", args[2]);
	free(before);
	free(after);
}

static void
do_delete(char **args)
{
	char *before = demo_tools_read(args[0]);

	if (before != NULL && demo_tools_change("Delete", args[0], before, NULL))
		demo_sayf("I deleted %s.", args[0]);
	free(before);
}

static void
do_read(char **args)
{
	char *text = demo_tools_read(args[0]);

	if (text != NULL)
		demo_sayf("%s says:\n\n%s", args[0], text);
	free(text);
}

static void
do_list(char **args)
{
	char *names = demo_files_list(demo_session()->cwd);

	(void)args;
	if (names == NULL)
		demo_sayf("I cannot look into the folder: %s.", strerror(errno));
	else
		demo_say(names[0] != '\0' ? names : "The folder is empty.");
	free(names);
}

static void
do_say(char **args)
{
	static const char *const words[] = {
		"the", "fire", "is", "warm", "and", "so", "am", "I",
	};
	long i, n = strtol(args[0], NULL, 10);
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		demo_die("out of memory");
	for (i = 0; i < n; i++)
		fprintf(f, "%s%s", i > 0 ? " " : "",
		    words[(size_t)i % (sizeof words / sizeof words[0])]);
	if (fclose(f) != 0)
		demo_die("out of memory");
	demo_say(text);
	free(text);
}

static void
do_count(char **args)
{
	long i, n = strtol(args[0], NULL, 10);

	for (i = 1; i <= n && !demo_is_cancelled(); i++) {
		demo_sayf("%ld%s", i, i < n ? " " : "");
		if (i < n)
			demo_rest(SLOWLY_MS);
	}
}

static void
do_wait(char **args)
{
	demo_rest((long long)strtol(args[0], NULL, 10) * 1000);
	demo_sayf("I waited %s %s.", args[0],
	    strcmp(args[0], "1") == 0 ? "second" : "seconds");
}

static void
do_help(char **args)
{
	(void)args;
	demo_say("I understand, one on each line:\n"
	    "- write FILE with TEXT (\\n in TEXT is a new line)\n"
	    "- append TEXT to FILE\n"
	    "- replace OLD with NEW in FILE\n"
	    "- delete FILE\n"
	    "- read FILE\n"
	    "- list\n"
	    "- say N words\n"
	    "- count N slowly\n"
	    "- wait N seconds\n"
	    "- help\n"
	    "Anything else is a chat.");
}

static void
chat(const char *prompt)
{
	demo_sayf("You said: %s\nThis is turn %d of our conversation. "
	    "Say \"help\" to see what I can do.", prompt, demo_session()->turns);
}

/*
 * F is a file's name, N a number, T any text up to the first place where what
 * follows fits, L up to the last one. L may be empty, "".
 */
static const struct order {
	const char *pattern;
	void (*obey)(char **args);
} orders[] = {
	{ "write F with T", do_write },
	{ "append L to F", do_append },
	{ "replace T with L in F", do_replace },
	{ "delete F", do_delete },
	{ "read F", do_read },
	{ "list", do_list },
	{ "say N word", do_say },
	{ "say N words", do_say },
	{ "count N slowly", do_count },
	{ "wait N second", do_wait },
	{ "wait N seconds", do_wait },
	{ "help", do_help },
};

/* Where the words begin that an argument ends before, or NULL. */
static char *
find_end(char *text, const char *words, size_t len, bool is_last)
{
	char *found = NULL;

	if (len == 0)
		return text + strlen(text);
	for (; *text != '\0'; text++)
		if (strncasecmp(text, words, len) == 0) {
			found = text;
			if (!is_last)
				break;
		}
	return found;
}

/* Cuts a pair of quotes off in place. */
static char *
unquote(char *arg)
{
	size_t n = strlen(arg);

	if (n < 2 || strchr("\"'`", arg[0]) == NULL || arg[n - 1] != arg[0])
		return arg;
	arg[n - 1] = '\0';
	return arg + 1;
}

static void
resolve_newlines(char *text)
{
	for (; (text = strstr(text, "\\n")) != NULL; text++) {
		text[0] = '\n';
		memmove(text + 1, text + 2, strlen(text + 2) + 1);
	}
}

static bool
take_argument(char type, char **arg)
{
	char *end;
	long n;

	if (type == 'N') {
		n = strtol(*arg, &end, 10);
		return end != *arg && *end == '\0' && n > 0 && n <= MAX_NUMBER;
	}
	if (type == 'F' && (*arg)[strcspn(*arg, " \n\t")] != '\0' &&
	    strchr("\"'`", (*arg)[0]) == NULL)
		return false;
	*arg = unquote(*arg);
	if (type != 'F')
		resolve_newlines(*arg);
	return type == 'L' || (*arg)[0] != '\0';
}

/* Takes the text apart, in place. */
static bool
fits(const char *pattern, char *text, char **args)
{
	while (*pattern != '\0') {
		size_t len;
		char type, *end;

		if (!isupper((unsigned char)*pattern)) {
			if (tolower((unsigned char)*text++) != *pattern++)
				return false;
			continue;
		}
		type = *pattern++;
		len = strcspn(pattern, "FNTL");
		end = find_end(text, pattern, len, type == 'L');
		if (end == NULL)
			return false;
		*args = text;
		text = end + len;
		*end = '\0';
		pattern += len;
		if (!take_argument(type, args++))
			return false;
	}
	return *text == '\0';
}

/* The order that a text is, or NULL; *copy, to be freed, holds args. */
static const struct order *
understand(const char *text, char **copy, char **args)
{
	size_t i;

	for (i = 0; i < sizeof orders / sizeof orders[0]; i++) {
		*copy = strdup(text[0] == '/' ? text + 1 : text);
		if (*copy == NULL)
			demo_die("out of memory");
		if (fits(orders[i].pattern, *copy, args))
			return &orders[i];
		free(*copy);
	}
	*copy = NULL;
	return NULL;
}

static bool
obey(const char *text, bool for_real)
{
	char *copy, *args[4] = { NULL };
	const struct order *order = understand(text, &copy, args);

	if (order != NULL && for_real)
		order->obey(args);
	free(copy);
	return order != NULL;
}

/* Whether every line is an order of its own; for_real: they are obeyed. */
static bool
obey_lines(const char *prompt, bool for_real)
{
	char *copy = strdup(prompt), *save = NULL, *line;
	bool ok = true, is_first = true;

	if (copy == NULL)
		demo_die("out of memory");
	for (line = strtok_r(copy, "\n", &save); ok && line != NULL &&
	    !demo_is_cancelled(); line = strtok_r(NULL, "\n", &save)) {
		if (for_real && !is_first)
			demo_say("\n");
		is_first = false;
		ok = obey(line, for_real);
	}
	free(copy);
	return ok && !is_first;
}

void
demo_obey(const char *prompt)
{
	if (obey_lines(prompt, false))
		obey_lines(prompt, true);
	else if (!obey(prompt, true))
		chat(prompt);
}
