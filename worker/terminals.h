/* SPDX-License-Identifier: MIT */
/*
 * The terminals of one agent: commands that it has us run (terminal/create),
 * each a process tree under a keeper of its own, with stdin from /dev/null and
 * stdout and stderr in one pipe, of which the tail is kept.
 *
 * A terminal is named by an id that is never used again. It is open until it
 * is released; what it said can be read until terminals_forget(), so that a
 * tool call that ends later can still show it (bounded: the oldest go). When
 * the command ends, whatever it left behind is ended, too: a tree never
 * outlives its first process, its terminal or the agent.
 *
 * A command runs as the agent does: behind the same launcher, in the same
 * environment, below the same folder. That is not a wall: a wall is the
 * launcher's business.
 *
 * No callback runs inside a terminals_*() call. Must never know: JSON, and
 * what the agent wants it for.
 */
#ifndef HEARTH_TERMINALS_H
#define HEARTH_TERMINALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct ev_loop;
struct terminals;

/* Not released, or released and still dying. */
#define TERMINALS_MAX 32
/* Bytes of output that are kept: the default and the most that one can ask. */
#define TERMINAL_OUTPUT_MAX ((int64_t)1 << 20)

struct terminals_spec {
	const char *label;         /* the worker's, for log lines */
	int64_t serial;            /* the worker's, for ids */
	char *const *launcher;     /* the first words of every command … */
	size_t n_launcher;         /* … so many of them */
	char *const *envp;         /* the agent's environment */
	const char *cwd;           /* the agent's folder, absolute */
};

struct terminal_command {
	const char *command;       /* not "" */
	char *const *args;         /* NULL: none */
	char *const *env;          /* "K=V" on top of the agent's; NULL: none */
	const char *cwd;           /* NULL: the agent's folder */
	int64_t limit;             /* bytes of output to keep, -1: default */
};

struct terminal_end {
	bool has_ended;
	int exit_code;             /* -1: by a signal */
	int term_signal;           /* 0: it exited */
};

struct terminals_callbacks {
	/* The command has ended; what it had written is there. */
	void (*ended)(void *ctx, const char *id,
	    const struct terminal_end *end);
	/* After terminals_close(): the last tree is gone. The terminals may be
	 * freed from within. */
	void (*gone)(void *ctx);
};

enum terminal_result {
	TERMINAL_OK,
	TERMINAL_REFUSED,          /* the command can't be meant so */
	TERMINAL_FAILED,           /* too many, or no process to be had */
};

/* spec is copied. */
struct terminals *terminals_new(struct ev_loop *loop,
    const struct terminals_spec *spec, const struct terminals_callbacks *cb,
    void *ctx);
/*
 * Starts a command; *id is the terminal's, valid while it is open. A program
 * that can't be executed is a terminal that ends with exit code 127 and says
 * why. A cwd must lie in the agent's folder.
 */
enum terminal_result terminals_create(struct terminals *t,
    const struct terminal_command *c, const char **id, struct err *e);
bool terminals_is_open(const struct terminals *t, const char *id);
/*
 * The end of an open terminal's command, or of one that was released and is
 * not forgotten yet. False: there is no such terminal.
 */
bool terminals_end(const struct terminals *t, const char *id,
    struct terminal_end *end);
/*
 * What it has said so far, of the same terminals: the last bytes within its
 * limit, valid UTF-8 without NULs, never part of a character; the caller
 * frees. NULL: there is no such terminal.
 */
char *terminals_output(const struct terminals *t, const char *id,
    bool *truncated);
/* Ends an open one's tree, with a second between SIGTERM and SIGKILL; the
 * terminal stays open. */
void terminals_kill(struct terminals *t, const char *id);
/* The same, and the terminal is open no more. */
void terminals_release(struct terminals *t, const char *id);
/* Forgets what released terminals have said. */
void terminals_forget(struct terminals *t);
/* The agent has another label and another folder from now on. */
void terminals_move(struct terminals *t, const char *label, const char *cwd);
/* Trees that are not gone yet. */
int terminals_alive(const struct terminals *t);
/* The keepers of these trees (base/child.h), at most max; how many. */
size_t terminals_keepers(const struct terminals *t, pid_t *out, size_t max);
/* Ends all of them, at once or as terminals_kill() does; none can be created
 * any more. */
void terminals_close(struct terminals *t, bool at_once);
/* Kills what is left, unseen. NULL is allowed. */
void terminals_free(struct terminals **t);

/*
 * Whether command, given without arguments, is a line for a shell: ACP implies
 * none, but agents put whole lines there. is_file: it names a file that can
 * be executed. Pure.
 */
bool terminal_is_shell_line(const char *command, bool is_file);

#endif
