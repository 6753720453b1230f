/* SPDX-License-Identifier: MIT */
/*
 * The order is: journal, files, trees, journal removed. A journal that is there
 * means that the trees may not know of files that were written; a file that has
 * what the journal says was written, whoever did it. The trees know of all of
 * them or of none.
 *
 * A temporary file that is left has what was to be written, or what was there
 * before. Should it have neither, somebody changed the file in the instant
 * before it was replaced: it gets its place back.
 *
 * Must never know: what was decided, and why. Read on in workspace/files.c.
 */
#include "workspace/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/git.h"
#include "workspace/record.h"
#include "workspace/say.h"

#define ROOT_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)

static char *
tmp_name(long long id)
{
	return xasprintf(".hearth-%lld", id);
}

/* ---- the journal */

static void
add_record(struct buf *out, const struct write *w)
{
	char id[32], flags[8];
	struct record r = { .type = 'J', .n = 11, .field = {
		id, flags, w->before.mode, w->before.oid, w->after.mode,
		w->after.oid, w->reviewed.mode, w->reviewed.oid, w->told.mode,
		w->told.oid, w->path }, .last_len = strlen(w->path) };

	snprintf(id, sizeof id, "%lld", w->id);
	snprintf(flags, sizeof flags, "%c%s%s%s",
	    w->root == IN_PROJECT ? 'p' : 'w', w->reviews ? "r" : "",
	    w->tells ? "t" : "", w->is_last ? "l" : "");
	record_add(out, &r);
}

static int
write_journal(const struct place *p, const struct write *all, size_t n,
    struct err *e)
{
	struct buf b = { 0 };
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (!all[i].code && all[i].is_needed)
			add_record(&b, &all[i]);
	if (b.len)
		rc = place_write_bytes(p->journal_file, b.data, b.len, e);
	buf_free(&b);
	return rc;
}

static int
parse_record(const struct record *r, struct write *w)
{
	const char *const *f = r->field;

	*w = (struct write){ .id = atoll(f[0]), .path = f[10],
		.root = f[1][0] == 'p' ? IN_PROJECT : IN_WORKTREE,
		.is_needed = true,
		.reviews = strchr(f[1], 'r'), .tells = strchr(f[1], 't'),
		.is_last = strchr(f[1], 'l') };
	return value_set(&w->before, f[2], f[3]) |
	    value_set(&w->after, f[4], f[5]) |
	    value_set(&w->reviewed, f[6], f[7]) |
	    value_set(&w->told, f[8], f[9]);
}

static int
read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return -1;
	while ((n = fread(buf_room(out, 65536), 1, 65536, f)) > 0)
		buf_grew(out, n);
	fclose(f);
	return 0;
}

/* ---- the trees */

static int
edit_tree(const struct place *p, char **tree, const struct edit *edits,
    size_t n, struct err *e)
{
	char *made;

	if (n == 0)
		return 0;
	made = review_edit(p, *tree, edits, n, e);
	if (!made)
		return -1;
	free(*tree);
	*tree = made;
	return 0;
}

/* What those that are done mean for the trees. */
static int
follow(const struct place *p, struct review *r, const struct write *all,
    size_t n, struct err *e)
{
	struct edit *reviewed = xcalloc(n + 1, sizeof *reviewed);
	struct edit *told = xcalloc(n + 1, sizeof *told);
	size_t n_reviewed = 0, n_told = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		const struct write *w = &all[i];

		if (w->code)
			continue;
		if (w->reviews)
			reviewed[n_reviewed++] = (struct edit){ w->path,
				w->reviewed };
		if (w->tells)
			told[n_told++] = (struct edit){ w->path, w->told };
		if (w->is_last) {
			free(r->last);
			r->last = xasprintf("%lld", w->id);
		}
	}
	rc = edit_tree(p, &r->reviewed, reviewed, n_reviewed, e);
	if (rc == 0)
		rc = edit_tree(p, &r->told, told, n_told, e);
	if (rc == 0 && n_reviewed + n_told > 0)
		rc = review_write(p, r, e);
	free(reviewed);
	free(told);
	return rc;
}

/* ---- writing */

static int
open_root(const struct write_roots *roots, enum write_root root)
{
	return roots->path[root] ? open(roots->path[root], ROOT_FLAGS) : -1;
}

struct pruning {
	struct git git;
	const char *tree;
};

/* What was there without the change that is taken back, stays. */
static bool
has_no_folder(void *ctx, const char *folder)
{
	struct pruning *k = ctx;
	struct buf out = { 0 };
	bool is = git_run(&k->git, GIT_ARGS("ls-tree", "-z", "--full-tree",
	    k->tree, "--", folder), NULL, &out, NULL) == 0 &&
	    (out.len == 0 || !strstr(out.data, " tree "));

	buf_free(&out);
	return is;
}

static void
prune(const struct place *p, const struct write_roots *roots,
    const struct review *r, const struct write *w)
{
	struct pruning k = { { .repository = p->repository }, r->reviewed };
	int root = open_root(roots, w->root);

	if (root < 0)
		return;
	spot_prune(root, w->path, has_no_folder, &k);
	close(root);
}

