/* SPDX-License-Identifier: MIT */
/* Events as text for people. Pure: no connection, no output. */
#ifndef HEARTH_RENDER_H
#define HEARTH_RENDER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* A string member of an object, or "" when there is none. */
const char *render_text(const json_t *object, const char *key);
/* One line that says what the event was; the caller frees. */
char *render_event(const char *kind, const json_t *payload);
/* The tool call of a tool_call or tool_update event, in few words. */
char *render_tool_call(const json_t *payload, bool with_status);
/* "1) Allow once  2) Reject"; with_ids: "allow_once (Allow once), …". */
char *render_options(const json_t *options, bool with_ids);
/*
 * Text of an agent for a terminal: without the control characters (but
 * newline, tab and carriage return) that could play tricks with it.
 */
void render_for_terminal(struct buf *b, const char *text);

#endif
