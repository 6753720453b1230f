/* SPDX-License-Identifier: MIT */
/*
 * What an order may use of the demo agent: the session whose prompt is being
 * worked on, and talking to the client. All of it is about that one prompt;
 * demo_agent.c has nothing else running.
 */
#ifndef HEARTH_DEMO_AGENT_H
#define HEARTH_DEMO_AGENT_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

struct demo_session {
	struct demo_session *next;
	char id[32];
	char cwd[PATH_MAX];
	bool asks;          /* mode "ask": permission before every edit */
	bool always;        /* the user said "always" */
	int turns;          /* with the one that runs */
};

struct demo_session *demo_session(void);
/* Once true, saying and waiting do nothing: return soon. */
bool demo_is_cancelled(void);

/* Streams the text word by word; the chunks together are exactly the text. */
void demo_say(const char *text);
void demo_sayf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Waits, but no longer than until the prompt is cancelled. */
void demo_rest(long long ms);

/* Sends a session/update; owns the JSON. */
void demo_update(json_t *update);
/*
 * Sends a request with the session's id added to params, which it owns, and
 * waits. The whole answer, the caller's, or NULL when cancelled.
 */
json_t *demo_ask(const char *method, json_t *params);

/* Ends the process; for what no agent can go on without. */
void demo_die(const char *why) __attribute__((noreturn));

#endif
