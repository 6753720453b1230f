/* SPDX-License-Identifier: MIT */
/*
 * One run of hearth-worktree, on the loop: records as they come, and the end.
 */
#ifndef HEARTH_HELPER_H
#define HEARTH_HELPER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "workspace/record.h"

struct ev_loop;
struct helper;

struct helper_callbacks {
	/* Not the final Z. The record is borrowed. */
	void (*record)(void *ctx, const struct record *r);
	/*
	 * Once, at the end, never from within helper_start(); e is NULL when
	 * all was said. The helper may be freed here.
	 */
	void (*end)(void *ctx, const struct err *e);
};

/*
 * args are what follows the program's name. input is what its stdin has, NULL:
 * nothing. pass_fd becomes fd 3, -1: none. After limit_ms it is killed and the
 * error names the limit.
 */
struct helper *helper_start(struct ev_loop *loop, const char *label,
    char *const *args, const struct buf *input, int pass_fd, int64_t limit_ms,
    const struct helper_callbacks *cb, void *ctx);
/* One that still runs is killed. NULL is fine. */
void helper_free(struct helper **h);

#endif
