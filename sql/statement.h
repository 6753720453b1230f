/* SPDX-License-Identifier: MIT */
/*
 * The statements that the daemon runs: each lives in its own file
 * sql/statements/NAME.sql and is compiled in by sql/embed.sh. In C a statement
 * is named by the number that statement_find() gives for its name.
 */
#ifndef HEARTH_STATEMENT_H
#define HEARTH_STATEMENT_H

/* What embed.sh makes of one .sql file; NULLs end an array of them. */
struct sql_text {
	const char *name;
	const char *text;
};

extern const struct sql_text sql_statements[];

/* How many there are at most; conn keeps a mark for each. */
#define STATEMENTS_MAX 96

/* The number of the statement of that name; a name that is not there is a
 * bug. */
int statement_find(const char *name);
const char *statement_name(int number);
const char *statement_text(int number);

#endif
