/* SPDX-License-Identifier: MIT */
/*
 * Reads options by the table in base/options.def, and prints that table.
 *
 * A value is checked when it is set: its form, its unit, its range. An error
 * is one line that says where, which key, and what would be right; the value
 * of `database` is never repeated in one, as it may hold a password. After an
 * error a struct options is good for options_free() only.
 *
 * Must never know what an option is used for.
 */
#include "base/options.h"

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
#include "base/buf.h"
#include "base/utf8.h"

#define SERVICE_DIR "/var/lib/hearth"
#define SERVICE_USER "hearth"
/* The longest name that PostgreSQL puts in its socket folder, but for .lock,
 * which is no socket. */
#define SOCKET_NAME "/.s.PGSQL.65535"
#define HELP_WIDTH 78

enum kind { TEXT, FOLDER, FOLDERS, NUMBER, DURATION, RATE, WORD, SIZE, DISK };

struct word {
	const char *name;
	int value;
};

struct option {
	enum kind kind;
	const char *key;
	size_t field;         /* offset in struct options */
	size_t window;        /* RATE: offset of the other field */
	const char *preset;   /* as it would be written in a file */
	const char *shown;    /* the default for people, when it has no value */
	int64_t least, most;  /* NUMBER */
	const char *shortest, *longest; /* DURATION */
	const struct word *words;       /* WORD */
	const char *meaning;
};

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
static const struct option table[] = {
#include "base/options.def"
};
#define OPTIONS (sizeof table / sizeof *table)

/* An enum in struct options is written as an int. */
_Static_assert(sizeof(enum log_level) == sizeof(int) &&
    sizeof(enum log_format) == sizeof(int), "enums are ints");

static void *
field_of(struct options *o, size_t offset)
{
	return (char *)o + offset;
}

static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 },
};
#define UNITS (sizeof units / sizeof *units)

static const struct {
	const char *name;
	int64_t bytes;
} sizes[] = {
	{ "KiB", (int64_t)1 << 10 }, { "MiB", (int64_t)1 << 20 },
	{ "GiB", (int64_t)1 << 30 }, { "TiB", (int64_t)1 << 40 },
};

/* Digits and no more than that; the rest begins at *end. */
static int
parse_digits(const char *s, int64_t *out, const char **end)
{
	char *stop;

	if (*s < '0' || *s > '9')
		return -1;
	errno = 0;
	*out = strtoll(s, &stop, 10);
	*end = stop;
	return errno ? -1 : 0;
}

static int
parse_number(const char *s, int64_t *out, struct err *e)
{
	const char *end;

	if (parse_digits(s, out, &end) != 0 || *end)
		return fail(e, "\"%s\" is not a whole number", s);
	return 0;
}

static int
parse_duration(const char *s, int64_t *out, struct err *e)
{
	const char *unit;
	int64_t n;

	if (parse_digits(s, &n, &unit) != 0)
		return fail(e, "\"%s\" is not a duration like 20ms, 30s, "
		    "15min or 1h", s);
	unit += strspn(unit, " \t");
	if (!*unit)
		return fail(e, "\"%s\" has no unit (ms, s, min, h)", s);
	for (size_t i = 0; i < UNITS; i++) {
		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (n > INT64_MAX / units[i].ms)
			return fail(e, "\"%s\" is too long", s);
		*out = n * units[i].ms;
		return 0;
	}
	return fail(e, "\"%s\" has an unknown unit (known: ms, s, min, h)", s);
}

/* A part of the machine's memory, in bytes. */
static int
part_of_memory(int64_t percent, int64_t *out, struct err *e)
{
	int64_t pages = sysconf(_SC_PHYS_PAGES);

	if (percent < 1 || percent > 100)
		return fail(e, "%lld%% is out of range (1%% to 100%%)",
		    (long long)percent);
	*out = pages / 100 * percent * sysconf(_SC_PAGESIZE);
	return 0;
}

