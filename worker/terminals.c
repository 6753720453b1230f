/* SPDX-License-Identifier: MIT */
/*
 * A terminal is one struct from its creation until what it said is forgotten:
 * open, or released; with a tree (child is not NULL), or without one. All are
 * in one list, oldest first; there are never more than a few dozen.
 *
 * Output goes into a ring of the size that was asked for. Bytes that may be
 * the beginning of a character wait outside until its rest comes, so that
 * nobody sees half of one.
 */
#include "worker/terminals.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/list.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/utf8.h"

#define LADDER "TERM:1000"
#define READ_SIZE ((size_t)64 << 10)
/* A pipe holds no more, unless somebody goes on writing. */
#define DRAIN_MAX ((size_t)1 << 20)
#define PART_MAX 3           /* bytes of an unfinished character */
#define KEPT_BYTES ((size_t)4 << 20)
#define CANNOT_RUN 127       /* as shells have it */

struct terminal {
	struct list node;        /* in terminals.all */
	struct terminals *owner;
	char *id;
	char *label;
	char *program;           /* argv[0], for the words when it can't run */
	struct child *child;     /* NULL: its tree is gone */
	ev_io out;
	bool is_released;
	struct terminal_end end;
	struct ring *ring;
	size_t limit;
	uint64_t total;          /* bytes that went into the ring */
	char part[PART_MAX];
	size_t n_part;
};

struct terminals {
	struct ev_loop *loop;
	struct terminals_callbacks cb;
	void *ctx;
	char *label;
	char **launcher;         /* NULL: none */
	char **envp;
	char *cwd;
	int64_t serial;
	int64_t last;            /* number of the last terminal */
	struct list all;
	int alive;               /* trees that are not gone */
	bool is_closed;
};

bool
terminal_is_shell_line(const char *command, bool is_file)
{
	return !is_file &&
	    strpbrk(command, " \t\r\n|&;<>()$`\\\"'*?[]{}~#!") != NULL;
}

struct terminals *
terminals_new(struct ev_loop *loop, const struct terminals_spec *spec,
    const struct terminals_callbacks *cb, void *ctx)
{
	struct terminals *t = xcalloc(1, sizeof *t);

	t->loop = loop;
	t->cb = *cb;
	t->ctx = ctx;
	t->label = xstrdup(spec->label);
	t->serial = spec->serial;
	for (size_t i = 0; i < spec->n_launcher; i++)
		strv_add(&t->launcher, spec->launcher[i]);
	t->envp = strv_copy(spec->envp);
	t->cwd = xstrdup(spec->cwd);
	list_init(&t->all);
	return t;
}

static struct terminal *
find(const struct terminals *t, const char *id)
{
	LIST_EACH(pos, tmp, &t->all) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);

		if (strcmp(tm->id, id) == 0)
			return tm;
	}
	return NULL;
}

static struct terminal *
find_open(const struct terminals *t, const char *id)
{
	struct terminal *tm = find(t, id);

	return tm != NULL && !tm->is_released ? tm : NULL;
}

static void
free_terminal(struct terminal *tm)
{
	list_remove(&tm->node);
	if (tm->child != NULL) {
		ev_io_stop(tm->owner->loop, &tm->out);
		tm->owner->alive--;
	}
	child_free(&tm->child);
	ring_free(&tm->ring);
	free(tm->id);
	free(tm->label);
	free(tm->program);
	free(tm);
}

/* ---- output */

static void
add_output(struct terminal *tm, const char *p, size_t n)
{
	ring_add(tm->ring, p, n);
	tm->total += n;
}

/* p begins with what waited; its unfinished end waits from now on. */
static void
take_output(struct terminal *tm, const char *p, size_t n)
{
	size_t whole = utf8_cut(p, n);

	add_output(tm, p, whole);
	tm->n_part = n - whole;
	memcpy(tm->part, p + whole, tm->n_part);
}

/* One bounded read. Returns how much came; stops watching at the end. */
static size_t
read_output(struct terminal *tm)
{
	char room[PART_MAX + READ_SIZE];
	ssize_t n;

	if (!ev_is_active(&tm->out))
		return 0;
	memcpy(room, tm->part, tm->n_part);
	n = read(child_stdout(tm->child), room + tm->n_part, READ_SIZE);
	if (n > 0)
		take_output(tm, room, tm->n_part + (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(tm->owner->loop, &tm->out);
	return n > 0 ? (size_t)n : 0;
}

static void
drain_output(struct terminal *tm)
{
	size_t total = 0, n;

	while (total < DRAIN_MAX && (n = read_output(tm)) > 0)
		total += n;
}

static void
on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	read_output(io->data);
}

char *
terminals_output(const struct terminals *t, const char *id, bool *truncated)
{
	struct terminal *tm = find(t, id);
	size_t len;
	char *text;

	if (tm == NULL)
		return NULL;
	/* what was written before it was asked is told */
	read_output(tm);
	text = ring_text(tm->ring, tm->limit);
	len = strlen(text);
	/* bytes that were repaired grew, and may have pushed others out */
	*truncated = tm->total > tm->limit ||
	    (len != ring_len(tm->ring) && len + PART_MAX > tm->limit);
	return text;
}

/* ---- the end */

/* Only so much is kept of what released terminals have said. */
static void
trim(struct terminals *t)
{
	size_t kept = 0;

	for (struct list *pos = t->all.prev, *prev; pos != &t->all;
	    pos = prev) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);

		prev = pos->prev;
		if (!tm->is_released || tm->child != NULL)
			continue;
		kept += sizeof *tm + ring_len(tm->ring);
		if (kept > KEPT_BYTES)
			free_terminal(tm);
	}
}

