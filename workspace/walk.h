/* SPDX-License-Identifier: MIT */
/*
 * Puts an inotify watch on every folder of a worktree, on behalf of the
 * daemon, whose inotify descriptor this process was given. Says W records
 * and one D record.
 *
 * Blocking: for hearth-worktree alone.
 */
#ifndef HEARTH_WALK_H
#define HEARTH_WALK_H

/* Folders of one session; the machine's own limit is shared by all. */
#define WALK_FOLDERS_MAX 8192

void walk_watch(int inotify, const char *worktree);

#endif
