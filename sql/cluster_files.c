/* SPDX-License-Identifier: MIT */
/*
 * The embedded cluster's files; see the header.
 *
 * The data folder belongs to the cluster's user, who is not trusted by a
 * daemon that runs as root: every file in it is opened without following
 * symbolic links and replaced by rename, never written through. What stands in
 * hearth.conf can be overruled by an administrator with ALTER SYSTEM.
 * Read next: sql/cluster.c.
 */
#include "sql/cluster_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

#define INCLUDE_LINE "include 'hearth.conf'"
#define NEW_DIR "pg.new"

static const char *const login_roles[] = { "hearth_super", "hearth" };

static int
take_user(struct cluster_user *u, const struct passwd *pw)
{
	snprintf(u->name, sizeof(u->name), "%s", pw->pw_name);
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	return 0;
}

int
cluster_pick_user(struct cluster_user *u, struct err *e)
{
	static const char *const names[] = { "postgres", "hearth", "nobody" };
	const struct passwd *pw;

	memset(u, 0, sizeof(*u));
	if (geteuid() != 0) {
		pw = getpwuid(geteuid());
		return pw != NULL ? take_user(u, pw) :
		    fail(e, "user id %ld has no name, and PostgreSQL does not "
		    "run without one: add it to /etc/passwd or set `database`",
		    (long)geteuid());
	}
	u->is_other = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pw = getpwnam(names[i]);
		if (pw != NULL && pw->pw_uid != 0)
			return take_user(u, pw);
	}
	return fail(e, "PostgreSQL does not run as root and there is no user "
	    "postgres, hearth or nobody: make one, or set `database`");
}

static bool
may_pass(const struct stat *st, const struct cluster_user *u)
{
	if (st->st_uid == u->uid)
		return (st->st_mode & S_IXUSR) != 0;
	if (st->st_gid == u->gid)
		return (st->st_mode & S_IXGRP) != 0;
	return (st->st_mode & S_IXOTH) != 0;
}

/* Everything above path must let the user through. */
static int
check_reachable(const char *path, const struct cluster_user *u,
    struct err *e)
{
	char *copy = xstrdup(path), *slash = copy;
	struct stat st;
	int rc = 0;

	while (rc == 0 && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		if (stat(copy, &st) == -1)
			rc = fail(e, "%s: %s", copy, strerror(errno));
		else if (!may_pass(&st, u))
			rc = fail(e, "the user %s, which PostgreSQL runs as, "
			    "cannot pass through %s: chmod o+x it, or set "
			    "state_dir elsewhere", u->name, copy);
		*slash = '/';
	}
	free(copy);
	return rc;
}

static int
make_parents(const char *dir, struct err *e)
{
	char *copy = xstrdup(dir), *slash = copy;
	int rc = 0;

	while (rc == 0 && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			rc = fail(e, "mkdir %s: %s", copy, strerror(errno));
		*slash = '/';
	}
	free(copy);
	return rc;
}

