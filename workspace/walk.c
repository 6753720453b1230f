/* SPDX-License-Identifier: MIT */
/*
 * The walk over a worktree's folders. It follows no symbolic link and leaves
 * out no folder but the .git at the top: a folder gets its watch before it is
 * read, so one that appears meanwhile is either found or reported by the
 * kernel. Where the walk cannot be whole (too many folders, no permission,
 * another file system), it says why, and the session is never taken as clean
 * by watching.
 *
 * Must never know: what the events mean. Read on in workspace/watch.c.
 */
#include "workspace/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "workspace/say.h"

#define DEPTH_MAX 200
#define PER_RECORD 4096 /* bytes of a W record */

static const uint32_t mask = IN_CREATE | IN_DELETE | IN_MODIFY |
	IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
	IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;

struct walk {
	int inotify;
	dev_t device;
	int folders;
	struct buf wds;
	struct err why;   /* not whole, and why */
	bool is_whole;
};

static void
give_up(struct walk *w, const char *what)
{
	if (w->is_whole)
		fail(&w->why, "%s: %s", what, errno == ENOSPC ?
		    "the limit fs.inotify.max_user_watches is reached" :
		    strerror(errno));
	w->is_whole = false;
}

/* By descriptor: the path may have become another folder's meanwhile. */
static void
watch_folder(struct walk *w, int fd, const char *name)
{
	char path[64];
	int wd;

	if (++w->folders > WALK_FOLDERS_MAX) {
		if (w->is_whole)
			fail(&w->why, "more than %d folders",
			    WALK_FOLDERS_MAX);
		w->is_whole = false;
		return;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d/.", fd);
	wd = inotify_add_watch(w->inotify, path, mask);
	if (wd < 0) {
		give_up(w, name);
		return;
	}
	buf_printf(&w->wds, "%d ", wd);
	if (w->wds.len >= PER_RECORD) {
		SAY('W', w->wds.data);
		say_flush();
		buf_reset(&w->wds, 2 * PER_RECORD);
	}
}

static void enter(struct walk *w, int folder, const char *name, int depth);

static void
walk_entries(struct walk *w, DIR *dir, int depth)
{
	struct dirent *d;

	while (w->is_whole && (errno = 0, d = readdir(dir)) != NULL) {
		if (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)
			continue;
		if (strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    (depth == 0 && strcmp(d->d_name, ".git") == 0))
			continue;
		enter(w, dirfd(dir), d->d_name, depth + 1);
	}
	if (w->is_whole && errno)
		give_up(w, "readdir");
}

static void
enter(struct walk *w, int folder, const char *name, int depth)
{
	int fd = openat(folder, name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	DIR *dir;

	if (fd < 0) {
		/* Gone, or no folder: its parent's watch has seen it. */
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			give_up(w, name);
		return;
	}
	if (fstat(fd, &st) == 0 && depth == 0)
		w->device = st.st_dev;
	if (st.st_dev != w->device || depth > DEPTH_MAX) {
		errno = st.st_dev != w->device ? EXDEV : ENAMETOOLONG;
		give_up(w, name);
		close(fd);
		return;
	}
	watch_folder(w, fd, name);
	dir = fdopendir(fd);
	if (!dir) {
		give_up(w, name);
		close(fd);
		return;
	}
	walk_entries(w, dir, depth);
	closedir(dir);
}

void
walk_watch(int inotify, const char *worktree)
{
	struct walk w = { .inotify = inotify, .is_whole = true };

	enter(&w, AT_FDCWD, worktree, 0);
	if (w.folders == 0 && w.is_whole)
		give_up(&w, worktree);
	if (w.wds.len)
		SAY('W', w.wds.data);
	SAY('D', w.is_whole ? "1" : "0", w.why.text);
	say_flush();
	buf_free(&w.wds);
}
