/* SPDX-License-Identifier: MIT */
/*
 * One request is written and its answer read, line by line; `expected` counts
 * the trees that the answer still owes. A failure is told from the loop, as it
 * may be found where no callback may run.
 *
 * The helper is ours and trusted, but what it says is bounded nevertheless: a
 * line that never ends is nonsense.
 */
#include "pool/memory.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"
#include "base/log.h"

#define READ_SIZE 4096
#define LINE_MAX_BYTES 256
/* The largest tree takes it a second or two. */
#define SILENCE_SECONDS 60.

struct memory {
	struct ev_loop *loop;
	struct memory_callbacks cb;
	void *ctx;
	struct child *child;     /* NULL: none runs */
	struct buf request;      /* to be written, or being made */
	struct buf answer;       /* not parsed yet */
	size_t expected;         /* trees of the round, not told yet */
	bool is_busy;
	ev_io in, out, err;
	ev_timer silence;        /* also tells a failure, from the loop */
	bool has_failed;
	struct err why;
};

static void on_in(struct ev_loop *loop, ev_io *io, int events);
static void on_out(struct ev_loop *loop, ev_io *io, int events);
static void on_err(struct ev_loop *loop, ev_io *io, int events);
static void on_silence(struct ev_loop *loop, ev_timer *t, int events);

struct memory *
memory_new(struct ev_loop *loop, const struct memory_callbacks *cb,
    void *ctx)
{
	struct memory *m = xcalloc(1, sizeof *m);

	m->loop = loop;
	m->cb = *cb;
	m->ctx = ctx;
	ev_io_init(&m->in, on_in, -1, EV_WRITE);
	ev_io_init(&m->out, on_out, -1, EV_READ);
	ev_io_init(&m->err, on_err, -1, EV_READ);
	ev_timer_init(&m->silence, on_silence, 0., SILENCE_SECONDS);
	m->in.data = m->out.data = m->err.data = m->silence.data = m;
	return m;
}

bool
memory_is_busy(const struct memory *m)
{
	return m->is_busy;
}

/* ---- the helper */

static void
drop_helper(struct memory *m)
{
	ev_io_stop(m->loop, &m->in);
	ev_io_stop(m->loop, &m->out);
	ev_io_stop(m->loop, &m->err);
	ev_timer_stop(m->loop, &m->silence);
	child_free(&m->child);
	buf_reset(&m->request, 0);
	buf_reset(&m->answer, 0);
	m->expected = 0;
}

/* The round has failed; that is told at once, but from the loop. */
static void
fail_round(struct memory *m)
{
	drop_helper(m);
	m->has_failed = true;
	ev_timer_set(&m->silence, 0., SILENCE_SECONDS);
	ev_timer_start(m->loop, &m->silence);
}

static int
start_helper(struct memory *m)
{
	static const struct child_callbacks none = { 0 };
	char *program = child_helper_path("hearth-memory");
	char **envp = child_environment();
	char *pid = xasprintf("%d", (int)getpid());
	char *argv[] = { program, "--hearthd", pid, NULL };
	struct child_spec spec = { .label = "hearth-memory", .argv = argv,
		.envp = envp, .pass_fd = -1, .stdin_fd = -1 };
	int rc;

	if (program)
		rc = child_start(m->loop, &spec, &none, m, &m->child,
		    &m->why);
	else
		rc = fail(&m->why, "the program hearth-memory is missing: is "
		    "Hearth installed completely?");
	free(program);
	free(pid);
	strv_free(&envp);
	if (rc != 0)
		return -1;
	ev_io_set(&m->in, child_stdin(m->child), EV_WRITE);
	ev_io_set(&m->out, child_stdout(m->child), EV_READ);
	ev_io_set(&m->err, child_stderr(m->child), EV_READ);
	ev_io_start(m->loop, &m->out);
	ev_io_start(m->loop, &m->err);
	return 0;
}

/* ---- asking */

void
memory_add(struct memory *m, int64_t serial, enum memory_wish wish,
    const pid_t *roots, size_t n)
{
	static const char *const marks[] = { "", "?", "!" };

	MUST(!m->is_busy);
	buf_printf(&m->request, "%s%" PRId64, marks[wish], serial);
	for (size_t i = 0; i < n; i++)
		buf_printf(&m->request, " %d", (int)roots[i]);
	buf_addc(&m->request, '\n');
	m->expected++;
}

