/* SPDX-License-Identifier: MIT */
/*
 * What an option's value looks like: one parser for each kind of the table, and
 * durations as people read them.
 *
 * Must never know which options there are.
 */
#include "base/options_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

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

/* "512MiB", "75%", or 0 */
static int
set_size(const char *value, int64_t *field, struct err *e)
{
	const char *unit;
	int64_t n;

	if (parse_digits(value, &n, &unit) != 0)
		return fail(e, "\"%s\" is not a size like 512MiB, 8GiB, or "
		    "75%% of the machine's memory", value);
	unit += strspn(unit, " \t");
	if (strcmp(unit, "%") == 0)
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
	return fail(e, "\"%s\" has %s unit (known: KiB, MiB, GiB, TiB, %%)",
	    value, *unit ? "an unknown" : "no");
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

int
option_set(struct options *o, const struct option *opt, const char *value,
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
	case SIZE: return set_size(value, field, e);
	}
	MUST(!"an option has a kind");
	return -1;
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
