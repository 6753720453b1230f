/* SPDX-License-Identifier: MIT */
/*
 * Values of paths: looked up in trees, loaded and stored as blobs, always by
 * the private repository, so that no conversion takes part.
 *
 * Must never know: sessions, folders.
 */
#include "workspace/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workspace/git.h"

static bool
is_mode(const char *s)
{
	return strcmp(s, "100644") == 0 || strcmp(s, "100755") == 0 ||
	    strcmp(s, "120000") == 0;
}

static bool
is_oid(const char *s)
{
	size_t n = strlen(s);

	return (n == 40 || n == 64) &&
	    strspn(s, "0123456789abcdef") == n;
}

int
value_set(struct value *v, const char *mode, const char *oid)
{
	*v = (struct value){ "", "" };
	if (!*mode && !*oid)
		return 0;
	if (!is_mode(mode) || !is_oid(oid))
		return -1;
	snprintf(v->mode, sizeof v->mode, "%s", mode);
	snprintf(v->oid, sizeof v->oid, "%s", oid);
	return 0;
}

bool
value_is_none(const struct value *v)
{
	return !*v->mode;
}

bool
value_is_file(const struct value *v)
{
	return strncmp(v->mode, "100", 3) == 0;
}

bool
value_is_same(const struct value *a, const struct value *b)
{
	return strcmp(a->mode, b->mode) == 0 && strcmp(a->oid, b->oid) == 0;
}

int
value_load(const struct git *g, const struct value *v, struct buf *out,
    struct err *e)
{
	buf_adds(out, "");
	return git_run(g, GIT_ARGS("cat-file", "blob", v->oid), NULL, out, e);
}

int
value_store(const struct git *g, const char *mode, const struct buf *bytes,
    struct value *v, struct err *e)
{
	char *oid = git_line(g, GIT_ARGS("-c", "core.fsync=loose-object",
	    "hash-object", "-w", "--no-filters", "--stdin"), bytes, e);
	int rc = oid ? value_set(v, mode, oid) : -1;

	free(oid);
	return rc;
}

/* "100644 blob OID\tpath\0", or nothing. */
int
value_in_tree(const struct git *g, const char *tree, const char *path,
    struct value *v, struct err *e)
{
	struct buf out = { 0 };
	char mode[8], type[8], oid[72];
	int rc = git_run(g, GIT_ARGS("ls-tree", "-z", "--full-tree", tree,
	    "--", path), NULL, &out, e);

	*v = (struct value){ "", "" };
	if (rc == 0 && out.len && sscanf(out.data, "%7s %7s %71s", mode, type,
	    oid) == 3 && strcmp(type, "blob") == 0)
		rc = value_set(v, mode, oid) == 0 ? 0 : fail(e, "the tree %s "
		    "has %s as %s", tree, path, mode);
	buf_free(&out);
	return rc;
}
