/* SPDX-License-Identifier: MIT */
/*
 * What a working copy is like, measured by a helper of its own, beside whatever
 * is done in the copy meanwhile.
 */
#ifndef HEARTH_SURVEY_H
#define HEARTH_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ev_loop;
struct survey;
struct working_copy_spec;

/* -1: not known, or there is no such thing. */
struct survey_result {
	int64_t behind, ahead; /* commits: of the default branch that what is
	                        * checked out lacks, and the other way round */
	int64_t changed_files; /* against what is checked out */
	int64_t size_kb;       /* on disk */
};

/*
 * is_fresh: files are looked at, which nobody else may do meanwhile; else the
 * tree that was told last counts. done is called once, never from within this
 * call; the survey may be freed there. r is NULL when e is not.
 */
typedef void survey_fn(void *ctx, const struct err *e,
    const struct survey_result *r);
struct survey *survey_start(struct ev_loop *loop, const char *state_dir,
    const struct working_copy_spec *spec, bool is_fresh, survey_fn *done,
    void *ctx);
/* One that still runs is abandoned. NULL is fine. */
void survey_free(struct survey **s);

#endif
