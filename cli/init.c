/* SPDX-License-Identifier: MIT */
/*
 * `hearth init`: the database, the roles, the schema, the default registry;
 * each only where it is missing or older. hearthd runs this command for its
 * database at every start, so doing nothing must be quick and needs no
 * privilege. Exit status EX_TEMPFAIL: the server cannot be reached (yet).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/registry.h"
#include "sql/migrate.h"

static int
seed(struct cli *cli, char *conninfo, int from, int to)
{
	PGconn *conn;
	int rc;

	cli->database = conninfo;
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	rc = registry_seed(conn);
	if (rc == 0 && from != to)
		printf("schema hearth: %d -> %d in database %s\n", from, to,
		    PQdb(conn));
	else if (rc == 0)
		printf("schema hearth: version %d in database %s\n", to,
		    PQdb(conn));
	PQfinish(conn);
	return rc == 0 ? 0 : CLI_FAILED;
}

/* Whoever waits for a server that is coming up can tell by the status. */
static int
fail_init(const char *conninfo, const struct err *e)
{
	PGPing ping = PQping(conninfo);

	cli_fail("init: %s", e->text);
	return ping == PQPING_REJECT || ping == PQPING_NO_RESPONSE ?
	    EX_TEMPFAIL : CLI_FAILED;
}

int
cli_init(struct cli *cli, int argc, char **argv)
{
	char **rest, *conninfo;
	struct err e;
	int from, to, status;

	if (cli_plain(cli, argc, argv, 0, 0, &rest, &e) == -1)
		return cli_usage("%s", e.text);
	conninfo = db_conninfo_of(cli, "hearth_super");
	if (migrate(conninfo, 1, &from, &to, &e) == -1)
		status = fail_init(conninfo, &e);
	else
		status = seed(cli, conninfo, from, to);
	free(conninfo);
	return status;
}
