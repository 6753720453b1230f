/* SPDX-License-Identifier: MIT */
/*
 * The demo agent's hands: text files below one folder. Paths are relative to
 * the folder, or absolute and below it. They are walked component by
 * component and never lead through a symbolic link or "..": EACCES or ELOOP.
 * Only regular files of valid UTF-8, at most 1 MiB.
 */
#ifndef HEARTH_DEMO_FILES_H
#define HEARTH_DEMO_FILES_H

/* The whole text; the caller frees. NULL with errno. */
char *demo_files_load(const char *root, const char *path);
/* Replaces the file's text, making it and its folders. -1 with errno. */
int demo_files_save(const char *root, const char *path, const char *text);
/* -1 with errno. */
int demo_files_delete(const char *root, const char *path);
/*
 * The folder's entries by name, one a line, "/" after folders, without .git;
 * the caller frees. NULL with errno.
 */
char *demo_files_list(const char *root);

#endif
