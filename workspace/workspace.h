/* SPDX-License-Identifier: MIT */
/*
 * A session's working copy and what changed in it.
 *
 * All file walks and all git happen in children: the helper program
 * hearth-worktree (workspace/worktree_main.c), which runs git with argv arrays
 * and an environment of our own. The daemon only starts it, reads its answer
 * and watches the worktree's folders with inotify, so that a turn that changed
 * no file needs no git at all.
 *
 * Where things lie, below state_dir:
 *   worktrees/<session uuid>        the worktree
 *   snapshots/<project id>.git      private bare repository: objects of the
 *                                   trees taken, alternates: the project's
 *   snapshots/<session uuid>.index  private index, and more small files
 *   prepared/<uuid>                 says of worktrees/<uuid> that it is kept
 *                                   ready for a session, which takes it there
 *
 * Must never know: agents, PostgreSQL.
 */
#ifndef HEARTH_WORKSPACE_H
#define HEARTH_WORKSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "workspace/survey.h"

struct ev_loop;
struct workspace;    /* one per daemon: the inotify watches */
struct working_copy; /* one per session */

/* state_dir is absolute and exists. */
struct workspace *workspace_new(struct ev_loop *loop, const char *state_dir);
void workspace_free(struct workspace **ws); /* its copies are freed before */

/* What the caller knows of a session's copy. */
struct working_copy_spec {
	const char *session;       /* uuid */
	int64_t project_id;
	const char *project_path;  /* absolute */
	const char *default_branch; /* NULL: the project's HEAD */
	/* of a copy made earlier; NULL when there was none */
	const char *path;
	const char *base_commit;
	/* for a new one: ignored files to be copied (workspace/include.h), the
	 * command to be run in it; each may be NULL or empty */
	char *const *include;
	char *const *setup_command;
	int64_t setup_timeout;     /* milliseconds */
	int64_t snapshots;         /* a new one may be a prepared one, of which
	                            * the project wants so many; 0: not */
};

struct working_copy *working_copy_new(struct workspace *ws,
    const struct working_copy_spec *spec);
/* Running operations are abandoned (their children killed). NULL is fine. */
void working_copy_free(struct working_copy **wc);

const char *working_copy_path(const struct working_copy *wc);   /* NULL before made */
const char *working_copy_branch(const struct working_copy *wc); /* "hearth/4c1e2f3a" */
const char *working_copy_base(const struct working_copy *wc);   /* commit id */

/*
 * Makes the worktree if it is not there (git worktree add on branch
 * hearth/<first 8 of the session's uuid>, of the project's default branch or
 * HEAD; a plain folder, or a repository without a commit, is copied through
 * the private repository instead), takes the first tree, and begins to watch.
 * An existing one is checked and taken up again. e is NULL on success. done
 * is called once, never from within this call.
 *
 * In a new one the setup command is run before the first tree; when it fails
 * so does this, and the next attempt runs it again.
 */
typedef void working_copy_made_fn(void *ctx, const struct err *e);
void working_copy_make(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx);

/* What became of the setup command. */
struct setup_outcome {
	bool is_now;            /* it ran in the last working_copy_make() */
	bool is_late;           /* it was ended by setup_timeout */
	int exit_code;          /* 128 + n: ended by signal n */
	int64_t ms;
	char *output;           /* its end, valid UTF-8 */
};
/* After working_copy_make(), also a failed one; NULL: none ran. */
const struct setup_outcome *working_copy_setup(const struct working_copy *wc);
/* The one that it was given, which may be newer than one that ran earlier. */
char *const *working_copy_setup_command(const struct working_copy *wc);
/* The prepared one (workspace/snapshots.h) that it has become in the last
 * working_copy_make(); NULL: none. */
const char *working_copy_prepared(const struct working_copy *wc);
int64_t working_copy_project(const struct working_copy *wc);

/*
 * True when nothing can have changed since the last tree: the watch is whole
 * and saw no event, and the last tree is not older than ten minutes. Reads
 * what inotify has queued; never blocks. False when in doubt.
 */
bool working_copy_is_clean(struct working_copy *wc);

