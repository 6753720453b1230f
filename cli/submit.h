/* SPDX-License-Identifier: MIT */
/* From a prompt to a turn, for `hearth run` and `hearth chat`. */
#ifndef HEARTH_SUBMIT_H
#define HEARTH_SUBMIT_H

#include <libpq-fe.h>

#include "cli/run.h"

struct begun {
	char *turn;
	char *seq;            /* the chat's last event before the turn */
};

/* The chat to speak in, opened if need be; NULL after a complaint. To be
 * called inside a transaction; the caller frees. */
char *submit_open_chat(PGconn *conn, const struct run_arguments *a);
/* by: who asks, for created_by. 0, or -1 after a complaint; begun_clear() in
 * either case. */
int submit_prompt(PGconn *conn, const struct run_arguments *a,
    const char *chat, const char *prompt, const char *by, struct begun *b);
void begun_clear(struct begun *b);
/* Says so when there is no hearthd that would take a turn. */
void submit_warn_without_node(PGconn *conn);
/* The files that wait for a decision: of the turn, or with NULL of the chat's
 * whole session. */
void submit_list_changes(PGconn *conn, const char *chat, const char *turn);

#endif