static int
put(const struct place *p, int root, struct write *w)
{
	struct git g = { .repository = p->repository };
	struct buf bytes = { 0 };
	char *tmp = tmp_name(w->id);
	struct spot s;
	int rc = spot_open(root, w->path, *w->after.mode, &s, &w->why);

	if (rc == 0 && *w->after.mode)
		rc = value_load(&g, &w->after, &bytes, &w->why);
	if (rc == 0)
		rc = spot_put(&s, tmp, &w->was, w->after.mode, &bytes,
		    &w->why);
	spot_close(&s);
	buf_free(&bytes);
	free(tmp);
	return rc;
}

static void
write_one(const struct place *p, const struct write_roots *roots,
    struct write *w)
{
	int root = open_root(roots, w->root);
	int rc = root < 0 ? fail(&w->why, "%s: %s", roots->path[w->root] ?
	    roots->path[w->root] : w->path, strerror(errno)) :
	    put(p, root, w);

	if (rc < 0) {
		w->code = "write_failed";
	} else if (rc > 0) {
		w->code = "changed";
		fail(&w->why, "%s was changed in this moment; decide again",
		    w->path);
	}
	if (root >= 0)
		close(root);
}

int
write_all_files(const struct place *p, const struct write_roots *roots,
    struct review *r, struct write *all, size_t n, struct err *e)
{
	if (write_journal(p, all, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!all[i].code && all[i].is_needed)
			write_one(p, roots, &all[i]);
	/* without a copy there are no trees to be kept */
	if (r->told && follow(p, r, all, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!all[i].code && all[i].prunes)
			prune(p, roots, r, &all[i]);
	unlink(p->journal_file);
	return 0;
}

/* ---- after a kill */

/* What is there, stored, so that it can be compared. */
static int
value_at(const struct git *g, const struct spot *s, struct value *v)
{
	struct buf bytes = { 0 };
	struct found f;
	int rc = spot_read(s, &f, &bytes, NULL);

	*v = (struct value){ "", "" };
	if (rc == 0 && *f.mode)
		rc = value_store(g, f.mode, &bytes, v, NULL);
	buf_free(&bytes);
	return rc;
}

/* The temporary file has what nobody else has: it goes back. */
static void
give_back(const struct spot *s, const char *tmp, const struct value *there)
{
	renameat2(s->folder, tmp, s->folder, s->name, value_is_none(there) ?
	    RENAME_NOREPLACE : RENAME_EXCHANGE);
}

static bool
was_written(const struct place *p, int root, const struct write *w)
{
	struct git g = { .repository = p->repository };
	char *tmp = tmp_name(w->id);
	struct value there, left;
	struct spot s, t;
	bool is = false;

	if (spot_open(root, w->path, false, &s, NULL) == 0 &&
	    value_at(&g, &s, &there) == 0) {
		t = s;
		t.name = tmp;
		is = value_is_same(&there, &w->after);
		if (value_at(&g, &t, &left) == 0 && !value_is_none(&left)) {
			if (is && !value_is_same(&left, &w->before) &&
			    !value_is_same(&left, &w->after)) {
				give_back(&s, tmp, &there);
				is = false;
			}
			unlinkat(s.folder, tmp, 0);
		}
	}
	spot_close(&s);
	free(tmp);
	return is;
}

static int
settle_all(const struct place *p, const struct write_roots *roots,
    const struct buf *journal, struct review *r, struct err *e)
{
	struct write *all = NULL;
	struct record rec;
	size_t n = 0, at = 0;
	long len;
	int rc;

	while ((len = record_next(journal->data + at, journal->len - at,
	    &rec)) > 0) {
		int root;

		all = xrealloc(all, (n + 1) * sizeof *all);
		if (rec.type != 'J' || parse_record(&rec, &all[n]) != 0)
			break;
		root = open_root(roots, all[n].root);
		if (root < 0 || !was_written(p, root, &all[n]))
			all[n].code = "not_written";
		say_note("change %lld of %s: %s before hearth-worktree was "
		    "ended", all[n].id, all[n].path,
		    all[n].code ? "not written" : "written");
		if (root >= 0)
			close(root);
		at += (size_t)len;
		n++;
	}
	rc = r->told ? follow(p, r, all, n, e) : 0;
	free(all);
	return rc;
}

int
write_settle(const struct place *p, const struct write_roots *roots,
    const char *base, struct err *e)
{
	struct buf journal = { 0 };
	struct review r;
	int rc = 0;

	if (read_file(p->journal_file, &journal) < 0)
		return 0;
	buf_adds(&journal, "");
	review_read(p, base, &r);
	if (r.reviewed)
		rc = settle_all(p, roots, &journal, &r, e);
	if (rc == 0)
		unlink(p->journal_file);
	review_free(&r);
	buf_free(&journal);
	return rc;
}
