/* SPDX-License-Identifier: MIT */
/*
 * What `hearth doctor` finds out from the database: that it can be reached,
 * its version, the schema, the roles, a node's heartbeat, and the agents of
 * the registry. Each check says how to mend what it finds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/programs.h"
#include "cli/db.h"
#include "cli/doctor.h"
#include "sql/migrate.h"

static void
check_version(struct doctor *d, PGconn *conn)
{
	int version = PQserverVersion(conn);

	if (version < POSTGRES_OLDEST * 10000)
		doctor_say(d, DOCTOR_FAIL, "database", "%s: PostgreSQL %d.%d "
		    "is too old, %d or newer is needed", PQdb(conn),
		    version / 10000, version % 10000, POSTGRES_OLDEST);
	else
		doctor_say(d, DOCTOR_OK, "database", "%s as %s, PostgreSQL "
		    "%d.%d", PQdb(conn), PQuser(conn), version / 10000,
		    version % 10000);
}

/* Returns whether the rest can be looked at. */
static bool
check_schema(struct doctor *d, PGconn *conn)
{
	PGresult *res = db_try(conn, "select max(version) "
	    "from hearth.schema_migrations", NO_PARAMS);
	int version = db_ok(res) ? atoi(PQgetvalue(res, 0, 0)) : 0;
	int known = migrate_known_version();
	const char *state = db_state(res);

	if (strcmp(state, "42501") == 0)
		doctor_say(d, DOCTOR_FAIL, "schema", "%s may not read it: "
		    "grant hearth_app or hearth_admin to it", PQuser(conn));
	else if (version == 0)
		doctor_say(d, DOCTOR_FAIL, "schema", "there is none in %s: run "
		    "hearth init", PQdb(conn));
	else if (version < known)
		doctor_say(d, DOCTOR_FAIL, "schema", "version %d, this program "
		    "wants %d: run hearth init", version, known);
	else if (version > known)
		doctor_say(d, DOCTOR_FAIL, "schema", "version %d, this program "
		    "knows %d: use a newer hearth", version, known);
	else
		doctor_say(d, DOCTOR_OK, "schema", "version %d", version);
	PQclear(res);
	return version > 0;
}

static void
check_roles(struct doctor *d, PGconn *conn)
{
	PGresult *res = db_try(conn, "select coalesce(string_agg(r, ', '), '') "
	    "from unnest(array['hearth_owner', 'hearth_daemon', "
	    "'hearth_admin', 'hearth_app']) r where not exists "
	    "(select from pg_roles where rolname = r)", NO_PARAMS);
	const char *missing = db_ok(res) ? PQgetvalue(res, 0, 0) : "";

	if (*missing != '\0')
		doctor_say(d, DOCTOR_FAIL, "roles", "missing: %s; run hearth "
		    "init as a user who may create roles", missing);
	else
		doctor_say(d, DOCTOR_OK, "roles", "hearth_owner, "
		    "hearth_daemon, hearth_admin, hearth_app");
	PQclear(res);
}

static void
check_nodes(struct doctor *d, PGconn *conn)
{
	PGresult *res = db_try(conn, "select name, version, "
	    "hearth.is_alive(heartbeat_at), "
	    "hearth.brief(now() - heartbeat_at), heartbeat_at = 'epoch' "
	    "from hearth.nodes order by heartbeat_at desc limit 1", NO_PARAMS);

	if (!db_ok(res))
		doctor_say(d, DOCTOR_WARN, "node", "%s",
		    PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
	else if (PQntuples(res) == 0)
		doctor_say(d, DOCTOR_WARN, "node", "none was ever up: start "
		    "hearthd");
	else if (*PQgetvalue(res, 0, 4) == 't')
		doctor_say(d, DOCTOR_WARN, "node", "none is up; %s was "
		    "stopped: start hearthd", PQgetvalue(res, 0, 0));
	else if (*PQgetvalue(res, 0, 2) != 't')
		doctor_say(d, DOCTOR_WARN, "node", "none is up; %s was seen "
		    "last %s ago: start hearthd", PQgetvalue(res, 0, 0),
		    PQgetvalue(res, 0, 3));
	else
		doctor_say(d, DOCTOR_OK, "node", "%s (hearthd %s), heartbeat "
		    "%s ago", PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
		    PQgetvalue(res, 0, 3));
	PQclear(res);
}

static void
check_agents(struct doctor *d, PGconn *conn)
{
	PGresult *res = db_try(conn, "select name, (launcher || command)[1] "
	    "from hearth.agents where enabled order by name", NO_PARAMS);

	if (!db_ok(res))
		doctor_say(d, DOCTOR_WARN, "agent", "%s may not read the "
		    "registry: look as hearth_admin", PQuser(conn));
	else if (PQntuples(res) == 0)
		doctor_say(d, DOCTOR_WARN, "agent", "none is enabled: hearth "
		    "agents enable NAME, or hearth agents add");
	for (int i = 0; db_ok(res) && i < PQntuples(res); i++) {
		const char *command = PQgetvalue(res, i, 1);
		char *file = program_find(command, NULL);

		if (file != NULL)
			doctor_say(d, DOCTOR_OK, "agent", "%s: %s",
			    PQgetvalue(res, i, 0), file);
		else
			doctor_say(d, DOCTOR_WARN, "agent", "%s: %s is not on "
			    "this PATH or not executable: install it, or "
			    "hearth agents disable %s", PQgetvalue(res, i, 0),
			    command, PQgetvalue(res, i, 0));
		free(file);
	}
	PQclear(res);
}

void
doctor_check_database(struct doctor *d, const struct cli *cli)
{
	char *conninfo = db_conninfo_of(cli, "hearth"), *reason;
	PGconn *conn = PQconnectdb(conninfo);

	free(conninfo);
	if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
		reason = db_connection_error(conn);
		doctor_say(d, DOCTOR_FAIL, "database", "%s %s", reason,
		    d->is_embedded ? "Start hearthd, whose embedded database "
		    "this is." : "Check the connection string.");
		free(reason);
	} else {
		check_version(d, conn);
		check_roles(d, conn);
		if (check_schema(d, conn)) {
			check_nodes(d, conn);
			check_agents(d, conn);
		}
	}
	PQfinish(conn);
}