/* "512MiB", "75%" (of memory), or 0 */
static int
set_size(const char *value, bool is_memory, int64_t *field, struct err *e)
{
	const char *unit;
	int64_t n;

	if (parse_digits(value, &n, &unit) != 0)
		return fail(e, "\"%s\" is not a size like 512MiB%s", value,
		    is_memory ? ", 8GiB, or 75% of the machine's memory" :
		    " or 8GiB");
	unit += strspn(unit, " \t");
	if (is_memory && strcmp(unit, "%") == 0)
		return part_of_memory(n, field, e);
	if (!*unit && n == 0) {
		*field = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		if (strcmp(unit, sizes[i].name) != 0)
			continue;
		if (n > INT64_MAX / sizes[i].bytes)
			return fail(e, "\"%s\" is too large", value);
		*field = n * sizes[i].bytes;
		return 0;
	}
	return fail(e, "\"%s\" has %s unit (known: KiB, MiB, GiB, TiB%s)",
	    value, *unit ? "an unknown" : "no", is_memory ? ", %" : "");
}

static int
set_text(const char *value, char **field, struct err *e)
{
	if (utf8_valid_prefix(value, strlen(value)) != strlen(value))
		return fail(e, "the value is not valid UTF-8");
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return fail(e, "the value has a control character");
	free(*field);
	*field = xstrdup(value);
	return 0;
}

/* The path without slashes at its end; NULL when it is not absolute. */
static char *
absolute_folder(const char *path, size_t n)
{
	if (n == 0 || path[0] != '/')
		return NULL;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return xmemdupz(path, n);
}

static int
set_folder(const char *value, char **field, struct err *e)
{
	char *path = *value ? absolute_folder(value, strlen(value)) :
	    xstrdup("");
	int result;

	if (!path)
		return fail(e, "\"%s\" is not an absolute path", value);
	result = set_text(path, field, e);
	free(path);
	return result;
}

static int
set_folders(const char *value, char ***field, struct err *e)
{
	char **list = xcalloc(1, sizeof *list);

	for (const char *s = value; *s; ) {
		size_t n = strcspn(s, ":");
		char *path = absolute_folder(s, n);

		if (!path) {
			strv_free(&list);
			return fail(e, "\"%.*s\" is not an absolute path",
			    (int)n, s);
		}
		strv_add(&list, path);
		free(path);
		s += n + (s[n] == ':');
	}
	strv_free(field);
	*field = list;
	return 0;
}

static int
set_number(const struct option *opt, const char *value, int64_t *field,
    struct err *e)
{
	int64_t n = 0;

	if (parse_number(value, &n, e) != 0)
		return -1;
	if (n < opt->least || n > opt->most)
		return fail(e, "%s is out of range (%lld to %lld)", value,
		    (long long)opt->least, (long long)opt->most);
	*field = n;
	return 0;
}

static int
set_duration(const struct option *opt, const char *value, int64_t *field,
    struct err *e)
{
	int64_t ms, least, most;

	MUST(parse_duration(opt->shortest, &least, NULL) == 0);
	MUST(parse_duration(opt->longest, &most, NULL) == 0);
	if (parse_duration(value, &ms, e) != 0)
		return -1;
	if (ms < least || ms > most)
		return fail(e, "%s is out of range (%s to %s)", value,
		    opt->shortest, opt->longest);
	*field = ms;
	return 0;
}

/* "3 in 5min" */
static int
set_rate(const char *value, int64_t *count, int64_t *window, struct err *e)
{
	const char *end;
	int64_t n, ms;
	struct err why;

	if (parse_digits(value, &n, &end) != 0 || strspn(end, " \t") == 0)
		return fail(e, "\"%s\" is not like \"3 in 5min\"", value);
	end += strspn(end, " \t");
	if (strncmp(end, "in", 2) != 0 || strspn(end + 2, " \t") == 0)
		return fail(e, "\"%s\" is not like \"3 in 5min\"", value);
	end += 2;
	end += strspn(end, " \t");
	if (parse_duration(end, &ms, &why) != 0)
		return fail(e, "%s", why.text);
	if (n < 1 || n > 1000000)
		return fail(e, "%lld is out of range (1 to 1000000)",
		    (long long)n);
	if (ms < 10)
		return fail(e, "%s is out of range (10ms or more)", end);
	*count = n;
	*window = ms;
	return 0;
}

static int
set_word(const struct option *opt, const char *value, int *field,
    struct err *e)
{
	struct buf known = { 0 };

	for (const struct word *w = opt->words; w->name; w++) {
		if (strcmp(value, w->name) == 0) {
			*field = w->value;
			buf_free(&known);
			return 0;
		}
		buf_printf(&known, "%s%s", known.len ? ", " : "", w->name);
	}
	fail(e, "\"%s\" is not one of %s", value, known.data);
	buf_free(&known);
	return -1;
}

