/* SPDX-License-Identifier: MIT */
/*
 * Restart intensity with exponential back-off; see the header for the rule.
 */
#include "pool/restart_policy.h"

#define BACKOFF_FIRST 1000
#define BACKOFF_MOST (5 * 60 * 1000)

int64_t
restart_policy_crash(const struct restart_policy *p, struct crash_history *h,
    int64_t now, double random)
{
	int64_t wait = BACKOFF_FIRST;

	if (h->count > 0 && now - h->quiet > p->window)
		h->count = 0;
	/* below the limit, the window slides */
	if (h->count > 0 && h->count < p->limit && now - h->first > p->window)
		h->count = 0;
	if (h->count == 0)
		h->first = now;
	h->quiet = now;
	h->count++;
	if (h->count < p->limit)
		return 0;
	for (int64_t i = p->limit; i < h->count && wait < BACKOFF_MOST; i++)
		wait *= 2;
	if (wait > BACKOFF_MOST)
		wait = BACKOFF_MOST;
	wait += (int64_t)(random * (double)wait / 4);
	h->quiet = now + wait;
	return wait;
}

void
restart_policy_success(struct crash_history *h)
{
	*h = (struct crash_history){ 0 };
}
