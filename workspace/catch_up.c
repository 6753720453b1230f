/* SPDX-License-Identifier: MIT */
/*
 * A three-way merge of trees in an index of its own, without a folder: git
 * settles what only one side has changed, and each path that is left is merged
 * by workspace/merge.c.
 *
 * Must never know: sessions, folders. Called by workspace/make.c.
 */
#include "workspace/catch_up.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/merge.h"
#include "workspace/say.h"
#include "workspace/value.h"

/* As git numbers them. */
enum stage { HEAD = 1, TIP, FILES, STAGES };

/* A path that both sides have changed. */
struct both {
	const char *path;        /* NULL: none yet */
	struct value value[STAGES];
	bool is_strange;         /* no file in one of them: a submodule */
};

/* Lines for update-index --index-info, which lets a line take the place of one
 * before it that is its folder, or lies below it. */
struct job {
	const struct place *place;
	struct git git;          /* with the index of its own */
	struct buf of_tip;       /* paths that only the branch has; first */
	struct buf lines;        /* all others */
};

static bool
goes_on(const struct git *g, const char *head, const char *tip)
{
	return strcmp(head, tip) != 0 && git_run(g, GIT_ARGS("merge-base",
	    "--is-ancestor", head, tip), NULL, NULL, NULL) == 0;
}

/* Mode 0 takes the path out, with as many digits as its ids have. */
static void
add_line(struct buf *lines, const struct both *it, const struct value *v)
{
	int digits = 0;

	for (int i = HEAD; i < STAGES; i++)
		if (*it->value[i].oid)
			digits = (int)strlen(it->value[i].oid);
	if (value_is_none(v))
		buf_printf(lines, "0 %0*d\t%s", digits, 0, it->path);
	else
		buf_printf(lines, "%s %s\t%s", v->mode, v->oid, it->path);
	buf_addc(lines, '\0');
}

/* What the branch has is in its commits, what files has nowhere else. */
static int
settle(struct job *j, const struct both *it, struct err *e)
{
	const struct value *value = it->value;
	struct value v = value[FILES];
	struct err why = { "it is a submodule" };
	int rc;

	if (!it->path)
		return 0;
	rc = it->is_strange ? 1 : merge_values(j->place, &value[HEAD],
	    &value[TIP], &value[FILES], &v, &why);
	if (rc < 0)
		return fail(e, "%s: %.900s", it->path, why.text);
	if (value_is_none(&value[HEAD]) && value_is_none(&value[FILES])) {
		/* else git would have taken it: something is in its place */
		add_line(&j->of_tip, it, &value[TIP]);
		return 0;
	}
	if (rc > 0) {
		say_note("%s comes back as the copy had it, what the branch "
		    "has is in its commits: %.500s", it->path, why.text);
		v = value[FILES];
	}
	add_line(&j->lines, it, &v);
	return 0;
}

/* "100644 OID 2\tpath"; those of a path follow each other. */
static int
add_stage(struct job *j, struct both *it, char *line, struct err *e)
{
	char *path = line, *meta = strsep(&path, "\t");
	char *mode = strsep(&meta, " "), *oid = strsep(&meta, " ");
	int stage = meta ? atoi(meta) : 0;
	struct value v;

	if (!path || stage < HEAD || stage >= STAGES)
		return 0;
	if (!it->path || strcmp(it->path, path) != 0) {
		if (settle(j, it, e) < 0)
			return -1;
		*it = (struct both){ .path = path };
	}
	if (value_set(&v, mode, oid) < 0) {
		it->is_strange = true;
		snprintf(v.mode, sizeof v.mode, "%s", mode);
		snprintf(v.oid, sizeof v.oid, "%s", oid);
	}
	it->value[stage] = v;
	return 0;
}

/* Whether path lies below what the other one names. */
static bool
is_above(const char *folder, const char *path)
{
	size_t n = strlen(folder);

	return strncmp(folder, path, n) == 0 && path[n] == '/';
}

/* Of a line; *at becomes where the next one begins. */
static const char *
path_at(const struct buf *lines, size_t *at)
{
	const char *line = lines->data + *at;

	*at += strlen(line) + 1;
	return strchr(line, '\t') + 1;
}

/* Of each path that only the branch has, when one of files replaces it. */
static void
note_replaced(const struct job *j)
{
	for (size_t at = 0; at < j->of_tip.len; ) {
		const char *path = path_at(&j->of_tip, &at), *other = NULL;

		for (size_t k = 0; !other && k < j->lines.len; ) {
			bool is_there = j->lines.data[k] != '0';

			other = path_at(&j->lines, &k);
			if (!is_there || (!is_above(path, other) &&
			    !is_above(other, path)))
				other = NULL;
		}
		if (other)
			say_note("%s, which the branch has got, does not come "
			    "back: the copy had %s", path, other);
	}
}

static int
settle_all(struct job *j, struct err *e)
{
	struct both it = { .path = NULL };
	struct buf left = { 0 };
	int rc = git_run(&j->git, GIT_ARGS("ls-files", "-u", "-z"), NULL,
	    &left, e);

	for (size_t at = 0, len; rc == 0 && at < left.len; at += len + 1) {
		len = strnlen(left.data + at, left.len - at);
		rc = add_stage(j, &it, left.data + at, e);
	}
	if (rc == 0)
		rc = settle(j, &it, e);
	if (rc == 0) {
		note_replaced(j);
		buf_add(&j->of_tip, j->lines.data, j->lines.len);
	}
	if (rc == 0 && j->of_tip.len)
		rc = git_run(&j->git, GIT_ARGS("update-index", "-z",
		    "--index-info"), &j->of_tip, NULL, e);
	buf_free(&j->of_tip);
	buf_free(&j->lines);
	buf_free(&left);
	return rc;
}

char *
catch_up(const struct place *p, const char *files, const char *head,
    const char *tip, struct err *e)
{
	char *index = xasprintf("%s.catch-up", p->index), *tree = NULL;
	char *lock = xasprintf("%s.lock", index);
	struct job j = { .place = p, .git = { .repository = p->repository,
		.index = index } };

	if (!goes_on(&j.git, head, tip)) {
		tree = xstrdup(files);
	} else {
		/* of one that was killed: the session's lock is ours */
		unlink(lock);
		unlink(index);
		if (git_run(&j.git, GIT_ARGS("read-tree", "-i", "-m",
		    "--aggressive", head, tip, files), NULL, NULL, e) == 0 &&
		    settle_all(&j, e) == 0)
			tree = git_line(&j.git, GIT_ARGS("write-tree",
			    "--missing-ok"), NULL, e);
		unlink(index);
	}
	free(lock);
	free(index);
	return tree;
}
