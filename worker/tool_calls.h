/* SPDX-License-Identifier: MIT */
/*
 * The tool calls of a turn, merged update by update as protocol 1 says: what
 * is absent or null stays, scalars and lists replace, an unknown id creates, a
 * final status stays final, an empty rawInput never wipes a filled one, and a
 * status never goes back. Pure.
 */
#ifndef HEARTH_TOOL_CALLS_H
#define HEARTH_TOOL_CALLS_H

#include <jansson.h>
#include <stdbool.h>

#include "worker/agent_event.h"

struct tool_calls;

struct tool_calls *tool_calls_new(void);
/*
 * fill may add to the content (a JSON array) of a call that is final, before
 * it is told.
 */
void tool_calls_on_final(struct tool_calls *t,
    void (*fill)(void *ctx, json_t *content), void *ctx);
/*
 * look is shown a call that is final with its output as values, before it is
 * told: each is NULL when it has none, or when it was told before.
 */
void tool_calls_on_output(struct tool_calls *t,
    void (*look)(void *ctx, const struct agent_tool *tool,
    const json_t *content, const json_t *raw_output), void *ctx);
/*
 * Merges a ToolCall or ToolCallUpdate. Returns NULL when it has no toolCallId;
 * else the merged state, valid until the next call.
 */
const struct agent_tool *tool_calls_merge(struct tool_calls *t,
    json_t *update);
/* The merged content of the call that was told last, as text that the caller
 * frees; NULL: none. */
char *tool_calls_content(const struct tool_calls *t,
    const struct agent_tool *told);
/* Tool calls without a final status. */
int tool_calls_open(const struct tool_calls *t);
int tool_calls_count(const struct tool_calls *t);
/* Forgets all: the next turn begins. */
void tool_calls_reset(struct tool_calls *t);
void tool_calls_free(struct tool_calls **t);

#endif
