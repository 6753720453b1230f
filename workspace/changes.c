/* SPDX-License-Identifier: MIT */
/*
 * The diff between trees of the private repository. No folder takes part, so
 * no attribute, filter or driver does either.
 *
 * Two lists come from diff-tree --raw: what changed since the tree before, and
 * what differs from base. The names of the first, looked up in the second,
 * are the changes; their patches are then read in few processes. A patch's
 * sections come in the order of the raw list, one for each file and two when
 * its kind changed; inside a section no line begins with "diff --git ", since
 * every line of a file has a mark before it and names are quoted.
 *
 * Must never know: sessions, folders, the index.
 */
#include "workspace/changes.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/say.h"

/* Names given to one git. */
#define CHUNK 400
#define CHUNK_BYTES 65536

static const char head[] = "diff --git ";

struct entry {
	const char *old_mode, *new_mode, *old_oid, *new_oid; /* in the list's */
	const char *path;                                    /* text */
	bool wanted;    /* changed since the tree before */
	bool is_told;
	bool is_binary, is_long; /* told by its size, at the end */
};

struct entries {
	struct buf text;
	struct entry *all;
	size_t n;
};

struct job {
	struct git git;
	const char *base, *now;
	char type;               /* of the records */
	struct entries differ;   /* from base */
	size_t told_bytes;
	/* The patch being read: */
	struct entry **order;    /* files in the order of the sections */
	size_t order_n, at;
	int sections;            /* of the current file, so far */
	bool is_binary, is_long;
	struct buf line;         /* the beginning of a line */
	struct buf section;
};

/* ":100644 100644 OLD NEW M\0path\0" */
static bool
parse_entry(char **p, const char *end, struct entry *x)
{
	char *meta = *p, *path;

	if (meta >= end || *meta != ':')
		return false;
	path = meta + strlen(meta) + 1;
	if (path >= end)
		return false;
	meta++;
	*x = (struct entry){ .path = path };
	x->old_mode = strsep(&meta, " ");
	x->new_mode = strsep(&meta, " ");
	x->old_oid = strsep(&meta, " ");
	x->new_oid = strsep(&meta, " ");
	*p = path + strlen(path) + 1;
	return x->new_oid != NULL;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
	    ((const struct entry *)b)->path);
}

static void
free_entries(struct entries *list)
{
	buf_free(&list->text);
	free(list->all);
	*list = (struct entries){ 0 };
}

/* In git's order. paths: which ones, NULL all. */
static int
list_entries(const struct git *g, const char *from, const char *to,
    char *const *paths, struct entries *list, struct err *e)
{
	char **args = NULL, *p;
	struct entry x;
	size_t room = 0;
	int rc;

	*list = (struct entries){ 0 };
	strv_add(&args, "diff-tree");
	strv_add(&args, "-r");
	strv_add(&args, "-z");
	strv_add(&args, "--raw");
	strv_add(&args, "--no-abbrev");
	strv_add(&args, "--no-renames");
	strv_add(&args, from);
	strv_add(&args, to);
	strv_add(&args, "--");
	for (; paths && *paths; paths++)
		strv_add(&args, *paths);
	rc = git_run(g, (const char *const *)args, NULL, &list->text, e);
	strv_free(&args);
	p = list->text.data;
	while (rc == 0 && p && parse_entry(&p, list->text.data +
	    list->text.len, &x)) {
		if (list->n == room) {
			room = room ? 2 * room : 64;
			list->all = xrealloc(list->all,
			    room * sizeof *list->all);
		}
		list->all[list->n++] = x;
	}
	return rc;
}

static bool
is_there(const char *mode)
{
	return strcmp(mode, "000000") != 0;
}

static const char *
oid_or_none(const char *oid, const char *mode)
{
	return is_there(mode) ? oid : "";
}

static const char *
mode_or_none(const char *mode)
{
	return is_there(mode) ? mode : "";
}

static char
operation_of(const struct entry *x)
{
	if (!is_there(x->old_mode))
		return 'c';
	return is_there(x->new_mode) ? 'e' : 'd';
}

static void
tell(struct job *j, struct entry *x, const char *diff, size_t len)
{
	const char op[2] = { operation_of(x), '\0' };

	if (x->is_told)
		return;
	x->is_told = true;
	j->told_bytes += len;
	say_long(j->type, (const char *const[]){ op,
	    oid_or_none(x->old_oid, x->old_mode),
	    oid_or_none(x->new_oid, x->new_mode), mode_or_none(x->old_mode),
	    mode_or_none(x->new_mode), x->path }, 6, diff, len);
}

