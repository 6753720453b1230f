/* SPDX-License-Identifier: MIT */
/*
 * What the load agent is asked to do, written as words in the prompt, and the
 * text that it streams: both the agent, which sends it, and the driver, which
 * checks what arrived, make it from here.
 *
 *   chunks=N    text chunks of the answer (1)
 *   size=B      bytes of text in each, at least 16 (64)
 *   thoughts=N  chunks of reasoning before the answer (0)
 *   tools=N     pairs of tool_call and tool_call_update, spread among the
 *               chunks (0)
 *   escape=K    every K-th chunk holds a line break and a quote (8; 0 never)
 *   wait=MS     before the first update (0)
 *   files=N     lines appended to the files 0/0/0, 1/0/0 … below the folder
 *               that it runs in, before the first update (0)
 *   pace=MS     from each chunk of the answer to the next, written at once
 *               (0: as fast as they are read)
 *   stamp=1     each chunk of the answer says when it was written; asks for
 *               escape=0 and a size of 32 or more (0)
 *
 * Chunk i begins with its number, so a lost, doubled or misplaced chunk shows.
 */
#ifndef BENCH_SCRIPT_H
#define BENCH_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

enum { SCRIPT_SIZE_MAX = 64 << 20 };

struct script {
	long chunks, size, thoughts, tools, escape, wait, files, pace,
	    stamp;
};

/* Unknown words are passed over. */
void script_read(struct script *s, const char *words, size_t len);
/* How many session/update messages it makes. */
long script_updates(const struct script *s);
/*
 * The text of chunk i, as it is or as the inside of a JSON string; returns its
 * length. `to` has room for 2 * size bytes.
 */
size_t script_text(const struct script *s, long i, bool as_json, char *to);
/* Writes the moment into the text of a chunk, and reads it: see now(). */
void script_stamp(char *text);
double script_stamp_of(const char *text);

#endif
