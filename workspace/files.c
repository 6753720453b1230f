/* SPDX-License-Identifier: MIT */
/*
 * Every step is relative to a folder that is held open, and none follows a
 * link, so a path stays below its root whatever is moved meanwhile.
 *
 * A file is replaced by exchanging names: what was there has the temporary name
 * then, and is looked at again before it goes. If somebody has changed it
 * since it was read, the names are exchanged back. Where the file system cannot
 * exchange, the look comes just before the rename.
 *
 * Must never know: git, sessions. Read on in workspace/decide.c.
 */
#include "workspace/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/take.h"

static bool
is_name(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	    strcasecmp(name, ".git") != 0;
}

/* What is new belongs to whom the folder belongs: hearthd may be root. */
static void
give_to_owner(int folder, const char *name)
{
	struct stat st;

	if (geteuid() == 0 && fstat(folder, &st) == 0 &&
	    fchownat(folder, name, st.st_uid, st.st_gid,
	    AT_SYMLINK_NOFOLLOW) < 0)
		return; /* a file system without owners */
}

static int
enter(int folder, const char *name, bool makes)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(folder, name, flags);

	if (fd >= 0 || errno != ENOENT || !makes)
		return fd;
	if (mkdirat(folder, name, 0777) == 0)
		give_to_owner(folder, name);
	else if (errno != EEXIST)
		return -1;
	return openat(folder, name, flags);
}

/* Goes down to the folder of the last name. */
static int
walk(struct spot *s, char *way, bool makes, struct err *e)
{
	char *rest = way, *name;
	int next;

	while ((name = strsep(&rest, "/")) != NULL) {
		if (!is_name(name))
			return fail(e, "%s is not a path that can be "
			    "changed: it has the part \"%s\"", s->path, name);
		if (!rest)
			return 0;
		next = enter(s->folder, name, makes);
		if (next < 0 && errno == ENOENT && !makes) {
			spot_close(s);
			return 0;
		}
		if (next < 0)
			return fail(e, "%s: \"%s\": %s", s->path, name,
			    errno == ELOOP || errno == ENOTDIR ?
			    "it is no folder" : strerror(errno));
		close(s->folder);
		s->folder = next;
	}
	return 0;
}

int
spot_open(int root, const char *path, bool makes, struct spot *s,
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *way = xstrdup(path);
	int rc;

	*s = (struct spot){ .path = path, .name = slash ? slash + 1 : path };
	s->folder = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rc = s->folder < 0 ? fail(e, "%s: %s", path, strerror(errno)) :
	    walk(s, way, makes, e);
	free(way);
	return rc;
}

void
spot_close(struct spot *s)
{
	if (s->folder >= 0)
		close(s->folder);
	s->folder = -1;
}

static int
read_link(const struct spot *s, struct buf *out, struct err *e)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(s->folder, s->name, to, sizeof to);

	if (n < 0)
		return fail(e, "%s: %s", s->path, strerror(errno));
	buf_add(out, to, (size_t)n);
	return 0;
}

