/* SPDX-License-Identifier: MIT */
/*
 * One connection to PostgreSQL on the loop: non-blocking, in pipeline mode,
 * with statements prepared as they are first needed. After an outage it comes
 * back by itself, with back-off from 0.1 s to 10 s.
 *
 * No callback runs inside a conn_*() call. Callbacks may call everything but
 * conn_free().
 */
#ifndef HEARTH_CONN_H
#define HEARTH_CONN_H

#include <stdbool.h>
#include <libpq-fe.h>

#include "base/err.h"
#include "sql/params.h"

struct ev_loop;
struct conn;

/*
 * Why a statement has no result. state is the SQLSTATE; "08006" when the
 * connection was lost (nobody knows whether it was carried out), "" when an
 * earlier statement of the same transaction failed.
 */
struct sql_error {
	char state[6];
	char text[512];
	char detail[4096];
};

/* Called once for each conn_send() and conn_sync(). res is NULL on failure;
 * else borrowed. A sync that succeeds has res NULL and e NULL. */
typedef void conn_result_fn(void *ctx, const PGresult *res,
    const struct sql_error *e);

struct conn_callbacks {
	/* In pipeline mode, nothing said yet. */
	void (*connected)(void *ctx);
	/* An attempt failed, or what was connected is lost; everything under
	 * way was answered with an error before. It tries again by itself. */
	void (*lost)(void *ctx, const char *why, bool was_connected);
	/* NULL: nobody listens. */
	void (*notified)(void *ctx, const char *channel, const char *payload);
};

/* label is for log lines. NULL with the reason when conninfo is nonsense. */
struct conn *conn_new(struct ev_loop *loop, const char *label,
    const char *conninfo, const char *application_name,
    const struct conn_callbacks *cb, void *ctx, struct err *e);
void conn_start(struct conn *c);
/* Drops what is under way without calling anybody. NULL is fine. */
void conn_free(struct conn **c);

bool conn_is_up(const struct conn *c);   /* connected */
int conn_backend_pid(const struct conn *c); /* of the last connection, 0 none */
int conn_server_version(const struct conn *c);
/* The owner's own set-up succeeded: back-off begins anew at the next loss. */
void conn_settled(struct conn *c);
/* Gives the connection up and tries again later. */
void conn_drop(struct conn *c, const char *why);

/*
 * A transaction is: conn_need() for each statement that it will use, then
 * conn_send() for each, then conn_sync(). All go out together.
 */
void conn_need(struct conn *c, int statement);
void conn_send(struct conn *c, int statement, const struct params *p,
    conn_result_fn *done, void *ctx);
void conn_sync(struct conn *c, conn_result_fn *done, void *ctx);
/* The three for a single statement: done gets its result (or error) after the
 * transaction has ended. */
void conn_ask(struct conn *c, const char *statement, const struct params *p,
    conn_result_fn *done, void *ctx);
/* How many syncs were sent over all connections: round trips at most. */
unsigned long conn_syncs(const struct conn *c);

#endif
