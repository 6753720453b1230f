/* SPDX-License-Identifier: MIT */
/*
 * From a folder to a tree: list what differs from the index, look at each
 * name, bring the index up to date, write the tree.
 *
 * Only ls-files, update-index and write-tree ever see the folder: add, status
 * and diff start a git inside repositories that lie in it, with whatever
 * configuration those have. Names that git would refuse or wait for (a pipe,
 * something behind a symbolic link, a repository) never reach update-index.
 *
 * Must never know: sessions. Read on in workspace/changes.c.
 */
#include "workspace/take.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "workspace/git.h"
#include "workspace/say.h"

/* Above this size an index is split, so that few changes write little. */
#define SPLIT_SIZE (2 << 20)
/* So many updated files make the index worth writing anew later. */
#define STALE_FILES 500

struct listing {
	const struct take *t;
	int folder;           /* descriptor */
	struct buf gone;      /* "path NUL": names to leave the index */
	struct buf there;     /* names to enter it, or be read again */
	struct buf links;     /* "path NUL": submodules in the index */
	bool knows_links;
	size_t count;
	char *parent;         /* the last folder found to be one */
};

static struct git
git_of(const struct take *t)
{
	return (struct git){ .folder = t->folder, .repository = t->repository,
		.work_tree = t->folder, .index = t->index };
}

/* Steps through names that each end with a NUL; NULL after the last. */
static const char *
next_name(const struct buf *names, const char *name)
{
	name = name ? name + strlen(name) + 1 : names->data;
	return name && name < names->data + names->len ? name : NULL;
}

/* Every folder on the way to path is a folder, not a link to one. */
static bool
has_real_parents(struct listing *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	struct stat st;
	char *dir;

	if (len == 0)
		return true;
	dir = xmemdupz(path, len);
	if (l->parent && strcmp(l->parent, dir) == 0) {
		free(dir);
		return true;
	}
	if (fstatat(l->folder, dir, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode) || !has_real_parents(l, dir)) {
		free(dir);
		return false;
	}
	free(l->parent);
	l->parent = dir;
	return true;
}

/* Reads the index's submodules, once, when it matters. */
static void
read_links(struct listing *l)
{
	struct git g = git_of(l->t);
	struct buf all = { 0 };

	if (!l->knows_links &&
	    git_run(&g, GIT_ARGS("ls-files", "-z", "-s"), NULL, &all,
	    NULL) == 0) {
		for (const char *p = NULL; (p = next_name(&all, p)); ) {
			const char *tab = strchr(p, '\t');

			if (tab && strncmp(p, "160000 ", 7) == 0)
				buf_add(&l->links, tab + 1, strlen(tab + 1) + 1);
		}
	}
	l->knows_links = true;
	buf_free(&all);
}

/* When a folder stands for a file. */
static bool
is_submodule(struct listing *l, const char *path)
{
	read_links(l);
	for (const char *p = NULL; (p = next_name(&l->links, p)); )
		if (strcmp(p, path) == 0)
			return true;
	return false;
}

static void
leave_out(struct listing *l)
{
	if (l->t->left_out)
		++*l->t->left_out;
}