static int
read_file(const struct spot *s, struct stat *st, struct buf *out,
    struct err *e)
{
	int fd = openat(s->folder, s->name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, st) == 0 && st->st_size > TAKE_FILE_MAX) {
		close(fd);
		return fail(e, "%s is larger than %lld MiB", s->path,
		    TAKE_FILE_MAX >> 20);
	}
	while (fd >= 0 && (n = read(fd, buf_room(out, 1 << 16), 1 << 16)) > 0)
		buf_grew(out, (size_t)n);
	if (n < 0)
		fail(e, "%s: %s", s->path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

int
spot_read(const struct spot *s, struct found *f, struct buf *out,
    struct err *e)
{
	*f = (struct found){ .mode = "" };
	buf_adds(out, "");
	if (s->folder < 0)
		return 0;
	if (fstatat(s->folder, s->name, &f->st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(e, "%s: %s", s->path,
		    strerror(errno));
	if (S_ISLNK(f->st.st_mode)) {
		strcpy(f->mode, "120000");
		return read_link(s, out, e);
	}
	if (!S_ISREG(f->st.st_mode))
		return fail(e, "%s is no file", s->path);
	strcpy(f->mode, f->st.st_mode & S_IXUSR ? "100755" : "100644");
	return read_file(s, &f->st, out, e);
}

static bool
is_as_found(int folder, const char *name, const struct found *was)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && !*was->mode;
	return *was->mode && st.st_ino == was->st.st_ino &&
	    st.st_dev == was->st.st_dev && st.st_size == was->st.st_size &&
	    st.st_mode == was->st.st_mode &&
	    st.st_mtim.tv_sec == was->st.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == was->st.st_mtim.tv_nsec;
}

/* What was there keeps its owner and permissions, but for execution. */
static int
dress(int fd, const struct found *was, const char *mode)
{
	bool is_old = *was->mode && S_ISREG(was->st.st_mode);
	mode_t bits = is_old ? was->st.st_mode & 0777 : 0644;

	if (strcmp(mode, "100755") == 0)
		bits |= (bits & 0444) >> 2;
	else
		bits &= ~(mode_t)0111;
	if (is_old && geteuid() == 0 &&
	    fchown(fd, was->st.st_uid, was->st.st_gid) < 0)
		return -1;
	return fchmod(fd, bits);
}

static int
write_all(int fd, const struct buf *bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes->len) {
		n = write(fd, bytes->data + done, bytes->len - done);
		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd);
}

static int
make_tmp(const struct spot *s, const char *tmp, const struct found *was,
    const char *mode, const struct buf *bytes)
{
	int fd, rc;

	if (strcmp(mode, "120000") == 0)
		return symlinkat(bytes->data, s->folder, tmp);
	fd = openat(s->folder, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (!*was->mode)
		give_to_owner(s->folder, tmp);
	rc = dress(fd, was, mode);
	if (rc == 0)
		rc = write_all(fd, bytes);
	return close(fd) < 0 ? -1 : rc;
}

enum { DONE, CHANGED, LEFT_BESIDE };

/* The temporary name has what somebody else wrote. */
static int
give_back(int folder, const char *tmp, const char *name)
{
	return renameat2(folder, tmp, folder, name, RENAME_EXCHANGE) == 0 ||
	    renameat2(folder, tmp, folder, name, RENAME_NOREPLACE) == 0 ?
	    CHANGED : LEFT_BESIDE;
}

/* These three return one of the above, or -1 and errno. */

static int
enter_new(int folder, const char *tmp, const char *name)
{
	if (renameat2(folder, tmp, folder, name, RENAME_NOREPLACE) == 0)
		return DONE;
	if (errno == EINVAL && linkat(folder, tmp, folder, name, 0) == 0)
		return DONE;
	return errno == EEXIST ? CHANGED : -1;
}

static int
exchange(int folder, const char *tmp, const char *name,
    const struct found *was)
{
	if (renameat2(folder, tmp, folder, name, RENAME_EXCHANGE) == 0)
		return is_as_found(folder, tmp, was) ? DONE :
		    give_back(folder, tmp, name);
	if (errno == ENOENT)
		return CHANGED;
	if (errno != EINVAL)
		return -1;
	if (!is_as_found(folder, name, was))
		return CHANGED;
	return renameat(folder, tmp, folder, name);
}

static int
take_away(int folder, const char *tmp, const char *name,
    const struct found *was)
{
	if (renameat2(folder, name, folder, tmp, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || renameat(folder, name, folder, tmp) < 0))
		return errno == ENOENT ? CHANGED : -1;
	if (is_as_found(folder, tmp, was))
		return DONE;
	return renameat2(folder, tmp, folder, name, RENAME_NOREPLACE) == 0 ?
	    CHANGED : LEFT_BESIDE;
}

static void
sync_folder(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int
spot_put(const struct spot *s, const char *tmp, const struct found *was,
    const char *mode, const struct buf *bytes, struct err *e)
{
	int rc = *mode ? make_tmp(s, tmp, was, mode, bytes) : 0, why;
	/* one that lies there may be all that is left of somebody's work */
	bool is_ours = *mode && (rc == 0 || errno != EEXIST);

	if (rc < 0)
		;
	else if (!*mode)
		rc = take_away(s->folder, tmp, s->name, was);
	else if (*was->mode)
		rc = exchange(s->folder, tmp, s->name, was);
	else
		rc = enter_new(s->folder, tmp, s->name);
	why = errno;
	if ((is_ours && rc != LEFT_BESIDE) || rc == DONE)
		unlinkat(s->folder, tmp, 0);
	sync_folder(s->folder);
	if (rc < 0 && why == EEXIST)
		return fail(e, "cannot write %s: beside it lies %s, which may "
		    "be what was there before; look at it and move it away",
		    s->path, tmp);
	if (rc < 0)
		return fail(e, "cannot write %s: %s", s->path, strerror(why));
	if (rc != DONE)
		fail(e, "%s was changed in this moment; decide again%s%s",
		    s->path, rc == LEFT_BESIDE ? ". Beside it lies what was "
		    "there: " : "", rc == LEFT_BESIDE ? tmp : "");
	return rc != DONE;
}

void
spot_prune(int root, const char *path,
    bool (*may_go)(void *ctx, const char *folder), void *ctx)
{
	char *folder = xstrdup(path), *slash;
	struct spot s;

	while ((slash = strrchr(folder, '/')) != NULL) {
		int rc = -1;

		*slash = '\0';
		if (!may_go(ctx, folder))
			break;
		if (spot_open(root, folder, false, &s, NULL) == 0 &&
		    s.folder >= 0)
			rc = unlinkat(s.folder, s.name, AT_REMOVEDIR);
		spot_close(&s);
		if (rc < 0)
			break;
	}
	free(folder);
}
