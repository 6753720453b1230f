/* SPDX-License-Identifier: MIT */
/*
 * Reading and changing files as the client sees it: tool calls with their
 * states, differences, and the user's permission where the session's mode
 * asks for it. Whatever goes wrong is told to the user here.
 */
#ifndef HEARTH_DEMO_TOOLS_H
#define HEARTH_DEMO_TOOLS_H

#include <stdbool.h>

/* A file's text, the caller's, or NULL. */
char *demo_tools_read(const char *path);
/*
 * What stands in a file that is about to be written; *text is NULL when there
 * is none. False when something is there that cannot be replaced. Not a tool
 * call of its own.
 */
bool demo_tools_peek(const char *path, char **text);
/*
 * Changes a file from before (NULL: there was none) to after (NULL: it goes).
 * verb begins the call's title. True when it was done.
 */
bool demo_tools_change(const char *verb, const char *path,
    const char *before, const char *after);

#endif
