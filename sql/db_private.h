/* SPDX-License-Identifier: MIT */
/*
 * What the files of struct db share: db.c (life, callbacks, end), db_start.c
 * (from a connected writer to a registered node), db_work.c (what is notified),
 * db_question.c (questions on the other connection in general), and the
 * questions themselves: db_ask.c, db_claim.c, db_claim_short.c, db_copies.c,
 * db_decide.c, db_leave.c. Nobody else includes this.
 */
#ifndef HEARTH_DB_PRIVATE_H
#define HEARTH_DB_PRIVATE_H

#include <ev.h>

#include "sql/conn.h"
#include "sql/db.h"
#include "sql/recorder_private.h"
#include "sql/result.h"

struct db {
	struct ev_loop *loop;
	const struct db_callbacks *cb;
	void *ctx;
	char *conninfo, *node_name, *version, *project_roots;
	struct recorder *recorder;
	struct conn *writer;        /* NULL: conninfo made no sense */
	struct conn *asker;
	bool writer_ready, asker_ready;
	bool asker_started;         /* it comes back by itself from then on */
	bool is_up;                 /* up() was told, and no down() since */
	bool was_up;
	bool is_fatal;              /* told; nothing is tried any more */
	char bad_conninfo[1024];
	struct ev_timer complain;   /* tells bad_conninfo from the loop */
	/* db_start.c */
	int64_t node, epoch;        /* 0: never registered */
	int lock_pid;               /* server process that had our lock last */
	int holder_pid;             /* who has it now, when we have not */
	int64_t lock_since;         /* clock_ms() of the first refusal, 0 none */
	struct ev_timer lock_again;
	struct list asks;           /* under way */
	/* db_claim.c */
	struct list claims_waiting; /* for reserved ids */
	struct list warm_waiting;   /* for the short claim under way … */
	struct list warm_asked;     /* … which is about these */
	int64_t claims;             /* numbers them */
	int64_t reserved[128];      /* execution ids for cold claims */
	int n_reserved;
	bool is_reserving;
	/* of claims whose answers were lost; NULL: none */
	char **lost_sessions, **lost_executions;
	int asker_pid;              /* server process that they went to */
	/* db_close() */
	bool is_closing;
	struct ev_timer limit;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* db.c */
void db_fatal(struct db *db, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void db_writer_ready(struct db *db);
void db_asker_ready(struct db *db);

/* db_start.c: from connected to ready. */
void start_writer(struct db *db);
void start_asker(struct db *db);

/* db_work.c: what came on hearth_work. */
void on_work(void *ctx, const char *channel, const char *payload);

/* Tells whoever asked. res NULL: there is no answer, for the reason e; else e
 * is NULL. */
struct question;
typedef void answer_fn(struct question *a, const PGresult *res,
    const struct err *e);

/* One question on the asking connection. It is answered once, and gone then. */
struct question {
	struct list node;          /* in one of the lists of db */
	struct db *db;
	char *session;             /* or NULL */
	answer_fn *answer;
	union {                    /* whom it tells: it knows which */
		db_claimed_fn *claimed;
		db_waiting_fn *waiting;
		db_commands_fn *commands;
		db_transcript_fn *transcript;
		db_rules_fn *rules;
		db_spares_fn *spares;
		db_warm_fn *warm;
		db_leaving_fn *leaving;
		db_left_fn *left;
		db_unmeasured_fn *unmeasured;
		db_copy_fn *copy;
		db_wishes_fn *wishes;
		db_decide_fn *decide;
	} tell;
	void *ctx;
	struct ev_timer refuse;    /* there is no connection to ask on */
	/* claims */
	int64_t *executions;       /* that a claimed turn can have */
	size_t n_executions;
	struct sql_array seats[4]; /* chats, agents, executions, hashes */
	PGresult *details;
	bool more;
	struct sql_error failure;
	/* the short one; transcript: turn */
	int64_t turn;
	char *chat, *agent, *config_hash;
};

/* db_question.c: what all of them have in common. */
struct question *question_new(struct db *db, const char *session,
    answer_fn *answer, void *ctx);
/* Asks it by one statement. */
void question_ask(struct question *a, const char *statement,
    const struct params *p);
/* Or by several. False: it cannot be asked now, and is answered so from the
 * loop. */
bool question_can(struct question *a);
/* Answers it and frees it. */
void question_answer(struct question *a, const PGresult *res);
void question_fail(struct question *a, const struct sql_error *e);
void questions_free(struct db *db);

/* db_claim.c: those that wait for a reserved id will not get one. */
void questions_refuse_waiting(struct db *db);
/* Nobody knows whether it was committed: undone after the reconnection. */
void claim_lose(struct question *a);

/* db_claimed_turn.c: what a row says of a turn, of its session's working copy,
 * of what a new copy gets, and of its agent. The last two allocate. */
void claimed_turn_begin(struct claimed_turn *t, const PGresult *res, int row);
void claimed_turn_add_copy(struct claimed_turn *t, const PGresult *res,
    int row);
void claimed_turn_add_setup(struct claimed_turn *t, const PGresult *res,
    int row);
void claimed_turn_add_agent(struct claimed_turn *t, const PGresult *res,
    int row);
void claimed_turn_free(struct claimed_turn *t);

#endif