void
memory_ask(struct memory *m)
{
	MUST(!m->is_busy);
	m->is_busy = true;
	buf_addc(&m->request, '\n');
	if (!m->child && start_helper(m) != 0) {
		fail_round(m);
		return;
	}
	ev_io_start(m->loop, &m->in);
	ev_timer_again(m->loop, &m->silence);
}

void
memory_rest(struct memory *m)
{
	drop_helper(m);
	m->is_busy = m->has_failed = false;
}

void
memory_free(struct memory **mp)
{
	struct memory *m = *mp;

	if (!m)
		return;
	memory_rest(m);
	buf_free(&m->request);
	buf_free(&m->answer);
	free(m);
	*mp = NULL;
}

static void
end_round(struct memory *m, const struct err *e)
{
	ev_timer_stop(m->loop, &m->silence);
	m->is_busy = m->has_failed = false;
	m->cb.end(m->ctx, e);
}

static void
on_in(struct ev_loop *loop, ev_io *io, int events)
{
	struct memory *m = io->data;
	ssize_t n = write(io->fd, m->request.data, m->request.len);

	(void)events;
	if (n > 0)
		buf_consume(&m->request, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		buf_reset(&m->request, 0); /* what it said is read first */
	if (m->request.len == 0)
		ev_io_stop(loop, io);
}

/* ---- the answer */

/* 0 when the line is what was expected. The last one ends the round. */
static int
take_line(struct memory *m, const char *line)
{
	struct footprint f;
	int64_t serial;
	int end = 0;

	if (*line && m->expected > 0 && sscanf(line, "%" SCNd64 " %" SCNd64
	    " %" SCNd64 " %d%n", &serial, &f.pss_kb, &f.cpu_ms,
	    &f.processes, &end) == 4) {
		m->expected--;
		ev_timer_again(m->loop, &m->silence);
		m->cb.tree(m->ctx, serial, &f, line[end] == ' ' ?
		    line + end + 1 : NULL);
		return 0;
	}
	if (*line || m->expected > 0 || !m->is_busy)
		return -1;
	end_round(m, NULL);
	return 0;
}

static int
parse(struct memory *m)
{
	char *end;
	int rc = 0;

	while (rc == 0 && m->answer.len > 0 &&
	    (end = memchr(m->answer.data, '\n', m->answer.len))) {
		char *line = xmemdupz(m->answer.data,
		    (size_t)(end - m->answer.data));

		/* first, as what follows may end the helper */
		buf_consume(&m->answer, (size_t)(end - m->answer.data) + 1);
		rc = take_line(m, line);
		free(line);
	}
	return rc == 0 && m->answer.len <= LINE_MAX_BYTES ? 0 : -1;
}

static void
on_out(struct ev_loop *loop, ev_io *io, int events)
{
	struct memory *m = io->data;
	ssize_t n = read(io->fd, buf_room(&m->answer, READ_SIZE), READ_SIZE);

	(void)loop;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		buf_grew(&m->answer, (size_t)n);
		if (parse(m) == 0)
			return;
		fail(&m->why, "the answer of hearth-memory cannot be read");
	} else {
		fail(&m->why, "hearth-memory has ended by itself");
	}
	if (m->is_busy)
		fail_round(m);
	else
		drop_helper(m);
}

static void
on_err(struct ev_loop *loop, ev_io *io, int events)
{
	char text[512];
	ssize_t n = read(io->fd, text, sizeof text - 1);

	(void)events;
	if (n > 0) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		log_warning("hearth-memory", "%s", text);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		ev_io_stop(loop, io);
	}
}

static void
on_silence(struct ev_loop *loop, ev_timer *t, int events)
{
	struct memory *m = t->data;
	struct err why;

	(void)loop;
	(void)events;
	if (!m->has_failed) {
		fail(&m->why, "hearth-memory has said nothing for %d s",
		    (int)SILENCE_SECONDS);
		drop_helper(m);
	}
	why = m->why;
	end_round(m, &why);
}
