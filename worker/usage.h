/* SPDX-License-Identifier: MIT */
/*
 * What an agent says that it used: tokens in the prompt's answer, context and
 * cost in usage_update. Agents spell and count this differently; here it
 * becomes numbers that may be added up, or -1 where there is none to trust: a
 * count is a whole number from 0 to 10^12, also when it stands in a string.
 *
 * Pure. Must never know: turns' ids, who adds the numbers up.
 */
#ifndef HEARTH_USAGE_H
#define HEARTH_USAGE_H

#include <jansson.h>
#include <stdint.h>

#define COST_UNIT 1000000000 /* costs are in billionths of a dollar */

/* What a turn was billed; -1 unknown. */
struct usage {
	int64_t input_tokens;  /* with cache reads and cache writes */
	int64_t output_tokens; /* with thoughts */
};

/* From the result of session/prompt, whose counts are those of the turn. */
struct usage usage_of_answer(const json_t *result);

/* A usage_update; -1 unknown. */
struct usage_report {
	int64_t context_used, context_size; /* tokens, not billed ones */
	int64_t cost;          /* of the session so far */
};

/* A cost in another currency than USD, or in credits, is unknown. */
struct usage_report usage_of_update(const json_t *update);

/*
 * From the cost of a session so far to that of each of its turns. One that is
 * lower than the last is where the agent began to count anew.
 */
struct cost_meter {
	int64_t told;          /* the last cost of the session; 0 at its start,
	                        * -1 when it went on: the first one told is
	                        * what it had cost by then */
	int64_t turn;          /* the turn's part of it; -1 unknown */
};

void cost_meter_begin_turn(struct cost_meter *m);
void cost_meter_tell(struct cost_meter *m, int64_t cost); /* -1: nothing */

#endif
