/* SPDX-License-Identifier: MIT */
/*
 * A node without a supervisor, for the checks of sql/: struct db on a loop of
 * its own, its callbacks counted, and rows to work on. Sessions and chats are
 * named by small numbers, their uuids made from them.
 */
#ifndef HEARTH_DB_FIXTURE_H
#define HEARTH_DB_FIXTURE_H

#include <check.h>
/* check's macro of before 0.9.4 takes the name of ours */
#undef fail
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "sql/db.h"
#include "sql/db_private.h"
#include "sql/recorder.h"

struct node {
	struct ev_loop *loop;
	struct db *db;
	struct ev_timer tick;   /* so that turn_loop() never waits for long */
	int ups, first_ups, downs, works, commands, agents, fences, pressures;
	bool is_full;
	char full_chat[64];     /* whose share was told to be full; "" when the
	                         * newest news is that one is not */
	char worked[192], fenced[64], why_down[512], fatal[1024];
};

/* Starts it and waits until it is up, or fatal where that may be. */
void node_start(struct node *n, const char *conninfo, const char *name);
void node_begin(struct node *n, const char *conninfo, const char *name);
void node_stop(struct node *n);
/* Makes it the owner of a session. */
void node_own(struct node *n, int session);
void turn_loop(struct node *n);

/* Runs the loop until cond holds; fails the test after ten seconds. */
#define UNTIL(n, cond) do { \
		int64_t until_ = clock_ms() + 10000; \
		while (!(cond)) { \
			ck_assert_msg(clock_ms() < until_, \
			    "waited in vain for " #cond); \
			turn_loop(n); \
		} \
	} while (0)

const char *session_id(int n);
const char *chat_id(int n);
void seed_world(const char *pg);  /* project 1, agents fake and other */
void seed_session(const char *pg, int session, bool concurrent);
void seed_chat(const char *pg, int session, int chat);
int64_t seed_turn(const char *pg, int session, int chat, const char *agent,
    const char *prompt);

#endif
