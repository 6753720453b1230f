/* SPDX-License-Identifier: MIT */
/*
 * Git does the matching, twice: ls-files lists what in the project's folder
 * matches the patterns and is not in the copy's tree, check-ignore says what of
 * that is ignored in the copy. Neither reads the project's own configuration,
 * as everywhere (workspace/take.c).
 *
 * Copying goes through descriptors of both folders: openat2() lets no name lead
 * out of them or through a symbolic link, whatever is renamed meanwhile.
 *
 * Must never know: records, sessions.
 */
#include "workspace/include.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/say.h"

#define PATTERNS_FILE ".worktreeinclude"
#define PATTERNS_MAX 65536
/* openat2() says EAGAIN when something was renamed under it. */
#define RACE_TRIES 16

struct include {
	const struct place *place;
	const char *project;
	int from, to;           /* descriptors of both folders */
	int64_t since;          /* what was changed later replaces what is
	                         * there; 0: nothing does */
	long long files, bytes; /* copied so far */
};

static int
open_beneath(int root, const char *path, uint64_t flags, mode_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int tries = RACE_TRIES;
	long fd;

	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries > 0)));
	return (int)fd;
}

/* ---- the patterns */

static void
add_file_patterns(const struct include *in, struct buf *all)
{
	int fd = open_beneath(in->from, PATTERNS_FILE, O_RDONLY | O_NONBLOCK,
	    0);
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= PATTERNS_MAX)
		n = read(fd, buf_room(all, PATTERNS_MAX), PATTERNS_MAX);
	else
		say_note("%s/" PATTERNS_FILE " is no file of at most %d bytes "
		    "and is not read", in->project, PATTERNS_MAX);
	if (n > 0) {
		buf_grew(all, (size_t)n);
		buf_addc(all, '\n');
	}
	close(fd);
}

/* ---- which files */

/* Steps through names that each end with a NUL; NULL after the last. */
static const char *
next_name(const struct buf *names, const char *name)
{
	name = name ? name + strlen(name) + 1 : names->data;
	return name && name < names->data + names->len ? name : NULL;
}

/* Every folder of path that is there already is a folder. */
static bool
has_way(int root, const char *path)
{
	struct stat st;

	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		char *dir = xmemdupz(path, (size_t)(p - path));
		int rc = fstatat(root, dir, &st, AT_SYMLINK_NOFOLLOW);

		free(dir);
		if (rc < 0)
			return errno == ENOENT;
		if (!S_ISDIR(st.st_mode))
			return false;
	}
	return true;
}

/* Git ends at the first name that it cannot think about. */
static void
keep_possible(const struct include *in, const struct buf *listed,
    struct buf *names)
{
	for (const char *p = NULL; (p = next_name(listed, p)); ) {
		size_t n = strlen(p);

		if (n && p[n - 1] == '/')
			say_note("%s is a repository of its own and is not "
			    "copied", p);
		else if (!has_way(in->to, p))
			say_note("%s is not copied: something else is in its "
			    "way", p);
		else
			buf_printf(names, "./%s%c", p, '\0');
	}
}

/*
 * Names after "./" are names, whatever they begin with: check-ignore does not
 * know the switch that the wrapper has for that.
 */
static int
keep_ignored(const struct include *in, const struct buf *possible,
    struct buf *names, struct err *e)
{
	struct git to = { .folder = in->place->worktree,
		.work_tree = in->place->worktree,
		.repository = in->place->repository,
		.index = in->place->index };
	struct err why = { "" };

	/* its status says, without a word, also that none is ignored */
	if (git_run(&to, GIT_ARGS("--no-literal-pathspecs", "check-ignore",
	    "-z", "--stdin"), possible, names, &why) < 0 && *why.text)
		return fail(e, "%s", why.text);
	return 0;
}

static int
list(const struct include *in, const char *patterns, struct buf *names,
    struct err *e)
{
	struct git from = { .folder = in->project, .work_tree = in->project,
		.repository = in->place->repository,
		.index = in->place->index };
	char *option = xasprintf("--exclude-from=%s", patterns);
	struct buf listed = { 0 }, possible = { 0 };
	int rc;

	rc = git_run(&from, GIT_ARGS("ls-files", "-z", "-o", "-i", option),
	    NULL, &listed, e);
	if (rc == 0)
		keep_possible(in, &listed, &possible);
	if (rc == 0 && possible.len)
		rc = keep_ignored(in, &possible, names, e);
	free(option);
	buf_free(&listed);
	buf_free(&possible);
	return rc;
}

