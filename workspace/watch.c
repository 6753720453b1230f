/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of watching worktrees: reads inotify events and knows
 * which worktree a watch descriptor belongs to.
 *
 * Only whether something moved is kept, never what. While a helper walks, an
 * event of an unknown descriptor may be of a folder that it has just begun to
 * watch and not yet told: it counts for every worktree being walked. An
 * overflow counts for all. A busy agent causes many events, so after a read
 * the descriptor rests a while.
 *
 * Must never know: git, sessions. The walk itself is workspace/walk.c.
 */
#include "workspace/watch.h"

#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

#define BUCKETS 4096
#define READ_SIZE 32768
#define READS_MAX 32      /* in one go */
#define REST 0.1          /* seconds between two reads */

struct folder {
	struct folder *next;  /* in its bucket */
	struct list link;     /* in its watch's folders */
	struct watch *watch;
	int wd;
};

struct watches {
	struct ev_loop *loop;
	struct ev_io io;
	struct ev_timer rest;
	int fd;
	struct list all;      /* struct watch */
	struct folder *bucket[BUCKETS];
};

struct watch {
	struct watches *owner;
	struct list link;     /* in owner->all */
	struct list folders;
	bool is_walking;
	bool is_whole;        /* every folder is watched */
	bool has_new_folder;  /* since the last walk began */
	bool has_moved;
};

static struct folder **
slot(struct watches *ws, int wd)
{
	struct folder **at = &ws->bucket[(unsigned)wd % BUCKETS];

	while (*at && (*at)->wd != wd)
		at = &(*at)->next;
	return at;
}

static void
forget(struct watches *ws, int wd)
{
	struct folder **at = slot(ws, wd), *f = *at;

	if (!f)
		return;
	*at = f->next;
	list_remove(&f->link);
	free(f);
}

static void
disturb(struct watches *ws, bool walking_only)
{
	LIST_EACH(pos, tmp, &ws->all) {
		struct watch *w = LIST_ITEM(pos, struct watch, link);

		if (walking_only && !w->is_walking)
			continue;
		w->has_moved = true;
		w->has_new_folder = true;
	}
}

static void
take_event(struct watches *ws, const struct inotify_event *ev)
{
	struct folder *f;

	if (ev->mask & IN_Q_OVERFLOW) {
		disturb(ws, false);
		return;
	}
	f = *slot(ws, ev->wd);
	if (!f) {
		if (!(ev->mask & IN_IGNORED))
			disturb(ws, true);
		return;
	}
	f->watch->has_moved = true;
	if ((ev->mask & IN_ISDIR) && (ev->mask & (IN_CREATE | IN_MOVED_TO)))
		f->watch->has_new_folder = true;
	if (ev->mask & (IN_IGNORED | IN_UNMOUNT))
		forget(ws, ev->wd);
}

/* True when the queue is empty. */
static bool
read_events(struct watches *ws)
{
	_Alignas(struct inotify_event) char chunk[READ_SIZE];

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(ws->fd, chunk, sizeof chunk);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		for (ssize_t at = 0; at < n; ) {
			const struct inotify_event *ev = (void *)(chunk + at);

			take_event(ws, ev);
			at += (ssize_t)sizeof *ev + (ssize_t)ev->len;
		}
	}
	return false;
}

static void
on_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct watches *ws = io->data;

	(void)events;
	read_events(ws);
	ev_io_stop(loop, io);
	ev_timer_set(&ws->rest, REST, 0.);
	ev_timer_start(loop, &ws->rest);
}

static void
on_rested(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct watches *ws = timer->data;

	(void)events;
	ev_io_start(loop, &ws->io);
}

struct watches *
watches_new(struct ev_loop *loop)
{
	struct watches *ws = xcalloc(1, sizeof *ws);

	ws->loop = loop;
	list_init(&ws->all);
	ws->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (ws->fd < 0)
		log_warning("workspace", "inotify_init1: %s; every turn "
		    "will ask git what changed", strerror(errno));
	ev_io_init(&ws->io, on_readable, ws->fd, EV_READ);
	ev_timer_init(&ws->rest, on_rested, REST, 0.);
	ws->io.data = ws->rest.data = ws;
	if (ws->fd >= 0)
		ev_io_start(loop, &ws->io);
	return ws;
}

void
watches_free(struct watches **wsp)
{
	struct watches *ws = *wsp;

	if (!ws)
		return;
	MUST(list_empty(&ws->all));
	ev_io_stop(ws->loop, &ws->io);
	ev_timer_stop(ws->loop, &ws->rest);
	if (ws->fd >= 0)
		close(ws->fd);
	free(ws);
	*wsp = NULL;
}

int
watches_fd(const struct watches *ws)
{
	return ws->fd;
}

struct watch *
watch_new(struct watches *ws)
{
	struct watch *w = xcalloc(1, sizeof *w);

	w->owner = ws;
	w->has_moved = true;
	list_init(&w->folders);
	list_append(&ws->all, &w->link);
	return w;
}

void
watch_free(struct watch **wp)
{
	struct watch *w = *wp;

	if (!w)
		return;
	LIST_EACH(pos, tmp, &w->folders) {
		struct folder *f = LIST_ITEM(pos, struct folder, link);

		inotify_rm_watch(w->owner->fd, f->wd);
		forget(w->owner, f->wd);
	}
	list_remove(&w->link);
	/* Each removal queued an event. */
	if (w->owner->fd >= 0)
		read_events(w->owner);
	free(w);
	*wp = NULL;
}

bool
watch_needs_walk(const struct watch *w)
{
	return !w->is_whole || w->has_new_folder;
}

void
watch_begin(struct watch *w, bool walks)
{
	if (w->owner->fd >= 0)
		read_events(w->owner);
	w->has_moved = false;
	if (walks) {
		w->is_walking = true;
		w->is_whole = false;
		w->has_new_folder = false;
	}
}

void
watch_add(struct watch *w, int wd)
{
	struct folder **at = slot(w->owner, wd), *f = *at;

	if (f && f->watch == w)
		return;
	if (f) {
		/* One folder in two worktrees, by a mount: the first is off. */
		f->watch->has_moved = f->watch->has_new_folder = true;
		list_remove(&f->link);
	} else {
		f = xcalloc(1, sizeof *f);
		f->wd = wd;
		*at = f;
	}
	f->watch = w;
	list_append(&w->folders, &f->link);
}

void
watch_end(struct watch *w, bool is_whole)
{
	w->is_walking = false;
	w->is_whole = is_whole;
}

bool
watch_is_quiet(struct watch *w)
{
	if (w->owner->fd < 0 || !w->is_whole || w->is_walking)
		return false;
	return read_events(w->owner) && !w->has_moved && !w->has_new_folder;
}
