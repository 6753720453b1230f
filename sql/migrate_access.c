/* SPDX-License-Identifier: MIT */
/*
 * What must be there before a schema can be: the database, the four roles of
 * the contract, and the right of the current user to become hearth_owner.
 *
 * Roles belong to the whole cluster, so that several databases may be set up
 * at once by processes that no advisory lock keeps apart: whatever loses such
 * a race is tried again. In the embedded cluster, known by its superuser
 * hearth_super, there is a fifth role, hearth, that programs log in as.
 * Synchronous. Read next: sql/migrate.c.
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "sql/migrate.h"
#include "sql/migrate_private.h"

#define RACES_AT_MOST 50

static const char *const roles[] = {
	"hearth_owner", "hearth_daemon", "hearth_admin", "hearth_app",
};
#define N_ROLES (sizeof(roles) / sizeof(roles[0]))

static void
drop_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* With dbname instead of conninfo's own unless that is NULL. */
static PGconn *
open_connection(const char *conninfo, const char *dbname)
{
	const char *keys[] = { "dbname", "gssencmode",
		"fallback_application_name", "client_encoding", "options",
		"dbname", NULL };
	const char *values[] = { conninfo, "disable", "hearth init", "UTF8",
		"-c client_min_messages=warning", dbname, NULL };
	PGconn *conn;

	if (dbname == NULL)
		keys[5] = NULL;
	conn = PQconnectdbParams(keys, values, 1);
	if (conn != NULL)
		PQsetNoticeProcessor(conn, drop_notice, NULL);
	return conn;
}

/* libpq's reason on one line. */
static int
fail_connection(PGconn *conn, struct err *e)
{
	const char *p = conn != NULL ? PQerrorMessage(conn) : "out of memory";
	struct buf b = { 0 };

	for (; *p != '\0'; p++)
		if (*p != '\n' && *p != '\t')
			buf_addc(&b, *p);
		else if (p[strspn(p, "\n\t")] != '\0' && *p == '\n')
			buf_addc(&b, ' ');
	buf_adds(&b, "");
	fail(e, "%s", b.data);
	buf_free(&b);
	return -1;
}

static int
create_missing(PGconn *admin, const char *name, struct err *e)
{
	int there = migrate_ask(admin,
	    "select exists (select from pg_database where datname = $1)",
	    name, e);
	char *quoted, *sql, state[6];
	PGresult *res;

	if (there != 0)
		return there == 1 ? 0 : -1;
	quoted = PQescapeIdentifier(admin, name, strlen(name));
	sql = xasprintf("create database %s encoding 'UTF8' template template0",
	    quoted);
	res = migrate_query(admin, sql, 0, NULL, state, e);
	PQfreemem(quoted);
	free(sql);
	if (res == NULL && strcmp(state, "42501") == 0)
		return fail(e, "the database %s does not exist, and the user "
		    "%s may not create it: have an administrator run hearth "
		    "init, or name another database", name, PQuser(admin));
	if (res == NULL)
		return strcmp(state, "42P04") == 0 ? 0 : -1;
	PQclear(res);
	return 0;
}

/*
 * The connection failed; was it for want of the database? The server's words
 * depend on its language, so a database that is always there is asked.
 */
static int
make_database(const char *conninfo, const char *name, struct err *e)
{
	PGconn *admin = open_connection(conninfo, "postgres");
	int rc = -1;

	if (admin != NULL && PQstatus(admin) == CONNECTION_OK)
		rc = create_missing(admin, name, e);
	PQfinish(admin);
	return rc;
}

PGconn *
migrate_connect(const char *conninfo, bool create_database, struct err *e)
{
	PGconn *conn = open_connection(conninfo, NULL);
	char *name;

	if (conn != NULL && PQstatus(conn) == CONNECTION_OK)
		return conn;
	fail_connection(conn, e);
	name = conn != NULL ? xstrdup(PQdb(conn)) : NULL;
	PQfinish(conn);
	conn = NULL;
	if (create_database && name != NULL &&
	    make_database(conninfo, name, e) == 0) {
		conn = open_connection(conninfo, NULL);
		if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
			fail_connection(conn, e);
			PQfinish(conn);
			conn = NULL;
		}
	}
	free(name);
	return conn;
}

static bool
is_embedded(PGconn *conn)
{
	return strcmp(PQuser(conn), "hearth_super") == 0;
}

int
migrate_has_roles(PGconn *conn, struct err *e)
{
	return migrate_ask(conn, "select count(*) = 4 + $1::int from pg_roles "
	    "where rolname in ('hearth_owner', 'hearth_daemon', "
	    "'hearth_admin', 'hearth_app') "
	    "or (rolname = 'hearth' and $1::int = 1)",
	    is_embedded(conn) ? "1" : "0", e);
}

/* What an administrator has to run in our stead. */
static int
ask_administrator(PGconn *conn, const char *missing, const char *user,
    struct err *e)
{
	char *quoted = PQescapeIdentifier(conn, user, strlen(user));
	struct buf sql = { 0 };

