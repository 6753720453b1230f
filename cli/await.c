/* SPDX-License-Identifier: MIT */
/*
 * Looks at the command's row at every notification, and every second. Must
 * never know: what the command is.
 */
#include "cli/await.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"

#define POLL_MS 1000

static int
judge(const PGresult *res, const char *what)
{
	const char *error = db_field(res, 0, "error");

	if (strcmp(db_field(res, 0, "status"), "done") == 0)
		return 0;
	return cli_fail("%s: %s", what, error != NULL ? error :
	    "nobody knows why");
}

int
await_command(PGconn *conn, const char *command, const char *what)
{
	for (;;) {
		PGresult *res = db_query(conn, "select status, error, "
		    "ended_at is not null as ended, exists (select "
		    "from hearth.nodes n where hearth.is_alive(n.heartbeat_at)) "
		    "as has_node from hearth.commands where id = $1",
		    PARAMS(command));
		int status = CLI_FAILED;
		bool again = false;

		if (res == NULL)
			return CLI_FAILED;
		if (*db_field(res, 0, "ended") == 't')
			status = judge(res, what);
		else if (*db_field(res, 0, "has_node") == 't')
			again = follow_wait(conn, false, POLL_MS);
		else
			status = cli_fail("%s: no hearthd is up; it is done "
			    "when one is", what);
		PQclear(res);
		if (!again)
			return status;
	}
}
