/* SPDX-License-Identifier: MIT */
/*
 * Host names to addresses without blocking the loop: `getent ahosts NAME` runs
 * as a child, because the C library's own resolver waits.
 */
#ifndef HEARTH_RESOLVE_H
#define HEARTH_RESOLVE_H

#include <stdbool.h>

#include "base/err.h"

struct ev_loop;
struct resolve;

/* True for what needs no resolving: a socket folder or a numeric address. */
bool resolve_is_literal(const char *host);

/*
 * addresses: numeric, at most RESOLVE_MAX, without doubles; or NULL and e says
 * why. Never called from within resolve_start(). The caller frees r then (also
 * from within done) or earlier, which ends the question without an answer.
 */
#define RESOLVE_MAX 4
typedef void resolve_fn(void *ctx, char *const *addresses,
    const struct err *e);
int resolve_start(struct ev_loop *loop, const char *name, resolve_fn *done,
    void *ctx, struct resolve **out, struct err *e);
void resolve_free(struct resolve **r);

#endif