static int
set_value(struct options *o, const struct option *opt, const char *value,
    struct err *e)
{
	void *field = field_of(o, opt->field);

	switch (opt->kind) {
	case TEXT: return set_text(value, field, e);
	case FOLDER: return set_folder(value, field, e);
	case FOLDERS: return set_folders(value, field, e);
	case NUMBER: return set_number(opt, value, field, e);
	case DURATION: return set_duration(opt, value, field, e);
	case RATE: return set_rate(value, field, field_of(o, opt->window), e);
	case WORD: return set_word(opt, value, field, e);
	case SIZE: return set_size(value, true, field, e);
	case DISK: return set_size(value, false, field, e);
	}
	MUST(!"an option has a kind");
	return -1;
}

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

	for (size_t i = 0; i < OPTIONS; i++) {
		size_t d = distance(key, table[i].key);

		if (d < best || (d == best && !found)) {
			best = d;
			found = table[i].key;
		}
	}
	return found;
}

static const struct option *
find(const char *key)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strcmp(table[i].key, key) == 0)
			return &table[i];
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
	if (set_value(o, opt, value, &why) != 0)
		return fail(e, "%s: %s: %s", where, key, why.text);
	return 0;
}

void
options_init(struct options *o)
{
	*o = (struct options){ 0 };
	for (size_t i = 0; i < OPTIONS; i++)
		MUST(set_value(o, &table[i], table[i].preset, NULL) == 0);
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
	int result = set_pair(o, trim(text), "-o", e);

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

/*
 * Whole units when it is some; else milliseconds while they can be read, and
 * one decimal beyond.
 */
const char *
duration_text(int64_t ms)
{
	static char texts[4][32];
	static unsigned turn;
	char *text = texts[turn++ % 4];
	size_t unit = 0;

	while (unit + 1 < UNITS && ms && ms % units[unit + 1].ms == 0)
		unit++;
	if (unit > 0 || (ms < 10000 && ms > -10000)) {
		snprintf(text, sizeof *texts, "%lld %s",
		    (long long)(ms / units[unit].ms), units[unit].name);
		return text;
	}
	while (unit + 1 < UNITS && llabs(ms) >= units[unit + 1].ms)
		unit++;
	snprintf(text, sizeof *texts, "%.1f %s",
	    (double)ms / (double)units[unit].ms, units[unit].name);
	return text;
}

/* What the default is, for people. */
static const char *
shown_default(const struct option *opt)
{
	if (opt->shown)
		return opt->shown;
	return *opt->preset ? opt->preset : "empty";
}

/* Wraps text at white space; every line begins with margin. */
static void
print_wrapped(FILE *f, const char *margin, const char *text)
{
	size_t column = 0;

	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > HELP_WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		if (column)
			column += (size_t)fprintf(f, " ");
		else
			column = (size_t)fprintf(f, "%s", margin);
		column += (size_t)fprintf(f, "%.*s", (int)n, text);
		text += n;
	}
	fputc('\n', f);
}

void
options_print_help(FILE *f)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		char *head = xasprintf("%s (default: %s)", table[i].key,
		    shown_default(&table[i]));

		print_wrapped(f, "  ", head);
		print_wrapped(f, "      ", table[i].meaning);
		free(head);
	}
}

void
options_print_sample(FILE *f)
{
	print_wrapped(f, "# ", "Configuration of hearthd: key = value. What "
	    "is commented out shows the default. A # after white space begins "
	    "a comment. Durations have a unit: ms, s, min, h.");
	for (size_t i = 0; i < OPTIONS; i++) {
		fputc('\n', f);
		print_wrapped(f, "# ", table[i].meaning);
		if (table[i].shown) {
			char *text = xasprintf("Default: %s.", table[i].shown);

			print_wrapped(f, "# ", text);
			free(text);
		}
		fprintf(f, "#%s =%s%s\n", table[i].key,
		    *table[i].preset ? " " : "", table[i].preset);
	}
}

/* Text in which nothing is a request or an escape of roff. */
static void
print_roff(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else if (*text == '~')
			fputs("\\(ti", f);
		else if (*text == '\'')
			fputs("\\(aq", f);
		else
			fputc(*text, f);
	}
}

void
options_print_manual(FILE *f)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		fprintf(f, ".TP\n.BR %s \" (default: ", table[i].key);
		print_roff(f, shown_default(&table[i]));
		fputs(")\"\n", f);
		print_roff(f, table[i].meaning);
		fputc('\n', f);
	}
}
