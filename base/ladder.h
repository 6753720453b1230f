/* SPDX-License-Identifier: MIT */
/*
 * How a child is ended, step by step: "wait:500 TERM:1500" is half a second of
 * waiting, then SIGTERM and a second and a half.
 */
#ifndef HEARTH_LADDER_H
#define HEARTH_LADDER_H

#include <stdbool.h>

#define LADDER_RUNGS 16

struct rung {
	int signal;           /* 0: only wait */
	int ms;
};

struct ladder {
	struct rung rungs[LADDER_RUNGS];
	int n;
};

/* Adds the rungs that the text has; false when it is not that. Pure. */
bool ladder_parse(struct ladder *l, const char *text);

#endif
