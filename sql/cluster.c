/* SPDX-License-Identifier: MIT */
/*
 * The life of the embedded PostgreSQL, as a state machine on the loop; its
 * states and edges are in sql/cluster_state.def.
 *
 * Runs at most one program at a time: rm (of what an initdb left), initdb, or
 * the server. initdb works in pg.new-*, which becomes pg only when it is whole,
 * so pg is a cluster or it is not there. The server counts as ready when
 * postmaster.pid, written by that very process, says so. Callbacks run from the
 * loop, never from within cluster_*().
 *
 * Must never know: roles, databases and the schema; `hearth init` makes those.
 * Read next: sql/cluster_files.h, sql/cluster_program.h.
 */
#include "sql/cluster.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/programs.h"
#include "sql/cluster_files.h"
#include "sql/cluster_program.h"

#define OBJECT "embedded postgres"
#define POLL_INTERVAL 0.05
/* An earlier server: its keeper needs at most 22 s; then we end it. */
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
	char *state_dir, *data_dir, *socket_dir;
	char *new_dir;            /* where initdb works; NULL: not yet */
	char **left;              /* such folders of earlier lives, or NULL */
	char *conninfo, *admin_conninfo;
	struct cluster_user user;
	char *bin_dir;            /* NULL until it was looked for */
	struct cluster_program *program; /* that runs, or ran last */
	ev_timer timer;           /* the next step of this state */
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

/* The steps */

static void
start_tool(struct cluster *c, enum cluster_state state, char *const *argv)
{
	struct err e;

	if (cluster_program_start(c->program, &c->user, argv, "TERM:3000",
	    &e) == -1)
		give_up(c, e.text);
	else
		set_state(c, state);
}

static void
run_initdb(struct cluster *c)
{
	char *initdb = xasprintf("%s/initdb", c->bin_dir);
	char *argv[] = { initdb, (char *)"-D", c->new_dir,
		(char *)"--username=hearth_super", (char *)"--encoding=UTF8",
		(char *)"--locale=C.UTF-8", (char *)"--auth-local=peer",
		(char *)"--auth-host=reject", (char *)"--no-instructions",
		NULL };

	start_tool(c, CLUSTER_INITDB, argv);
	free(initdb);
}

/* An initdb of an earlier life may still be at it, hence a folder of our own. */
static void
begin_initdb(struct cluster *c)
{
	struct err e;

	c->new_dir = cluster_make_new_dir(c->state_dir, &c->user, &e);
	if (c->new_dir == NULL) {
		give_up(c, e.text);
		return;
	}
	log_info(OBJECT, "making a cluster in %s with %s/initdb", c->data_dir,
	    c->bin_dir);
	run_initdb(c);
}

static void
look_for_data(struct cluster *c)
{
	if (cluster_data_version(c->data_dir) == 0) {
		begin_initdb(c);
		return;
	}
	set_state(c, CLUSTER_WAITING);
	step_in(c, 0.);
}

static void
remove_left(struct cluster *c)
{
	char **argv = NULL;

	strv_add(&argv, "rm");
	strv_add(&argv, "-rf");
	strv_add(&argv, "--");
	for (char **dir = c->left; *dir != NULL; dir++) {
		log_info(OBJECT, "removing %s, which an earlier initdb left",
		    *dir);
		strv_add(&argv, *dir);
	}
	start_tool(c, CLUSTER_CLEANING, argv);
	strv_free(&argv);
}

/* As another user rm empties the folders but may not remove them. What is not
 * empty, because somebody is still at it, is left for the next start. */
static void
end_cleaning(struct cluster *c)
{
	for (char **dir = c->left; *dir != NULL; dir++)
		if (rmdir(*dir) == -1 && errno != ENOENT)
			log_warning(OBJECT, "%s: %s", *dir, strerror(errno));
	look_for_data(c);
}

/* First step: what is there, and with which programs? */
static void
look_around(struct cluster *c)
{
	struct err e;

	if (cluster_pick_user(&c->user, &e) == -1 ||
	    cluster_make_dirs(c->state_dir, c->socket_dir, &c->user,
	    &e) == -1) {
		give_up(c, e.text);
		return;
	}
	c->bin_dir = program_postgres_dir(cluster_data_version(c->data_dir),
	    &e);
	if (c->bin_dir == NULL) {
		give_up(c, e.text);
		return;
	}
	c->left = cluster_new_dirs(c->state_dir);
	if (c->left != NULL)
		remove_left(c);
	else
		look_for_data(c);
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
	else if (cluster_program_start(c->program, &c->user, argv, LADDER,
	    &e) == -1)
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

	if (!ready || pid != cluster_program_pid(c->program)) {
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

/* The ends of programs */

static void
end_initdb(struct cluster *c)
{
	struct err e;

	if (cluster_data_version(c->new_dir) < POSTGRES_OLDEST)
		fail(&e, "%s/initdb is older than PostgreSQL %d: install a "
		    "newer one or set `database`", c->bin_dir, POSTGRES_OLDEST);
	else if (cluster_adopt(c->state_dir, c->new_dir, c->data_dir,
	    &e) == 0) {
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

	if (c->state == CLUSTER_CLEANING &&
	    !cluster_program_never_ran(c->program))
		end_cleaning(c);
	else if (c->state == CLUSTER_INITDB &&
	    cluster_program_succeeded(c->program))
		end_initdb(c);
	else {
		why = cluster_program_end(c->program,
		    c->state == CLUSTER_INITDB ? "initdb" : "rm");
		give_up(c, why);
		free(why);
	}
}

static void
on_server_gone(struct cluster *c)
{
	char *why = cluster_program_end(c->program, "postgres");

	if (cluster_program_never_ran(c->program) &&
	    c->state == CLUSTER_STARTING)
		give_up(c, why);
	else
		back_off(c, why);
	free(why);
}

static void
on_program_ended(void *ctx)
{
	struct cluster *c = ctx;

	ev_timer_stop(c->loop, &c->timer);
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
	c->socket_dir = options_socket_dir(state_dir);
	c->conninfo = embedded_conninfo(state_dir, "hearth");
	c->admin_conninfo = embedded_conninfo(state_dir, "hearth_super");
	c->program = cluster_program_new(loop, state_dir, on_program_ended, c);
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
	if (cluster_program_runs(c->program)) {
		set_state(c, CLUSTER_STOPPING);
		cluster_program_stop(c->program);
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
	cluster_program_free(&c->program);
	ev_timer_stop(c->loop, &c->timer);
	free(c->bin_dir);
	free(c->state_dir);
	free(c->data_dir);
	free(c->new_dir);
	strv_free(&c->left);
	free(c->socket_dir);
	free(c->conninfo);
	free(c->admin_conninfo);
	free(c);
	*cp = NULL;
}
