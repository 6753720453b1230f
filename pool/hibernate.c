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
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/tree.h"
#include "pool/swap.h"

/* More than any agent has: its processes are not worth it. */
#define PROCESSES_MAX 64
#define SOCKETS_MAX 1024

/* ---- the decision */

enum hibernation_way
hibernation_way(const struct hibernation *h)
{
	if (h->has_reclaim)
		return HIBERNATION_BY_CGROUP;
	return h->has_call && h->is_allowed ? HIBERNATION_BY_ADVICE :
	    HIBERNATION_NOT;
}

const char *
hibernation_lacks(const struct hibernation *h)
{
	static const char *const neither[] = {
#define LACK(name, words) [DELEGATION_##name] = "hearthd " words ", and " \
	"hearth-memory lacks CAP_SYS_NICE (setcap cap_sys_nice+ep on it)",
		DELEGATION_LACKS(LACK)
#undef LACK
	};

	if (h->swap_total_kb == 0)
		return "there is neither swap nor zram that agents may use";
	if (hibernation_way(h) != HIBERNATION_NOT)
		return NULL;
	if (!h->has_call)
		return "the kernel has no process_madvise (Linux 5.10 has)";
	return neither[h->lack];
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
	if (h->outside > 0)
		return "a process of it has left its cgroup";
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

/* What a cgroup, and those above it, leave of the machine's swap. */
static void
limit_swap(const char *cgroup, struct hibernation *h)
{
	char dir[DELEGATION_PATH_MAX + 16], *slash;
	int64_t max;

	snprintf(dir, sizeof dir, "%s", cgroup);
	while ((max = cgroup_number(dir, "memory.swap.max")) != -1 &&
	    (slash = strrchr(dir, '/'))) {
		int64_t left = max -
		    cgroup_number(dir, "memory.swap.current");

		if (max >= 0 && max / 1024 < h->swap_total_kb)
			h->swap_total_kb = max / 1024;
		if (max >= 0 && left / 1024 < h->swap_free_kb)
			h->swap_free_kb = left / 1024;
		*slash = '\0';
	}
}

static void
look_at_machine(const struct delegation *d, struct hibernation *h)
{
	struct swap swap;

	h->lack = d->lack;
	h->has_reclaim = d->lack == DELEGATION_NOTHING;
	swap_read(&swap);
	h->swap_total_kb = swap.total_kb;
	h->swap_free_kb = swap.free_kb;
	if (d->lack != DELEGATION_V2)
		limit_swap(d->dir, h);
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

/* In the cgroup with that path, or in one below it. */
static bool
is_inside(pid_t pid, const char *cgroup)
{
	char proc[64], text[4096], path[DELEGATION_PATH_MAX + 64];
	size_t n = strlen(cgroup);

	snprintf(proc, sizeof proc, "/proc/%d", (int)pid);
	cgroup_read(proc, "cgroup", text, sizeof text);
	return delegation_cgroup_of(text, path, sizeof path) &&
	    strncmp(path, cgroup, n) == 0 &&
	    (path[n] == '/' || path[n] == '\0');
}

/* A tree that is being looked at. */
struct look {
	struct hibernation *h;
	bool has_cgroup, is_frozen;
	/* as in struct delegation */
	char path[DELEGATION_PATH_MAX + 16], dir[DELEGATION_PATH_MAX + 16];
};

static bool
look_at_process(pid_t pid, pid_t parent, void *ctx)
{
	struct look *l = ctx;
	struct hibernation *h = l->h;
	struct sockets sockets;
	char state = state_of(pid);
	bool is_outside;

	(void)parent;
	/* one that has ended keeps nothing */
	if (state == 0 || state == 'Z' || state == 'X')
		return true;
	if (++h->processes > PROCESSES_MAX)
		return false;
	is_outside = l->has_cgroup && !is_inside(pid, l->path);
	h->outside += is_outside;
	h->busy += state == 'R' || state == 'D';
	h->stopped += state == 'T' || state == 't' ||
	    (l->is_frozen && !is_outside);
	h->memory_kb += memory_of(pid);
	h->clients += is_client(pid);
	if (!list_sockets(pid, &sockets))
		h->hidden++;
	else if (listens(pid, &sockets))
		h->listening++;
	return true;
}

/* The tree's own cgroup: hearthd gives them the names of its keepers' pids. */
static void
look_at_cgroup(const struct delegation *d, pid_t root, struct look *l)
{
	snprintf(l->path, sizeof l->path, "%s/%d", d->path, (int)root);
	snprintf(l->dir, sizeof l->dir, "%s/%d", d->dir, (int)root);
	l->has_cgroup = DELEGATION_IS_OWN(d->lack) &&
	    access(l->dir, F_OK) == 0;
	l->is_frozen = l->has_cgroup && cgroup_is_frozen(l->dir);
	if (l->has_cgroup)
		limit_swap(l->dir, l->h);
	if (!l->has_cgroup || cgroup_number(l->dir, "memory.current") < 0)
		l->h->has_reclaim = false;
}

void
hibernation_look(const struct delegation *d, const pid_t *roots, size_t n,
    struct hibernation *h)
{
	*h = (struct hibernation){ .processes = 0 };
	look_at_machine(d, h);
	for (size_t i = 0; i < n; i++) {
		struct look l = { .h = h };

		look_at_cgroup(d, roots[i], &l);
		tree_walk(roots[i], look_at_process, &l);
	}
}
