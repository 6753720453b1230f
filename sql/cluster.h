/* SPDX-License-Identifier: MIT */
/*
 * The embedded PostgreSQL: a private cluster in state_dir/pg, unix socket only
 * (options_socket_dir()), made by initdb at the first start, run as a child
 * under a keeper (SIGTERM 2 s, SIGINT 15 s, SIGQUIT 5 s, SIGKILL), started
 * again with back-off when it dies, stopped cleanly at the end. As root it runs
 * as the user postgres (else hearth, else nobody). Peer authentication with a
 * map: root, the daemon's user and the cluster's user may log in; nobody else.
 * Its log goes to state_dir/pg.log (kept below a few MB).
 */
#ifndef HEARTH_CLUSTER_H
#define HEARTH_CLUSTER_H

#include <stdint.h>

#include "base/err.h"

struct ev_loop;
struct cluster;

struct cluster_callbacks {
	void (*ready)(void *ctx);  /* accepts connections (each time it does) */
	void (*died)(void *ctx, const char *why); /* starts again by itself */
	void (*fatal)(void *ctx, const char *why); /* can't be started: initdb
	                              * failed, no server program, wrong version */
	void (*stopped)(void *ctx); /* after cluster_stop() */
};

struct cluster *cluster_new(struct ev_loop *loop, const char *state_dir,
    const struct cluster_callbacks *cb, void *ctx);
/* Begins: initdb if needed, waits for an earlier life's server to end. */
void cluster_start(struct cluster *c);
/* Connection string of the daemon (role hearth_daemon, database hearth). */
const char *cluster_conninfo(const struct cluster *c);
/* The same as the superuser that `hearth init` needs. */
const char *cluster_admin_conninfo(const struct cluster *c);
void cluster_stop(struct cluster *c);
void cluster_free(struct cluster **c);

#endif
