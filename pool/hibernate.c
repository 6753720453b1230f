/* SPDX-License-Identifier: MIT */
/*
 * The facts are read process by process and are never a snapshot; so the tree
 * is looked at again once it stands still, before anything is paged out.
 */
#include "pool/hibernate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/tree.h"
#include "pool/swap.h"

/* More than any agent has: its processes are not worth it. */
#define PROCESSES_MAX 64
#define SOCKETS_MAX 1024

/* ---- the decision */

const char *
hibernation_lacks(const struct hibernation *h)
{
	if (!h->has_call)
		return "the kernel has no process_madvise (Linux 5.10 has)";
	if (h->swap_total_kb == 0)
		return "there is neither swap nor zram";
	if (!h->is_allowed)
		return "hearth-memory lacks CAP_SYS_NICE (setcap "
		    "cap_sys_nice+ep on it)";
	return NULL;
}

const char *
hibernation_refusal(const struct hibernation *h, bool is_stopped)
{
	const char *lack = hibernation_lacks(h);

	if (lack)
		return lack;
	if (h->processes == 0)
		return "it has no process";
	if (h->processes > PROCESSES_MAX)
		return "it has too many processes";
	if (h->hidden > 0)
		return "a process of it cannot be looked into";
	if (h->listening > 0)
		return "a process of it listens on a socket";
	if (h->clients > 0)
		return "it is at the far end of ssh or in a container";
	if (!is_stopped && h->stopped > 0)
		return "a process of it is stopped";
	if (!is_stopped && h->busy > 0)
		return "a process of it is at work";
	if (is_stopped && h->stopped < h->processes)
		return "a process of it goes on";
	if (h->memory_kb > h->swap_free_kb)
		return "swap is too full for it";
	return NULL;
}

/* ---- the machine */

static bool
has_cap_sys_nice(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 &&
	    (data[0].effective & 1u << CAP_SYS_NICE) != 0;
}

static void
look_at_machine(struct hibernation *h)
{
	struct swap swap;

	swap_read(&swap);
	h->swap_total_kb = swap.total_kb;
	h->swap_free_kb = swap.free_kb;
	h->is_allowed = has_cap_sys_nice();
	/* EBADF where the call is known */
	h->has_call = syscall(SYS_process_madvise, -1, NULL, 0, MADV_PAGEOUT,
	    0) == 0 || errno != ENOSYS;
}

/* ---- one process */

struct sockets {
	uint64_t inode[SOCKETS_MAX];
	size_t n;
};

/* False when its descriptors are not to be seen, or too many are sockets. */
static bool
list_sockets(pid_t pid, struct sockets *s)
{
	char path[64], target[64];
	struct dirent *d;
	bool fits = true;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return false;
	for (s->n = 0; fits && (d = readdir(dir)); fits = s->n < SOCKETS_MAX) {
		ssize_t len = readlinkat(dirfd(dir), d->d_name, target,
		    sizeof target - 1);

		target[len > 0 ? len : 0] = '\0';
		if (sscanf(target, "socket:[%" SCNu64, &s->inode[s->n]) == 1)
			s->n++;
	}
	closedir(dir);
	return fits;
}

static bool
has_socket(const struct sockets *s, uint64_t inode)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->inode[i] == inode)
			return true;
	return false;
}

/* The inode of a listening socket of a line of /proc/PID/net/NAME, or 0. */
static uint64_t
listener_of(const char *line, bool is_unix)
{
	uint64_t inode = 0;
	unsigned state;

	if (is_unix)
		return sscanf(line, "%*x: %*x %*x %x %*x %*x %" SCNu64, &state,
		    &inode) == 2 && (state & 0x10000) != 0 ? inode : 0;
	return sscanf(line, " %*d: %*s %*s %x %*s %*s %*s %*u %*u %" SCNu64,
	    &state, &inode) == 2 && state == 0x0a ? inode : 0;
}

static bool
listens(pid_t pid, const struct sockets *s)
{
	static const char *const names[] = { "tcp", "tcp6", "unix" };
	bool does = false;
	char *line = NULL;
	size_t size = 0;

	for (int i = 0; i < 3 && s->n > 0 && !does; i++) {
		char path[64];
		uint64_t inode;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid,
		    names[i]);
		f = fopen(path, "re");
		while (f && !does && getline(&line, &size, f) > 0) {
			inode = listener_of(line, i == 2);
			does = inode != 0 && has_socket(s, inode);
		}
		if (f)
			fclose(f);
	}
	free(line);
	return does;
}

/* As ps(1) shows it; 0: it is gone. */
static char
state_of(pid_t pid)
{
	char path[64], text[512];
	const char *end;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	/* the name may hold spaces and parentheses */
	end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : 0;
}

/* What launchers begin with whose agent is elsewhere. */
static bool
is_client(pid_t pid)
{
	static const char *const names[] = { "ssh\n", "docker\n", "podman\n",
		"nerdctl\n", "kubectl\n" };
	char path[64], name[64] = "";
	bool is = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f && fgets(name, sizeof name, f))
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			is |= strcmp(name, names[i]) == 0;
	if (f)
		fclose(f);
	return is;
}

/* Of no file, resident. */
static int64_t
memory_of(pid_t pid)
{
	char path[64];
	int64_t resident = 0, shared = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*d %" SCNd64 " %" SCNd64, &resident, &shared) != 2)
		resident = shared = 0;
	fclose(f);
	return (resident - shared) * (sysconf(_SC_PAGESIZE) / 1024);
}

static bool
look_at_process(pid_t pid, pid_t parent, void *ctx)
{
	struct hibernation *h = ctx;
	struct sockets sockets;
	char state = state_of(pid);

	(void)parent;
	/* one that has ended keeps nothing */
	if (state == 0 || state == 'Z' || state == 'X')
		return true;
	if (++h->processes > PROCESSES_MAX)
		return false;
	h->busy += state == 'R' || state == 'D';
	h->stopped += state == 'T' || state == 't';
	h->memory_kb += memory_of(pid);
	h->clients += is_client(pid);
	if (!list_sockets(pid, &sockets))
		h->hidden++;
	else if (listens(pid, &sockets))
		h->listening++;
	return true;
}

void
hibernation_look(const pid_t *roots, size_t n, struct hibernation *h)
{
	*h = (struct hibernation){ .processes = 0 };
	look_at_machine(h);
	for (size_t i = 0; i < n; i++)
		tree_walk(roots[i], look_at_process, h);
}

/* ---- paging out */

struct page_out {
	int64_t kb;              /* that was advised */
	int error;               /* the last one that says more than that there
	                          * is nothing to do */
};

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
		out->kb += n / 1024;
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

const char *
hibernation_page_out(const pid_t *roots, size_t n)
{
	struct page_out out = { 0 };

	for (size_t i = 0; i < n; i++)
		tree_walk(roots[i], page_out_process, &out);
	if (out.kb > 0)
		return NULL;
	return out.error ? strerror(out.error) : "nothing could be paged out";
}
