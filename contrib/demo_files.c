/* SPDX-License-Identifier: MIT */
/*
 * See demo_files.h for what the demo agent may do to files.
 *
 * Opening goes through open_parent(), which holds the folder of the last
 * component that it reached: nothing that is renamed or linked meanwhile can
 * lead outside. A file is opened without waiting, so that a FIFO that lies
 * about cannot stop the agent.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contrib/demo_files.h"

#define MAX_FILE (1 << 20) /* bytes */

static const char *
below(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (strncmp(path, root, n) == 0 && path[n] == '/')
		path += n + 1;
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	return path;
}

static bool
is_plain_name(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX &&
	    !(len == 1 && name[0] == '.') &&
	    !(len == 2 && name[0] == '.' && name[1] == '.');
}

/* A folder in dir, which is closed. make: it is made if missing. */
static int
enter(int dir, const char *name, size_t len, bool make)
{
	char part[NAME_MAX + 1];
	int next, error;

	snprintf(part, sizeof part, "%.*s", (int)len, name);
	if (make)
		(void)mkdirat(dir, part, 0777);
	next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	error = errno;
	close(dir);
	errno = error;
	return next;
}

/*
 * Opens the folder that a path's last component lies in; *name is that
 * component. make: missing folders are made. -1 with errno.
 */
static int
open_parent(const char *root, const char *path, bool make, const char **name)
{
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*name = below(root, path);
	while (dir >= 0) {
		size_t n = strcspn(*name, "/");

		if (!is_plain_name(*name, n)) {
			close(dir);
			errno = EACCES;
			return -1;
		}
		if ((*name)[n] == '\0')
			return dir;
		dir = enter(dir, *name, n, make);
		*name += n + 1;
	}
	return -1;
}

static int
open_file(const char *root, const char *path, int flags)
{
	struct stat st;
	const char *name;
	int fd, error;
	int dir = open_parent(root, path, (flags & O_CREAT) != 0, &name);

	if (dir < 0)
		return -1;
	fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	    0666);
	error = errno;
	close(dir);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		error = EINVAL;
		fd = -1;
	}
	errno = error;
	return fd;
}

static bool
is_text(const char *text, size_t len)
{
	json_t *string = strlen(text) == len ? json_stringn(text, len) : NULL;
	bool ok = string != NULL;

	json_decref(string);
	return ok;
}

/* Reads to the end; the text is terminated. Returns its length or -1. */
static ssize_t
read_text(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len + 1 < size && (n = read(fd, text + len, size - len - 1)) != 0)
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			return -1;
	text[len] = '\0';
	return (ssize_t)len;
}

char *
demo_files_load(const char *root, const char *path)
{
	int fd = open_file(root, path, O_RDONLY);
	size_t size = MAX_FILE + 2;
	char *text;
	ssize_t len;
	int error;

	if (fd < 0)
		return NULL;
	text = malloc(size);
	len = text != NULL ? read_text(fd, text, size) : -1;
	error = len < 0 ? errno : len > MAX_FILE ? EFBIG :
	    is_text(text, (size_t)len) ? 0 : EILSEQ;
	close(fd);
	if (error != 0) {
		free(text);
		errno = error;
		return NULL;
	}
	return text;
}

int
demo_files_save(const char *root, const char *path, const char *text)
{
	int fd = open_file(root, path, O_WRONLY | O_CREAT | O_TRUNC);
	size_t left = strlen(text);
	int error = 0;

	if (fd < 0)
		return -1;
	while (left > 0 && error == 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno != EINTR)
			error = errno;
		if (n > 0) {
			text += n;
			left -= (size_t)n;
		}
	}
	if (close(fd) != 0 && error == 0)
		error = errno;
	errno = error;
	return error == 0 ? 0 : -1;
}

int
demo_files_delete(const char *root, const char *path)
{
	const char *name;
	int dir = open_parent(root, path, false, &name);
	int rc, error;

	if (dir < 0)
		return -1;
	rc = unlinkat(dir, name, 0);
	error = errno;
	close(dir);
	errno = error;
	return rc;
}

static int
is_listed(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
	    strcmp(d->d_name, ".git") != 0;
}

char *
demo_files_list(const char *root)
{
	struct dirent **entries;
	char *text = NULL;
	size_t len = 0;
	int i, n = scandir(root, &entries, is_listed, alphasort);
	FILE *f;

	if (n < 0)
		return NULL;
	f = open_memstream(&text, &len);
	for (i = 0; i < n; i++) {
		if (f != NULL && is_text(entries[i]->d_name,
		    strlen(entries[i]->d_name)))
			fprintf(f, "%s%s\n", entries[i]->d_name,
			    entries[i]->d_type == DT_DIR ? "/" : "");
		free(entries[i]);
	}
	free(entries);
	if (f == NULL || fclose(f) != 0)
		return NULL;
	return text;
}