	for (size_t i = 0; i < N_ROLES; i++)
		if (strstr(missing, roles[i]) != NULL)
			buf_printf(&sql, "create role %s nologin; ", roles[i]);
	buf_printf(&sql, "grant hearth_owner to %s;", quoted);
	fail(e, "the user %s may not create roles: have an administrator "
	    "run: %s", user, sql.data);
	buf_free(&sql);
	PQfreemem(quoted);
	return -1;
}

/* The roles are there, of this database or of another one of the server. */
static int
refuse_user(PGconn *conn, int version, const char *user, struct err *e)
{
	if (version == 0)
		return fail(e, "the database %s has no schema of Hearth: name "
		    "the one that has it, or have an administrator run hearth "
		    "init on it; the user %s may not", PQdb(conn), user);
	return fail(e, "the schema of Hearth in database %s is version %d, of "
	    "another edition than this program's %d: have an administrator "
	    "run hearth init on it; the user %s may not", PQdb(conn), version,
	    migrate_known_version(), user);
}

/* These mean that another process did the same at the same moment. */
static bool
lost_race(const char *state)
{
	return strcmp(state, "42710") == 0 || strcmp(state, "23505") == 0 ||
	    strcmp(state, "XX000") == 0;
}

/* 1 done, 0 again, -1 failed. */
static int
make_once(PGconn *conn, const char *sql, struct err *e)
{
	char state[6];
	PGresult *res = migrate_query(conn, sql, 0, NULL, state, e);

	if (res == NULL)
		return lost_race(state) ? 0 : -1;
	PQclear(res);
	return 1;
}

static int
make(PGconn *conn, const char *sql, struct err *e)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int rc = 0;

	for (int i = 0; rc == 0 && i < RACES_AT_MOST; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		rc = make_once(conn, sql, e);
	}
	return rc == 1 ? 0 : -1;
}

static int
make_role(PGconn *conn, const char *role, const char *login, struct err *e)
{
	char *sql;
	int rc = migrate_ask(conn,
	    "select exists (select from pg_roles where rolname = $1)", role, e);

	if (rc != 0)
		return rc == 1 ? 0 : -1;
	sql = xasprintf("do $$ begin create role %s %s; "
	    "exception when duplicate_object then null; end $$", role, login);
	rc = make(conn, sql, e);
	free(sql);
	return rc;
}

static int
grant_role(PGconn *conn, const char *role, const char *user, struct err *e)
{
	const char *values[] = { role, user };
	char *quoted, *sql;
	PGresult *res = migrate_query(conn,
	    "select pg_has_role($2, $1, 'member')", 2, values, NULL, e);
	bool has;
	int rc;

	if (res == NULL)
		return -1;
	has = *PQgetvalue(res, 0, 0) == 't';
	PQclear(res);
	if (has)
		return 0;
	quoted = PQescapeIdentifier(conn, user, strlen(user));
	sql = xasprintf("grant %s to %s", role, quoted);
	rc = make(conn, sql, e);
	free(sql);
	PQfreemem(quoted);
	return rc;
}

static int
make_login_role(PGconn *conn, struct err *e)
{
	if (make_role(conn, "hearth", "login", e) == -1)
		return -1;
	for (size_t i = 1; i < N_ROLES; i++)
		if (grant_role(conn, roles[i], "hearth", e) == -1)
			return -1;
	return 0;
}

int
migrate_make_roles(PGconn *conn, int version, struct err *e)
{
	PGresult *res = migrate_query(conn,
	    "select current_user, rolsuper or rolcreaterole, "
	    "array_to_string(array(select r from unnest(array["
	    "'hearth_owner', 'hearth_daemon', 'hearth_admin', 'hearth_app']) r "
	    "where not exists (select from pg_roles where rolname = r)), ' '), "
	    "exists (select from pg_roles where rolname = 'hearth_owner') "
	    "and pg_has_role((select oid from pg_roles "
	    "where rolname = 'hearth_owner'), 'member') "
	    "from pg_roles where rolname = current_user", 0, NULL, NULL, e);
	const char *user, *missing;
	int rc = 0;

	if (res == NULL)
		return -1;
	user = PQgetvalue(res, 0, 0);
	missing = PQgetvalue(res, 0, 2);
	if (*PQgetvalue(res, 0, 1) == 't') {
		for (size_t i = 0; rc == 0 && i < N_ROLES; i++)
			rc = make_role(conn, roles[i], "nologin", e);
		if (rc == 0)
			rc = grant_role(conn, "hearth_owner", user, e);
		if (rc == 0 && is_embedded(conn))
			rc = make_login_role(conn, e);
	} else if (*missing != '\0')
		rc = ask_administrator(conn, missing, user, e);
	else if (*PQgetvalue(res, 0, 3) != 't')
		rc = refuse_user(conn, version, user, e);
	PQclear(res);
	return rc;
}
