/* SPDX-License-Identifier: MIT */
/*
 * Files that the agent reads and writes through us.
 *
 * Every name is resolved by the kernel, from a descriptor of the root and
 * beneath it: openat2() refuses "..", absolute symlinks and links that lead
 * out, whatever is renamed meanwhile. The textual check before only turns an
 * absolute path into one relative to the root; folders are made through a
 * descriptor of a parent that was resolved the same way.
 *
 * Only regular files; O_NONBLOCK keeps a FIFO or a device from holding up the
 * loop until fstat() has told what was opened.
 */
#include "worker/client_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define READ_MAX ((size_t)8 << 20)
/* openat2() says EAGAIN when something was renamed under it. */
#define RACE_TRIES 16

static enum client_fs_result
refuse(struct err *e, const char *path, const char *why)
{
	fail(e, "%s: %s", path, why);
	return CLIENT_FS_REFUSED;
}

static enum client_fs_result
fail_errno(struct err *e, const char *path, int error)
{
	fail(e, "%s: %s", path, strerror(error));
	switch (error) {
	case EXDEV:
	case ELOOP:
		return refuse(e, path, "leads out of the working folder");
	case EISDIR:
	case ENXIO:
		return refuse(e, path, "is no regular file");
	case ENOENT:
	case ENOTDIR:
		return CLIENT_FS_NOT_FOUND;
	default:
		return CLIENT_FS_FAILED;
	}
}

static int
open_beneath(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? 0666 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int tries = RACE_TRIES;
	long fd;

	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries > 0)));
	return (int)fd;
}

static bool
has_dotdot(const char *path)
{
	for (const char *p = path; *p; ) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return true;
		p += n;
		p += strspn(p, "/");
	}
	return false;
}

/* What of path lies below root, or NULL when it does not. */
static const char *
strip_root(const char *root, const char *path)
{
	size_t n = strlen(root);

	while (n > 0 && root[n - 1] == '/')
		n--;
	if (strncmp(path, root, n) != 0 || path[n] != '/')
		return NULL;
	path += n + strspn(path + n, "/");
	return *path ? path : NULL;
}

/*
 * Opens the root (for naming only) and finds *below. Agents may name their
 * folder as the kernel sees it, so the root's real path counts too.
 */
static enum client_fs_result
open_root(const char *root, const char *path, int *fd, const char **below,
    struct err *e)
{
	char *real;

	if (*path != '/')
		return refuse(e, path, "is not an absolute path");
	if (has_dotdot(path))
		return refuse(e, path, "has \"..\" in it");
	*below = strip_root(root, path);
	if (!*below) {
		real = realpath(root, NULL);
		*below = real ? strip_root(real, path) : NULL;
		free(real);
	}
	if (!*below)
		return refuse(e, path, "is not below the working folder");
	*fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0) {
		fail(e, "%s: %s", root, strerror(errno));
		return CLIENT_FS_FAILED;
	}
	return CLIENT_FS_OK;
}

