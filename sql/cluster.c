/* SPDX-License-Identifier: MIT */
/*
 * The life of the embedded PostgreSQL, as a state machine on the loop; its
 * states and edges are in sql/cluster_state.def.
 *
 * Owns at most one child at a time: rm (of an unfinished initdb), initdb, or
 * the server. initdb works in pg.new, which becomes pg only when it is whole,
 * so pg is a cluster or it is not there. The server counts as ready when
 * postmaster.pid, written by that very child, says so. A child's end is judged
 * in on_gone(), when nothing of it is left and all it said was read. Callbacks
 * run from the loop, never from within cluster_*().
 *
 * Must never know: roles, databases and the schema; `hearth init` makes those.
 * Read next: sql/cluster_files.h.
 */
#include "sql/cluster.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/programs.h"
#include "base/ring.h"
#include "sql/cluster_files.h"

#define OBJECT "embedded postgres"
#define LOG_LIMIT (4 * 1024 * 1024)
#define TAIL_SIZE 8192
#define POLL_INTERVAL 0.05
/* An earlier server: its keeper needs at most 20 s; then we end it. */
#define EARLIER_ASK 25000
#define EARLIER_GIVE_UP 45000
#define BACKOFF_FIRST 500
#define BACKOFF_LAST 30000
/* So many failures before it was ever ready are not bad luck. */
#define HOPELESS 5

enum cluster_state {
#define STATE(name, meaning) CLUSTER_##name,
#define EDGE(from, to)
#include "sql/cluster_state.def"
#undef STATE
#undef EDGE
};

static const char *const state_names[] = {
#define STATE(name, meaning) #name,
#define EDGE(from, to)
#include "sql/cluster_state.def"
#undef STATE
#undef EDGE
};

static const struct {
	enum cluster_state from, to;
} edges[] = {
#define STATE(name, meaning)
#define EDGE(from, to) { CLUSTER_##from, CLUSTER_##to },
#include "sql/cluster_state.def"
#undef STATE
#undef EDGE
};

struct cluster {
	struct ev_loop *loop;
	struct cluster_callbacks cb;
	void *ctx;
	enum cluster_state state; /* only set_state() writes it */
	char *state_dir, *data_dir, *new_dir, *socket_dir;
	char *conninfo, *admin_conninfo;
	struct cluster_user user;
	char *bin_dir;            /* NULL until it was looked for */
	struct child *child;      /* NULL: none */
	struct child_exit exit;   /* of the child, once it has exited */
	ev_io out, err;
	ev_timer timer;           /* the next step of this state */
	int log_fd;               /* pg.log; -1: cannot be written */
	off_t log_size;
	struct ring *tail;        /* what the child said last */
	int64_t since;            /* when the state began, clock_ms() */
	pid_t earlier;            /* the server of an earlier life */
	bool asked_earlier;
	int64_t backoff;          /* the next one, milliseconds */
	int failures;             /* since it was ready */
	bool was_ready;           /* ever */
};

static void
set_state(struct cluster *c, enum cluster_state to)
{
	bool legal = false;

	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		legal |= edges[i].from == c->state && edges[i].to == to;
	if (!legal)
		log_error(OBJECT, "%s -> %s", state_names[c->state],
		    state_names[to]);
	MUST(legal);
	log_debug(OBJECT, "%s -> %s", state_names[c->state], state_names[to]);
	c->state = to;
	c->since = clock_ms();
}

static void
step_in(struct cluster *c, double seconds)
{
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(c->loop, &c->timer);
}

static void
give_up(struct cluster *c, const char *why)
{
	set_state(c, CLUSTER_FAILED);
	c->cb.fatal(c->ctx, why);
}

/* The log file */

static void
open_log(struct cluster *c)
{
	char *path = xasprintf("%s/pg.log", c->state_dir);
	struct stat st;

	c->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW |
	    O_CLOEXEC, 0640);
	if (c->log_fd == -1)
		log_warning(OBJECT, "%s: %s", path, strerror(errno));
	c->log_size = c->log_fd != -1 && fstat(c->log_fd, &st) == 0 ?
	    st.st_size : 0;
	free(path);
}

static void
rotate_log(struct cluster *c)
{
	char *path = xasprintf("%s/pg.log", c->state_dir);
	char *old = xasprintf("%s.1", path);

	close(c->log_fd);
	if (rename(path, old) == -1)
		log_warning(OBJECT, "%s: %s", old, strerror(errno));
	open_log(c);
	free(old);
	free(path);
}

