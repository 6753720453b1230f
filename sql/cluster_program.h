/* SPDX-License-Identifier: MIT */
/*
 * What the embedded cluster runs, one program at a time, under a keeper: rm,
 * initdb, the server. What it says goes to state_dir/pg.log, which is kept below
 * a few MB; its last complaint is remembered. Used by sql/cluster.c alone.
 *
 * ended() comes from the loop when nothing of the program is left, so that the
 * next may be started from it. Must never know: what the programs are for.
 */
#ifndef HEARTH_CLUSTER_PROGRAM_H
#define HEARTH_CLUSTER_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct cluster_program;
struct cluster_user;
struct ev_loop;

struct cluster_program *cluster_program_new(struct ev_loop *loop,
    const char *state_dir, void (*ended)(void *ctx), void *ctx);
/* While none runs. The ladder is as in base/child.h. */
int cluster_program_start(struct cluster_program *p,
    const struct cluster_user *user, char *const *argv, const char *ladder,
    struct err *e);
/* Begins the ladder of the one that runs. */
void cluster_program_stop(struct cluster_program *p);
bool cluster_program_runs(const struct cluster_program *p);
pid_t cluster_program_pid(const struct cluster_program *p); /* 0: none yet */

/* Of the last one that ended: it could not be executed; or its exit code is 0;
 * or in words, with its name, which the caller frees. */
bool cluster_program_never_ran(const struct cluster_program *p);
bool cluster_program_succeeded(const struct cluster_program *p);
char *cluster_program_end(const struct cluster_program *p, const char *name);

/* Kills what runs; ended() does not come any more. */
void cluster_program_free(struct cluster_program **p);

#endif
