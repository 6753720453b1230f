/* SPDX-License-Identifier: MIT */
/*
 * The two ways of a tree's memory to swap. Both take a part at a time, so that
 * one that goes on in the middle of it is not paged out any further for long.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/tree.h"
#include "pool/hibernate.h"

/* What is asked of a cgroup at once, and what is too little to go on for. */
#define PART "33554432"
#define LITTLE ((int64_t)1 << 20)

struct page_out {
	bool has_worked;
	int error;               /* the last one that says more than that there
	                          * is nothing to do */
};

/* ---- by its cgroup */

/*
 * Until no more can be had, which is what EAGAIN says; that may be at once when
 * it has touched hardly anything since the last time.
 */
static void
reclaim(const char *cgroup, struct page_out *out)
{
	int64_t before = cgroup_number(cgroup, "memory.current"), freed;
	int error;

	do {
		int64_t left;

		if (!cgroup_is_frozen(cgroup))
			return;
		error = cgroup_write(cgroup, "memory.reclaim", PART);
		left = cgroup_number(cgroup, "memory.current");
		freed = before - left;
		before = left;
	} while (error == 0 || (error == EAGAIN && freed > LITTLE));
	if (error == EAGAIN)
		out->has_worked = true;
	else
		out->error = error;
}

/* ---- by advice to the kernel */

/* One line of /proc/PID/maps: what is the process's own and can be touched. */
static bool
is_own(const char *line, struct iovec *range)
{
	uintptr_t from, to;
	char perms[5];

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to,
	    perms) != 3)
		return false;
	if (perms[3] != 'p' || strncmp(perms, "---", 3) == 0 ||
	    strstr(line, " [v"))
		return false;
	*range = (struct iovec){ (void *)from, to - from };
	return true;
}

/* The kernel takes a part of a large one at a time. */
static void
advise(int pidfd, struct iovec range, struct page_out *out)
{
	ssize_t n = 0;

	while (range.iov_len > 0 && (n = syscall(SYS_process_madvise, pidfd,
	    &range, 1, MADV_PAGEOUT, 0)) > 0) {
		out->has_worked = true;
		range.iov_base = (char *)range.iov_base + n;
		range.iov_len -= (size_t)n;
	}
	/* EINVAL: locked or of a device; ENOMEM: not there any more */
	if (n < 0 && errno != EINVAL && errno != ENOMEM)
		out->error = errno;
}

static bool
page_out_process(pid_t pid, pid_t parent, void *ctx)
{
	int fd = pidfd_open(pid, 0);
	struct iovec range;
	char path[64], *line = NULL;
	size_t size = 0;
	FILE *maps;

	(void)parent;
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	maps = fd >= 0 ? fopen(path, "re") : NULL;
	while (maps && getline(&line, &size, maps) > 0)
		if (is_own(line, &range))
			advise(fd, range, ctx);
	if (maps)
		fclose(maps);
	if (fd >= 0)
		close(fd);
	free(line);
	return true;
}

/* ---- */

const char *
hibernation_page_out(const struct delegation *d, enum hibernation_way way,
    const pid_t *roots, size_t n)
{
	struct page_out out = { 0 };

	for (size_t i = 0; i < n; i++) {
		char cgroup[DELEGATION_PATH_MAX + 16];

		snprintf(cgroup, sizeof cgroup, "%s/%d", d->dir,
		    (int)roots[i]);
		if (way == HIBERNATION_BY_CGROUP)
			reclaim(cgroup, &out);
		else
			tree_walk(roots[i], page_out_process, &out);
	}
	if (out.has_worked)
		return NULL;
	return out.error ? strerror(out.error) : "nothing could be paged out";
}