static int
make_socket_dir(const char *dir, const struct cluster_user *u, struct err *e)
{
	struct stat st;
	int fd, rc = 0;

	if (make_parents(dir, e) == -1)
		return -1;
	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return fail(e, "mkdir %s: %s", dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		rc = fail(e, "%s: %s", dir, strerror(errno));
	else if (st.st_uid != u->uid && st.st_uid != geteuid())
		rc = fail(e, "%s belongs to another user: remove it, it is "
		    "where the embedded PostgreSQL's socket goes", dir);
	else if ((u->is_other && fchown(fd, u->uid, u->gid) == -1) ||
	    fchmod(fd, 0700) == -1)
		rc = fail(e, "%s: %s", dir, strerror(errno));
	if (fd != -1)
		close(fd);
	return rc;
}

int
cluster_make_dirs(const char *state_dir, const char *socket_dir,
    const struct cluster_user *user, struct err *e)
{
	struct stat st;

	if (make_parents(state_dir, e) == -1)
		return -1;
	if (mkdir(state_dir, user->is_other ? 0711 : 0700) == -1 &&
	    errno != EEXIST)
		return fail(e, "mkdir %s: %s", state_dir, strerror(errno));
	if (user->is_other) {
		if (stat(state_dir, &st) == -1 || (!may_pass(&st, user) &&
		    chmod(state_dir, (st.st_mode & 07777) | 0111) == -1))
			return fail(e, "%s: %s", state_dir, strerror(errno));
		if (check_reachable(state_dir, user, e) == -1)
			return -1;
	}
	return make_socket_dir(socket_dir, user, e);
}

char *
cluster_make_new_dir(const char *state_dir, const struct cluster_user *user,
    struct err *e)
{
	char *dir = xasprintf("%s/" NEW_DIR "-XXXXXX", state_dir);

	if (mkdtemp(dir) != NULL && (!user->is_other ||
	    lchown(dir, user->uid, user->gid) == 0))
		return dir;
	fail(e, "%s: %s", dir, strerror(errno));
	free(dir);
	return NULL;
}

/* As mkdtemp() makes them, or as an earlier edition did. */
static bool
is_new_dir(const char *name)
{
	return strcmp(name, NEW_DIR) == 0 ||
	    (strncmp(name, NEW_DIR "-", sizeof NEW_DIR) == 0 &&
	    strlen(name) == strlen(NEW_DIR "-XXXXXX"));
}

int
cluster_adopt(const char *state_dir, const char *new_dir,
    const char *data_dir, struct err *e)
{
	int fd, rc;

	if (rename(new_dir, data_dir) == -1)
		return fail(e, "%s cannot become %s: %s", new_dir, data_dir,
		    strerror(errno));
	fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd == -1 ? -1 : fsync(fd);
	if (rc == -1)
		fail(e, "%s: %s", state_dir, strerror(errno));
	if (fd != -1)
		close(fd);
	return rc;
}

char **
cluster_new_dirs(const char *state_dir)
{
	DIR *d = opendir(state_dir);
	const struct dirent *entry;
	char **list = NULL, *path;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (!is_new_dir(entry->d_name))
			continue;
		path = xasprintf("%s/%s", state_dir, entry->d_name);
		strv_add(&list, path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	return list;
}

/* The file's text, at most 64 KB of it; NULL when it cannot be read. */
static char *
read_small(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct buf b = { 0 };
	ssize_t n = 0;

	free(path);
	if (fd == -1)
		return NULL;
	do {
		n = read(fd, buf_room(&b, 4096), 4096);
		if (n > 0)
			buf_grew(&b, (size_t)n);
	} while (n > 0 && b.len < 65536);
	close(fd);
	if (n == -1) {
		buf_free(&b);
		return NULL;
	}
	buf_adds(&b, "");
	return buf_take(&b);
}

int
cluster_data_version(const char *dir)
{
	char *text = read_small(dir, "PG_VERSION");
	int major = text != NULL ? atoi(text) : 0;

	free(text);
	return major;
}

static int
write_fd(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t done = write(fd, text, n);

		if (done == -1)
			return -1;
		text += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Replaces name in the data folder, as a file of the cluster's user. */
static int
write_file(const char *data_dir, const char *name, const char *text,
    const struct cluster_user *u, struct err *e)
{
	char *path = xasprintf("%s/%s", data_dir, name);
	char *fresh = xasprintf("%s.new", path);
	int fd, rc = 0;

	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1 || write_fd(fd, text) == -1 ||
	    (u->is_other && fchown(fd, u->uid, u->gid) == -1) ||
	    rename(fresh, path) == -1)
		rc = fail(e, "%s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	free(fresh);
	free(path);
	return rc;
}

/* value as a quoted element of a list, inside a quoted setting. */
static void
add_list_setting(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s = '\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\'')
			buf_addc(b, *value);
		if (*value == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *value);
	}
	buf_adds(b, "\"'\n");
}

static int
write_settings(const char *data_dir, const char *socket_dir,
    const struct cluster_user *u, struct err *e)
{
	struct buf b = { 0 };
	int rc;

	buf_adds(&b, "# Written by hearthd at every start; change settings "
	    "with ALTER SYSTEM.\n"
	    "listen_addresses = ''\n"
	    "port = 5432\n");
	add_list_setting(&b, "unix_socket_directories", socket_dir);
	buf_adds(&b, "unix_socket_permissions = 0700\n"
	    "max_connections = 50\n"
	    "shared_buffers = 64MB\n"
	    "max_wal_size = 512MB\n"
	    "jit = off\n"
	    "cluster_name = 'hearth'\n"
	    "logging_collector = off\n"
	    "log_destination = 'stderr'\n"
	    "log_line_prefix = '%m [%p] %q%u@%d '\n"
	    "log_checkpoints = off\n"
	    "lc_messages = 'C'\n");
	rc = write_file(data_dir, "hearth.conf", b.data, u, e);
	buf_free(&b);
	return rc;
}

static void
add_map(struct buf *b, const char *os_user)
{
	for (size_t i = 0; i < sizeof(login_roles) / sizeof(char *); i++)
		buf_printf(b, "hearth \"%s\" %s\n", os_user, login_roles[i]);
}

static int
write_access(const char *data_dir, const struct cluster_user *u,
    struct err *e)
{
	const struct passwd *own = getpwuid(geteuid());
	struct buf b = { 0 };
	int rc;

	buf_adds(&b, "# Written by hearthd at every start.\n");
	add_map(&b, "root");
	if (strcmp(u->name, "root") != 0)
		add_map(&b, u->name);
	if (own != NULL && own->pw_uid != 0 && own->pw_uid != u->uid)
		add_map(&b, own->pw_name);
	rc = write_file(data_dir, "pg_ident.conf", b.data, u, e);
	buf_free(&b);
	return rc == -1 ? -1 : write_file(data_dir, "pg_hba.conf",
	    "# Written by hearthd at every start.\n"
	    "local all all peer map=hearth\n", u, e);
}

static int
include_settings(const char *data_dir, const struct cluster_user *u,
    struct err *e)
{
	char *text = read_small(data_dir, "postgresql.conf"), *longer;
	int rc = 0;

	if (text == NULL || strstr(text, INCLUDE_LINE) == NULL) {
		longer = xasprintf("%s\n%s\n", text != NULL ? text : "",
		    INCLUDE_LINE);
		rc = write_file(data_dir, "postgresql.conf", longer, u, e);
		free(longer);
	}
	free(text);
	return rc;
}

int
cluster_write_config(const char *data_dir, const char *socket_dir,
    const struct cluster_user *user, struct err *e)
{
	if (write_settings(data_dir, socket_dir, user, e) == -1 ||
	    write_access(data_dir, user, e) == -1)
		return -1;
	return include_settings(data_dir, user, e);
}

/* postmaster.pid: the pid is line 1, the status line 8. */
pid_t
cluster_server_pid(const char *data_dir, bool *ready)
{
	char *text = read_small(data_dir, "postmaster.pid");
	const char *line = text;
	pid_t pid = text != NULL ? (pid_t)atol(text) : 0;

	for (int i = 1; line != NULL && i < 8; i++) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	*ready = line != NULL && strncmp(line, "ready", 5) == 0;
	free(text);
	return pid > 0 ? pid : 0;
}

bool
cluster_server_lives(const char *data_dir, pid_t pid)
{
	char proc[64];
	struct stat cwd, data;

	if (pid <= 0)
		return false;
	snprintf(proc, sizeof(proc), "/proc/%ld/cwd", (long)pid);
	return stat(proc, &cwd) == 0 && stat(data_dir, &data) == 0 &&
	    cwd.st_dev == data.st_dev && cwd.st_ino == data.st_ino;
}

void
cluster_server_signal(const char *data_dir, pid_t pid, int sig)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd == -1)
		return;
	if (cluster_server_lives(data_dir, pid))
		syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
	close(fd);
}
