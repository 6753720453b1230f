/* SPDX-License-Identifier: MIT */
/*
 * Reads options by the table in base/options.def, from a file and from the
 * command line.
 *
 * An error is one line that says where, which key, and what would be right;
 * the value of `database` is never repeated in one, as it may hold a password.
 * After an error a struct options is good for options_free() only.
 * options_values.c knows what a value looks like, options_print.c how the table
 * is shown.
 *
 * Must never know what an option is used for.
 */
#include "base/options_private.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"

#define SERVICE_DIR "/var/lib/hearth"
#define SERVICE_USER "hearth"
/* The longest name that PostgreSQL puts in its socket folder, but for .lock,
 * which is no socket. */
#define SOCKET_NAME "/.s.PGSQL.65535"

static const struct word log_levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO }, { "debug", LOG_LEVEL_DEBUG }, { NULL, 0 }
};
static const struct word log_formats[] = {
	{ "text", LOG_FORMAT_TEXT }, { "json", LOG_FORMAT_JSON }, { NULL, 0 }
};

#define HEAD(kind_, key_) .kind = kind_, .key = #key_, \
	.field = offsetof(struct options, key_)
#define TEXT(key_, preset_, meaning_) \
	{ HEAD(TEXT, key_), .preset = preset_, .meaning = meaning_ },
#define FOLDER(key_, shown_, meaning_) \
	{ HEAD(FOLDER, key_), .preset = "", .shown = shown_, \
	  .meaning = meaning_ },
#define FOLDERS(key_, meaning_) \
	{ HEAD(FOLDERS, key_), .preset = "", .meaning = meaning_ },
#define NUMBER(key_, preset_, least_, most_, meaning_) \
	{ HEAD(NUMBER, key_), .preset = preset_, .least = least_, \
	  .most = most_, .meaning = meaning_ },
#define DURATION(key_, preset_, shortest_, longest_, meaning_) \
	{ HEAD(DURATION, key_), .preset = preset_, .shortest = shortest_, \
	  .longest = longest_, .meaning = meaning_ },
#define RATE(key_, window_, preset_, meaning_) \
	{ HEAD(RATE, key_), .window = offsetof(struct options, window_), \
	  .preset = preset_, .meaning = meaning_ },
#define WORD(key_, preset_, words_, meaning_) \
	{ HEAD(WORD, key_), .preset = preset_, .words = words_, \
	  .meaning = meaning_ },
#define SIZE(key_, preset_, meaning_) \
	{ HEAD(SIZE, key_), .preset = preset_, .meaning = meaning_ },
#define DISK(key_, preset_, meaning_) \
	{ HEAD(DISK, key_), .preset = preset_, .meaning = meaning_ },
const struct option options_table[] = {
#include "base/options.def"
};
const size_t options_count = sizeof options_table / sizeof *options_table;

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many characters must change to make b of a (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);

	if (n >= sizeof row / sizeof *row)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];

			row[j] = least(least(above, row[j - 1]) + 1,
			    diagonal + (a[i] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[n];
}

/* The key that was probably meant, or NULL. */
static const char *
closest(const char *key)
{
	size_t best = strlen(key) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < options_count; i++) {
		size_t d = distance(key, options_table[i].key);

		if (d < best || (d == best && !found)) {
			best = d;
			found = options_table[i].key;
		}
	}
	return found;
}

static const struct option *
find(const char *key)
{
	for (size_t i = 0; i < options_count; i++)
		if (strcmp(options_table[i].key, key) == 0)
			return &options_table[i];
	return NULL;
}

static int
fail_unknown(const char *key, const char *where, struct err *e)
{
	const char *meant = closest(key);

	if (meant)
		return fail(e, "%s: unknown key \"%s\" (did you mean %s?)",
		    where, key, meant);
	return fail(e, "%s: unknown key \"%s\"", where, key);
}

int
options_set(struct options *o, const char *key, const char *value,
    const char *where, struct err *e)
{
	const struct option *opt = find(key);
	struct err why;

	if (!opt)
		return fail_unknown(key, where, e);
	if (option_set(o, opt, value, &why) != 0)
		return fail(e, "%s: %s: %s", where, key, why.text);
	return 0;
}

