/* SPDX-License-Identifier: MIT */
/*
 * A program of the embedded PostgreSQL under its keeper; see the header. It has
 * ended when nothing of it is left and all that it said was read.
 * Read next: sql/cluster.c.
 */
#include "sql/cluster_program.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/log.h"
#include "base/ring.h"
#include "sql/cluster_files.h"

#define OBJECT "embedded postgres"
#define LOG_LIMIT (4 * 1024 * 1024)
#define TAIL_SIZE 8192

struct cluster_program {
	struct ev_loop *loop;
	char *state_dir;
	void (*ended)(void *ctx);
	void *ctx;
	struct child *child;      /* NULL: none runs */
	struct child_exit exit;   /* of the last one that has exited */
	ev_io out, err;
	int log_fd;               /* pg.log; -1: cannot be written */
	off_t log_size;
	struct ring *tail;        /* what it said last */
};

static void
open_log(struct cluster_program *p)
{
	char *path = xasprintf("%s/pg.log", p->state_dir);
	struct stat st;

	p->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW |
	    O_CLOEXEC, 0640);
	if (p->log_fd == -1)
		log_warning(OBJECT, "%s: %s", path, strerror(errno));
	p->log_size = p->log_fd != -1 && fstat(p->log_fd, &st) == 0 ?
	    st.st_size : 0;
	free(path);
}

static void
rotate_log(struct cluster_program *p)
{
	char *path = xasprintf("%s/pg.log", p->state_dir);
	char *old = xasprintf("%s.1", path);

	close(p->log_fd);
	if (rename(path, old) == -1)
		log_warning(OBJECT, "%s: %s", old, strerror(errno));
	open_log(p);
	free(old);
	free(path);
}

static void
keep_output(struct cluster_program *p, const char *text, size_t n)
{
	ssize_t done;

	ring_add(p->tail, text, n);
	if (p->log_fd == -1)
		return;
	if (p->log_size > LOG_LIMIT)
		rotate_log(p);
	done = write(p->log_fd, text, n);
	if (done > 0)
		p->log_size += done;
}

/* false: there is nothing more to read (now, or at all). */
static bool
read_output(struct cluster_program *p, ev_io *w)
{
	char text[16384];
	ssize_t n;

	if (!ev_is_active(w))
		return false;
	n = read(w->fd, text, sizeof(text));
	if (n > 0)
		keep_output(p, text, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(p->loop, w);
	return n > 0;
}

static void
on_output(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	read_output(w->data, w);
}

/* The line in which a program says why it ended: the last complaint. */
static char *
last_words(const struct cluster_program *p)
{
	static const char *const marks[] = { "PANIC:", "FATAL:", "error:" };
	char *text = ring_text(p->tail, TAIL_SIZE), *line, *best = NULL;

	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
			char *complaint = strstr(line, marks[i]);

			best = complaint != NULL ? complaint : best;
		}
	}
	best = xstrdup(best != NULL ? best : "");
	free(text);
	return best;
}

char *
cluster_program_end(const struct cluster_program *p, const char *name)
{
	const struct child_exit *x = &p->exit;
	char *words = last_words(p), *why;
	const char *colon = *words != '\0' ? ": " : "";

	if (x->exec_errno != 0)
		why = xasprintf("%s cannot be started: %s: %s", name,
		    x->exec_step, strerror(x->exec_errno));
	else if (x->term_signal != 0)
		why = xasprintf("%s was ended by signal %d (%s)%s%s", name,
		    x->term_signal, strsignal(x->term_signal), colon, words);
	else
		why = xasprintf("%s ended with code %d%s%s (see %s/pg.log)",
		    name, x->exit_code, colon, words, p->state_dir);
	free(words);
	return why;
}

static void
watch_output(struct cluster_program *p)
{
	ev_io_init(&p->out, on_output, child_stdout(p->child), EV_READ);
	ev_io_init(&p->err, on_output, child_stderr(p->child), EV_READ);
	p->out.data = p->err.data = p;
	ev_io_start(p->loop, &p->out);
	ev_io_start(p->loop, &p->err);
}

static void
on_exited(struct child *child, void *ctx, const struct child_exit *x)
{
	struct cluster_program *p = ctx;

	(void)child;
	p->exit = *x;
}

static void
drop_child(struct cluster_program *p)
{
	if (p->child == NULL)
		return;
	ev_io_stop(p->loop, &p->out);
	ev_io_stop(p->loop, &p->err);
	child_free(&p->child);
}

static void
on_gone(struct child *child, void *ctx)
{
	struct cluster_program *p = ctx;

	(void)child;
	while (read_output(p, &p->err) || read_output(p, &p->out))
		continue;
	drop_child(p);
	p->ended(p->ctx);
}

int
cluster_program_start(struct cluster_program *p,
    const struct cluster_user *user, char *const *argv, const char *ladder,
    struct err *e)
{
	static const struct child_callbacks cb = {
		.exited = on_exited, .gone = on_gone,
	};
	char **env = child_environment();
	struct child_spec spec = {
		.label = OBJECT, .argv = argv, .cwd = p->state_dir,
		.as_user = user->is_other, .uid = user->uid,
		.gid = user->gid, .ladder = ladder, .pass_fd = -1,
		.stdin_fd = -1,
	};
	int rc;

	MUST(p->child == NULL);
	if (p->log_fd == -1)
		open_log(p);
	child_setenv(&env, "LC_ALL=C.UTF-8");
	spec.envp = env;
	ring_free(&p->tail);
	p->tail = ring_new(TAIL_SIZE);
	memset(&p->exit, 0, sizeof(p->exit));
	rc = child_start(p->loop, &spec, &cb, p, &p->child, e);
	strv_free(&env);
	if (rc == -1)
		return -1;
	child_close_stdin(p->child);
	watch_output(p);
	return 0;
}

void
cluster_program_stop(struct cluster_program *p)
{
	child_stop(p->child);
}

pid_t
cluster_program_pid(const struct cluster_program *p)
{
	return p->child != NULL ? child_pid(p->child) : 0;
}

bool
cluster_program_runs(const struct cluster_program *p)
{
	return p->child != NULL;
}

bool
cluster_program_never_ran(const struct cluster_program *p)
{
	return p->exit.exec_errno != 0;
}

bool
cluster_program_succeeded(const struct cluster_program *p)
{
	return p->exit.exec_errno == 0 && p->exit.exit_code == 0;
}

struct cluster_program *
cluster_program_new(struct ev_loop *loop, const char *state_dir,
    void (*ended)(void *ctx), void *ctx)
{
	struct cluster_program *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->state_dir = xstrdup(state_dir);
	p->ended = ended;
	p->ctx = ctx;
	p->log_fd = -1;
	return p;
}

void
cluster_program_free(struct cluster_program **pp)
{
	struct cluster_program *p = *pp;

	if (p == NULL)
		return;
	drop_child(p);
	if (p->log_fd != -1)
		close(p->log_fd);
	ring_free(&p->tail);
	free(p->state_dir);
	free(p);
	*pp = NULL;
}
