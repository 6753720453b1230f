/* SPDX-License-Identifier: MIT */
/*
 * What the files of a connection share: conn.c (its life: it comes, is lost,
 * and comes back) and conn_pipeline.c (what is sent on it, and the answers).
 * Nobody else includes this.
 */
#ifndef HEARTH_CONN_PRIVATE_H
#define HEARTH_CONN_PRIVATE_H

#include <ev.h>

#include "base/list.h"
#include "sql/conn.h"
#include "sql/statement.h"

struct conn {
	struct ev_loop *loop;
	char *label;
	struct target *target;
	const struct conn_callbacks *cb;
	void *ctx;
	PGconn *pg;             /* NULL between attempts */
	bool is_up;
	bool has_open;          /* statements were sent, sync was not */
	int backend_pid;
	int backoff;            /* milliseconds */
	unsigned short seed[3];
	struct ev_io io;
	struct ev_timer retry;  /* begins an attempt */
	struct ev_timer limit;  /* of an attempt, or of an answer */
	struct ev_timer failed; /* at once: tells why_failed */
	char why_failed[512];
	unsigned attempt;       /* names one life of pg */
	struct list pending;
	bool is_prepared[STATEMENTS_MAX];
	struct sql_error prepare_error;
	PGresult *held;         /* of the statement that conn_ask() sent */
	struct sql_error held_error;
	struct sql_error sync_error;
	unsigned long syncs;
};

/* conn.c: gives it up, for a reason found while sending: told from the loop. */
void conn_fail_later(struct conn *c, const char *why);
/* Sends what libpq holds, as far as the socket takes it. */
void conn_push(struct conn *c);
/* Waits for an answer anew, if there is one to wait for. */
void conn_limit_answer(struct conn *c);
/* libpq's words as one line. */
void conn_keep_words(char *to, size_t size, const char *words);

/* conn_pipeline.c: the answers that have come. They may give it up. */
void pipeline_read(struct conn *c);
/* The connection is gone: everything under way is answered with e; NULL: it is
 * forgotten, and nobody is called. */
void pipeline_end(struct conn *c, const struct sql_error *e);

#endif
