/* SPDX-License-Identifier: MIT */
/*
 * Finding, judging and taking what is delegated. All of it reads and writes
 * small files of the kernel, which do not wait for a disk.
 */
#include "base/delegation.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/log.h"

/* Not what somebody would call a cgroup that they make for hearthd. */
#define OWN_NAME ".hearthd"
#define FILE_MAX 65536

/* The folder that was taken; "": none. */
static char taken[DELEGATION_PATH_MAX];

enum delegation_lack
delegation_judge(const struct delegation_facts *f)
{
	if (!f->has_path)
		return DELEGATION_V2;
	if (f->is_root || !f->is_writable ||
	    (!f->is_marked && !f->is_boundary))
		return DELEGATION_OWN;
	if (f->others > 0)
		return DELEGATION_ALONE;
	if (!f->has_memory)
		return DELEGATION_MEMORY;
	return f->has_reclaim ? DELEGATION_NOTHING : DELEGATION_RECLAIM;
}

/* ---- where it is */

bool
delegation_cgroup_of(const char *cgroup, char *path, size_t size)
{
	const char *line = strncmp(cgroup, "0::/", 4) == 0 ? cgroup :
	    strstr(cgroup, "\n0::/");
	size_t n;

	if (!line)
		return false;
	line = strchr(line, '/');
	n = strcspn(line, "\n");
	/* what is not below our own namespace's root cannot be named */
	if (n >= size || strncmp(line, "/..", 3) == 0)
		return false;
	/* the topmost is "" */
	n = n == 1 ? 0 : n;
	memcpy(path, line, n);
	path[n] = '\0';
	return true;
}

/* What of path is below a mount of that root; NULL: it is not there. */
static const char *
below(const char *path, const char *root)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

	return strncmp(path, root, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0') ? path + n : NULL;
}

/* A line of mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS… - TYPE … */
static bool
is_reached_by(const char *line, size_t len, struct delegation *d)
{
	char root[256], point[256], text[1024];
	const char *rest;
	int n;

	if (len >= sizeof text)
		return false;
	memcpy(text, line, len);
	text[len] = '\0';
	if (!strstr(text, " - cgroup2 ") ||
	    sscanf(text, "%*d %*d %*s %255s %255s", root, point) != 2)
		return false;
	rest = below(d->path, root);
	n = rest ? snprintf(d->dir, sizeof d->dir, "%s%s", point, rest) : -1;
	return n > 0 && n < (int)sizeof d->dir;
}

/* The folder above a path, in place. */
static bool
strip_last(char *path, const char *name)
{
	char *slash = strrchr(path, '/');

	if (!slash || (name && strcmp(slash + 1, name) != 0))
		return false;
	*slash = '\0';
	return true;
}

