/* SPDX-License-Identifier: MIT */
/* Waiting for what hearthd was asked to do. */
#ifndef HEARTH_AWAIT_H
#define HEARTH_AWAIT_H

#include <libpq-fe.h>

/*
 * Until the command (its id in hearth.commands) has ended. follow_listen() comes
 * before it is asked for. 0: it is done. Else CLI_FAILED after a complaint that
 * begins with "WHAT: ", also when no hearthd is up to carry it out; it may then
 * still be carried out later.
 */
int await_command(PGconn *conn, const char *command, const char *what);

#endif
