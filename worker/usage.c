/* SPDX-License-Identifier: MIT */
/*
 * Where the counts stand, and what they contain.
 *
 * The answer's `usage` (the protocol's own, not stable yet) comes first; then
 * _meta.usage, then _meta.quota: gemini's {input_tokens, output_tokens}, or
 * codex's {inputTokens, cachedInputTokens, reasoningOutputTokens, …}, of the
 * whole or per model.
 *
 * Some count cached tokens beside the input (claude, codex) and some within;
 * thoughts beside the output (gemini's models) or within (codex). Nothing says
 * so but the total, so the reading that adds up to it is taken. Without one
 * that does, both are beside, as the protocol describes its total.
 *
 * Must never know: what comes after. Tests: tests/unit_usage.c.
 */
#include "worker/usage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKENS_MAX 1e12 /* more is nonsense */
#define COST_MAX 1e6    /* dollars of one session; more is nonsense */
#define NUMBER_LEN 32   /* of a number in a string */

enum field { TOTAL, INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, THOUGHT, FIELDS };
enum { CACHE_BESIDE = 1, THOUGHT_BESIDE = 2 };

/* The protocol's word, codex's, and those of the providers. */
static const char *const words[FIELDS][5] = {
	[TOTAL] = { "totalTokens", "total_tokens" },
	[INPUT] = { "inputTokens", "input_tokens" },
	[OUTPUT] = { "outputTokens", "output_tokens" },
	[CACHE_READ] = { "cachedReadTokens", "cachedInputTokens",
		"cached_input_tokens", "cache_read_input_tokens" },
	[CACHE_WRITE] = { "cachedWriteTokens", "cacheWriteInputTokens",
		"cache_write_input_tokens", "cache_creation_input_tokens" },
	[THOUGHT] = { "thoughtTokens", "reasoningOutputTokens",
		"reasoning_output_tokens", "thought_tokens" },
};

/* A number from 0 to most, perhaps in a string; -1 for whatever is none. */
static double
read_number(const json_t *v, double most)
{
	const char *s = json_string_value(v);
	double d = -1;
	char *end;

	if (json_is_number(v)) {
		d = json_number_value(v);
	} else if (s && *s && strlen(s) <= NUMBER_LEN &&
	    json_string_length(v) == strlen(s) &&
	    s[strspn(s, "0123456789.eE+-")] == '\0') {
		d = strtod(s, &end);
		if (*end != '\0')
			d = -1;
	}
	return d >= 0 && d <= most ? d : -1;
}

static int64_t
read_count(const json_t *v)
{
	double d = read_number(v, TOKENS_MAX);

	return d == (double)(int64_t)d ? (int64_t)d : -1;
}

static int64_t
read_field(const json_t *o, enum field f)
{
	int64_t n = -1;

	for (const char *const *w = words[f]; *w && n < 0; w++)
		n = read_count(json_object_get(o, *w));
	return n;
}

static int64_t
at_least_0(int64_t n)
{
	return n > 0 ? n : 0;
}

/* Which of cache and thoughts are counted beside input and output. */
static int
find_reading(const int64_t n[FIELDS], int64_t cache, int64_t thought)
{
	static const int readings[] = { 0, CACHE_BESIDE | THOUGHT_BESIDE,
		CACHE_BESIDE, THOUGHT_BESIDE };
	int64_t sum;

	if (n[TOTAL] >= 0 && n[INPUT] >= 0 && n[OUTPUT] >= 0)
		for (int i = 0; i < 4; i++) {
			sum = n[INPUT] + n[OUTPUT];
			if (readings[i] & CACHE_BESIDE)
				sum += cache;
			if (readings[i] & THOUGHT_BESIDE)
				sum += thought;
			if (sum == n[TOTAL])
				return readings[i];
		}
	return CACHE_BESIDE | THOUGHT_BESIDE;
}

/* False: there is no count in it. */
static bool
read_counts(const json_t *o, struct usage *u)
{
	int64_t n[FIELDS], cache, thought;
	int reading;

	if (!json_is_object(o))
		return false;
	for (int f = 0; f < FIELDS; f++)
		n[f] = read_field(o, (enum field)f);
	cache = at_least_0(n[CACHE_READ]) + at_least_0(n[CACHE_WRITE]);
	thought = at_least_0(n[THOUGHT]);
	reading = find_reading(n, cache, thought);
	u->input_tokens = n[INPUT];
	u->output_tokens = n[OUTPUT];
	if (n[INPUT] >= 0 && reading & CACHE_BESIDE)
		u->input_tokens += cache;
	if (n[OUTPUT] >= 0 && reading & THOUGHT_BESIDE)
		u->output_tokens += thought;
	return n[INPUT] >= 0 || n[OUTPUT] >= 0;
}

static int64_t
add(int64_t sum, int64_t more)
{
	if (more < 0)
		return sum;
	return at_least_0(sum) + more;
}

static void
read_models(const json_t *models, struct usage *u)
{
	struct usage one;

	for (size_t i = 0; i < json_array_size(models); i++)
		if (read_counts(json_object_get(json_array_get(models, i),
		    "token_count"), &one)) {
			u->input_tokens = add(u->input_tokens,
			    one.input_tokens);
			u->output_tokens = add(u->output_tokens,
			    one.output_tokens);
		}
}

struct usage
usage_of_answer(const json_t *result)
{
	struct usage u = { -1, -1 };
	const json_t *meta = json_object_get(result, "_meta");
	const json_t *quota = json_object_get(meta, "quota");

	if (!read_counts(json_object_get(result, "usage"), &u) &&
	    !read_counts(json_object_get(meta, "usage"), &u) &&
	    !read_counts(json_object_get(quota, "token_count"), &u))
		read_models(json_object_get(quota, "model_usage"), &u);
	if (u.input_tokens > (int64_t)TOKENS_MAX)
		u.input_tokens = -1;
	if (u.output_tokens > (int64_t)TOKENS_MAX)
		u.output_tokens = -1;
	return u;
}

static int64_t
read_cost(const json_t *cost)
{
	const json_t *currency = json_object_get(cost, "currency");
	double d = read_number(json_object_get(cost, "amount"), COST_MAX);

	if (currency && !json_is_null(currency) &&
	    (!json_is_string(currency) ||
	    strcasecmp(json_string_value(currency), "USD") != 0))
		return -1;
	return d >= 0 ? (int64_t)(d * COST_UNIT + 0.5) : -1;
}

struct usage_report
usage_of_update(const json_t *update)
{
	return (struct usage_report){
		.context_used = read_count(json_object_get(update, "used")),
		.context_size = read_count(json_object_get(update, "size")),
		.cost = read_cost(json_object_get(update, "cost")),
	};
}

void
cost_meter_begin_turn(struct cost_meter *m)
{
	m->turn = -1;
}

void
cost_meter_tell(struct cost_meter *m, int64_t cost)
{
	const int64_t most = (int64_t)(COST_MAX * COST_UNIT);

	if (cost < 0)
		return;
	m->turn = at_least_0(m->turn);
	if (m->told >= 0 && cost > m->told)
		m->turn += cost - m->told;
	if (m->turn > most) /* one that began anew again and again */
		m->turn = most;
	m->told = cost;
}
