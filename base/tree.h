/* SPDX-License-Identifier: MIT */
/*
 * The processes below a process, read from /proc. What is read is never a
 * snapshot: processes come and go meanwhile, so whoever ends a tree repeats
 * until waitpid() says that nothing is left.
 */
#ifndef HEARTH_TREE_H
#define HEARTH_TREE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Calls visit for every process below root, a parent before its children;
 * false spares it and what is below it.
 */
void tree_walk(pid_t root,
    bool (*visit)(pid_t pid, pid_t parent, void *ctx), void *ctx);

/*
 * Signals pid, but never a stranger that got the number of a process that
 * ended meanwhile. Returns 0 or an errno; ESRCH: no child of parent any more.
 */
int tree_signal(pid_t pid, pid_t parent, int sig);

/* The most memory that pid ever had resident; 0 when unknown. */
long tree_peak_rss_kb(pid_t pid);

#endif
