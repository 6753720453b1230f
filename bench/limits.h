/* SPDX-License-Identifier: MIT */
/* What the files of the limits share; bench/limits.c says what they measure. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <libpq-fe.h>

enum { LIMITS_WARM_UP = 20 };

/* A connection to $BENCH_DATABASE, in schema bench. */
PGconn *limits_open(void);

void limits_commit(const char *name, long n);
void limits_notify(const char *name, long n);
void limits_insert(const char *name, long rows, long batch);
void limits_copy(const char *name, long rows, long batch);

void limits_pipe(const char *name, const char *agent, long millions);
void limits_scan(const char *name, const char *agent, long millions);
void limits_spawn(const char *name, const char *program, long n);
/* The same through base/child and a keeper, from a process of `mb`. */
void limits_child(const char *name, const char *program, long n, long mb);

#endif
