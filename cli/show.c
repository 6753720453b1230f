/* SPDX-License-Identifier: MIT */
/*
 * From a PGresult to cli/table.c. Must never know: what is shown.
 */
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/db.h"
#include "cli/table.h"

/* Type numbers that PostgreSQL never changes: int8, int2, int4, numeric. */
static bool
is_number(Oid type)
{
	return type == 20 || type == 21 || type == 23 || type == 1700;
}

/* Booleans as words. */
static const char *
cell(const PGresult *res, int row, int column)
{
	const char *text = PQgetvalue(res, row, column);

	if (PQftype(res, column) != 16 || *text == '\0')
		return text;
	return *text == 't' ? "yes" : "no";
}

static struct table *
make_table(const PGresult *res)
{
	int columns = PQnfields(res);
	char **headers = NULL;
	struct table *t;

	for (int i = 0; i < columns; i++) {
		char *header = xasprintf("%s%s", is_number(PQftype(res, i)) ?
		    ">" : "", PQfname(res, i));

		strv_add(&headers, header);
		free(header);
	}
	t = table_new(columns, (const char *const *)headers);
	strv_free(&headers);
	return t;
}

void
show_result(const PGresult *res)
{
	struct table *t = make_table(res);

	for (int i = 0; i < PQntuples(res); i++)
		for (int j = 0; j < PQnfields(res); j++)
			table_add(t, cell(res, i, j));
	table_print(t, stdout, table_terminal_width());
	table_free(&t);
}

int
show_query(PGconn *conn, const char *title, const char *none,
    const char *sql, int n, const char *const *values)
{
	PGresult *res = db_query(conn, sql, n, values);
	int rows = res != NULL ? PQntuples(res) : 0;

	if (res == NULL)
		return CLI_FAILED;
	if (title != NULL && (rows > 0 || none != NULL))
		printf("%s\n", title);
	if (rows > 0)
		show_result(res);
	else if (none != NULL)
		puts(none);
	PQclear(res);
	return 0;
}
