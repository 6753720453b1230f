/* SPDX-License-Identifier: MIT */
/*
 * Chats and sessions as people name them: by the whole id, or by the beginning
 * of one that no other has.
 */
#ifndef HEARTH_IDS_H
#define HEARTH_IDS_H

#include <libpq-fe.h>

/* The whole id, which the caller frees; NULL after a complaint. */
char *ids_chat(PGconn *conn, const char *given);
char *ids_session(PGconn *conn, const char *given);
/* The same of a session, or the session of a chat. */
char *ids_session_or_chat(PGconn *conn, const char *given);

#endif
