/* SPDX-License-Identifier: MIT */
/* What `hearth projects` asks of sessions. */
#ifndef HEARTH_SESSIONS_H
#define HEARTH_SESSIONS_H

#include <libpq-fe.h>

#include "cli/cli.h"

/* Deletes it and waits until it is gone. 0, or CLI_FAILED after a complaint.
 * follow_listen() was called before. */
int sessions_delete(PGconn *conn, const char *session);

#endif