/* ---- copying */

/* The folder that path lies in, made where it is missing; -1 and errno. */
static int
open_parent(int root, const char *path)
{
	const int how = O_PATH | O_DIRECTORY;
	int dir = open_beneath(root, ".", how, 0), next;
	const char *end;

	for (; dir >= 0 && (end = strchr(path, '/')) != NULL; path = end + 1) {
		char *name = xmemdupz(path, (size_t)(end - path));

		next = open_beneath(dir, name, how, 0);
		if (next < 0 && errno == ENOENT &&
		    (mkdirat(dir, name, 0755) == 0 || errno == EEXIST))
			next = open_beneath(dir, name, how, 0);
		free(name);
		close(dir);
		dir = next;
	}
	return dir;
}

static int
copy_bytes(struct include *in, int from, int parent, const char *name,
    const struct stat *st)
{
	ssize_t n = 1;
	int to;

	in->bytes += st->st_size;
	if (in->bytes > INCLUDE_BYTES_MAX) {
		errno = EFBIG;
		return -1;
	}
	if (in->since && st->st_mtim.tv_sec >= in->since)
		unlinkat(parent, name, 0);
	to = open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL,
	    st->st_mode & 0777);
	if (to < 0)
		return -1;
	while (n > 0)
		n = sendfile(to, from, NULL, 1 << 20);
	if (close(to) < 0)
		return -1;
	return n < 0 ? -1 : 0;
}

static int
copy_link(int from, const char *path, int parent, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, path, target, sizeof target - 1);

	if (n < 0)
		return -1;
	target[n] = '\0';
	return symlinkat(target, parent, name);
}

static int
copy_from(struct include *in, const char *path, int parent, const char *name)
{
	int from = open_beneath(in->from, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	int rc = 0;

	if (from < 0 && errno == ELOOP)
		return copy_link(in->from, path, parent, name);
	if (from < 0 || fstat(from, &st) < 0)
		rc = errno == ENOENT || errno == ENXIO ? 0 : -1;
	else if (S_ISREG(st.st_mode))
		rc = copy_bytes(in, from, parent, name, &st);
	else
		say_note("%s is no file and is not copied", path);
	if (from >= 0)
		close(from);
	return rc;
}

static int
copy(struct include *in, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int parent = open_parent(in->to, path), why = 0;

	if (++in->files > INCLUDE_FILES_MAX)
		why = EFBIG;
	else if (parent < 0 || copy_from(in, path, parent, slash ?
	    slash + 1 : path) < 0)
		why = errno;
	if (parent >= 0)
		close(parent);
	if (why == EFBIG)
		return fail(e, "more than %d files or %lld MiB are to be "
		    "copied by projects.include and " PATTERNS_FILE ": make "
		    "their patterns narrower", INCLUDE_FILES_MAX,
		    INCLUDE_BYTES_MAX >> 20);
	if (why && why != EEXIST)
		return fail(e, "%s is to be copied by projects.include or "
		    PATTERNS_FILE ", but: %s", path, strerror(why));
	return 0;
}

static int
copy_all(struct include *in, const char *patterns, struct err *e)
{
	struct buf names = { 0 };
	int rc = list(in, patterns, &names, e);

	for (const char *p = NULL; rc == 0 && (p = next_name(&names, p)); )
		rc = copy(in, p + strlen("./"), e);
	buf_free(&names);
	return rc;
}

int
include_copy(const struct place *p, const char *project,
    char *const *patterns, int64_t since, struct err *e)
{
	struct include in = { .place = p, .project = project,
		.since = since };
	struct buf all = { 0 };
	int rc = 0;

	in.from = open(project, O_PATH | O_DIRECTORY | O_CLOEXEC);
	in.to = open(p->worktree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	add_file_patterns(&in, &all);
	for (; patterns && *patterns; patterns++)
		buf_printf(&all, "%s\n", *patterns);
	if (all.len) {
		rc = place_write(p->include_file, GIT_ARGS(all.data), e);
		if (rc == 0)
			rc = copy_all(&in, p->include_file, e);
		unlink(p->include_file);
	}
	buf_free(&all);
	if (in.from >= 0)
		close(in.from);
	if (in.to >= 0)
		close(in.to);
	return rc;
}