bool
delegation_find(const char *cgroup, const char *mountinfo,
    struct delegation *d)
{
	*d = (struct delegation){ .lack = DELEGATION_V2 };
	if (!delegation_cgroup_of(cgroup, d->path, sizeof d->path))
		return false;
	for (const char *line = mountinfo; *line; ) {
		size_t len = strcspn(line, "\n");

		if (is_reached_by(line, len, d)) {
			d->is_taken = strip_last(d->path, OWN_NAME) &&
			    strip_last(d->dir, OWN_NAME);
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}

/* ---- what it is like */

static bool
is_there(const char *dir, const char *file)
{
	char path[DELEGATION_PATH_MAX + 64];

	snprintf(path, sizeof path, "%s/%s", dir, file);
	return access(path, F_OK) == 0;
}

static bool
may_write(const char *dir, const char *file, uid_t user)
{
	char path[DELEGATION_PATH_MAX + 64];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", dir, file);
	return stat(path, &st) == 0 && (user == 0 ||
	    (st.st_uid == user && (st.st_mode & S_IWUSR) != 0));
}

static bool
is_read_only(const char *dir)
{
	struct statvfs fs;

	return statvfs(dir, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0;
}

static bool
is_marked(const char *dir)
{
	char value[8];

	return (getxattr(dir, "user.delegate", value, sizeof value) == 1 ||
	    getxattr(dir, "trusted.delegate", value, sizeof value) == 1) &&
	    value[0] == '1';
}

static bool
is_boundary(const char *dir, uid_t user)
{
	char above[DELEGATION_PATH_MAX];

	snprintf(above, sizeof above, "%s", dir);
	return !strip_last(above, NULL) ||
	    !may_write(above, "cgroup.procs", user);
}

static int
count_others(const char *dir, pid_t pid)
{
	char text[4096], *end;
	int others = 0;

	cgroup_read(dir, "cgroup.procs", text, sizeof text);
	for (const char *p = text; *p; p = end) {
		/* 0: of another pid namespace */
		others += strtol(p, &end, 10) != pid;
		if (*end != '\n')
			break;
		end++;
	}
	return others;
}

void
delegation_see(const struct delegation *d, pid_t pid, uid_t user,
    struct delegation_facts *f)
{
	char words[512];

	cgroup_read(d->dir, d->is_taken ? "cgroup.subtree_control" :
	    "cgroup.controllers", words, sizeof words);
	*f = (struct delegation_facts){
		.has_path = true,
		.is_root = !is_there(d->dir, "cgroup.events"),
		.is_writable = may_write(d->dir, "", user) &&
		    may_write(d->dir, "cgroup.procs", user) &&
		    may_write(d->dir, "cgroup.subtree_control", user) &&
		    !is_read_only(d->dir),
		.is_marked = is_marked(d->dir),
		.is_boundary = is_boundary(d->dir, user),
		.others = count_others(d->dir, pid),
		.has_memory = cgroup_has_word(words, "memory"),
		.has_reclaim = is_there(d->dir, "memory.reclaim"),
	};
}

void
delegation_look(pid_t pid, struct delegation *d)
{
	static char cgroup[FILE_MAX], mountinfo[FILE_MAX];
	struct delegation_facts f = { 0 };
	struct stat st;
	char proc[64];

	snprintf(proc, sizeof proc, "/proc/%d", (int)pid);
	cgroup_read(proc, "cgroup", cgroup, sizeof cgroup);
	cgroup_read("/proc/self", "mountinfo", mountinfo, sizeof mountinfo);
	if (delegation_find(cgroup, mountinfo, d) && stat(proc, &st) == 0)
		delegation_see(d, pid, st.st_uid, &f);
	d->lack = delegation_judge(&f);
}

/* ---- taking it */

static int
move_in(const struct delegation *d)
{
	char own[DELEGATION_PATH_MAX + 16], pid[32];
	int error;

	snprintf(own, sizeof own, "%s/" OWN_NAME, d->dir);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (mkdir(own, 0755) != 0 && errno != EEXIST)
		return errno;
	error = cgroup_write(own, "cgroup.procs", pid);
	if (error)
		rmdir(own);
	return error;
}

/* For what is below. */
static void
enable_memory(const char *dir)
{
	char words[512];
	int error = 0;

	cgroup_read(dir, "cgroup.controllers", words, sizeof words);
	if (cgroup_has_word(words, "memory"))
		error = cgroup_write(dir, "cgroup.subtree_control", "+memory");
	if (error)
		log_warning("hearthd", "%s: the memory controller cannot be "
		    "turned on: %s", dir, strerror(error));
}

void
delegation_end_tree(pid_t keeper)
{
	char dir[DELEGATION_PATH_MAX + 16];

	if (!*taken)
		return;
	snprintf(dir, sizeof dir, "%s/%d", taken, (int)keeper);
	cgroup_write(dir, "cgroup.kill", "1");
	cgroup_remove(dir);
}

/* Those whose keeper is gone. */
static void
end_leftovers(void)
{
	DIR *dir = opendir(taken);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && entry->d_type == DT_DIR &&
		    kill(pid, 0) != 0 && errno == ESRCH)
			delegation_end_tree(pid);
	}
	if (dir)
		closedir(dir);
}

void
delegation_take(void)
{
	struct delegation d;
	int error;

	delegation_look(getpid(), &d);
	if (!DELEGATION_IS_OWN(d.lack))
		return;
	error = d.is_taken ? 0 : move_in(&d);
	if (error) {
		log_warning("hearthd", "%s is delegated, but cannot be moved "
		    "in: %s", d.dir, strerror(error));
		return;
	}
	snprintf(taken, sizeof taken, "%s", d.dir);
	enable_memory(taken);
	end_leftovers();
	log_info("hearthd", "agents live in cgroups of their own below %s",
	    taken);
}

const char *
delegation_dir(void)
{
	return *taken ? taken : NULL;
}
