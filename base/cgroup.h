/* SPDX-License-Identifier: MIT */
/*
 * A cgroup v2, which is a folder, and its small files. Whose it is and where
 * it lies: base/delegation.h.
 *
 * Part of hearth-keeper, so libc alone.
 */
#ifndef HEARTH_CGROUP_H
#define HEARTH_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes text into a file of it; 0 or an errno. */
int cgroup_write(const char *dir, const char *file, const char *text);
/* A file's beginning as a string; false, and "", when it cannot be read. */
bool cgroup_read(const char *dir, const char *file, char *text, size_t size);
/* A file with one number in it; -1: there is none, -2: it says "max". */
int64_t cgroup_number(const char *dir, const char *file);
/* All in it stand still. */
bool cgroup_is_frozen(const char *dir);
/* Whether the words that a file like cgroup.controllers has contain this one.
 * Pure. */
bool cgroup_has_word(const char *text, const char *word);
/* Removes it with all below, as far as no process lives there. */
void cgroup_remove(const char *dir);

#endif
