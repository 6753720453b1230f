/* SPDX-License-Identifier: MIT */
/*
 * One agent.json of the public ACP registry, and what is installed of it on
 * this machine. Reads files; runs nothing, downloads nothing.
 */
#ifndef HEARTH_AGENT_JSON_H
#define HEARTH_AGENT_JSON_H

#include <jansson.h>

#include "base/err.h"

/* Where to look. */
struct agent_machine {
	const char *path;      /* PATH */
	const char *home;      /* for ~/.local/bin */
	const char *platform;  /* "linux-x86_64" */
};

struct agent_json {
	char *id, *title;
	json_t *command, *env; /* argv and object; NULL: it is not installed */
	char *install;         /* then: what to do about it, one line */
	char *note;            /* a warning about what is installed, or NULL */
};

/* 0, or -1 with what is wrong with it. agent_json_free() in either case. */
int agent_json_read(const json_t *agent, const struct agent_machine *m,
    struct agent_json *a, struct err *e);
void agent_json_free(struct agent_json *a);

#endif
