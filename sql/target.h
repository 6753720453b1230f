/* SPDX-License-Identifier: MIT */
/*
 * Where a connection goes: a connection string taken apart, hearthd's own
 * defaults put in where it says nothing, and host names turned into addresses
 * (libpq would block the loop while it resolves).
 */
#ifndef HEARTH_TARGET_H
#define HEARTH_TARGET_H

#include "base/err.h"

struct ev_loop;
struct target;

/* NULL with the reason when the string makes no sense. */
struct target *target_new(struct ev_loop *loop, const char *conninfo,
    const char *application_name, struct err *e);
void target_free(struct target **t);

/*
 * Looks the host names up afresh. 0: there are none, nothing will be called;
 * 1: done is called later, e NULL when target_keywords() is ready to use;
 * -1: it can't be tried, e says why. target_cancel() forgets the question.
 */
typedef void target_fn(void *ctx, const struct err *e);
int target_lookup(struct target *t, target_fn *done, void *ctx,
    struct err *e);
void target_cancel(struct target *t);

/* For PQconnectStartParams(); they hold until the next lookup. */
const char *const *target_keywords(const struct target *t);
const char *const *target_values(const struct target *t);

#endif
