/* SPDX-License-Identifier: MIT */
/*
 * Globs over paths and command lines, in time that is the product of both
 * lengths at worst, whatever they are: the text comes from an agent. Pure.
 *
 *   *      any characters, in a path not beyond a slash
 *   **     any characters; as a path's whole component (a/ ** /b without the
 *          blanks) any number of folders, also none
 *   ?      one character, in a path no slash
 *   [a-z]  one of these; [!a-z] one that is none of these
 *   \x     x itself
 *
 * Case counts, and a dot in front is a character like any other.
 */
#ifndef HEARTH_GLOB_H
#define HEARTH_GLOB_H

#include <stdbool.h>

enum glob_kind { GLOB_PATH, GLOB_LINE };

/* Whether the whole text is like the pattern; both are valid UTF-8. */
bool glob_matches(enum glob_kind kind, const char *pattern, const char *text);

#endif
