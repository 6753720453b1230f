/* SPDX-License-Identifier: MIT */
/*
 * Brings schema hearth up to what this program carries.
 *
 * sql_migrations are applied once each, in order, each in a transaction with
 * its row in schema_migrations. sql_replaceable (functions, views, grants) is
 * applied as a whole whenever its hash differs from the one that was applied
 * last. All of it happens as hearth_owner and under one advisory lock; when
 * everything is current nothing is done and no privilege but reading is
 * needed. Synchronous. Read next: sql/migrate_access.c, sql/embed.sh.
 */
#include "sql/migrate.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/programs.h"
#include "sql/migrate_private.h"
#include "sql/statement.h"

/* "hearth" in ASCII: whoever sets up the same database waits. */
#define LOCK "114771921729640"

/* Made by sql/embed.sh from sql/migrations/ and from the files below. */
extern const struct sql_text sql_migrations[];
extern const struct sql_text sql_replaceable[];

/* The order matters: views use functions, grants come last. */
static const char *const replaceable_order[] = {
	"functions", "daemon_functions", "views", "roles",
};
#define N_REPLACEABLE (sizeof(replaceable_order) / sizeof(char *))

struct found {
	int version;      /* 0: there is no schema */
	bool is_current;  /* the replaceable part is this program's */
};

/* Statements */

static int
fail_result(const PGresult *res, struct err *e)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);

	if (message == NULL)
		message = "the connection to PostgreSQL was lost";
	return fail(e, "%s%s%s%s%s", message, detail != NULL ? ": " : "",
	    detail != NULL ? detail : "", hint != NULL ? ". " : "",
	    hint != NULL ? hint : "");
}

static bool
succeeded(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

PGresult *
migrate_query(PGconn *conn, const char *sql, int n,
    const char *const *values, char *state, struct err *e)
{
	PGresult *res = PQexecParams(conn, sql, n, NULL, values, NULL, NULL, 0);
	const char *code;

	if (succeeded(res))
		return res;
	code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (state != NULL)
		snprintf(state, 6, "%s", code != NULL ? code : "08006");
	fail_result(res, e);
	PQclear(res);
	return NULL;
}

int
migrate_exec(PGconn *conn, const char *sql, struct err *e)
{
	PGresult *res = PQexec(conn, sql);
	int rc = succeeded(res) ? 0 : fail_result(res, e);

	PQclear(res);
	return rc;
}

int
migrate_ask(PGconn *conn, const char *sql, const char *value, struct err *e)
{
	PGresult *res = migrate_query(conn, sql, value != NULL ? 1 : 0, &value,
	    NULL, e);
	int yes;

	if (res == NULL)
		return -1;
	yes = PQntuples(res) > 0 && *PQgetvalue(res, 0, 0) == 't';
	PQclear(res);
	return yes;
}

/* The line of text that the server complains about, 0 when it names none. */
static int
error_line(const PGresult *res, const char *text)
{
	const char *field = PQresultErrorField(res,
	    PG_DIAG_STATEMENT_POSITION);
	long characters = field != NULL ? atol(field) : 0;
	int line = 1;

	if (characters == 0)
		return 0;
	for (; *text != '\0' && characters > 1; text++) {
		line += *text == '\n';
		characters -= (*text & 0xc0) != 0x80;
	}
	return line;
}

/* A whole file; the reason names it and the line. */
static int
exec_file(PGconn *conn, const struct sql_text *file, struct err *e)
{
	PGresult *res = PQexec(conn, file->text);
	struct err reason;
	int line;

	if (!succeeded(res)) {
		fail_result(res, &reason);
		line = error_line(res, file->text);
		PQclear(res);
		return line == 0 ? fail(e, "%s.sql: %s", file->name,
		    reason.text) : fail(e, "%s.sql:%d: %s", file->name, line,
		    reason.text);
	}
	PQclear(res);
	return 0;
}

static int
finish_transaction(PGconn *conn, int rc, struct err *e)
{
	if (rc == 0)
		return migrate_exec(conn, "commit", e);
	PQclear(PQexec(conn, "rollback"));
	return -1;
}

/* What this program carries */

static int
version_of(const struct sql_text *migration)
{
	return atoi(migration->name);
}

int
migrate_known_version(void)
{
	int n = 0;

	for (; sql_migrations[n].name != NULL; n++)
		MUST(version_of(&sql_migrations[n]) == n + 1);
	return n;
}

static const struct sql_text *
find_replaceable(const char *name)
{
	for (int i = 0; sql_replaceable[i].name != NULL; i++)
		if (strcmp(sql_replaceable[i].name, name) == 0)
			return &sql_replaceable[i];
	return NULL;
}

/* FNV-1a over all of it, as 16 hexadecimal digits. */
static void
hash_replaceable(char hex[17])
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < N_REPLACEABLE; i++) {
		const struct sql_text *t =
		    find_replaceable(replaceable_order[i]);

		for (const char *p = t != NULL ? t->text : ""; *p; p++)
			h = (h ^ (unsigned char)*p) * 1099511628211u;
	}
	snprintf(hex, 17, "%016" PRIx64, h);
}

