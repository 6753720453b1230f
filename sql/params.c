/* SPDX-License-Identifier: MIT */
/*
 * Builds statement parameters. The binary array form: number of dimensions,
 * a flag for nulls, the element type, length and lower bound of the dimension,
 * then each element behind its length (-1: null); all numbers big-endian.
 * Pure.
 */
#include "sql/params.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

enum { HEADER = 20 };

static int
next(struct params *p)
{
	MUST(p->n < PARAMS_MAX);
	p->length[p->n] = 0;
	p->format[p->n] = 0;
	return p->n++;
}

void
params_text(struct params *p, const char *s)
{
	p->value[next(p)] = s;
}

void
params_int8(struct params *p, int64_t n)
{
	int i = next(p);

	snprintf(p->number[i], sizeof p->number[i], "%lld", (long long)n);
	p->value[i] = p->number[i];
}

void
params_int8_or_null(struct params *p, int64_t n, bool is_null)
{
	if (is_null)
		params_text(p, NULL);
	else
		params_int8(p, n);
}

void
params_bool(struct params *p, bool b)
{
	params_text(p, b ? "t" : "f");
}

static void
put32(char *to, uint32_t n)
{
	n = htobe32(n);
	memcpy(to, &n, sizeof n);
}

static void
add32(struct buf *b, uint32_t n)
{
	put32(buf_room(b, 4), n);
	buf_grew(b, 4);
}

void
params_array(struct params *p, struct sql_array *a)
{
	int i = next(p);
	char *head = a->b.data;

	MUST(a->open == 0);
	put32(head, a->n ? 1 : 0);
	put32(head + 4, a->has_null);
	put32(head + 8, a->type);
	put32(head + 12, (uint32_t)a->n);
	put32(head + 16, 1);
	p->value[i] = head;
	p->length[i] = a->n ? (int)a->b.len : 12;
	p->format[i] = 1;
}

void
array_begin(struct sql_array *a, enum sql_type type)
{
	a->b.len = 0;
	buf_room(&a->b, HEADER);
	buf_grew(&a->b, HEADER);
	a->n = 0;
	a->has_null = false;
	a->open = 0;
	a->type = type;
}

void
array_null(struct sql_array *a)
{
	add32(&a->b, UINT32_MAX);
	a->has_null = true;
	a->n++;
}

void
array_text(struct sql_array *a, const char *s, size_t n)
{
	add32(&a->b, (uint32_t)n);
	buf_add(&a->b, s, n);
	a->n++;
}

void
array_string(struct sql_array *a, const char *s)
{
	if (s)
		array_text(a, s, strlen(s));
	else
		array_null(a);
}

void
array_int8(struct sql_array *a, int64_t n)
{
	uint64_t big = htobe64((uint64_t)n);

	array_text(a, (char *)&big, sizeof big);
}

void
array_bool(struct sql_array *a, bool b)
{
	char byte = (char)b;

	array_text(a, &byte, 1);
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void
array_uuid(struct sql_array *a, const char *text)
{
	char bytes[16] = { 0 };
	int n = 0;

	for (const char *s = text; *s && n < 32; s++) {
		int d = digit(*s);

		if (d < 0)
			continue;
		bytes[n / 2] = (char)(bytes[n / 2] << 4 | d);
		n++;
	}
	MUST(n == 32);
	array_text(a, bytes, sizeof bytes);
}

void
array_json_open(struct sql_array *a)
{
	MUST(a->open == 0);
	a->open = a->b.len;
	add32(&a->b, 0);
	buf_addc(&a->b, 1);  /* version of the jsonb wire form */
}

void
array_json_close(struct sql_array *a)
{
	MUST(a->open != 0);
	put32(a->b.data + a->open, (uint32_t)(a->b.len - a->open - 4));
	a->open = 0;
	a->n++;
}

void
array_free(struct sql_array *a)
{
	buf_free(&a->b);
	*a = (struct sql_array){ 0 };
}
