/* SPDX-License-Identifier: MIT */
/*
 * Where other people's programs are: anything on PATH, and PostgreSQL's server
 * programs, which distributions keep off it.
 */
#ifndef HEARTH_PROGRAMS_H
#define HEARTH_PROGRAMS_H

#include "base/err.h"

/* The oldest major version of PostgreSQL that Hearth works with. */
#define POSTGRES_OLDEST 15

/*
 * The file that running name would execute: name itself when it has a slash,
 * else the first executable of that name in the colon-separated path (NULL:
 * the environment's PATH). NULL when there is none; the caller frees.
 */
char *program_find(const char *name, const char *path);
/*
 * The folder with initdb and postgres of this major version, or with major 0
 * of the newest that is not older than POSTGRES_OLDEST; where none is in
 * /usr/lib/postgresql, whichever is on PATH. NULL with the reason when there
 * is none; the caller frees.
 */
char *program_postgres_dir(int major, struct err *e);
/*
 * Connection string of the embedded cluster of this state_dir. The caller
 * frees.
 */
char *embedded_conninfo(const char *state_dir, const char *user);

#endif
