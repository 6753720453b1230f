/* SPDX-License-Identifier: MIT */
/*
 * Parameters of a statement, as libpq wants them, and arrays in PostgreSQL's
 * binary form: no quoting to get wrong, and cheaper to read than text for the
 * server. A struct params borrows the strings and arrays that it is given
 * until the statement was sent; numbers it keeps itself.
 */
#ifndef HEARTH_PARAMS_H
#define HEARTH_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define PARAMS_MAX 24

struct params {
	int n;
	const char *value[PARAMS_MAX];
	int length[PARAMS_MAX];
	int format[PARAMS_MAX];  /* 0 text, 1 binary */
	char number[PARAMS_MAX][24];
};

/* Type numbers of elements; PostgreSQL never changes them. */
enum sql_type {
	SQL_BOOL = 16, SQL_INT8 = 20, SQL_TEXT = 25, SQL_UUID = 2950,
	SQL_JSONB = 3802,
};

struct sql_array {
	struct buf b;
	int32_t n;
	bool has_null;
	size_t open;       /* where the length of the open element stands */
	enum sql_type type;
};

void params_text(struct params *p, const char *s);  /* NULL: null */
void params_int8(struct params *p, int64_t n);
void params_int8_or_null(struct params *p, int64_t n, bool is_null);
void params_bool(struct params *p, bool b);
/* Completes the array's header; a is kept until sent. */
void params_array(struct params *p, struct sql_array *a);

/* Empties it (memory is kept) for elements of that type. */
void array_begin(struct sql_array *a, enum sql_type type);
void array_null(struct sql_array *a);
void array_text(struct sql_array *a, const char *s, size_t n);
/* s NULL: null. */
void array_string(struct sql_array *a, const char *s);
void array_int8(struct sql_array *a, int64_t n);
void array_bool(struct sql_array *a, bool b);
/* 32 hexadecimal digits, with or without dashes. */
void array_uuid(struct sql_array *a, const char *text);
/*
 * A jsonb element is appended to a->b between these.
 */
void array_json_open(struct sql_array *a);
void array_json_close(struct sql_array *a);
void array_free(struct sql_array *a);

#endif
