/* SPDX-License-Identifier: MIT */
/*
 * Has anything moved in a worktree? One inotify instance for the daemon, a
 * watch per folder, put there by the helper program (workspace/walk.h), which
 * tells the descriptors. When in doubt the answer is yes.
 */
#ifndef HEARTH_WATCH_H
#define HEARTH_WATCH_H

#include <stdbool.h>

struct ev_loop;
struct watches; /* the instance */
struct watch;   /* one worktree's part of it */

/* Without inotify (the user's instances are used up) nothing is ever quiet. */
struct watches *watches_new(struct ev_loop *loop);
void watches_free(struct watches **ws); /* its watches are freed before */
int watches_fd(const struct watches *ws); /* -1: none */

struct watch *watch_new(struct watches *ws);
void watch_free(struct watch **w);

/* Folders may be unwatched: the next helper has to walk. */
bool watch_needs_walk(const struct watch *w);
/*
 * A helper is about to start, and a tree will be taken after this moment:
 * what moved before is forgotten. With walks, the helper tells descriptors.
 */
void watch_begin(struct watch *w, bool walks);
void watch_add(struct watch *w, int wd);
void watch_end(struct watch *w, bool is_whole); /* of the walk */

/* Nothing moved since watch_begin(). Reads what is queued; never blocks. */
bool watch_is_quiet(struct watch *w);

#endif
