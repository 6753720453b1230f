/* SPDX-License-Identifier: MIT */
/*
 * The walk below a process: /proc/PID/task/TID/children, level by level.
 *
 * Part of hearth-keeper, so it needs libc alone: no log, no base/alloc. The
 * depth is bounded because a malicious chain of processes would otherwise
 * decide how much stack is used; what is deeper comes nearer once those
 * above it are dead, as its orphans go to the keeper.
 *
 * Read next: base/keeper.c.
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define DEPTH_LIMIT 64

struct walk {
	bool (*visit)(pid_t pid, pid_t parent, void *ctx);
	void *ctx;
};

static void walk_process(const struct walk *w, pid_t pid, int depth);

/* The decimal numbers in a children file; a read may end within one. */
static void
walk_list(const struct walk *w, int fd, pid_t parent, int depth)
{
	char text[1024];
	ssize_t n;
	pid_t pid = 0;

	while ((n = read(fd, text, sizeof text)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] >= '0' && text[i] <= '9') {
				pid = pid * 10 + (text[i] - '0');
				continue;
			}
			if (pid > 0 && w->visit(pid, parent, w->ctx))
				walk_process(w, pid, depth + 1);
			pid = 0;
		}
	}
}

static void
walk_process(const struct walk *w, pid_t pid, int depth)
{
	char path[64];
	DIR *tasks;
	struct dirent *task;

	if (depth >= DEPTH_LIMIT)
		return;
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return;
	while ((task = readdir(tasks))) {
		char name[300];
		int fd;

		if (task->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/children", task->d_name);
		fd = openat(dirfd(tasks), name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		walk_list(w, fd, pid, depth);
		close(fd);
	}
	closedir(tasks);
}

void
tree_walk(pid_t root,
    bool (*visit)(pid_t pid, pid_t parent, void *ctx), void *ctx)
{
	struct walk w = { visit, ctx };

	walk_process(&w, root, 0);
}

/* Reads the beginning of /proc/PID/name as a string; false when it cannot. */
static bool
read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

static pid_t
parent_of(pid_t pid)
{
	char text[512];
	const char *end;
	int parent;

	if (!read_proc(pid, "stat", text, sizeof text))
		return -1;
	/* the name may hold spaces and parentheses */
	end = strrchr(text, ')');
	if (!end || sscanf(end, ") %*c %d", &parent) != 1)
		return -1;
	return parent;
}

int
tree_signal(pid_t pid, pid_t parent, int sig)
{
	int fd, error = 0;

	/* our own children keep their number until we wait for them */
	if (parent == getpid())
		return kill(pid, sig) == 0 ? 0 : errno;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return errno;
	if (parent_of(pid) != parent)
		error = ESRCH;
	else if (pidfd_send_signal(fd, sig, NULL, 0) != 0)
		error = errno;
	close(fd);
	return error;
}

long
tree_peak_rss_kb(pid_t pid)
{
	char text[2048];
	const char *line;

	if (!read_proc(pid, "status", text, sizeof text))
		return 0;
	line = strstr(text, "\nVmHWM:");
	return line ? strtol(line + 7, NULL, 10) : 0;
}