void
options_init(struct options *o)
{
	*o = (struct options){ 0 };
	for (size_t i = 0; i < options_count; i++)
		MUST(option_set(o, &options_table[i], options_table[i].preset, NULL) == 0);
}

/* Cuts white space off both ends, in place. */
static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	for (n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--)
		;
	s[n] = '\0';
	return s;
}

/* "key = value", in place. */
static int
set_pair(struct options *o, char *text, const char *where, struct err *e)
{
	char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return fail(e, "%s: expected \"key = value\"", where);
	*equals = '\0';
	return options_set(o, trim(text), trim(equals + 1), where, e);
}

int
options_set_arg(struct options *o, const char *arg, struct err *e)
{
	char *text = xstrdup(arg);
	int result = !*arg || strchr(arg, '=') ?
	    set_pair(o, trim(text), "-o", e) :
	    fail(e, "-o %s: it has no value: give -o %s=VALUE (hearthd --help "
	    "lists the options)", arg, arg);

	free(text);
	return result;
}

/* A '#' begins a comment where a line or white space comes before it. */
static void
cut_comment(char *line)
{
	for (char *p = line; (p = strchr(p, '#')); p++) {
		if (p == line || p[-1] == ' ' || p[-1] == '\t') {
			*p = '\0';
			return;
		}
	}
}

static int
load_line(struct options *o, char *line, size_t len, const char *path,
    unsigned number, struct err *e)
{
	char *where = xasprintf("%s:%u", path, number);
	int result = 0;

	if (strlen(line) != len) {
		result = fail(e, "%s: the line has a NUL byte", where);
	} else {
		cut_comment(line);
		line = trim(line);
		if (*line)
			result = set_pair(o, line, where, e);
	}
	free(where);
	return result;
}

int
options_load(struct options *o, const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	unsigned number = 0;
	int result = 0;

	if (!f)
		return fail(e, "%s: %s", path, strerror(errno));
	errno = 0;
	while (result == 0 && (len = getline(&line, &size, f)) >= 0)
		result = load_line(o, line, (size_t)len, path, ++number, e);
	if (result == 0 && ferror(f))
		result = fail(e, "%s: %s", path, strerror(errno));
	free(line);
	fclose(f);
	return result;
}

static bool
is_service_user(const struct passwd *pw)
{
	return geteuid() == 0 || (pw && (!strcmp(pw->pw_dir, SERVICE_DIR) ||
	    !strcmp(pw->pw_name, SERVICE_USER)));
}

char *
options_default_state_dir(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (is_service_user(pw))
		return xstrdup(SERVICE_DIR);
	if (state && state[0] == '/')
		return xasprintf("%s/hearth", state);
	if (!home || home[0] != '/')
		home = pw && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
	return home ? xasprintf("%s/.local/state/hearth", home) :
	    xstrdup(SERVICE_DIR);
}

static char *
host_name(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof name - 1) != 0 || !*name)
		return xstrdup("localhost");
	return xstrdup(name);
}

int
options_finish(struct options *o, struct err *e)
{
	if (!*o->state_dir) {
		free(o->state_dir);
		o->state_dir = options_default_state_dir();
	}
	if (!*o->node_name) {
		free(o->node_name);
		o->node_name = host_name();
	}
	if (strlen(o->node_name) > 255)
		return fail(e, "node_name: longer than 255 bytes");
	if (strcmp(o->state_dir, "/") == 0)
		return fail(e, "state_dir: \"/\" is not a folder for one "
		    "program alone");
	return 0;
}

void
options_free(struct options *o)
{
	free(o->database);
	free(o->state_dir);
	free(o->node_name);
	strv_free(&o->project_roots);
	*o = (struct options){ 0 };
}

static uint64_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

char *
options_socket_dir(const char *state_dir)
{
	size_t room = sizeof ((struct sockaddr_un *)0)->sun_path;
	char *dir = xasprintf("%s/run", state_dir);

	if (strlen(dir) + sizeof SOCKET_NAME <= room)
		return dir;
	free(dir);
	return xasprintf("/tmp/hearth-%016llx",
	    (unsigned long long)hash(state_dir));
}
