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

static void
show_rows(const struct show *to, const PGresult *res)
{
	struct table *t = make_table(res);
	int rows = PQntuples(res), left;

	left = to->rows > 0 && rows > to->rows ? rows - to->rows : 0;
	for (int i = 0; i < rows - left; i++)
		for (int j = 0; j < PQnfields(res); j++)
			table_add(t, cell(res, i, j));
	table_print(t, to->f, to->width);
	if (left > 0)
		fprintf(to->f, "... and %d more\n", left);
	table_free(&t);
}

static void
show_section(const struct show *to, const PGresult *res, const char *title,
    const char *none)
{
	if (title != NULL && (PQntuples(res) > 0 || none != NULL))
		fprintf(to->f, "%s\n", title);
	if (PQntuples(res) > 0)
		show_rows(to, res);
	else if (none != NULL)
		fprintf(to->f, "%s\n", none);
}

static struct show
standard(void)
{
	return (struct show){ stdout, table_terminal_width(), 0 };
}

void
show_result(const PGresult *res)
{
	struct show to = standard();

	show_rows(&to, res);
}

int
show_query(PGconn *conn, const char *title, const char *none,
    const char *sql, int n, const char *const *values)
{
	struct show to = standard();
	PGresult *res = db_query(conn, sql, n, values);

	if (res == NULL)
		return CLI_FAILED;
	show_section(&to, res, title, none);
	PQclear(res);
	return 0;
}

int
show_query_to(const struct show *to, PGconn *conn, const char *title,
    const char *none, const char *sql)
{
	PGresult *res = db_query(conn, sql, NO_PARAMS);

	if (res == NULL)
		return CLI_FAILED;
	show_section(to, res, title, none);
	PQclear(res);
	return 0;
}
