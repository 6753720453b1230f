/* SPDX-License-Identifier: MIT */
/*
 * Following a turn until it has ended: its events are shown as they come, its
 * questions are asked, an interrupt cancels it.
 */
#ifndef HEARTH_FOLLOW_H
#define HEARTH_FOLLOW_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct follow_options {
	bool quiet;      /* shows and asks nothing, only waits */
	const char *by;  /* who cancels and answers, for the record */
};

/* To be called before the turn is submitted, so that nothing is missed. 0 or
 * -1 after a complaint. */
int follow_listen(PGconn *conn);
/*
 * Waits for a notification, a line on stdin (when with_stdin), a signal, or
 * timeout_ms. false: the connection is lost (complained).
 */
bool follow_wait(PGconn *conn, bool with_stdin, int timeout_ms);
/*
 * Shows the turn's events after seq until it has ended. 0: completed;
 * CLI_FAILED: ended otherwise (said on stderr) or lost; CLI_INTERRUPTED: the
 * user left.
 */
int follow_turn(PGconn *conn, const char *chat, const char *turn,
    int64_t seq, const struct follow_options *options);

#endif
