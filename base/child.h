/* SPDX-License-Identifier: MIT */
/*
 * A child process and everything below it, under a keeper.
 *
 * Every process that the daemon starts runs under a keeper of its own
 * (base/keeper.c, the program hearth-keeper): a subreaper that starts the
 * child, reports its pid and its end over a control socket, and ends every
 * descendant when the child ends, when it is told to, or when the control
 * socket closes because the daemon died. The child's stdin, stdout and
 * stderr are pipes that go past the keeper; the daemon's ends are
 * non-blocking and close-on-exec.
 *
 * The daemon watches a pidfd per keeper. No callback runs inside a
 * child_*() call. Order of callbacks: started?, exited, gone. After gone
 * nothing of the tree is left (or, where the kernel forbade a kill, the
 * keeper has logged what is left).
 *
 * Must never know: ACP, git, PostgreSQL.
 */
#ifndef HEARTH_CHILD_H
#define HEARTH_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct ev_loop;
struct child;

struct child_spec {
	const char *label;    /* for log lines: "worker 17" */
	char *const *argv;    /* argv[0] is searched in PATH of envp */
	char *const *envp;    /* the child's whole environment */
	const char *cwd;      /* NULL: the daemon's */
	bool as_user;         /* run the child as uid, gid (needs root) */
	uid_t uid;
	gid_t gid;
	/*
	 * How the child is ended when asked to or when the daemon died: steps
	 * NAME:MILLISECONDS, NAME a signal without SIG (to the child's process
	 * group) or "wait"; SIGKILL of the whole tree comes after the last.
	 * "wait:500 TERM:1500". NULL: kill at once.
	 */
	const char *ladder;
	int pass_fd;          /* becomes fd 3 of the child; -1: none */
	int stdin_fd;         /* the child's stdin instead of a pipe; -1: pipe.
	                       * Stays the caller's. */
	bool has_cgroup;      /* of its own, where that can be: see
	                       * base/delegation.h */
	bool joins_output;    /* stderr goes into stdout's pipe, in order;
	                       * child_stderr() is -1 */
};

struct child_exit {
	int exit_code;        /* -1 when it died by a signal or never ran */
	int term_signal;      /* 0 when it exited */
	int exec_errno;       /* not 0: it never ran, and this is why */
	const char *exec_step; /* with exec_errno: "exec", "chdir", "setuid" … */
	long peak_rss_kb;     /* the largest process of the tree, 0 unknown */
	bool was_asked;       /* child_stop() or child_kill() came before */
};

struct child_callbacks {
	void (*started)(struct child *c, void *ctx, pid_t pid);
	void (*exited)(struct child *c, void *ctx, const struct child_exit *x);
	void (*gone)(struct child *c, void *ctx);
};

/*
 * Starts it. Returns 0 and *out, or -1 with the reason (no keeper program,
 * no file descriptors, no process). A command that cannot be executed is
 * reported by exited() with exec_errno, not here. spec is copied as needed.
 */
int child_start(struct ev_loop *loop, const struct child_spec *spec,
    const struct child_callbacks *cb, void *ctx, struct child **out,
    struct err *e);

/* The daemon's ends of the pipes; the child owns them. -1 when closed. */
int child_stdin(const struct child *c);
int child_stdout(const struct child *c);
int child_stderr(const struct child *c);
void child_close_stdin(struct child *c);

pid_t child_pid(const struct child *c); /* 0 before started, kept after */
bool child_has_exited(const struct child *c);
/* The keeper: what is below it is the child's whole tree. 0 when reaped. */
pid_t child_keeper(const struct child *c);

void child_stop(struct child *c); /* begins the ladder; idempotent */
void child_kill(struct child *c); /* SIGKILL of the whole tree, now */
/* Sends one signal to the child alone (not its tree). */
void child_signal(struct child *c, int sig);
/* The whole tree stands still (SIGSTOP, or by its cgroup), and goes on. A stop
 * thaws it. */
void child_freeze(struct child *c);
void child_thaw(struct child *c);

/*
 * Forgets it; NULL is allowed. A tree that still lives is killed, without
 * further callbacks, and its keeper is reaped in the background. Not from
 * within exited(); from gone() it is fine.
 */
void child_free(struct child **c);

/*
 * Raises the daemon's soft limit on file descriptors to the hard one. Children
 * started afterwards get the limit that was there before.
 */
void child_raise_fd_limit(void);

/*
 * Where hearth-keeper and the other helper programs are: the folder of the
 * running program when they lie there (build tree), else PKGLIBEXECDIR.
 * Returns a path that the caller frees, or NULL when there is none.
 */
char *child_helper_path(const char *name);

/*
 * A fresh environment from the daemon's own by allow-list: HOME, PATH, USER,
 * LOGNAME, SHELL, LANG, LC_*, TZ, TMPDIR, TERM, XDG_*, SSH_AUTH_SOCK, and the
 * proxy and certificate variables (http_proxy …, NO_PROXY, SSL_CERT_FILE,
 * SSL_CERT_DIR, NODE_EXTRA_CA_CERTS). Never NOTIFY_SOCKET, WATCHDOG_*,
 * LISTEN_*, HEARTH_*, PG*. The caller frees it with strv_free().
 */
char **child_environment(void);
/* Sets NAME=VALUE in env, or removes NAME when the entry has no '='. */
void child_setenv(char ***env, const char *entry);

#endif