/* What the database has */

static int
read_found(PGconn *conn, struct found *f, struct err *e)
{
	char hash[17], state[6];
	const char *values[] = { hash };
	PGresult *res;
	int there = migrate_ask(conn, "select exists (select from pg_class c "
	    "join pg_namespace n on n.oid = c.relnamespace "
	    "where n.nspname = 'hearth' and c.relname = 'schema_replaceable')",
	    NULL, e);

	memset(f, 0, sizeof(*f));
	if (there != 1)
		return there;
	hash_replaceable(hash);
	res = migrate_query(conn, "select "
	    "(select coalesce(max(version), 0) from hearth.schema_migrations), "
	    "exists (select from hearth.schema_replaceable where hash = $1)",
	    1, values, state, e);
	if (res == NULL && strcmp(state, "42501") == 0)
		return fail(e, "the user %s has no rights to the schema of "
		    "Hearth in database %s: have an administrator grant it "
		    "hearth_daemon, which hearthd needs (hearth init: "
		    "hearth_owner)", PQuser(conn), PQdb(conn));
	if (res == NULL)
		return -1;
	f->version = atoi(PQgetvalue(res, 0, 0));
	f->is_current = *PQgetvalue(res, 0, 1) == 't';
	PQclear(res);
	return 0;
}

static int
check_server(PGconn *conn, struct err *e)
{
	int version = PQserverVersion(conn);
	const char *encoding = PQparameterStatus(conn, "server_encoding");

	if (version < POSTGRES_OLDEST * 10000)
		return fail(e, "PostgreSQL %d.%d is too old: Hearth needs %d "
		    "or newer", version / 10000, version % 10000,
		    POSTGRES_OLDEST);
	if (encoding != NULL && strcmp(encoding, "UTF8") != 0)
		return fail(e, "the database %s is encoded in %s: Hearth needs "
		    "one in UTF8 (create database … encoding 'UTF8' template "
		    "template0)", PQdb(conn), encoding);
	return 0;
}

/* The steps */

static int
make_schema(PGconn *conn, struct err *e)
{
	int there = migrate_ask(conn, "select exists (select from pg_namespace "
	    "where nspname = 'hearth')", NULL, e);

	if (there == -1 || (there == 0 && migrate_exec(conn,
	    "create schema hearth authorization hearth_owner", e) == -1))
		return -1;
	if (migrate_exec(conn, "set role hearth_owner", e) == -1)
		return -1;
	return migrate_exec(conn,
	    "create table if not exists hearth.schema_migrations ("
	    "version integer primary key, name text not null, "
	    "applied_at timestamptz not null default now()); "
	    "comment on table hearth.schema_migrations is "
	    "'Which migrations were applied, and when'; "
	    "create table if not exists hearth.schema_replaceable ("
	    "one boolean primary key default true check (one), "
	    "hash text not null, applied_at timestamptz not null default now());"
	    "comment on table hearth.schema_replaceable is "
	    "'Which edition of the functions and views was applied'", e);
}

