/* SPDX-License-Identifier: MIT */
/*
 * One running hearthd: brings up PostgreSQL (its own, or the one it is told
 * of) and the schema, serves, and comes down in order. Its phases stand in
 * supervisor/node_phase.def.
 */
#ifndef HEARTH_NODE_H
#define HEARTH_NODE_H

#include "base/options.h"

struct ev_loop;

/*
 * Runs until a signal or a fatal error ends it. reload is called on SIGHUP and
 * returns fresh options, or -1 when they are wrong (the old ones stay).
 * Returns the exit status (sysexits.h).
 */
int node_run(struct ev_loop *loop, struct options *opt,
    int (*reload)(struct options *fresh, struct err *e));

#endif