static void
tell_unchanged(const struct entry *x)
{
	const char *oid = oid_or_none(x->new_oid, x->new_mode);
	const char *mode = mode_or_none(x->new_mode);

	SAY('F', "=", oid, oid, mode, mode, x->path, "");
}

static bool
changes_kind(const struct entry *x)
{
	return strncmp(x->old_mode, x->new_mode, 2) != 0 &&
	    operation_of(x) == 'e';
}

static void
end_file(struct job *j)
{
	struct entry *x;

	if (j->sections == 0 || j->at >= j->order_n)
		return;
	x = j->order[j->at++];
	if (j->told_bytes + j->section.len > CHANGES_TOTAL_MAX)
		j->is_long = true;
	if (x) {
		x->is_binary = j->is_binary;
		x->is_long = j->is_long;
	}
	if (x && x->wanted && !j->is_binary && !j->is_long)
		tell(j, x, j->section.data, j->section.len);
	buf_reset(&j->section, CHANGES_DIFF_MAX);
	j->sections = 0;
	j->is_binary = j->is_long = false;
}

static void
begin_section(struct job *j)
{
	struct entry *x = j->at < j->order_n ? j->order[j->at] : NULL;

	if (j->sections == 0 || (j->sections == 1 && x && changes_kind(x))) {
		j->sections++;
		return;
	}
	end_file(j);
	j->sections = 1;
}

static void
add_text(struct job *j, const char *p, size_t n)
{
	if (j->at >= j->order_n || j->sections == 0)
		return;
	if (j->section.len + n > CHANGES_DIFF_MAX)
		j->is_long = true;
	if (!j->is_long)
		buf_add(&j->section, p, n);
}

/* What a line begins with decides; called once for each line. */
static void
begin_line(struct job *j)
{
	if (strncmp(j->line.data, head, sizeof head - 1) == 0)
		begin_section(j);
	else if (strncmp(j->line.data, "Binary files ", 13) == 0)
		j->is_binary = true;
}

/*
 * Patch text as it comes. line holds a line's first bytes until they suffice
 * to tell what it is; the rest of the line then goes by.
 */
static void
on_patch(void *ctx, const char *p, size_t n)
{
	struct job *j = ctx;

	while (n) {
		const char *eol = memchr(p, '\n', n);
		size_t part = eol ? (size_t)(eol - p) + 1 : n;
		bool decided = j->line.len >= 16;

		buf_add(&j->line, p, decided ? 0 : part);
		if (decided) {
			add_text(j, p, part);
		} else if (j->line.len >= 16 || eol) {
			begin_line(j);
			add_text(j, j->line.data, j->line.len);
		}
		if (eol)
			buf_reset(&j->line, 4096);
		p += part;
		n -= part;
	}
}

static struct entry *
find(struct entries *list, const char *path)
{
	struct entry key = { .path = path };

	return list->n ? bsearch(&key, list->all, list->n, sizeof key,
	    by_path) : NULL;
}

/* Reads the patches of these paths, NULL all that differ from base. */
static int
read_patches(struct job *j, char *const *paths, struct err *e)
{
	struct entries part;
	char **args = NULL;
	struct git_process p;
	int rc;

	if (list_entries(&j->git, j->base, j->now, paths, &part, e) < 0) {
		free_entries(&part);
		return -1;
	}
	j->order = xcalloc(part.n + 1, sizeof *j->order);
	for (size_t i = 0; i < part.n; i++)
		j->order[i] = find(&j->differ, part.all[i].path);
	j->order_n = part.n;
	j->at = 0;
	for (const char *const *a = GIT_ARGS("-c", "core.bigFileThreshold=16m",
	    "diff-tree", "-r", "-p", "--full-index", "--no-ext-diff",
	    "--no-textconv", "--no-renames", "--no-color", j->base, j->now,
	    "--"); *a; a++)
		strv_add(&args, *a);
	for (; paths && *paths; paths++)
		strv_add(&args, *paths);
	rc = git_start(&j->git, (const char *const *)args, &p, e);
	if (rc == 0)
		rc = git_finish(&p, NULL, on_patch, j, e);
	if (rc == 0 && j->at < j->order_n)
		end_file(j);
	strv_free(&args);
	free(j->order);
	buf_reset(&j->line, 0);
	buf_reset(&j->section, 0);
	j->sections = 0;
	free_entries(&part);
	return rc;
}

