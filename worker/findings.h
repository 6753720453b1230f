/* SPDX-License-Identifier: MIT */
/*
 * What an agent has brought about, gathered from all that it says: the text of
 * its messages, put together again from its chunks, and the results of its tool
 * calls. Each thing is found once in the life of the child, and once more when
 * its state is another one.
 *
 * A streamed chunk is copied and nothing else; texts are looked through when
 * they are whole, or when there is a window of them. Pure: what was found waits
 * until it is taken.
 */
#ifndef HEARTH_FINDINGS_H
#define HEARTH_FINDINGS_H

#include <jansson.h>
#include <stddef.h>

#include "worker/agent_event.h"

/* In one turn; what comes after so many is not looked for. */
#define FINDINGS_MAX 50

struct findings;

struct findings *findings_new(void);
void findings_free(struct findings **f);

/* More of the message that streams; another one begins. */
void findings_text(struct findings *f, const char *text, size_t len);
void findings_break(struct findings *f);
/* A tool call with its final status; each of the two may be NULL. */
void findings_tool(struct findings *f, const char *tool_call_id,
    const char *title, const char *kind, const json_t *content,
    const json_t *raw_output);
/* The turn is over: its text is whole, and the next may find as many. */
void findings_end(struct findings *f);
/* The next one that waits, or NULL; good until the next call. */
const struct agent_artifact *findings_take(struct findings *f);

#endif