static void
say_why(struct terminal *tm, const struct child_exit *x)
{
	char *words = xasprintf("cannot run \"%s\": %s%s%s\n", tm->program,
	    strcmp(x->exec_step, "exec") == 0 ? "" : x->exec_step,
	    strcmp(x->exec_step, "exec") == 0 ? "" : ": ",
	    strerror(x->exec_errno));

	add_output(tm, words, strlen(words));
	free(words);
}

static void
on_exited(struct child *c, void *ctx, const struct child_exit *x)
{
	struct terminal *tm = ctx;

	(void)c;
	drain_output(tm);
	if (x->exec_errno != 0)
		say_why(tm, x);
	tm->end = (struct terminal_end){
		.has_ended = true,
		.exit_code = x->exec_errno != 0 ? CANNOT_RUN : x->exit_code,
		.term_signal = x->term_signal,
	};
	log_debug(tm->label, "ended: exit code %d, signal %d",
	    tm->end.exit_code, tm->end.term_signal);
	tm->owner->cb.ended(tm->owner->ctx, tm->id, &tm->end);
}

static void
on_gone(struct child *c, void *ctx)
{
	struct terminal *tm = ctx;
	struct terminals *t = tm->owner;

	(void)c;
	drain_output(tm);
	add_output(tm, tm->part, tm->n_part);
	tm->n_part = 0;
	ev_io_stop(t->loop, &tm->out);
	child_free(&tm->child);
	t->alive--;
	trim(t);
	if (t->is_closed && t->alive == 0)
		t->cb.gone(t->ctx);
}

static const struct child_callbacks child_callbacks = {
	.exited = on_exited,
	.gone = on_gone,
};

bool
terminals_is_open(const struct terminals *t, const char *id)
{
	return find_open(t, id) != NULL;
}

bool
terminals_end(const struct terminals *t, const char *id,
    struct terminal_end *end)
{
	const struct terminal *tm = find(t, id);

	if (tm != NULL)
		*end = tm->end;
	return tm != NULL;
}

void
terminals_kill(struct terminals *t, const char *id)
{
	struct terminal *tm = find_open(t, id);

	if (tm != NULL && tm->child != NULL)
		child_stop(tm->child);
}

void
terminals_release(struct terminals *t, const char *id)
{
	struct terminal *tm = find_open(t, id);

	if (tm == NULL)
		return;
	tm->is_released = true;
	if (tm->child != NULL)
		child_stop(tm->child);
	else
		trim(t);
}

void
terminals_forget(struct terminals *t)
{
	LIST_EACH(pos, tmp, &t->all) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);

		if (tm->is_released && tm->child == NULL)
			free_terminal(tm);
	}
}

int
terminals_alive(const struct terminals *t)
{
	return t->alive;
}

void
terminals_move(struct terminals *t, const char *label, const char *cwd)
{
	free(t->label);
	free(t->cwd);
	t->label = xstrdup(label);
	t->cwd = xstrdup(cwd);
}

size_t
terminals_keepers(const struct terminals *t, pid_t *out, size_t max)
{
	size_t n = 0;

	LIST_EACH(pos, tmp, &t->all) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);
		pid_t keeper = tm->child ? child_keeper(tm->child) : 0;

		if (keeper > 0 && n < max)
			out[n++] = keeper;
	}
	return n;
}

void
terminals_close(struct terminals *t, bool at_once)
{
	t->is_closed = true;
	LIST_EACH(pos, tmp, &t->all) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);

		if (tm->child == NULL)
			continue;
		if (at_once)
			child_kill(tm->child);
		else
			child_stop(tm->child);
	}
}

void
terminals_free(struct terminals **tp)
{
	struct terminals *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	LIST_EACH(pos, tmp, &t->all)
		free_terminal(LIST_ITEM(pos, struct terminal, node));
	strv_free(&t->launcher);
	strv_free(&t->envp);
	free(t->label);
	free(t->cwd);
	free(t);
}

/* ---- the beginning */

/* The real path of the folder to run in, which the caller frees, or NULL. */
static char *
find_cwd(const struct terminals *t, const char *cwd, struct err *e)
{
	char *root, *real;
	size_t n;

	if (cwd == NULL)
		return xstrdup(t->cwd);
	if (*cwd != '/') {
		fail(e, "cwd %.200s is not an absolute path", cwd);
		return NULL;
	}
	real = realpath(cwd, NULL);
	if (real == NULL) {
		fail(e, "cwd %.200s: %s", cwd, strerror(errno));
		return NULL;
	}
	root = realpath(t->cwd, NULL);
	n = root != NULL ? strlen(root) : 0;
	if (n == 0 || strncmp(real, root, n) != 0 ||
	    (real[n] != '/' && real[n] != '\0')) {
		fail(e, "cwd %.200s is not in the working folder", cwd);
		free(real);
		real = NULL;
	}
	free(root);
	return real;
}

