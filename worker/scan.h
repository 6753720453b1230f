/* SPDX-License-Identifier: MIT */
/*
 * The hot path: a single-pass scanner for the one message that makes up a
 * stream, session/update with a text chunk of the answer or of reasoning:
 *
 *   {"jsonrpc":"2.0","method":"session/update","params":{"sessionId":S,
 *    "update":{"sessionUpdate":"agent_message_chunk"|"agent_thought_chunk",
 *    "messageId"?:M|null,"content":{"type":"text","text":T}}}}
 *
 * with members in any order and white space anywhere. It is strict: whatever
 * else stands there (an id, another member, an escape in a name, bad UTF-8, a
 * missing member, a duplicate, trailing bytes) makes it say SCAN_OTHER, and
 * the full parser decides. What it accepts, the full parser reads the same;
 * a fuzzer compares them. Pure.
 */
#ifndef HEARTH_SCAN_H
#define HEARTH_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum scan_result { SCAN_OTHER, SCAN_TEXT, SCAN_REASONING };

struct scan_chunk {
	/* borrowed from the line, without escapes; message_id NULL when none */
	const char *session_id;
	size_t session_id_len;
	const char *message_id;
	size_t message_id_len;
	bool repaired; /* U+0000 or a lone surrogate became U+FFFD */
};

/*
 * Appends the decoded text to *text when the result is not SCAN_OTHER (then
 * text is as it was).
 */
enum scan_result scan_chunk(const char *line, size_t len,
    struct scan_chunk *c, struct buf *text);

#endif
