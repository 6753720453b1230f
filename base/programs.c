/* SPDX-License-Identifier: MIT */
/*
 * Finding programs, and the embedded cluster's address, in one place so that
 * the daemon that runs the cluster (sql/cluster.c) and the client that looks
 * for it (cli/) cannot disagree.
 *
 * Only looks at the file system; starts nothing. Must never know: what the
 * programs do, libpq.
 */
#include "base/programs.h"

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/options.h"

#define POSTGRES_GLOB "/usr/lib/postgresql/*/bin"

static bool
is_executable(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(file, X_OK) == 0;
}

char *
program_find(const char *name, const char *path)
{
	const char *end;
	char *file;

	if (strchr(name, '/') != NULL)
		return is_executable(name) ? xstrdup(name) : NULL;
	if (path == NULL)
		path = getenv("PATH");
	if (path == NULL || *name == '\0')
		return NULL;
	for (;; path = end + 1) {
		end = strchrnul(path, ':');
		file = xasprintf("%.*s/%s", end == path ? 1 : (int)(end - path),
		    end == path ? "." : path, name);
		if (is_executable(file))
			return file;
		free(file);
		if (*end == '\0')
			return NULL;
	}
}

static bool
has_server(const char *dir)
{
	char *initdb = xasprintf("%s/initdb", dir);
	char *server = xasprintf("%s/postgres", dir);
	bool both = is_executable(initdb) && is_executable(server);

	free(initdb);
	free(server);
	return both;
}

/* The wanted or newest of the packaged ones; *newest_seen for the message. */
static char *
find_packaged(int major, int *newest_seen)
{
	glob_t found;
	char *best = NULL;
	int best_major = 0;

	*newest_seen = 0;
	if (glob(POSTGRES_GLOB, 0, NULL, &found) != 0)
		return NULL;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int m = atoi(found.gl_pathv[i] + strcspn(POSTGRES_GLOB, "*"));

		if (!has_server(found.gl_pathv[i]))
			continue;
		if (m > *newest_seen)
			*newest_seen = m;
		if (major != 0 ? m != major :
		    m < POSTGRES_OLDEST || m <= best_major)
			continue;
		free(best);
		best = xstrdup(found.gl_pathv[i]);
		best_major = m;
	}
	globfree(&found);
	return best;
}

/* The one on PATH, unless it is a packaged one, which was judged already. */
static char *
find_on_path(void)
{
	char *initdb = program_find("initdb", NULL);
	char *dir = initdb != NULL ? realpath(initdb, NULL) : NULL;

	free(initdb);
	if (dir == NULL)
		return NULL;
	*strrchr(dir, '/') = '\0';
	if (has_server(dir) && strncmp(dir, POSTGRES_GLOB,
	    strcspn(POSTGRES_GLOB, "*")) != 0)
		return dir;
	free(dir);
	return NULL;
}

char *
program_postgres_dir(int major, struct err *e)
{
	int seen;
	char *dir = find_packaged(major, &seen);

	if (dir == NULL)
		dir = find_on_path();
	if (dir != NULL)
		return dir;
	if (major != 0 && seen != 0)
		fail(e, "the embedded database was made by PostgreSQL %d, but "
		    "only %d is installed: install postgresql-%d (or upgrade "
		    "the data with pg_upgrade)", major, seen, major);
	else if (seen != 0)
		fail(e, "PostgreSQL %d is too old: install PostgreSQL %d or "
		    "newer, or set `database`", seen, POSTGRES_OLDEST);
	else
		fail(e, "no PostgreSQL server programs in /usr/lib/postgresql "
		    "or on PATH: install PostgreSQL %d or newer, or set "
		    "`database`", POSTGRES_OLDEST);
	return NULL;
}

static void
add_quoted(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "%s'", key);
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *value);
	}
	buf_addc(b, '\'');
}

char *
embedded_conninfo(const char *state_dir, const char *user)
{
	char *dir = options_socket_dir(state_dir);
	struct buf b = { 0 };

	add_quoted(&b, "host=", dir);
	add_quoted(&b, " user=", user);
	buf_adds(&b, " port=5432 dbname=hearth gssencmode=disable "
	    "sslmode=disable");
	free(dir);
	return buf_take(&b);
}
