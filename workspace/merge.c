/* SPDX-License-Identifier: MIT */
/*
 * What one side did not change is the other's. Only where both changed a file
 * are its lines merged, by git merge-file on copies of our own; links, binary
 * files, and what one side removed have no lines.
 *
 * Must never know: whose the sides are. Read on in workspace/decide.c.
 */
#include "workspace/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/git.h"

enum { OURS, BASE, THEIRS, SIDES };

/* git looks for NUL bytes in as much of a file. */
#define LOOKED_AT 8000

static int
write_copy(const char *path, const struct buf *bytes, struct err *e)
{
	FILE *f = fopen(path, "we");
	bool good = f && fwrite(bytes->data, 1, bytes->len, f) == bytes->len;

	if (f && fclose(f) != 0)
		good = false;
	return good ? 0 : fail(e, "cannot write %s", path);
}

static bool
is_binary(const struct buf *b)
{
	return memchr(b->data, '\0', b->len < LOOKED_AT ? b->len : LOOKED_AT)
	    != NULL;
}

static int
merge_copies(char *const path[SIDES], struct buf *out, struct err *e)
{
	struct git nowhere = { 0 };
	struct err why = { "" };

	buf_adds(out, "");
	if (git_run(&nowhere, GIT_ARGS("merge-file", "-q", "-p", path[OURS],
	    path[BASE], path[THEIRS]), NULL, out, &why) == 0)
		return 0;
	/* its status is the number of conflicts; of other troubles it speaks */
	if (*why.text)
		return fail(e, "%.1000s", why.text);
	fail(e, "the same lines were changed on both sides");
	return 1;
}

/* The sides' bytes are there. */
static int
merge_bytes(const struct place *p, struct buf side[SIDES], struct buf *out,
    struct err *e)
{
	static const char *const names[] = { "ours", "base", "theirs" };
	char *path[SIDES];
	int rc = 0;

	for (int i = 0; i < SIDES; i++)
		if (is_binary(&side[i])) {
			fail(e, "a binary file was changed on both sides");
			return 1;
		}
	for (int i = 0; i < SIDES; i++) {
		path[i] = xasprintf("%s.%s", p->index, names[i]);
		if (rc == 0)
			rc = write_copy(path[i], &side[i], e);
	}
	if (rc == 0)
		rc = merge_copies(path, out, e);
	for (int i = 0; i < SIDES; i++) {
		unlink(path[i]);
		free(path[i]);
	}
	return rc;
}

static int
merge_lines(const struct place *p, const struct value *const value[SIDES],
    const char *mode, struct value *out, struct err *e)
{
	struct git g = { .repository = p->repository };
	struct buf side[SIDES] = { { 0 } }, merged = { 0 };
	int rc = 0;

	for (int i = 0; rc == 0 && i < SIDES; i++)
		rc = value_load(&g, value[i], &side[i], e);
	if (rc == 0)
		rc = merge_bytes(p, side, &merged, e);
	if (rc == 0)
		rc = value_store(&g, mode, &merged, out, e);
	for (int i = 0; i < SIDES; i++)
		buf_free(&side[i]);
	buf_free(&merged);
	return rc;
}

int
merge_values(const struct place *p, const struct value *base,
    const struct value *ours, const struct value *theirs, struct value *out,
    struct err *e)
{
	*out = *ours;
	if (value_is_same(ours, theirs) || value_is_same(base, theirs))
		return 0;
	*out = *theirs;
	if (value_is_same(ours, base))
		return 0;
	if (!value_is_file(base) || !value_is_file(ours) ||
	    !value_is_file(theirs)) {
		fail(e, "the file was changed on both sides%s",
		    value_is_none(ours) ? ", and is not there any more" :
		    value_is_none(theirs) ? ", and is to be deleted" : "");
		return 1;
	}
	/* execution: of two that differ one is as it was */
	return merge_lines(p, (const struct value *const[]){ [OURS] = ours,
	    [BASE] = base, [THEIRS] = theirs },
	    strcmp(ours->mode, base->mode) == 0 ? theirs->mode : ours->mode,
	    out, e);
}
