/* SPDX-License-Identifier: MIT */
/* What `hearth projects` asks of sessions. */
#ifndef HEARTH_SESSIONS_H
#define HEARTH_SESSIONS_H

#include <libpq-fe.h>

#include "cli/cli.h"

/*
 * Asks for all of them to be deleted, then waits until they are gone. How many
 * are not, each after a complaint. ids: one in each row; follow_listen() was
 * called before.
 */
int sessions_delete(PGconn *conn, const PGresult *ids);

#endif
