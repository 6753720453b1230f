/* SPDX-License-Identifier: MIT */
/* Projects as people name them, and a session of one. */
#ifndef HEARTH_PROJECT_H
#define HEARTH_PROJECT_H

#include <libpq-fe.h>

#include "base/err.h"

/* The folder's real path, which the caller frees; NULL after a complaint. */
char *project_folder(const char *given);
/* What the server knows it by, a name or a path, whether it is registered and
 * whether the folder is there or not. The caller frees; NULL after a
 * complaint. */
char *project_resolve(PGconn *conn, const char *given);
/* Whether the current folder may be meant when no project is named: not the
 * home folder, not the whole disk. 0, or -1 with what to do. */
int project_check_current(struct err *e);

/*
 * A session of the project, which is a registered name or a folder (registered
 * now if need be and allowed). Its id, which the caller frees; NULL after a
 * complaint. To be called inside a transaction.
 */
char *project_open_session(PGconn *conn, const char *project,
    const char *title);

#endif
