/* SPDX-License-Identifier: MIT */
/*
 * Tables show the first 8 characters of an id where there is no room for it.
 * Whole ids are not looked up: what is wrong with one the server says better.
 */
#include "cli/ids.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"

#define WHOLE 36
#define DIGITS 32
#define SHORTEST 4

/* Its first and its last possible id, so that the index is used. */
#define BEGINS "between rpad(replace($1, '-', ''), 32, '0')::uuid " \
	"and rpad(replace($1, '-', ''), 32, 'f')::uuid"

static const char chats[] = "select id from hearth.chats where id " BEGINS
	" limit 2";
static const char sessions[] = "select id from hearth.sessions where id "
	BEGINS " limit 2";
static const char either[] = "select id from hearth.sessions where id " BEGINS
	" union select session_id from hearth.chats where id " BEGINS
	" limit 2";

/* Dashes where an id has them, if any. */
static bool
is_beginning(const char *given)
{
	size_t digits = 0;

	for (size_t i = 0; given[i] != '\0'; i++)
		if (strchr("0123456789abcdefABCDEF", given[i]) != NULL)
			digits++;
		else if (given[i] != '-' ||
		    (i != 8 && i != 13 && i != 18 && i != 23))
			return false;
	return digits >= SHORTEST && digits <= DIGITS;
}

static char *
find(PGconn *conn, const char *what, const char *sql, const char *given)
{
	PGresult *res;
	char *id = NULL;

	if (!is_beginning(given)) {
		cli_fail("\"%s\" is no %s: give its id, or the first %d or "
		    "more characters of it", given, what, SHORTEST);
		return NULL;
	}
	res = db_query(conn, sql, PARAMS(given));
	if (res == NULL)
		return NULL;
	if (PQntuples(res) == 1)
		id = xstrdup(PQgetvalue(res, 0, 0));
	else if (PQntuples(res) == 0)
		cli_fail("there is no %s %s%s; hearth sessions and hearth "
		    "turns list them", what, given, strlen(given) < WHOLE ? "…" : "");
	else
		cli_fail("more than one %s begins with %s: give more of the "
		    "id", what, given);
	PQclear(res);
	return id;
}

char *
ids_chat(PGconn *conn, const char *given)
{
	return strlen(given) == WHOLE ? xstrdup(given) :
	    find(conn, "chat", chats, given);
}

char *
ids_session(PGconn *conn, const char *given)
{
	return strlen(given) == WHOLE ? xstrdup(given) :
	    find(conn, "session", sessions, given);
}

char *
ids_session_or_chat(PGconn *conn, const char *given)
{
	return find(conn, "chat or session", either, given);
}