static void
keep_output(struct cluster *c, const char *p, size_t n)
{
	ssize_t done;

	ring_add(c->tail, p, n);
	if (c->log_fd == -1)
		return;
	if (c->log_size > LOG_LIMIT)
		rotate_log(c);
	done = write(c->log_fd, p, n);
	if (done > 0)
		c->log_size += done;
}

/* false: there is nothing more to read (now, or at all). */
static bool
read_output(struct cluster *c, ev_io *w)
{
	char p[16384];
	ssize_t n;

	if (!ev_is_active(w))
		return false;
	n = read(w->fd, p, sizeof(p));
	if (n > 0)
		keep_output(c, p, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		ev_io_stop(c->loop, w);
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
last_words(const struct cluster *c)
{
	static const char *const marks[] = { "PANIC:", "FATAL:", "error:" };
	char *text = ring_text(c->tail, TAIL_SIZE), *line, *best = NULL;

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

/* How the child ended, in words; the caller frees. */
static char *
tell_end(const struct cluster *c, const char *program)
{
	const struct child_exit *x = &c->exit;
	char *words = last_words(c), *why;
	const char *colon = *words != '\0' ? ": " : "";

	if (x->exec_errno != 0)
		why = xasprintf("%s cannot be started: %s: %s", program,
		    x->exec_step, strerror(x->exec_errno));
	else if (x->term_signal != 0)
		why = xasprintf("%s was ended by signal %d (%s)%s%s", program,
		    x->term_signal, strsignal(x->term_signal), colon, words);
	else
		why = xasprintf("%s ended with code %d%s%s (see %s/pg.log)",
		    program, x->exit_code, colon, words, c->state_dir);
	free(words);
	return why;
}

/* The child */

static void on_exited(struct child *child, void *ctx,
    const struct child_exit *x);
static void on_gone(struct child *child, void *ctx);

static void
watch_output(struct cluster *c)
{
	ev_io_init(&c->out, on_output, child_stdout(c->child), EV_READ);
	ev_io_init(&c->err, on_output, child_stderr(c->child), EV_READ);
	c->out.data = c->err.data = c;
	ev_io_start(c->loop, &c->out);
	ev_io_start(c->loop, &c->err);
}

static int
start_child(struct cluster *c, char *const *argv, const char *ladder,
    struct err *e)
{
	static const struct child_callbacks cb = {
		.exited = on_exited, .gone = on_gone,
	};
	char **env = child_environment();
	struct child_spec spec = {
		.label = OBJECT, .argv = argv, .cwd = c->state_dir,
		.as_user = c->user.is_other, .uid = c->user.uid,
		.gid = c->user.gid, .ladder = ladder, .pass_fd = -1,
		.stdin_fd = -1,
	};
	int rc;

	child_setenv(&env, "LC_ALL=C.UTF-8");
	spec.envp = env;
	ring_free(&c->tail);
	c->tail = ring_new(TAIL_SIZE);
	memset(&c->exit, 0, sizeof(c->exit));
	rc = child_start(c->loop, &spec, &cb, c, &c->child, e);
	strv_free(&env);
	if (rc == -1)
		return -1;
	child_close_stdin(c->child);
	watch_output(c);
	return 0;
}

static void
drop_child(struct cluster *c)
{
	if (c->child == NULL)
		return;
	ev_io_stop(c->loop, &c->out);
	ev_io_stop(c->loop, &c->err);
	child_free(&c->child);
}

/* The steps */

static void
start_tool(struct cluster *c, enum cluster_state state, char *const *argv)
{
	struct err e;

	if (start_child(c, argv, "TERM:3000", &e) == -1)
		give_up(c, e.text);
	else
		set_state(c, state);
}

static void
remove_unfinished(struct cluster *c)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", (char *)"--",
		c->new_dir, NULL };

	log_info(OBJECT, "removing %s, which an earlier initdb left", c->new_dir);
	start_tool(c, CLUSTER_CLEANING, argv);
}

static void
begin_initdb(struct cluster *c)
{
	char *initdb = xasprintf("%s/initdb", c->bin_dir);
	char *argv[] = { initdb, (char *)"-D", c->new_dir,
		(char *)"--username=hearth_super", (char *)"--encoding=UTF8",
		(char *)"--locale=C.UTF-8", (char *)"--auth-local=peer",
		(char *)"--auth-host=reject", (char *)"--no-instructions",
		NULL };
	struct err e;

	if (rmdir(c->new_dir) == -1 && errno != ENOENT)
		fail(&e, "%s is in the way of a new cluster: %s", c->new_dir,
		    strerror(errno));
	else if (cluster_make_data_dir(c->new_dir, &c->user, &e) == 0) {
		log_info(OBJECT, "making a cluster in %s with %s",
		    c->data_dir, initdb);
		start_tool(c, CLUSTER_INITDB, argv);
		free(initdb);
		return;
	}
	free(initdb);
	give_up(c, e.text);
}

/* First step: what is there, and with which programs? */
static void
look_around(struct cluster *c)
{
	int version = cluster_data_version(c->data_dir);
	struct err e;
	struct stat st;

	if (cluster_pick_user(&c->user, &e) == -1 ||
	    cluster_make_dirs(c->state_dir, c->socket_dir, &c->user,
	    &e) == -1) {
		give_up(c, e.text);
		return;
	}
	c->bin_dir = program_postgres_dir(version, &e);
	if (c->bin_dir == NULL) {
		give_up(c, e.text);
		return;
	}
	open_log(c);
	if (version != 0) {
		set_state(c, CLUSTER_WAITING);
		step_in(c, 0.);
	} else if (stat(c->new_dir, &st) == 0 && rmdir(c->new_dir) == -1)
		remove_unfinished(c);
	else
		begin_initdb(c);
}

static void
back_off(struct cluster *c, const char *why)
{
	if (!c->was_ready && ++c->failures >= HOPELESS) {
		give_up(c, why);
		return;
	}
	set_state(c, CLUSTER_BACKOFF);
	step_in(c, (double)c->backoff / 1000.);
	c->backoff = c->backoff * 2 < BACKOFF_LAST ?
	    c->backoff * 2 : BACKOFF_LAST;
	c->cb.died(c->ctx, why);
}

/* First no one new is let in, and who is there, such as a `hearth run` that
 * reads how its turn ended, may finish; without any it ends at once. */
#define LADDER "TERM:2000 INT:15000 QUIT:5000"

static void
start_server(struct cluster *c)
{
	char *server = xasprintf("%s/postgres", c->bin_dir);
	char *argv[] = { server, (char *)"-D", c->data_dir, NULL };
	struct err e;

	if (cluster_write_config(c->data_dir, c->socket_dir, &c->user,
	    &e) == -1)
		give_up(c, e.text);
	else if (start_child(c, argv, LADDER, &e) == -1)
		back_off(c, e.text);
	else {
		set_state(c, CLUSTER_STARTING);
		step_in(c, POLL_INTERVAL);
	}
	free(server);
}

/* A server of an earlier life, whose keeper is ending it. */
static void
wait_for_earlier(struct cluster *c)
{
	bool ready;
	pid_t pid = cluster_server_pid(c->data_dir, &ready);
	int64_t waited = clock_ms() - c->since;
	struct err e;

	if (!cluster_server_lives(c->data_dir, pid)) {
		start_server(c);
		return;
	}
	if (c->earlier != pid) {
		c->earlier = pid;
		log_info(OBJECT, "waiting for the server of an earlier life to "
		    "end (pid %ld, %s)", (long)pid, c->data_dir);
	}
	if (waited > EARLIER_GIVE_UP) {
		fail(&e, "the server of an earlier life does not end (pid %ld, "
		    "%s): end it with kill -QUIT %ld", (long)pid, c->data_dir,
		    (long)pid);
		give_up(c, e.text);
		return;
	}
	if (waited > EARLIER_ASK && !c->asked_earlier) {
		c->asked_earlier = true;
		log_warning(OBJECT, "pid %ld is still there after %s: asking it "
		    "to end", (long)pid, duration_text(EARLIER_ASK));
		cluster_server_signal(c->data_dir, pid, SIGINT);
	}
	step_in(c, POLL_INTERVAL * 2);
}

static void
look_whether_ready(struct cluster *c)
{
	bool ready;
	pid_t pid = cluster_server_pid(c->data_dir, &ready);

	if (!ready || pid != child_pid(c->child)) {
		step_in(c, POLL_INTERVAL);
		return;
	}
	set_state(c, CLUSTER_READY);
	c->was_ready = true;
	c->failures = 0;
	c->backoff = BACKOFF_FIRST;
	c->cb.ready(c->ctx);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cluster *c = w->data;

	(void)loop;
	(void)revents;
	switch (c->state) {
	case CLUSTER_NEW:
		look_around(c);
		break;
	case CLUSTER_BACKOFF:
		set_state(c, CLUSTER_WAITING);
		/* fall through */
	case CLUSTER_WAITING:
		wait_for_earlier(c);
		break;
	case CLUSTER_STARTING:
		look_whether_ready(c);
		break;
	case CLUSTER_STOPPED:
		c->cb.stopped(c->ctx);
		break;
	default:
		break;
	}
}

/* The ends of children */

static void
on_exited(struct child *child, void *ctx, const struct child_exit *x)
{
	struct cluster *c = ctx;

	(void)child;
	c->exit = *x;
}

static void
end_initdb(struct cluster *c)
{
	struct err e;

	if (cluster_data_version(c->new_dir) < POSTGRES_OLDEST)
		fail(&e, "%s/initdb is older than PostgreSQL %d: install a "
		    "newer one or set `database`", c->bin_dir, POSTGRES_OLDEST);
	else if (rename(c->new_dir, c->data_dir) == -1)
		fail(&e, "%s cannot become %s: %s", c->new_dir, c->data_dir,
		    strerror(errno));
	else {
		set_state(c, CLUSTER_WAITING);
		step_in(c, 0.);
		return;
	}
	give_up(c, e.text);
}

static void
on_tool_gone(struct cluster *c)
{
	char *why;

	/* As another user rm empties the folder but may not remove it; what
	 * is still in the way then, begin_initdb() finds. */
	if (c->state == CLUSTER_CLEANING && c->exit.exec_errno == 0)
		begin_initdb(c);
	else if (c->state == CLUSTER_INITDB && c->exit.exec_errno == 0 &&
	    c->exit.exit_code == 0)
		end_initdb(c);
	else {
		why = tell_end(c, c->state == CLUSTER_INITDB ? "initdb" : "rm");
		give_up(c, why);
		free(why);
	}
}

static void
on_server_gone(struct cluster *c)
{
	char *why = tell_end(c, "postgres");

	if (c->exit.exec_errno != 0 && c->state == CLUSTER_STARTING)
		give_up(c, why);
	else
		back_off(c, why);
	free(why);
}

static void
on_gone(struct child *child, void *ctx)
{
	struct cluster *c = ctx;

	(void)child;
	ev_timer_stop(c->loop, &c->timer);
	while (read_output(c, &c->err) || read_output(c, &c->out))
		continue;
	drop_child(c);
	switch (c->state) {
	case CLUSTER_STOPPING:
		set_state(c, CLUSTER_STOPPED);
		c->cb.stopped(c->ctx);
		break;
	case CLUSTER_CLEANING:
	case CLUSTER_INITDB:
		on_tool_gone(c);
		break;
	default:
		on_server_gone(c);
	}
}

/* For everyone */

struct cluster *
cluster_new(struct ev_loop *loop, const char *state_dir,
    const struct cluster_callbacks *cb, void *ctx)
{
	struct cluster *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->cb = *cb;
	c->ctx = ctx;
	c->state = CLUSTER_NEW;
	c->state_dir = xstrdup(state_dir);
	c->data_dir = xasprintf("%s/pg", state_dir);
	c->new_dir = xasprintf("%s/pg.new", state_dir);
	c->socket_dir = options_socket_dir(state_dir);
	c->conninfo = embedded_conninfo(state_dir, "hearth");
	c->admin_conninfo = embedded_conninfo(state_dir, "hearth_super");
	c->log_fd = -1;
	c->backoff = BACKOFF_FIRST;
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	c->timer.data = c;
	return c;
}

void
cluster_start(struct cluster *c)
{
	MUST(c->state == CLUSTER_NEW);
	step_in(c, 0.);
}

const char *
cluster_conninfo(const struct cluster *c)
{
	return c->conninfo;
}

const char *
cluster_admin_conninfo(const struct cluster *c)
{
	return c->admin_conninfo;
}

void
cluster_stop(struct cluster *c)
{
	if (c->state == CLUSTER_STOPPING || c->state == CLUSTER_STOPPED)
		return;
	ev_timer_stop(c->loop, &c->timer);
	if (c->child != NULL) {
		set_state(c, CLUSTER_STOPPING);
		child_stop(c->child);
		return;
	}
	set_state(c, CLUSTER_STOPPED);
	step_in(c, 0.);
}

void
cluster_free(struct cluster **cp)
{
	struct cluster *c = *cp;

	if (c == NULL)
		return;
	drop_child(c);
	ev_timer_stop(c->loop, &c->timer);
	if (c->log_fd != -1)
		close(c->log_fd);
	ring_free(&c->tail);
	free(c->bin_dir);
	free(c->state_dir);
	free(c->data_dir);
	free(c->new_dir);
	free(c->socket_dir);
	free(c->conninfo);
	free(c->admin_conninfo);
	free(c);
	*cp = NULL;
}
