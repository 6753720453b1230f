/* SPDX-License-Identifier: MIT */
/*
 * Reading answers; see the header. Statements give every value as text.
 * Must never know: what was asked.
 */
#include "sql/result.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"

const char *
result_text(const PGresult *res, int row, const char *column)
{
	int i = PQfnumber(res, column);

	MUST(i >= 0);
	if (row >= PQntuples(res) || PQgetisnull(res, row, i))
		return NULL;
	return PQgetvalue(res, row, i);
}

int64_t
result_int8(const PGresult *res, int row, const char *column)
{
	const char *s = result_text(res, row, column);

	return s ? strtoll(s, NULL, 10) : 0;
}

bool
result_bool(const PGresult *res, int row, const char *column)
{
	const char *s = result_text(res, row, column);

	return s && *s == 't';
}

/* One element of an array in PostgreSQL's text form, from s on. */
static const char *
take_element(const char *s, struct buf *out)
{
	bool quoted = *s == '"';

	if (quoted)
		s++;
	while (*s && (quoted ? *s != '"' : *s != ',' && *s != '}')) {
		if (*s == '\\' && s[1])
			s++;
		buf_addc(out, *s++);
	}
	return quoted && *s ? s + 1 : s;
}

/* From "{a,\"b c\"}". */
char **
result_array(const PGresult *res, int row, const char *column)
{
	const char *s = result_text(res, row, column);
	char **list = xcalloc(1, sizeof *list);
	struct buf b = { 0 };

	if (!s || *s != '{' || s[1] == '}')
		return list;
	for (s++; *s; s++) {
		b.len = 0;
		buf_adds(&b, "");
		s = take_element(s, &b);
		strv_add(&list, b.data);
		if (*s != ',')
			break;
	}
	buf_free(&b);
	return list;
}

void *
result_rows(const PGresult *res, size_t size, result_row_fn *fill, size_t *n)
{
	char *rows;

	*n = 0;
	if (!res)
		return NULL;
	rows = xcalloc((size_t)PQntuples(res) + 1, size);
	for (int i = 0; i < PQntuples(res); i++)
		fill(res, i, rows + size * (*n)++);
	return rows;
}
