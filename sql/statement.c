/* SPDX-License-Identifier: MIT */
/*
 * Finds statements by name in the table that sql/embed.sh made, which is
 * sorted by name in the C locale. Pure; see sql/conn.c for how one is run.
 */
#include "sql/statement.h"

#include <stddef.h>
#include <string.h>

#include "base/err.h"

static int
count(void)
{
	static int n;

	if (n == 0) {
		while (sql_statements[n].name)
			n++;
		MUST(n <= STATEMENTS_MAX);
	}
	return n;
}

int
statement_find(const char *name)
{
	int low = 0, high = count();

	while (low < high) {
		int mid = (low + high) / 2;
		int order = strcmp(sql_statements[mid].name, name);

		if (order == 0)
			return mid;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	must_failed(name, __FILE__, __LINE__);
}

const char *
statement_name(int number)
{
	MUST(number >= 0 && number < count());
	return sql_statements[number].name;
}

const char *
statement_text(int number)
{
	MUST(number >= 0 && number < count());
	return sql_statements[number].text;
}
