/* SPDX-License-Identifier: MIT */
/*
 * Connecting and asking, for the client. Synchronous: a command line client
 * may wait. A server's error is shown as message and hint on one line; errors
 * that mean that there is no schema, or an older one, say so in our words.
 *
 * Must never know: what the statements mean.
 */
#include "cli/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/options.h"
#include "base/programs.h"

char *
db_conninfo(const char *given, const char *environment,
    const char *embedded_user)
{
	char *state_dir, *conninfo;

	if (given != NULL && *given != '\0')
		return xstrdup(given);
	if (environment != NULL && *environment != '\0')
		return xstrdup(environment);
	state_dir = options_default_state_dir();
	conninfo = embedded_conninfo(state_dir, embedded_user);
	free(state_dir);
	return conninfo;
}

char *
db_conninfo_of(const struct cli *cli, const char *embedded_user)
{
	return db_conninfo(cli->database, getenv("HEARTH_DATABASE"),
	    embedded_user);
}

static bool
is_embedded_default(const struct cli *cli)
{
	const char *environment = getenv("HEARTH_DATABASE");

	return (cli->database == NULL || *cli->database == '\0') &&
	    (environment == NULL || *environment == '\0');
}

static void
drop_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* A line that begins with a tab goes on with what the one before began. */
char *
db_connection_error(PGconn *conn)
{
	const char *p = conn != NULL ? PQerrorMessage(conn) : "out of memory";
	struct buf b = { 0 };

	while (*p != '\0') {
		size_t line = strcspn(p, "\n");

		buf_add(&b, p, line);
		p += line;
		p += strspn(p, "\n");
		if (*p == '\t')
			buf_adds(&b, p[1] >= 'A' && p[1] <= 'Z' ? ". " : " ");
		else if (*p != '\0')
			buf_adds(&b, "; ");
		p += strspn(p, "\t");
	}
	if (b.len > 0 && strchr(".?", b.data[b.len - 1]) == NULL)
		buf_addc(&b, '.');
	buf_adds(&b, "");
	return buf_take(&b);
}

PGconn *
db_open(const struct cli *cli)
{
	char *conninfo = db_conninfo_of(cli, "hearth"), *reason;
	const char *keys[] = { "dbname", "fallback_application_name",
		"client_encoding", NULL };
	const char *values[] = { conninfo, "hearth", "UTF8", NULL };
	PGconn *conn = PQconnectdbParams(keys, values, 1);

	free(conninfo);
	if (conn != NULL && PQstatus(conn) == CONNECTION_OK) {
		PQsetNoticeProcessor(conn, drop_notice, NULL);
		return conn;
	}
	reason = db_connection_error(conn);
	cli_fail("%s%s", reason, is_embedded_default(cli) ?
	    " Start hearthd, or name the database with -d or "
	    "HEARTH_DATABASE." : "");
	free(reason);
	PQfinish(conn);
	return NULL;
}

PGresult *
db_try(PGconn *conn, const char *sql, int n, const char *const *values)
{
	return PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0);
}

bool
db_ok(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

const char *
db_state(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return state != NULL ? state : "";
}

/* What is missing is the schema, or a part of it that is newer. */
static bool
lacks_schema(const PGresult *res)
{
	static const char *const states[] = { "3F000", "42P01", "42883",
		"42703" };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(db_state(res), states[i]) == 0)
			return true;
	return false;
}

/* An argument of the command line that is no number, or no uuid. */
static bool
is_no_id(const PGresult *res)
{
	return strcmp(db_state(res), "22P02") == 0 ||
	    strcmp(db_state(res), "22003") == 0;
}

void
db_complain(PGconn *conn, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	char *reason;

	if (message == NULL) {
		reason = db_connection_error(conn);
		cli_fail("%s", reason);
		free(reason);
	} else if (lacks_schema(res))
		cli_fail("%s: run `hearth init` on this database (%s)",
		    message, PQdb(conn));
	else if (is_no_id(res))
		cli_fail("%s: give the id as hearth turns, hearth changes or "
		    "hearth approve show it", message);
	else if (strcmp(db_state(res), "42501") == 0)
		cli_fail("%s: grant hearth_app to \"%s\", or hearth_admin "
		    "to change projects and agents", message, PQuser(conn));
	else if (hint != NULL)
		cli_fail("%s. %s", message, hint);
	else
		cli_fail("%s", message);
}

PGresult *
db_query(PGconn *conn, const char *sql, int n, const char *const *values)
{
	PGresult *res = db_try(conn, sql, n, values);

	if (db_ok(res))
		return res;
	db_complain(conn, res);
	PQclear(res);
	return NULL;
}

char *
db_value(PGconn *conn, const char *sql, int n, const char *const *values)
{
	PGresult *res = db_query(conn, sql, n, values);
	char *value = NULL;

	if (res != NULL && PQntuples(res) > 0 && !PQgetisnull(res, 0, 0))
		value = xstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return value;
}

const char *
db_field(const PGresult *res, int row, const char *column)
{
	int i = PQfnumber(res, column);

	MUST(i >= 0);
	return PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
}
