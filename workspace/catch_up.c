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

struct job {
	const struct place *place;
	struct git git;          /* with the index of its own */
	struct buf lines;        /* for update-index --index-info */
};

static bool
goes_on(const struct git *g, const char *head, const char *tip)
{
	return strcmp(head, tip) != 0 && git_run(g, GIT_ARGS("merge-base",
	    "--is-ancestor", head, tip), NULL, NULL, NULL) == 0;
}

static void
settle(struct job *j, const struct both *it)
{
	struct value v = it->value[TIP];
	struct err why = { "it is a submodule" };

	if (!it->path)
		return;
	if (it->is_strange || merge_values(j->place, &it->value[HEAD],
	    &it->value[TIP], &it->value[FILES], &v, &why) != 0) {
		say_note("%s comes back as the branch has it: %.500s",
		    it->path, why.text);
		v = it->value[TIP];
	}
	if (value_is_none(&v))
		buf_printf(&j->lines, "0 %0*d\t%s",
		    (int)strlen(it->value[HEAD].oid), 0, it->path);
	else
		buf_printf(&j->lines, "%s %s\t%s", v.mode, v.oid, it->path);
	buf_addc(&j->lines, '\0');
}

/* "100644 OID 2\tpath"; those of a path follow each other. */
static void
add_stage(struct job *j, struct both *it, char *line)
{
	char *path = line, *meta = strsep(&path, "\t");
	char *mode = strsep(&meta, " "), *oid = strsep(&meta, " ");
	int stage = meta ? atoi(meta) : 0;
	struct value v;

	if (!path || stage < HEAD || stage >= STAGES)
		return;
	if (!it->path || strcmp(it->path, path) != 0) {
		settle(j, it);
		*it = (struct both){ .path = path };
	}
	if (value_set(&v, mode, oid) < 0) {
		it->is_strange = true;
		snprintf(v.mode, sizeof v.mode, "%s", mode);
		snprintf(v.oid, sizeof v.oid, "%s", oid);
	}
	it->value[stage] = v;
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
		add_stage(j, &it, left.data + at);
	}
	settle(j, &it);
	if (rc == 0 && j->lines.len)
		rc = git_run(&j->git, GIT_ARGS("update-index", "-z",
		    "--index-info"), &j->lines, NULL, e);
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
