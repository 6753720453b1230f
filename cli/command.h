/* SPDX-License-Identifier: MIT */
/* Waiting for what the daemon was asked to do (hearth.commands). */
#ifndef HEARTH_COMMAND_H
#define HEARTH_COMMAND_H

#include <libpq-fe.h>

enum command_end {
	COMMAND_DONE,
	COMMAND_FAILED,   /* *why says what for; the caller frees */
	COMMAND_WAITS,    /* no hearthd is up to carry it out */
	COMMAND_LOST,     /* the connection is lost (complained) */
};

/* follow_listen() was called before the command was given. */
enum command_end command_wait(PGconn *conn, const char *command, char **why);

#endif
