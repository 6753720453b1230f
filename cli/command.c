/* SPDX-License-Identifier: MIT */
/* See command.h. */
#include "cli/command.h"

#include <string.h>

#include "base/alloc.h"
#include "cli/db.h"
#include "cli/follow.h"

#define POLL_MS 1000

/* -1: it goes on. */
static int
look(const PGresult *res, char **why)
{
	const char *error = db_field(res, 0, "error");

	if (*db_field(res, 0, "ended") != 't')
		return *db_field(res, 0, "has_node") == 't' ? -1 :
		    COMMAND_WAITS;
	if (strcmp(db_field(res, 0, "status"), "done") == 0)
		return COMMAND_DONE;
	*why = xstrdup(error != NULL ? error : "nobody knows why");
	return COMMAND_FAILED;
}

enum command_end
command_wait(PGconn *conn, const char *command, char **why)
{
	int end;

	*why = NULL;
	do {
		PGresult *res = db_query(conn, "select status, error, "
		    "ended_at is not null as ended, exists (select "
		    "from hearth.nodes n "
		    "where hearth.is_alive(n.heartbeat_at)) as has_node from hearth.commands where id = $1",
		    PARAMS(command));

		if (res == NULL)
			return COMMAND_LOST;
		end = look(res, why);
		PQclear(res);
	} while (end == -1 && follow_wait(conn, false, POLL_MS));
	return end == -1 ? COMMAND_LOST : (enum command_end)end;
}
