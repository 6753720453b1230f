/* SPDX-License-Identifier: MIT */
/*
 * One question to `getent ahosts`: a child whose output is read until its
 * tree is gone. There is no deadline here: the connection attempt that asked
 * has one, and frees the question when it passes.
 *
 * Must never know: PostgreSQL. See sql/conn.c for who asks.
 */
#include "sql/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/child.h"

struct resolve {
	struct ev_loop *loop;
	struct child *child;
	char *name;
	struct ev_io io;
	struct buf out;
	int exit_code;
	int exec_errno;
	resolve_fn *done;
	void *ctx;
};

bool
resolve_is_literal(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	return *host == '\0' || *host == '/' || *host == '@' ||
	    inet_pton(AF_INET, host, &four) == 1 || strchr(host, '%') ||
	    inet_pton(AF_INET6, host, &six) == 1;
}

static void
read_output(struct resolve *r)
{
	ssize_t n;

	do {
		n = read(r->io.fd, buf_room(&r->out, 4096), 4096);
		if (n > 0)
			buf_grew(&r->out, (size_t)n);
	} while (n > 0 && r->out.len < 65536);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
	    r->out.len >= 65536)
		ev_io_stop(r->loop, &r->io);
}

static void
on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop, (void)events;
	read_output(w->data);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct resolve *r = ctx;

	(void)c;
	r->exit_code = x->exit_code;
	r->exec_errno = x->exec_errno;
}

static bool
has(char *const *list, const char *s)
{
	for (; list && *list; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

/* Lines are "ADDRESS  STREAM NAME"; each address comes once per socket type. */
static char **
parse(char *text)
{
	char **list = NULL, *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line;
	    line = strtok_r(NULL, "\n", &rest)) {
		line[strcspn(line, " \t")] = '\0';
		if (*line && resolve_is_literal(line) && !has(list, line) &&
		    (!list || strv_len(list) < RESOLVE_MAX))
			strv_add(&list, line);
	}
	return list;
}

static void
on_gone(struct child *c, void *ctx)
{
	struct resolve *r = ctx;
	struct err e;
	char **list;
	char *text;

	(void)c;
	if (ev_is_active(&r->io))
		read_output(r);
	ev_io_stop(r->loop, &r->io);
	text = buf_take(&r->out);
	list = parse(text);
	free(text);
	if (r->exec_errno)
		fail(&e, "cannot look up host \"%s\": getent: %s", r->name,
		    strerror(r->exec_errno));
	else if (!list)
		fail(&e, "host \"%s\" is not known (getent ahosts: exit %d)",
		    r->name, r->exit_code);
	/* done may free r. */
	r->done(r->ctx, list, list ? NULL : &e);
	strv_free(&list);
}

int
resolve_start(struct ev_loop *loop, const char *name, resolve_fn *done,
    void *ctx, struct resolve **out, struct err *e)
{
	static const struct child_callbacks callbacks = {
		.exited = on_exited, .gone = on_gone,
	};
	char *argv[] = { "getent", "ahosts", (char *)name, NULL };
	char **env = child_environment();
	struct child_spec spec = { .label = "getent", .argv = argv,
	    .envp = env, .pass_fd = -1, .stdin_fd = -1 };
	struct resolve *r = xcalloc(1, sizeof *r);
	int rc;

	r->loop = loop;
	r->name = xstrdup(name);
	r->done = done;
	r->ctx = ctx;
	rc = child_start(loop, &spec, &callbacks, r, &r->child, e);
	strv_free(&env);
	if (rc < 0) {
		resolve_free(&r);
		return -1;
	}
	child_close_stdin(r->child);
	ev_io_init(&r->io, on_readable, child_stdout(r->child), EV_READ);
	r->io.data = r;
	ev_io_start(loop, &r->io);
	*out = r;
	return 0;
}

void
resolve_free(struct resolve **r)
{
	if (!*r)
		return;
	ev_io_stop((*r)->loop, &(*r)->io);
	child_free(&(*r)->child);
	buf_free(&(*r)->out);
	free((*r)->name);
	free(*r);
	*r = NULL;
}