/* Opens a regular file; it is of no use to the caller otherwise. */
static enum client_fs_result
open_file(int root, const char *below, const char *path, uint64_t flags,
    int *fd, struct err *e)
{
	struct stat st;

	*fd = open_beneath(root, below, flags | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return fail_errno(e, path, errno);
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
		return CLIENT_FS_OK;
	close(*fd);
	return refuse(e, path, "is no regular file");
}

/* Reads to the end of the file, but READ_MAX + 1 bytes at most. */
static int
slurp(int fd, struct buf *all)
{
	while (all->len <= READ_MAX) {
		size_t want = READ_MAX + 1 - all->len;
		ssize_t n;

		if (want > 65536)
			want = 65536;
		n = read(fd, buf_room(all, want), want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		buf_grew(all, (size_t)n);
	}
	return 0;
}

/* Moves *p over count lines; true when they all end before end. */
static bool
skip_lines(const char **p, const char *end, int64_t count)
{
	for (; count > 0; count--) {
		const char *lf = memchr(*p, '\n', (size_t)(end - *p));

		*p = lf ? lf + 1 : end;
		if (!lf)
			return false;
	}
	return true;
}

/* Appends the lines asked for. False: they go on after what was read. */
static bool
add_lines(const struct buf *all, int64_t line, int64_t limit,
    struct buf *out)
{
	bool is_whole = all->len <= READ_MAX;
	const char *p = all->data, *end = p + all->len;
	const char *from;

	if (!skip_lines(&p, end, line - 1) && !is_whole)
		return false;
	from = p;
	if (limit <= 0)
		p = end;
	if ((limit <= 0 || !skip_lines(&p, end, limit)) && !is_whole)
		return false;
	utf8_repair(from, (size_t)(p - from), false, out);
	return true;
}

enum client_fs_result
client_fs_read(const char *root, const char *path, int64_t line,
    int64_t limit, struct buf *out, struct err *e)
{
	enum client_fs_result result;
	struct buf all = { 0 };
	const char *below;
	int root_fd, fd;

	result = open_root(root, path, &root_fd, &below, e);
	if (result != CLIENT_FS_OK)
		return result;
	result = open_file(root_fd, below, path, O_RDONLY, &fd, e);
	close(root_fd);
	if (result != CLIENT_FS_OK)
		return result;
	buf_room(&all, 0);
	if (slurp(fd, &all) < 0) {
		result = fail_errno(e, path, errno);
	} else if (!add_lines(&all, line, limit, out)) {
		fail(e, "%s: only the first %zu MiB of a file can be read; "
		    "ask for fewer lines", path, READ_MAX >> 20);
		result = CLIENT_FS_FAILED;
	}
	buf_free(&all);
	close(fd);
	return result;
}

/*
 * Makes the folder that is the first n bytes of below, beneath its parent;
 * one that is there already is fine.
 */
static int
make_folder(int root, const char *below, size_t n)
{
	char *name = xmemdupz(below, n);
	char *slash = strrchr(name, '/');
	int parent, result;

	if (slash)
		*slash = '\0';
	parent = open_beneath(root, slash ? name : ".",
	    O_PATH | O_DIRECTORY);
	result = parent < 0 ? -1 :
	    mkdirat(parent, slash ? slash + 1 : name, 0777);
	if (result < 0 && parent >= 0 && errno == EEXIST)
		result = 0;
	if (parent >= 0) {
		int saved = errno;

		close(parent);
		errno = saved;
	}
	free(name);
	return result;
}

static int
make_parents(int root, const char *below)
{
	for (const char *p = strchr(below, '/'); p; p = strchr(p, '/')) {
		if (make_folder(root, below, (size_t)(p - below)) < 0)
			return -1;
		p += strspn(p, "/");
	}
	return 0;
}

/* Overwrites, then cuts: a full disk leaves as much as possible. */
static int
replace_content(int fd, const char *content, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, content + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return ftruncate(fd, (off_t)len);
}

enum client_fs_result
client_fs_write(const char *root, const char *path, const char *content,
    size_t len, struct err *e)
{
	const uint64_t flags = O_WRONLY | O_CREAT;
	enum client_fs_result result;
	const char *below;
	int root_fd, fd;

	result = open_root(root, path, &root_fd, &below, e);
	if (result != CLIENT_FS_OK)
		return result;
	result = open_file(root_fd, below, path, flags, &fd, e);
	if (result == CLIENT_FS_NOT_FOUND) {
		if (make_parents(root_fd, below) < 0)
			result = fail_errno(e, path, errno);
		else
			result = open_file(root_fd, below, path, flags, &fd,
			    e);
	}
	close(root_fd);
	if (result != CLIENT_FS_OK)
		return result;
	if (replace_content(fd, content, len) < 0)
		result = fail_errno(e, path, errno);
	close(fd);
	return result;
}
