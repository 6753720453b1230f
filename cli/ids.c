/* SPDX-License-Identifier: MIT */
/*
 * Tables show the first 8 characters of an id where there is no room for it.
 * Whole ids are not looked up: what is wrong with one the server says better.
 */
#include "cli/ids.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"

#define WHOLE 36
#define DIGITS 32
#define SHORTEST 4     /* of them */

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

/* Digits are counted, and dashes are where an id has them: what the patterns
 * above make of anything else would match what nobody named. */
static bool
check(const char *what, const char *given)
{
	size_t digits = 0, i;

	for (i = 0; given[i] != '\0'; i++)
		if (isxdigit((unsigned char)given[i]))
			digits++;
		else if (given[i] != '-' ||
		    (i != 8 && i != 13 && i != 18 && i != 23))
			break;
	if (given[i] == '\0' && digits >= SHORTEST && digits <= DIGITS)
		return true;
	cli_fail("\"%s\" is no %s: give its id, or the first %d or more "
	    "characters of it", given, what, SHORTEST);
	return false;
}

static char *
find(PGconn *conn, const char *what, const char *sql, const char *given)
{
	size_t len = strlen(given);
	PGresult *res;
	char *id = NULL;

	if (!check(what, given))
		return NULL;
	res = db_query(conn, sql, PARAMS(given));
	if (res == NULL)
		return NULL;
	if (PQntuples(res) == 1)
		id = xstrdup(PQgetvalue(res, 0, 0));
	else if (PQntuples(res) == 0)
		cli_fail("there is no %s %s%s; hearth sessions and hearth "
		    "turns list them", what, given, len < WHOLE ? "…" : "");
	else
		cli_fail("more than one %s begins with %s: give more of the "
		    "id", what, given);
	PQclear(res);
	return id;
}

static char *
find_unless_whole(PGconn *conn, const char *what, const char *sql,
    const char *given)
{
	if (strlen(given) != WHOLE)
		return find(conn, what, sql, given);
	return check(what, given) ? xstrdup(given) : NULL;
}

char *
ids_chat(PGconn *conn, const char *given)
{
	return find_unless_whole(conn, "chat", chats, given);
}

char *
ids_session(PGconn *conn, const char *given)
{
	return find_unless_whole(conn, "session", sessions, given);
}

char *
ids_session_or_chat(PGconn *conn, const char *given)
{
	return find(conn, "chat or session", either, given);
}
