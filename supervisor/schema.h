/* SPDX-License-Identifier: MIT */
/*
 * The schema is there and current before anything is served: `hearth init`
 * runs as a child, which is quick when there is nothing to do and upgrades
 * where hearthd's user may. While the server cannot be reached it is tried
 * again, with back-off.
 */
#ifndef HEARTH_SCHEMA_H
#define HEARTH_SCHEMA_H

#include "base/err.h"

struct ev_loop;
struct schema_check;

/* done runs once, not from within this call; e is NULL when all is well. */
struct schema_check *schema_check_start(struct ev_loop *loop,
    const char *conninfo, void (*done)(void *ctx, const struct err *e),
    void *ctx);
/* Abandons it if it still runs; may be called from within done. */
void schema_check_free(struct schema_check **check);

#endif