static bool
has_files(const struct listing *l, const char *folder)
{
	int fd = openat(l->folder, folder, O_RDONLY | O_DIRECTORY |
	    O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int n = 0;

	/* one that may not be looked into counts as one that has some */
	if (fd < 0)
		return errno == EACCES;
	while (dir && n <= 2 && readdir(dir))
		n++; /* "." and ".." come, too */
	if (dir)
		closedir(dir);
	else
		close(fd);
	return n > 2;
}

/* Git lists nothing that lies in a submodule's folder, be it a repository by
 * now or not: who asks what is left out has to know. */
static void
look_into_submodules(struct listing *l)
{
	if (!l->t->left_out)
		return;
	read_links(l);
	for (const char *p = NULL; (p = next_name(&l->links, p)); )
		if (has_real_parents(l, p) && has_files(l, p)) {
			say_note("%s is a submodule with files, which are "
			    "left out", p);
			leave_out(l);
		}
}

static bool
can_be_read(struct listing *l, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return true;
	if (faccessat(l->folder, path, R_OK, AT_EACCESS) < 0) {
		say_note("%s cannot be read and is left as it was", path);
		leave_out(l);
		return false;
	}
	if (st->st_size > TAKE_FILE_MAX) {
		say_note("%s is larger than %lld MiB and is left as it was",
		    path, TAKE_FILE_MAX >> 20);
		leave_out(l);
		return false;
	}
	return true;
}

static void
look_at(struct listing *l, const char *path)
{
	size_t len = strlen(path);
	struct stat st;

	if (len && path[len - 1] == '/') {
		say_note("%s is a repository of its own and is left out", path);
		leave_out(l);
		return;
	}
	if (fstatat(l->folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    has_real_parents(l, path)) {
		if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
			if (can_be_read(l, path, &st)) {
				buf_add(&l->there, path, len + 1);
				l->count++;
			}
			return;
		}
		if (S_ISDIR(st.st_mode) && is_submodule(l, path))
			return;
	}
	buf_add(&l->gone, path, len + 1);
}

static int
update_index(struct listing *l, struct err *e)
{
	struct git g = git_of(l->t);

	if (l->gone.len && git_run(&g, GIT_ARGS("update-index",
	    "--force-remove", "-z", "--stdin"), &l->gone, NULL, e) < 0)
		return -1;
	if (l->there.len && git_run(&g, GIT_ARGS("update-index", "--add",
	    "--remove", "--replace", "-z", "--stdin"), &l->there, NULL, e) < 0)
		return -1;
	if (l->count >= STALE_FILES)
		close(open(l->t->stale_file, O_WRONLY | O_CREAT | O_CLOEXEC,
		    0600));
	return 0;
}

/* Writes the index anew when its times have become old enough to be trusted. */
static void
refresh(const struct take *t)
{
	struct git g = git_of(t);
	struct timespec now;
	struct stat st;

	if (access(t->stale_file, F_OK) < 0 || stat(t->index, &st) < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec - st.st_mtim.tv_sec < 2)
		return;
	/* Its status says only that files were changed. */
	git_run(&g, GIT_ARGS("update-index", "-q", "--refresh",
	    st.st_size > SPLIT_SIZE ? "--split-index" : NULL), NULL, NULL,
	    NULL);
	unlink(t->stale_file);
}

static char *
take_once(const struct take *t, struct err *e)
{
	struct git g = git_of(t);
	struct listing l = { .t = t, .folder = -1 };
	struct buf names = { 0 };
	char *tree = NULL;

	l.folder = open(t->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l.folder < 0) {
		fail(e, "%s: %s", t->folder, strerror(errno));
		return NULL;
	}
	refresh(t);
	/* One process: the index is read once, each file looked at once. */
	if (git_run(&g, GIT_ARGS("ls-files", "-z", "-m", "-o",
	    "--exclude-standard"), NULL, &names, e) == 0) {
		for (const char *p = NULL; (p = next_name(&names, p)); )
			look_at(&l, p);
		look_into_submodules(&l);
		if (update_index(&l, e) == 0)
			tree = git_line(&g, GIT_ARGS("write-tree",
			    "--missing-ok"), NULL, e);
	}
	close(l.folder);
	free(l.parent);
	buf_free(&l.gone);
	buf_free(&l.there);
	buf_free(&l.links);
	buf_free(&names);
	return tree;
}

static void
unlock(const struct take *t)
{
	char *lock = xasprintf("%s.lock", t->index);

	unlink(lock); /* the session's lock is ours: nobody else has this one */
	free(lock);
}

static int
rebuild_index(const struct take *t, const char *start, struct err *e)
{
	struct git g = git_of(t);

	unlock(t);
	unlink(t->index);
	return start ? git_run(&g, GIT_ARGS("read-tree", start), NULL, NULL, e)
	    : git_run(&g, GIT_ARGS("read-tree", "--empty"), NULL, NULL, e);
}

char *
take_tree(const struct take *t, const char *start, struct err *e)
{
	char *tree = NULL;

	unlock(t);
	if (access(t->index, F_OK) == 0)
		tree = take_once(t, e);
	if (!tree && rebuild_index(t, start, e) == 0)
		tree = take_once(t, e);
	return tree;
}

int
take_out(const struct take *t, const char *commit, struct err *e)
{
	struct git g = git_of(t);

	unlock(t);
	unlink(t->index);
	close(open(t->stale_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return git_run(&g, GIT_ARGS("read-tree", "--reset", "-u", commit),
	    NULL, NULL, e);
}

int
take_over(const struct take *t, const char *commit, struct err *e)
{
	struct git g = git_of(t);

	return git_run(&g, GIT_ARGS("read-tree", "--reset", "-u", commit),
	    NULL, NULL, e);
}
