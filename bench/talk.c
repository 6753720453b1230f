/* SPDX-License-Identifier: MIT */
/* A blocking connection; see the header. */
#include "bench/talk.h"

#include <poll.h>
#include <stdlib.h>

#include "bench/stats.h"

PGconn *
talk_open(const char *conninfo)
{
	PGconn *pg = PQconnectdb(conninfo);

	if (PQstatus(pg) != CONNECTION_OK)
		die("%s", PQerrorMessage(pg));
	return pg;
}

static PGresult *
checked(PGconn *pg, const char *sql, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQerrorMessage(pg));
	return res;
}

void
talk_do(PGconn *pg, const char *sql)
{
	PQclear(checked(pg, sql, PQexec(pg, sql)));
}

PGresult *
talk_ask(PGconn *pg, const char *sql, int n, const char *const *values)
{
	return checked(pg, sql, PQexecParams(pg, sql, n, NULL, values, NULL,
	    NULL, 0));
}

double
talk_number(PGconn *pg, const char *sql)
{
	PGresult *res = talk_ask(pg, sql, 0, NULL);
	double value = PQntuples(res) ? atof(PQgetvalue(res, 0, 0)) : 0;

	PQclear(res);
	return value;
}

void
talk_prepare(PGconn *pg, const char *name, const char *sql)
{
	PQclear(checked(pg, sql, PQprepare(pg, name, sql, 0, NULL)));
}

PGresult *
talk_run(PGconn *pg, const char *name, int n, const char *const *values)
{
	return checked(pg, name, PQexecPrepared(pg, name, n, values, NULL,
	    NULL, 0));
}

PGnotify *
talk_try(PGconn *pg, double deadline)
{
	for (;;) {
		PGnotify *n = PQnotifies(pg);
		struct pollfd p = { .fd = PQsocket(pg), .events = POLLIN };
		int ms = (int)((deadline - now()) * 1e3);

		if (n || ms <= 0)
			return n;
		if (poll(&p, 1, ms) > 0 && !PQconsumeInput(pg))
			die("%s", PQerrorMessage(pg));
	}
}

PGnotify *
talk_wait(PGconn *pg, double deadline, const char *what)
{
	PGnotify *n = talk_try(pg, deadline);

	if (!n)
		die("waited in vain for %s", what);
	return n;
}
