/* SPDX-License-Identifier: MIT */
/* Part of hearth-keeper: libc alone. */
#include "base/ladder.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MS_MAX (3600 * 1000)

static int
signal_number(const char *name, size_t n)
{
	for (int sig = 1; sig < NSIG; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && strlen(known) == n && !strncmp(known, name, n))
			return sig;
	}
	return -1;
}

bool
ladder_parse(struct ladder *l, const char *s)
{
	for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, ":");
		struct rung *r = &l->rungs[l->n];
		char *end;
		long ms;

		if (s[n] != ':' || s[n + 1] < '0' || s[n + 1] > '9' ||
		    l->n == LADDER_RUNGS)
			return false;
		ms = strtol(s + n + 1, &end, 10);
		if (ms > MS_MAX || (*end && *end != ' '))
			return false;
		r->ms = (int)ms;
		r->signal = n == 4 && !strncmp(s, "wait", 4) ? 0 :
		    signal_number(s, n);
		if (r->signal < 0)
			return false;
		l->n++;
		s = end;
	}
	return true;
}
