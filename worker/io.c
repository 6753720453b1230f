/* SPDX-License-Identifier: MIT */
/*
 * A worker's pipes. Nothing here blocks, and no pipe waits for another: an
 * agent that does not read its stdin is still read from, and its stderr is
 * always taken, or it would stand still at a full pipe.
 *
 * One bounded read per wake-up, so that no child starves the rest. What stdin
 * does not take at once is queued; the queue's start moves by an offset, so
 * that a long prompt costs its length once.
 *
 * The descriptors belong to base/child. Must never know: JSON. Next: rpc.c.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/ring.h"
#include "worker/worker_private.h"

#define STDOUT_READ ((size_t)256 << 10)
#define STDERR_READ ((size_t)16 << 10)
#define STDERR_RING ((size_t)64 << 10)
#define QUEUE_KEPT ((size_t)64 << 10)  /* memory of an empty queue */
#define DRAIN_STDOUT ((size_t)4 << 20)
#define DRAIN_STDERR ((size_t)1 << 20)

enum got { GOT_DATA, GOT_NOTHING, GOT_END };

static enum got
classify(ssize_t n)
{
	if (n > 0)
		return GOT_DATA;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return GOT_NOTHING;
	return GOT_END;
}

static void
take_lines(struct worker *w)
{
	char *line;
	size_t len;

	while (ndjson_line(&w->in, &line, &len))
		rpc_line(w, line, len);
	if ((w->in.dropping || w->in.dropped > 0) && worker_is_live(w))
		worker_give_up(w, w->is_ready ? "protocol_error" : "not_acp",
		    "sent a line over 64 MiB",
		    "the agent sent a line over 64 MiB; whatever it said is "
		    "lost, so it was killed", true);
}

static enum got
read_stdout(struct worker *w, size_t *total)
{
	char *room = ndjson_room(&w->in, STDOUT_READ);
	ssize_t n = read(child_stdout(w->child), room, STDOUT_READ);
	enum got got = classify(n);

	if (got == GOT_DATA) {
		*total += (size_t)n;
		w->last_active = clock_ms();
		ndjson_grew(&w->in, (size_t)n);
	} else if (got == GOT_END) {
		ev_io_stop(w->loop, &w->in_watcher);
		w->in_open = false;
		ndjson_eof(&w->in);
	}
	if (got != GOT_NOTHING)
		take_lines(w);
	return got;
}

static enum got
read_stderr(struct worker *w, size_t *total)
{
	char room[STDERR_READ];
	ssize_t n = read(child_stderr(w->child), room, sizeof room);
	enum got got = classify(n);

	if (got == GOT_DATA) {
		*total += (size_t)n;
		ring_add(w->err_ring, room, (size_t)n);
	} else if (got == GOT_END) {
		ev_io_stop(w->loop, &w->err_watcher);
		w->err_open = false;
	}
	return got;
}

static void
on_stdout(struct ev_loop *loop, ev_io *io, int revents)
{
	struct worker *w = io->data;
	size_t total = 0;

	(void)loop;
	(void)revents;
	if (read_stdout(w, &total) == GOT_END)
		worker_expect_exit(w, "closed its stdout");
	ndjson_trim(&w->in);
}

static void
on_stderr(struct ev_loop *loop, ev_io *io, int revents)
{
	size_t total = 0;

	(void)loop;
	(void)revents;
	read_stderr(io->data, &total);
}

static void
on_stdin(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	io_flush(io->data);
}

void
io_init(struct worker *w)
{
	ev_init(&w->in_watcher, on_stdout);
	ev_init(&w->err_watcher, on_stderr);
	ev_init(&w->out_watcher, on_stdin);
	w->in_watcher.data = w;
	w->err_watcher.data = w;
	w->out_watcher.data = w;
	ndjson_init(&w->in, NDJSON_CAP);
	w->err_ring = ring_new(STDERR_RING);
}

void
io_open(struct worker *w)
{
	ev_io_set(&w->in_watcher, child_stdout(w->child), EV_READ);
	ev_io_set(&w->err_watcher, child_stderr(w->child), EV_READ);
	ev_io_set(&w->out_watcher, child_stdin(w->child), EV_WRITE);
	ev_io_start(w->loop, &w->in_watcher);
	ev_io_start(w->loop, &w->err_watcher);
	w->in_open = w->err_open = w->out_open = true;
}

static void
drop_queue(struct worker *w)
{
	ev_io_stop(w->loop, &w->out_watcher);
	w->out_open = false;
	buf_free(&w->out);
	w->out_at = 0;
}

static void
finish_queue(struct worker *w)
{
	ev_io_stop(w->loop, &w->out_watcher);
	buf_reset(&w->out, QUEUE_KEPT);
	w->out_at = 0;
	w->prompt_len = 0;
}

void
io_flush(struct worker *w)
{
	ssize_t n;

	if (!w->out_open || io_queued(w) == 0)
		return;
	if (w->is_frozen) {
		worker_thaw(w);
		w->was_woken = true;
		worker_kick(w);
	}
	n = write(child_stdin(w->child), w->out.data + w->out_at,
	    io_queued(w));
	if (classify(n) == GOT_END) {
		log_debug(w->label, "stdin: %s",
		    n < 0 ? strerror(errno) : "takes nothing");
		drop_queue(w);
		worker_expect_exit(w, "closed its stdin");
		return;
	}
	if (n > 0)
		w->out_at += (size_t)n;
	if (io_queued(w) == 0) {
		finish_queue(w);
		return;
	}
	if (w->out_at > QUEUE_KEPT && w->out_at > w->out.len / 2) {
		buf_consume(&w->out, w->out_at);
		w->out_at = 0;
	}
	ev_io_start(w->loop, &w->out_watcher);
}

size_t
io_queued(const struct worker *w)
{
	return w->out.len - w->out_at;
}

void
io_close_stdin(struct worker *w)
{
	drop_queue(w);
	child_close_stdin(w->child);
}

void
io_pause(struct worker *w)
{
	if (w->is_paused)
		ev_io_stop(w->loop, &w->in_watcher);
	else if (w->in_open)
		ev_io_start(w->loop, &w->in_watcher);
}

/*
 * A pipe holds what was written before the exit, so what can be read without
 * waiting is all of it; a descendant that holds the pipe open may go on
 * writing, hence the bounds.
 */
void
io_drain(struct worker *w)
{
	size_t out = 0, err = 0;

	while (w->err_open && err < DRAIN_STDERR)
		if (read_stderr(w, &err) != GOT_DATA)
			break;
	while (w->in_open && out < DRAIN_STDOUT)
		if (read_stdout(w, &out) != GOT_DATA)
			break;
	if (w->in_open) {
		w->in_open = false;
		ndjson_eof(&w->in);
		take_lines(w);
	}
	ev_io_stop(w->loop, &w->in_watcher);
	ev_io_stop(w->loop, &w->err_watcher);
	w->err_open = false;
	drop_queue(w);
}

void
io_free(struct worker *w)
{
	ev_io_stop(w->loop, &w->in_watcher);
	ev_io_stop(w->loop, &w->err_watcher);
	drop_queue(w);
	ndjson_free(&w->in);
	ring_free(&w->err_ring);
}
