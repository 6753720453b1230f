/* SPDX-License-Identifier: MIT */
/*
 * Names and folders. A word without a slash is a registered name if there is
 * one, else a folder. A folder that open_session() does not know is added to
 * the projects when the user may do that; if not, the server's own complaint
 * is shown, because its hint says what to do.
 */
#include "cli/project.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/db.h"

/* 1, 0, or -1 after a complaint. */
static int
is_registered(PGconn *conn, const char *name)
{
	char *yes = db_value(conn, "select exists (select from hearth.projects "
	    "where tenant = '' and name = $1)", PARAMS(name));
	int is = yes != NULL ? *yes == 't' : -1;

	free(yes);
	return is;
}

char *
project_folder(const char *project)
{
	char *path = realpath(project, NULL);
	struct stat st;

	if (path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return path;
	if (path == NULL && errno != ENOENT)
		cli_fail("project \"%s\": %s", project, strerror(errno));
	else if (path != NULL)
		cli_fail("project \"%s\" is not a folder: give one with -p",
		    project);
	else
		cli_fail("\"%s\" is neither a registered project nor a folder "
		    "of this machine: give one of them with -p", project);
	free(path);
	return NULL;
}

/* What open_session() understands: the name or an absolute path. */
static char *
resolve(PGconn *conn, const char *project)
{
	int is = strchr(project, '/') != NULL ? 0 :
	    is_registered(conn, project);

	if (is != 0)
		return is == 1 ? xstrdup(project) : NULL;
	return project_folder(project);
}

char *
project_resolve(PGconn *conn, const char *project)
{
	char *path = realpath(project, NULL);
	int is = is_registered(conn, project);

	if (is == 0 && path != NULL)
		return path;
	free(path);
	return is == -1 ? NULL : xstrdup(project);
}

int
project_check_current(struct err *e)
{
	const char *home = getenv("HOME");
	char *here = realpath(".", NULL);
	char *there = home != NULL ? realpath(home, NULL) : NULL;
	bool is_root = here != NULL && strcmp(here, "/") == 0;
	bool is_home = here != NULL && there != NULL &&
	    strcmp(here, there) == 0;

	free(there);
	free(here);
	if (!is_root && !is_home)
		return 0;
	return fail(e, "the current folder is %s: go to a project's folder, "
	    "or name one with -p (-p . if you mean this one)", is_root ?
	    "the whole disk" : "your home folder");
}

/* db_try() that leaves the caller's transaction usable when it fails. */
static PGresult *
attempt(PGconn *conn, const char *sql, const char *one, const char *two)
{
	PGresult *res;

	PQclear(PQexec(conn, "savepoint attempt"));
	res = db_try(conn, sql, PARAMS(one, two));
	PQclear(PQexec(conn, db_ok(res) ? "release attempt" :
	    "rollback to attempt"));
	return res;
}

static PGresult *
try_open(PGconn *conn, const char *project, const char *title)
{
	return attempt(conn, "select hearth.open_session($1, $2)", project,
	    title);
}

/* Registers the folder, under its whole path if its name is taken. */
static bool
add_project(PGconn *conn, const char *path)
{
	static const char sql[] = "select hearth.add_project($1, $2)";
	PGresult *res = attempt(conn, sql, path, NULL);
	bool ok;

	if (strcmp(db_state(res), "23505") == 0) {
		PQclear(res);
		res = attempt(conn, sql, path, path);
	}
	ok = db_ok(res);
	PQclear(res);
	return ok;
}

char *
project_open_session(PGconn *conn, const char *project, const char *title)
{
	char *known = resolve(conn, project), *session = NULL;
	PGresult *res;

	if (known == NULL)
		return NULL;
	res = try_open(conn, known, title);
	if (strcmp(db_state(res), "42704") == 0 && *known == '/' &&
	    add_project(conn, known)) {
		PQclear(res);
		res = try_open(conn, known, title);
	}
	if (db_ok(res))
		session = xstrdup(PQgetvalue(res, 0, 0));
	else
		db_complain(conn, res);
	PQclear(res);
	free(known);
	return session;
}
