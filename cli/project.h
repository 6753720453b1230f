/* SPDX-License-Identifier: MIT */
/* From a project as people name it to a session and a chat. */
#ifndef HEARTH_PROJECT_H
#define HEARTH_PROJECT_H

#include <libpq-fe.h>

/*
 * A session of the project, which is a registered name or a folder (registered
 * now if need be and allowed). Its id, which the caller frees; NULL after a
 * complaint. To be called inside a transaction.
 */
char *project_open_session(PGconn *conn, const char *project,
    const char *title);

#endif