static int
apply_migration(PGconn *conn, const struct sql_text *m, struct err *e)
{
	char version[16];
	const char *values[] = { version, m->name };
	PGresult *res = NULL;
	int rc;

	snprintf(version, sizeof(version), "%d", version_of(m));
	rc = migrate_exec(conn, "begin", e);
	if (rc == 0)
		rc = exec_file(conn, m, e);
	if (rc == 0) {
		res = migrate_query(conn, "insert into hearth.schema_migrations "
		    "(version, name) values ($1, $2)", 2, values, NULL, e);
		rc = res != NULL ? 0 : -1;
		PQclear(res);
	}
	return finish_transaction(conn, rc, e);
}

static int
record_replaceable(PGconn *conn, struct err *e)
{
	char hash[17];
	const char *values[] = { hash };
	PGresult *res;

	hash_replaceable(hash);
	res = migrate_query(conn, "insert into hearth.schema_replaceable (hash) "
	    "values ($1) on conflict (one) do update set hash = excluded.hash, "
	    "applied_at = now()", 1, values, NULL, e);
	PQclear(res);
	return res != NULL ? 0 : -1;
}

static int
apply_replaceable(PGconn *conn, struct err *e)
{
	int rc = migrate_exec(conn,
	    "begin; set local check_function_bodies = off", e);

	for (size_t i = 0; rc == 0 && i < N_REPLACEABLE; i++) {
		const struct sql_text *t =
		    find_replaceable(replaceable_order[i]);

		rc = t != NULL ? exec_file(conn, t, e) : 0;
	}
	if (rc == 0)
		rc = record_replaceable(conn, e);
	return finish_transaction(conn, rc, e);
}

static int
refuse_newer(const struct found *f, struct err *e)
{
	if (f->version <= migrate_known_version())
		return 0;
	return fail(e, "the schema is version %d, this program knows %d: use a "
	    "newer hearth", f->version, migrate_known_version());
}

/* Under the lock, as hearth_owner. */
static int
upgrade(PGconn *conn, int *from, struct err *e)
{
	struct found f;

	if (make_schema(conn, e) == -1 || read_found(conn, &f, e) == -1 ||
	    refuse_newer(&f, e) == -1)
		return -1;
	*from = f.version;
	for (int i = f.version; sql_migrations[i].name != NULL; i++)
		if (apply_migration(conn, &sql_migrations[i], e) == -1)
			return -1;
	if (f.version == migrate_known_version() && f.is_current)
		return 0;
	return apply_replaceable(conn, e);
}

static int
migrate_connection(PGconn *conn, int *from, struct err *e)
{
	struct found f;
	int has_roles;

	if (check_server(conn, e) == -1 || read_found(conn, &f, e) == -1 ||
	    refuse_newer(&f, e) == -1)
		return -1;
	*from = f.version;
	has_roles = migrate_has_roles(conn, e);
	if (has_roles == -1)
		return -1;
	if (has_roles && f.is_current && f.version == migrate_known_version())
		return 0;
	if (migrate_make_roles(conn, f.version, e) == -1 ||
	    migrate_exec(conn, "select pg_advisory_lock(" LOCK ")", e) == -1)
		return -1;
	return upgrade(conn, from, e);
}

int
migrate(const char *conninfo, int create_database, int *from, int *to,
    struct err *e)
{
	PGconn *conn = migrate_connect(conninfo, create_database != 0, e);
	int rc;

	*from = *to = 0;
	if (conn == NULL)
		return -1;
	rc = migrate_connection(conn, from, e);
	*to = rc == 0 ? migrate_known_version() : *from;
	PQfinish(conn);
	return rc;
}