static int
tell_changes(struct job *j, size_t wanted, struct err *e)
{
	char **paths = NULL;
	size_t bytes = 0, n = 0;
	int rc = 0;

	if (wanted && wanted == j->differ.n)
		return read_patches(j, NULL, e);
	for (size_t i = 0; rc == 0 && i < j->differ.n; i++) {
		const struct entry *x = &j->differ.all[i];

		if (!x->wanted || x->is_told)
			continue;
		strv_add(&paths, x->path);
		bytes += strlen(x->path);
		if (++n < CHUNK && bytes < CHUNK_BYTES)
			continue;
		rc = read_patches(j, paths, e);
		strv_free(&paths);
		n = bytes = 0;
	}
	if (rc == 0 && n)
		rc = read_patches(j, paths, e);
	strv_free(&paths);
	return rc;
}

/* The next size that git told; -1: it does not have that object. */
static long long
next_size(char **sizes)
{
	char *line = strsep(sizes, "\n");

	return line && *line && line[strspn(line, "0123456789")] == '\0' ?
	    atoll(line) : -1;
}

static void
tell_size(struct job *j, struct entry *x, char **sizes)
{
	long long was = is_there(x->old_mode) ? next_size(sizes) : -1;
	long long is = is_there(x->new_mode) ? next_size(sizes) : was;
	struct buf text = { 0 };

	buf_adds(&text, x->is_binary || !x->is_long ? "Binary file" :
	    "Long file, difference not shown");
	if (is >= 0)
		buf_printf(&text, ", %lld bytes", is);
	if (was >= 0 && is_there(x->new_mode))
		buf_printf(&text, ", was %lld", was);
	buf_addc(&text, '\n');
	tell(j, x, text.data, text.len);
	buf_free(&text);
}

/* The files that have no diff to be shown: the sizes before and now. */
static int
tell_sizes(struct job *j, struct err *e)
{
	struct buf oids = { 0 }, sizes = { 0 };
	char *rest;
	int rc = 0;

	for (size_t i = 0; i < j->differ.n; i++) {
		const struct entry *x = &j->differ.all[i];

		if (!x->wanted || x->is_told)
			continue;
		if (is_there(x->old_mode))
			buf_printf(&oids, "%s\n", x->old_oid);
		if (is_there(x->new_mode))
			buf_printf(&oids, "%s\n", x->new_oid);
	}
	if (oids.len)
		rc = git_run(&j->git, GIT_ARGS("cat-file",
		    "--batch-check=%(objectsize)"), &oids, &sizes, e);
	rest = sizes.data;
	for (size_t i = 0; rc == 0 && i < j->differ.n; i++)
		if (j->differ.all[i].wanted && !j->differ.all[i].is_told)
			tell_size(j, &j->differ.all[i], &rest);
	buf_free(&oids);
	buf_free(&sizes);
	return rc;
}

int
changes_say(const char *repository, const char *base, const char *before,
    const char *now, struct err *e)
{
	struct job j = { .git = { .repository = repository },
		.base = base, .now = now, .type = 'F' };
	struct entries since;
	size_t wanted = 0;
	int rc;

	if (strcmp(before, now) == 0)
		return 0;
	rc = list_entries(&j.git, before, now, NULL, &since, e);
	if (rc < 0) {
		say_note("the tree before, %s, is gone; telling all that "
		    "differs from the base", before);
		free_entries(&since);
		rc = list_entries(&j.git, base, now, NULL, &since, e);
	}
	if (rc == 0)
		rc = list_entries(&j.git, base, now, NULL, &j.differ, e);
	if (rc == 0 && j.differ.n)
		qsort(j.differ.all, j.differ.n, sizeof *j.differ.all, by_path);
	for (size_t i = 0; rc == 0 && i < since.n; i++) {
		struct entry *x = find(&j.differ, since.all[i].path);

		if (x) {
			x->wanted = true;
			wanted++;
		} else {
			tell_unchanged(&since.all[i]);
		}
	}
	if (rc == 0)
		rc = tell_changes(&j, wanted, e);
	if (rc == 0)
		rc = tell_sizes(&j, e);
	free_entries(&since);
	free_entries(&j.differ);
	return rc;
}

int
changes_say_paths(const char *repository, char type, const char *base,
    const char *now, char *const *paths, struct err *e)
{
	struct job j = { .git = { .repository = repository },
		.base = base, .now = now, .type = type };
	size_t wanted = 0;
	int rc = list_entries(&j.git, base, now, NULL, &j.differ, e);

	if (rc == 0 && j.differ.n)
		qsort(j.differ.all, j.differ.n, sizeof *j.differ.all, by_path);
	for (; rc == 0 && paths && *paths; paths++) {
		struct entry *x = find(&j.differ, *paths);

		if (x && !x->wanted) {
			x->wanted = true;
			wanted++;
		}
	}
	if (rc == 0)
		rc = tell_changes(&j, wanted, e);
	if (rc == 0)
		rc = tell_sizes(&j, e);
	free_entries(&j.differ);
	return rc;
}
