/* SPDX-License-Identifier: MIT */
/*
 * Names below state_dir, the session's lock, small files written by rename,
 * and the removal of a folder that an agent has filled: by folder descriptor,
 * so that no symbolic link put there meanwhile leads out of it.
 *
 * Must never know: git. Read on in workspace/make.c.
 */
#include "workspace/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Deeper trees than this are not ours to walk. */
#define DEPTH_MAX 1000

static int
make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	return fail(e, "cannot make the folder %s: %s", path, strerror(errno));
}

int
place_lock(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return fail(e, "cannot open %s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		fail(e, "cannot lock %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* Its copy may have been prepared under another name (workspace/prepared.h). */
static void
look_for_folder(struct place *p, bool is_given)
{
	char *line[3];

	place_read(p->copy_file, line, 3);
	if (line[2] && *line[2] && !strchr(line[2], '/') &&
	    line[2][0] != '.') {
		free(p->own_worktree);
		p->own_worktree = xasprintf("%s/%s", p->trees, line[2]);
	}
	if (!is_given) {
		free(p->worktree);
		p->worktree = xstrdup(p->own_worktree);
	}
	for (int i = 0; i < 3; i++)
		free(line[i]);
}

void
place_adopt(struct place *p, const char *folder)
{
	free(p->worktree);
	free(p->own_worktree);
	p->own_worktree = xasprintf("%s/%s", p->trees, folder);
	p->worktree = xstrdup(p->own_worktree);
}

int
place_open(struct place *p, const char *state_dir, const char *session,
    long long project, const char *worktree, struct err *e)
{
	char *trees = xasprintf("%s/worktrees", state_dir);
	char *own = xasprintf("%s/snapshots", state_dir);
	char *base = xasprintf("%s/%s", own, session);
	char *lock = xasprintf("%s.lock", base);

	p->lock = -1;
	p->own_worktree = xasprintf("%s/%s", trees, session);
	p->worktree = xstrdup(worktree ? worktree : p->own_worktree);
	p->repository = xasprintf("%s/%lld.git", own, project);
	p->index = xasprintf("%s.index", base);
	p->copy_file = xasprintf("%s.copy", base);
	p->making_file = xasprintf("%s.making", base);
	p->tree_file = xasprintf("%s.tree", base);
	p->journal_file = xasprintf("%s.journal", base);
	p->restoring_file = xasprintf("%s.restoring", base);
	p->stale_file = xasprintf("%s.stale", base);
	p->setup_file = xasprintf("%s.setup", base);
	p->include_file = xasprintf("%s.include", base);
	p->trees = trees;
	if (make_folder(trees, e) == 0 && make_folder(own, e) == 0)
		p->lock = place_lock(lock, e);
	if (p->lock >= 0)
		look_for_folder(p, worktree != NULL);
	free(own);
	free(base);
	free(lock);
	return p->lock < 0 ? -1 : 0;
}

void
place_unlock(struct place *p)
{
	if (p->lock >= 0)
		close(p->lock);
	p->lock = -1;
}

void
place_close(struct place *p)
{
	place_unlock(p);
	free(p->worktree);
	free(p->own_worktree);
	free(p->trees);
	free(p->repository);
	free(p->index);
	free(p->copy_file);
	free(p->making_file);
	free(p->tree_file);
	free(p->journal_file);
	free(p->restoring_file);
	free(p->stale_file);
	free(p->setup_file);
	free(p->include_file);
	*p = (struct place){ .lock = -1 };
}

bool
place_is_own(const struct place *p)
{
	return strcmp(p->worktree, p->own_worktree) == 0;
}

bool
place_read(const char *path, char *lines[], int n)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	memset(lines, 0, (size_t)n * sizeof *lines);
	if (!f)
		return false;
	for (int i = 0; i < n && (len = getline(&line, &size, f)) > 0; i++)
		lines[i] = xmemdupz(line,
		    (size_t)len - (line[len - 1] == '\n'));
	free(line);
	fclose(f);
	return true;
}

int
place_write(const char *path, const char *const *lines, struct err *e)
{
	struct buf b = { 0 };
	int rc;

	for (; *lines; lines++)
		buf_printf(&b, "%s\n", *lines);
	rc = place_write_bytes(path, b.data, b.len, e);
	buf_free(&b);
	return rc;
}

int
place_write_bytes(const char *path, const void *bytes, size_t n,
    struct err *e)
{
	/* whoever writes has the lock: one that was killed leaves it once */
	char *tmp = xasprintf("%s.new", path);
	FILE *f = fopen(tmp, "we");
	bool good = f != NULL && fwrite(bytes, 1, n, f) == n;

	good = good && fflush(f) == 0 && fdatasync(fileno(f)) == 0;
	if (f && fclose(f) != 0)
		good = false;
	if (good && rename(tmp, path) < 0)
		good = false;
	if (!good) {
		fail(e, "cannot write %s: %s", path, strerror(errno));
		unlink(tmp);
	}
	free(tmp);
	return good ? 0 : -1;
}

static int remove_entry(int folder, const char *name, int depth);

/* Empties an open folder, which it closes. */
static int
empty(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int rc = 0, why = 0;

	if (!dir) {
		close(fd);
		return -1;
	}
	while (rc == 0 && (d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			rc = remove_entry(fd, d->d_name, depth);
	why = errno;
	closedir(dir);
	errno = why;
	return rc;
}

/* A folder without write permission (a module cache) is given it. */
static int
open_folder(int folder, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(folder, name, flags);

	if (fd < 0 && errno == EACCES) {
		struct stat st;

		/* chmod follows links; what is a folder is none. */
		if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode) && fchmodat(folder, name, 0700, 0) == 0)
			fd = openat(folder, name, flags);
	}
	if (fd >= 0)
		fchmod(fd, 0700);
	return fd;
}

static int
remove_entry(int folder, const char *name, int depth)
{
	int fd;

	if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth > DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	fd = open_folder(folder, name);
	if (fd < 0 || empty(fd, depth + 1) < 0)
		return -1;
	return unlinkat(folder, name, AT_REMOVEDIR);
}

int
place_remove(const char *path, struct err *e)
{
	if (remove_entry(AT_FDCWD, path, 0) == 0 || errno == ENOENT)
		return 0;
	return fail(e, "cannot remove %s: %s", path, strerror(errno));
}
