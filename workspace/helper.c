/* SPDX-License-Identifier: MIT */
/*
 * Runs the helper program and reads what it says. Its answer counts only when
 * it said Z and its status is 0; whatever else happens is one reason in words.
 *
 * One bounded read per wake-up. The end is reported when nothing of the
 * helper's process tree is left, so that a next one finds its locks free.
 *
 * Must never know: what the records mean. Read on in workspace/workspace.c.
 */
#include "workspace/helper.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/ring.h"

#define READ_SIZE 65536
#define STDERR_KEPT 2048
/* Reads after the end: more than a pipe holds. */
#define LAST_READS 64

struct helper {
	struct ev_loop *loop;
	struct helper_callbacks cb;
	void *ctx;
	struct child *child;     /* NULL: could not be started */
	struct ev_io out, err;
	struct ev_timer limit;   /* also reports a failed start */
	int64_t limit_ms;
	struct buf in;           /* records not complete yet */
	struct ring *said;
	struct child_exit exit;
	bool has_said_all, is_bad, is_late;
	struct err why;          /* of a failed start */
};

/* Hands over the complete records. */
static void
parse(struct helper *h)
{
	struct record r;
	size_t at = 0;
	long n;

	while (!h->is_bad && at < h->in.len) {
		n = record_next(h->in.data + at, h->in.len - at, &r);
		if (n == 0)
			break;
		if (n < 0 || h->has_said_all) {
			h->is_bad = true;
			break;
		}
		at += (size_t)n;
		if (r.type == 'Z')
			h->has_said_all = true;
		else
			h->cb.record(h->ctx, &r);
	}
	if (h->is_bad)
		buf_free(&h->in);
	else
		buf_consume(&h->in, at);
}

/* False when there is nothing more to read now, or ever. */
static bool
read_out(struct helper *h)
{
	ssize_t n = read(h->out.fd, buf_room(&h->in, READ_SIZE), READ_SIZE);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			ev_io_stop(h->loop, &h->out);
		return false;
	}
	buf_grew(&h->in, (size_t)n);
	parse(h);
	return true;
}

static bool
read_err(struct helper *h)
{
	char chunk[4096];
	ssize_t n = read(h->err.fd, chunk, sizeof chunk);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			ev_io_stop(h->loop, &h->err);
		return false;
	}
	ring_add(h->said, chunk, (size_t)n);
	return true;
}

static void
on_out(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)events;
	read_out(io->data);
}

static void
on_err(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)events;
	read_err(io->data);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct helper *h = ctx;

	(void)c;
	h->exit = *x;
}

/* 0 when the answer counts. */
static int
judge(struct helper *h, struct err *e)
{
	char *said = ring_text(h->said, STDERR_KEPT), *line;
	int rc = -1;

	said[strcspn(said, "\n")] = '\0';
	line = *said ? said : "no reason given";
	if (h->is_late)
		fail(e, "the worktree helper took longer than %lld s and was "
		    "ended", (long long)(h->limit_ms / 1000));
	else if (h->exit.exec_errno)
		fail(e, "cannot run the worktree helper: %s: %s",
		    h->exit.exec_step, strerror(h->exit.exec_errno));
	else if (h->is_bad)
		fail(e, "the worktree helper's answer cannot be read");
	else if (h->exit.term_signal)
		fail(e, "the worktree helper was ended by signal %d (%.500s)",
		    h->exit.term_signal, line);
	else if (h->exit.exit_code != 0)
		fail(e, "%.1000s", line);
	else if (!h->has_said_all)
		fail(e, "the worktree helper's answer is not complete");
	else
		rc = 0;
	free(said);
	return rc;
}

static void
on_gone(struct child *c, void *ctx)
{
	struct helper *h = ctx;
	struct err e = { "" };
	int rc;

	(void)c;
	for (int i = 0; i < LAST_READS && read_out(h); i++)
		;
	for (int i = 0; i < LAST_READS && read_err(h); i++)
		;
	ev_io_stop(h->loop, &h->out);
	ev_io_stop(h->loop, &h->err);
	ev_timer_stop(h->loop, &h->limit);
	rc = judge(h, &e);
	h->cb.end(h->ctx, rc == 0 ? NULL : &e);
}

static void
on_limit(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct helper *h = timer->data;

	(void)loop;
	(void)events;
	if (!h->child) {
		h->cb.end(h->ctx, &h->why);
		return;
	}
	h->is_late = true;
	child_kill(h->child);
}

/* A file that has no name, so that nobody waits for who reads it. */
static int
open_input(const struct buf *input, struct err *e)
{
	int fd = memfd_create("hearth-worktree", MFD_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	while (fd >= 0 && n >= 0 && done < input->len) {
		n = write(fd, input->data + done, input->len - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0 && n >= 0 && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	fail(e, "cannot hand over what is to be done: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int
start(struct helper *h, const char *label, char *const *args,
    const struct buf *input, int pass_fd)
{
	static const struct child_callbacks cb = {
		.exited = on_exited, .gone = on_gone,
	};
	char *program = child_helper_path("hearth-worktree");
	char **argv = NULL, **envp;
	/* git takes its locks away when it is asked to end */
	struct child_spec spec = { .label = label, .pass_fd = pass_fd,
		.ladder = "TERM:1000",
		.stdin_fd = input ? open_input(input, &h->why) : -1 };
	int rc;

	if (input && spec.stdin_fd < 0) {
		free(program);
		return -1;
	}
	if (!program)
		return fail(&h->why, "the program hearth-worktree is missing: "
		    "is Hearth installed completely?");
	strv_add(&argv, program);
	for (; *args; args++)
		strv_add(&argv, *args);
	envp = child_environment();
	spec.argv = argv;
	spec.envp = envp;
	rc = child_start(h->loop, &spec, &cb, h, &h->child, &h->why);
	if (input)
		close(spec.stdin_fd);
	strv_free(&argv);
	strv_free(&envp);
	free(program);
	return rc;
}

struct helper *
helper_start(struct ev_loop *loop, const char *label, char *const *args,
    const struct buf *input, int pass_fd, int64_t limit_ms,
    const struct helper_callbacks *cb, void *ctx)
{
	struct helper *h = xcalloc(1, sizeof *h);

	h->loop = loop;
	h->cb = *cb;
	h->ctx = ctx;
	h->limit_ms = limit_ms;
	h->said = ring_new(STDERR_KEPT);
	ev_timer_init(&h->limit, on_limit, 0., 0.);
	ev_io_init(&h->out, on_out, -1, EV_READ);
	ev_io_init(&h->err, on_err, -1, EV_READ);
	h->limit.data = h->out.data = h->err.data = h;
	if (start(h, label, args, input, pass_fd) == 0) {
		child_close_stdin(h->child);
		ev_timer_set(&h->limit, (double)limit_ms / 1000., 0.);
		ev_io_set(&h->out, child_stdout(h->child), EV_READ);
		ev_io_set(&h->err, child_stderr(h->child), EV_READ);
		ev_io_start(loop, &h->out);
		ev_io_start(loop, &h->err);
	}
	ev_timer_start(loop, &h->limit);
	return h;
}

void
helper_free(struct helper **hp)
{
	struct helper *h = *hp;

	if (!h)
		return;
	ev_io_stop(h->loop, &h->out);
	ev_io_stop(h->loop, &h->err);
	ev_timer_stop(h->loop, &h->limit);
	child_free(&h->child);
	ring_free(&h->said);
	buf_free(&h->in);
	free(h);
	*hp = NULL;
}
