/* SPDX-License-Identifier: MIT */
/*
 * The part of the cgroup v2 hierarchy that is left to hearthd: by systemd
 * (Delegate=yes), or by hand, where its folder was given to hearthd's user.
 *
 *   DIR           the delegated cgroup, without a process, as the kernel wants
 *     .hearthd    hearthd itself, its keepers, its helpers
 *     1234        a child's tree, named after the pid of its keeper; made and
 *     1260        removed by that (base/keeper_start.c, base/keeper_end.c)
 *
 * What is not certainly ours is not touched: the root cgroup; one that other
 * processes are in; one that is neither marked as delegated nor where what is
 * ours begins.
 */
#ifndef HEARTH_DELEGATION_H
#define HEARTH_DELEGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What is missing, in words that go on after "hearthd …". */
#define DELEGATION_LACKS(LACK) \
	LACK(NOTHING, "made no cgroup for it") \
	LACK(V2, "runs without cgroup v2") \
	LACK(OWN, "has no cgroup v2 of its own (start it by its systemd unit, " \
	    "or by systemd-run with -p Delegate=yes)") \
	LACK(ALONE, "shares its cgroup with other processes (start it by its " \
	    "systemd unit, or by systemd-run with -p Delegate=yes)") \
	LACK(MEMORY, "was not given the memory controller of its cgroup") \
	LACK(RECLAIM, "runs on a kernel without memory.reclaim (Linux 5.19 " \
	    "has it)")

enum delegation_lack {
#define LACK(name, words) DELEGATION_##name,
	DELEGATION_LACKS(LACK)
#undef LACK
};

#define DELEGATION_PATH_MAX 200

/* Where a hearthd is, or would be. */
struct delegation {
	/* as in /proc/PID/cgroup, "" for the topmost; and as a folder */
	char path[DELEGATION_PATH_MAX], dir[DELEGATION_PATH_MAX];
	bool is_taken;           /* the process is in DIR/.hearthd already */
	enum delegation_lack lack;
};

/* What is seen of one, for delegation_judge(). */
struct delegation_facts {
	bool has_path;           /* the process is in a cgroup v2 that is
	                          * mounted */
	bool is_root;            /* of the whole machine */
	bool is_writable;        /* for the process's user */
	bool is_marked;          /* by systemd, as delegated */
	bool is_boundary;        /* what is above it is not the user's */
	int others;              /* processes beside it */
	bool has_memory;         /* the controller, for what is below */
	bool has_reclaim;
};

/* Where trees have cgroups of their own: with lacks from MEMORY on, too. */
#define DELEGATION_IS_OWN(lack) \
	((lack) == DELEGATION_NOTHING || (lack) >= DELEGATION_MEMORY)

/* Pure. */
enum delegation_lack delegation_judge(const struct delegation_facts *f);
/*
 * From the texts of /proc/PID/cgroup and /proc/PID/mountinfo: path and dir.
 * False where there is no cgroup v2, or it cannot be reached. Pure.
 */
bool delegation_find(const char *cgroup, const char *mountinfo,
    struct delegation *d);
/* The cgroup v2 of a line of that file; false: none. Pure. */
bool delegation_cgroup_of(const char *cgroup, char *path, size_t size);
/* Looks at d->dir, which delegation_find() has found for that process of that
 * user. */
void delegation_see(const struct delegation *d, pid_t pid, uid_t user,
    struct delegation_facts *f);

/* Looks at the hearthd with this pid, or at a process that would become one.
 * Changes nothing. */
void delegation_look(pid_t pid, struct delegation *d);
/*
 * hearthd takes what is left to it: moves itself to DIR/.hearthd, turns the
 * memory controller on for what is below, and ends and removes what a hearthd
 * before it has left. Before anything is started, once.
 */
void delegation_take(void);
/* DIR, after that, where children may have cgroups of their own; or NULL. */
const char *delegation_dir(void);
/* Ends and removes what a keeper that was killed has left. */
void delegation_end_tree(pid_t keeper);

#endif
