/* SPDX-License-Identifier: MIT */
/*
 * A file's name where only UTF-8 may stand. A name is shown as it is; one that
 * is not valid UTF-8, or begins with a double quote, is shown in double quotes,
 * with the bytes that are not valid, quotes and backslashes escaped as git
 * writes them ("caf\351.txt"). So two files are never shown alike, and what is
 * shown leads back to the file.
 *
 * Pure.
 */
#ifndef HEARTH_NAME_H
#define HEARTH_NAME_H

/* The caller frees it. */
char *name_show(const char *name);
/* The name that is shown so, NULL when none is; the caller frees it. */
char *name_read(const char *shown);

#endif