/* Names without a slash are looked for in PATH, and none there has blanks. */
static bool
is_program(const char *command, const char *cwd)
{
	struct stat st;
	char *path;
	bool is;

	if (strchr(command, '/') == NULL)
		return false;
	path = *command == '/' ? xstrdup(command)
	    : xasprintf("%s/%s", cwd, command);
	is = stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0;
	free(path);
	return is;
}

/*
 * What the agent chooses must not reach the launcher: neither as an option,
 * nor by the environment that it is found and run in (PATH, LD_PRELOAD).
 */
static char **
behind_launcher(const struct terminals *t, char *const *env)
{
	char **argv = strv_copy(t->launcher);

	strv_add(&argv, "/usr/bin/env");
	strv_add(&argv, "--");
	for (; env != NULL && *env != NULL; env++)
		strv_add(&argv, *env);
	return argv;
}

static char **
make_argv(const struct terminals *t, const struct terminal_command *c,
    const char *cwd)
{
	char **argv = t->launcher != NULL ? behind_launcher(t, c->env) : NULL;

	if ((c->args == NULL || *c->args == NULL) &&
	    terminal_is_shell_line(c->command, is_program(c->command, cwd))) {
		strv_add(&argv, "/bin/sh");
		strv_add(&argv, "-c");
	}
	strv_add(&argv, c->command);
	for (char *const *arg = c->args; arg != NULL && *arg != NULL; arg++)
		strv_add(&argv, *arg);
	return argv;
}

static char **
make_env(const struct terminals *t, const struct terminal_command *c)
{
	char **envp = strv_copy(t->envp);
	char *const *entry = t->launcher == NULL ? c->env : NULL;

	for (; entry != NULL && *entry != NULL; entry++)
		child_setenv(&envp, *entry);
	return envp;
}

static struct terminal *
new_terminal(struct terminals *t, const struct terminal_command *c)
{
	struct terminal *tm = xcalloc(1, sizeof *tm);
	int64_t limit = c->limit >= 0 && c->limit < TERMINAL_OUTPUT_MAX
	    ? c->limit : TERMINAL_OUTPUT_MAX;

	tm->owner = t;
	t->last++;
	tm->id = xasprintf("terminal-%" PRId64 "-%" PRId64, t->serial,
	    t->last);
	tm->label = xasprintf("%s terminal %" PRId64, t->label, t->last);
	tm->limit = (size_t)limit;
	tm->ring = ring_new(tm->limit);
	ev_init(&tm->out, on_output);
	tm->out.data = tm;
	list_append(&t->all, &tm->node);
	return tm;
}

static int
run(struct terminal *tm, char *const *argv, char *const *envp,
    const char *cwd, struct err *e)
{
	struct child_spec spec = {
		.label = tm->label,
		.argv = argv,
		.envp = envp,
		.cwd = cwd,
		.ladder = LADDER,
		.pass_fd = -1,
		.joins_output = true,
	};
	int result;

	spec.stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (spec.stdin_fd < 0)
		return fail(e, "/dev/null: %s", strerror(errno));
	result = child_start(tm->owner->loop, &spec, &child_callbacks, tm,
	    &tm->child, e);
	close(spec.stdin_fd);
	if (result != 0)
		return -1;
	tm->owner->alive++;
	ev_io_set(&tm->out, child_stdout(tm->child), EV_READ);
	ev_io_start(tm->owner->loop, &tm->out);
	return 0;
}

static int
count_places(const struct terminals *t)
{
	int n = 0;

	LIST_EACH(pos, tmp, &t->all) {
		struct terminal *tm = LIST_ITEM(pos, struct terminal, node);

		n += !tm->is_released || tm->child != NULL;
	}
	return n;
}

enum terminal_result
terminals_create(struct terminals *t, const struct terminal_command *c,
    const char **id, struct err *e)
{
	struct terminal *tm;
	char **argv, **envp, *cwd;
	int result;

	if (t->is_closed || count_places(t) >= TERMINALS_MAX) {
		fail(e, "%d terminals are open; release some",
		    count_places(t));
		return TERMINAL_FAILED;
	}
	cwd = find_cwd(t, c->cwd, e);
	if (cwd == NULL)
		return TERMINAL_REFUSED;
	argv = make_argv(t, c, cwd);
	envp = make_env(t, c);
	tm = new_terminal(t, c);
	tm->program = xstrdup(argv[0]);
	result = run(tm, argv, envp, cwd, e);
	strv_free(&argv);
	strv_free(&envp);
	free(cwd);
	if (result != 0) {
		free_terminal(tm);
		return TERMINAL_FAILED;
	}
	*id = tm->id;
	return TERMINAL_OK;
}
