/* SPDX-License-Identifier: MIT */
/*
 * When a process has begun says /proc/PID/stat, in ticks since the machine was
 * started. One that has ended and waits to be noticed writes no more.
 *
 * Must never know: whose processes they are.
 */
#include "workspace/living.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tree.h"

struct search {
	long long since;   /* ticks */
	pid_t own;
	bool is_found;
};

/* -1: it has ended, or cannot be read. */
static long long
begin_of(pid_t pid)
{
	char path[64], text[1024], state;
	const char *end;
	long long ticks;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* the name may hold spaces and parentheses */
	end = strrchr(text, ')');
	if (!end || sscanf(end, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
	    "%*u %*u %*d %*d %*d %*d %*d %*d %lld", &state, &ticks) != 2)
		return -1;
	return state == 'Z' || state == 'X' ? -1 : ticks;
}

/* One that is older may have younger ones below it. */
static bool
visit(pid_t pid, pid_t parent, void *ctx)
{
	struct search *s = ctx;

	(void)parent;
	s->is_found = s->is_found || (pid != s->own &&
	    begin_of(pid) >= s->since);
	return !s->is_found;
}

bool
living_has(const char *text, long *root)
{
	struct search s = { .is_found = false };
	char *end;

	*root = strtol(text, &end, 10);
	if (*root <= 0 || *end != ':')
		return false;
	s.since = strtoll(end + 1, &end, 10) / (1000 / sysconf(_SC_CLK_TCK));
	s.own = *end == ':' ? (pid_t)atol(end + 1) : 0;
	tree_walk((pid_t)*root, visit, &s);
	return s.is_found;
}