/* One changed file. All borrowed for the callback. */
struct file_change {
	const char *path;       /* relative to the worktree, as name_show() has
	                         * it (workspace/name.h) */
	/*
	 * 'c' created, 'e' edited, 'd' deleted: compared to what is reviewed,
	 * which is the base and what was accepted since. '=' as there again.
	 */
	char operation;
	const char *diff;       /* unified, valid UTF-8; a summary when binary or
	                         * over 1 MiB; "" for '=' */
	const char *old_oid, *new_oid;   /* NULL where there is no file */
	const char *old_mode, *new_mode; /* "100644" …, NULL likewise */
};

/*
 * Processes whose descendants work in the copy, as far as they have begun
 * at since or later (milliseconds of CLOCK_BOOTTIME, counted in ticks).
 */
struct process_tree {
	pid_t root;
	int64_t since;
	pid_t own;              /* not this one; 0: none */
};
/* The next working_copy_snapshot() looks whether there are any … */
void working_copy_look_below(struct working_copy *wc,
    const struct process_tree *trees, size_t n);
/* … and below this one there were when it took the tree: they may have written
 * more since. */
bool working_copy_lives_below(const struct working_copy *wc, pid_t root);

/*
 * Takes the tree now and tells which files changed since the tree before
 * (taken by working_copy_make() or the last working_copy_snapshot()). One
 * operation at a time per copy: a second call while one runs is a bug.
 */
typedef void working_copy_snapshot_fn(void *ctx, const struct err *e,
    const struct file_change *changes, size_t n);
void working_copy_snapshot(struct working_copy *wc,
    working_copy_snapshot_fn *done, void *ctx);

/*
 * Something to be done with single files; workspace/decide.h says what is meant
 * and how. All borrowed for the call.
 */
struct file_order {
	int64_t id;
	const char *verb;       /* accept reject revert create edit delete */
	const char *path;
	/* of the change, as file_change has them */
	const char *old_oid, *new_oid, *old_mode, *new_mode;
	const char *hunks;      /* accept: "1,3"; NULL all */
	const char *text;       /* create, edit */
	const char *other_text; /* edit */
};
struct file_outcome {
	int64_t id;
	const char *code, *why; /* NULL: it is done; else not, and why not */
};
/* Borrowed for the callback. */
struct file_decided {
	const struct file_outcome *outcomes;
	size_t n_outcomes;
	/* what somebody else had changed before; what was accepted in part; and
	 * what differs from what is reviewed now, of the files in question */
	const struct file_change *found, *part, *left;
	size_t n_found, n_part, n_left;
};
/*
 * Does them all, as far as each can be done. After an error nothing is known
 * of them, and all may be asked for again. The copy need not be made; then only
 * accept and revert, and reject, which then does nothing, make sense.
 */
typedef void working_copy_decided_fn(void *ctx, const struct err *e,
    const struct file_decided *d);
void working_copy_decide(struct working_copy *wc,
    const struct file_order *orders, size_t n, working_copy_decided_fn *done,
    void *ctx);

/*
 * Removes the worktree and all files of the session, and its branch unless
 * something was committed on it. Nothing may run in it any more. Objects in
 * the private repository stay. Afterwards there is nothing left to do with wc
 * but to free it or to make it anew.
 */
void working_copy_remove(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx);
/*
 * The same for one that may be made again as it was: what is in it is saved on
 * the ref refs/hearth/saved/<session> of the project (of the private repository
 * when the project is no git repository) before anything is removed, and
 * working_copy_make() brings it back. Not removed is one with files that cannot
 * be saved.
 */
void working_copy_put_away(struct working_copy *wc,
    working_copy_made_fn *done, void *ctx);
/* The commit, after that; NULL: there was nothing to be saved. */
const char *working_copy_saved(const struct working_copy *wc);
/* The same as working_copy_remove(), but with its branch, whatever is on it,
 * and with what was saved. */
void working_copy_erase(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx);

/* What it is like now, workspace/survey.h; no operation may run meanwhile. It is
 * measured also when it was not made yet. */
struct survey *working_copy_survey(struct working_copy *wc, survey_fn *done,
    void *ctx);

#endif
