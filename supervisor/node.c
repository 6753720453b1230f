/* SPDX-License-Identifier: MIT */
/*
 * The phases of a node and what moves it from one to the next: the cluster's
 * and the database's callbacks, the schema child's end, signals, timers.
 */
#include "supervisor/node.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/sd_notify.h"
#include "pool/pool.h"
#include "sql/cluster.h"
#include "sql/db.h"
#include "sql/recorder.h"
#include "supervisor/schema.h"
#include "supervisor/supervisor.h"

#define HEARTBEAT_SECONDS 5.
/* Bytes that wait for PostgreSQL before agents are paused. */
#define BUFFER_BUDGET ((size_t)64 << 20)
/* What is still in memory at the end gets so long to be written. */
#define CLOSE_MS 10000
/* A child that does not end after the ladder's steps is killed then. */
#define STOP_SECONDS 5.
/* After supervisor_interrupt(): for the turns' ends to become durable. */
#define INTERRUPT_SECONDS 8.

enum node_phase {
#define STATE(name, word, meaning) NODE_##name,
#define EDGE(from, to)
#include "supervisor/node_phase.def"
#undef STATE
#undef EDGE
	NODE_PHASES
};

static const char *const phase_words[] = {
#define STATE(name, word, meaning) [NODE_##name] = word,
#define EDGE(from, to)
#include "supervisor/node_phase.def"
#undef STATE
#undef EDGE
};

struct node {
	struct ev_loop *loop;
	struct options *opt;
	int (*reload)(struct options *fresh, struct err *e);
	enum node_phase phase;
	struct cluster *cluster;    /* embedded only */
	struct schema_check *schema;
	struct db *db;
	struct supervisor *sup;
	bool is_db_up;
	bool was_interrupted;       /* running turns were cut off */
	int signals;                /* SIGTERM and SIGINT so far */
	int exit_status;
	struct ev_signal on_term, on_int, on_hup;
	struct ev_timer heartbeat, watchdog, limit;
};

static void stop_children(struct node *n);
static void halt(struct node *n);

static bool
is_edge(enum node_phase from, enum node_phase to)
{
#define STATE(name, word, meaning)
#define EDGE(f, t) if (from == NODE_##f && to == NODE_##t) return true;
#include "supervisor/node_phase.def"
#undef STATE
#undef EDGE
	return false;
}

static void
tell_status(struct node *n)
{
	struct pool_counts c = { 0 };

	if (n->sup)
		c = supervisor_children(n->sup);
	sd_notify_send("STATUS=%s%s: %d turns, %d agents working, %d idle, "
	    "%d starting, %d spare", phase_words[n->phase],
	    n->phase == NODE_SERVING && !n->is_db_up ?
	    " (PostgreSQL is away)" : "",
	    n->sup ? supervisor_turns(n->sup) : 0, c.working, c.idle,
	    c.starting, c.spare);
}

static void
set_phase(struct node *n, enum node_phase phase)
{
	MUST(is_edge(n->phase, phase));
	log_debug("hearthd", "%s -> %s", phase_words[n->phase],
	    phase_words[phase]);
	n->phase = phase;
	ev_timer_stop(n->loop, &n->limit);
	tell_status(n);
}

static void
set_limit(struct node *n, double seconds)
{
	ev_timer_stop(n->loop, &n->limit);
	ev_timer_set(&n->limit, seconds, 0.);
	ev_timer_start(n->loop, &n->limit);
}

/* ---- serving */

static void
on_db_up(void *ctx, bool first)
{
	struct node *n = ctx;

	n->is_db_up = true;
	supervisor_up(n->sup);
	if (first) {
		log_info("hearthd", "node %s serves; state in %s",
		    n->opt->node_name, n->opt->state_dir);
		sd_notify_send("READY=1");
	} else {
		log_info("hearthd", "PostgreSQL is back");
	}
	record_heartbeat(db_recorder(n->db), n->phase != NODE_SERVING);
	tell_status(n);
}

static void
on_db_down(void *ctx, const char *why)
{
	struct node *n = ctx;

	n->is_db_up = false;
	log_warning("hearthd", "PostgreSQL is away: %s", why);
	supervisor_down(n->sup);
	tell_status(n);
}

static void
on_db_work(void *ctx, const struct queued_turn *q)
{
	supervisor_work(((struct node *)ctx)->sup, q);
}

static void
on_db_typing(void *ctx, const char *session, const char *chat,
    const char *agent)
{
	supervisor_typing(((struct node *)ctx)->sup, session, chat, agent);
}

static void
on_db_commands(void *ctx)
{
	supervisor_commands(((struct node *)ctx)->sup);
}

static void
on_db_rules(void *ctx)
{
	supervisor_rules(((struct node *)ctx)->sup);
}

static void
on_db_agents(void *ctx)
{
	supervisor_agents(((struct node *)ctx)->sup);
}

static void
on_db_fenced(void *ctx, const char *session)
{
	supervisor_fenced(((struct node *)ctx)->sup, session);
}

static void
on_db_pressure(void *ctx, bool full)
{
	supervisor_pressure(((struct node *)ctx)->sup, full);
}

static void
on_db_chat_pressure(void *ctx, const char *session, const char *chat,
    bool full)
{
	supervisor_chat_pressure(((struct node *)ctx)->sup, session, chat,
	    full);
}

static void
on_db_fatal(void *ctx, const char *why)
{
	struct node *n = ctx;

	log_error("hearthd", "%s", why);
	n->exit_status = EX_UNAVAILABLE;
	if (n->phase == NODE_SERVING)
		set_phase(n, NODE_DRAINING);
	if (n->phase == NODE_DRAINING)
		stop_children(n);
}

static char *
joined_roots(const struct options *opt)
{
	char *all = xstrdup("");

	for (char **root = opt->project_roots; root && *root; root++) {
		char *more = xasprintf("%s%s%s", all, *all ? ":" : "", *root);

		free(all);
		all = more;
	}
	return all;
}

static void
serve(struct node *n)
{
	static const struct db_callbacks cb = {
		.up = on_db_up,
		.down = on_db_down,
		.work = on_db_work,
		.typing = on_db_typing,
		.commands = on_db_commands,
		.rules = on_db_rules,
		.agents = on_db_agents,
		.fenced = on_db_fenced,
		.pressure = on_db_pressure,
		.chat_pressure = on_db_chat_pressure,
		.fatal = on_db_fatal,
	};
	char *roots = joined_roots(n->opt);
	struct db_config cfg = {
		.conninfo = n->cluster ? cluster_conninfo(n->cluster) :
		    n->opt->database,
		.node_name = n->opt->node_name,
		.version = PACKAGE_VERSION,
		.flush_interval = n->opt->flush_interval,
		.buffer_budget = BUFFER_BUDGET,
		.project_roots = roots,
	};

	set_phase(n, NODE_SERVING);
	n->db = db_new(n->loop, &cfg, &cb, n);
	n->sup = supervisor_new(n->loop, n->opt, n->db);
	free(roots);
}

/* ---- the way up */

static void
on_schema(void *ctx, const struct err *e)
{
	struct node *n = ctx;

	schema_check_free(&n->schema);
	if (!e) {
		serve(n);
		return;
	}
	log_error("hearthd", "%s", e->text);
	n->exit_status = EX_UNAVAILABLE;
	halt(n);
}

static void
check_schema(struct node *n)
{
	set_phase(n, NODE_SCHEMA);
	n->schema = schema_check_start(n->loop, n->cluster ?
	    cluster_admin_conninfo(n->cluster) : n->opt->database, on_schema,
	    n);
}

static void
on_cluster_ready(void *ctx)
{
	struct node *n = ctx;

	if (n->phase == NODE_CLUSTER)
		check_schema(n);
}

static void
on_cluster_died(void *ctx, const char *why)
{
	(void)ctx;
	log_error("postgres", "the embedded cluster died: %s; it is started "
	    "again", why);
}

static void
on_cluster_fatal(void *ctx, const char *why)
{
	struct node *n = ctx;

	log_error("postgres", "%s", why);
	n->exit_status = EX_UNAVAILABLE;
	if (n->phase == NODE_CLUSTER || n->phase == NODE_SCHEMA)
		halt(n);
	else if (n->phase == NODE_SERVING)
		on_db_fatal(n, "the embedded cluster cannot be started");
}

static void
on_cluster_stopped(void *ctx)
{
	struct node *n = ctx;

	if (n->phase != NODE_HALTING)
		return;
	set_phase(n, NODE_DONE);
	ev_break(n->loop, EVBREAK_ALL);
}

static void
start(struct node *n)
{
	static const struct cluster_callbacks cb = {
		.ready = on_cluster_ready,
		.died = on_cluster_died,
		.fatal = on_cluster_fatal,
		.stopped = on_cluster_stopped,
	};

	tell_status(n);
	if (n->opt->database[0]) {
		check_schema(n);
		return;
	}
	n->cluster = cluster_new(n->loop, n->opt->state_dir, &cb, n);
	cluster_start(n->cluster);
}

/* ---- the way down */

static void
halt(struct node *n)
{
	schema_check_free(&n->schema);
	if (n->cluster) {
		set_phase(n, NODE_HALTING);
		cluster_stop(n->cluster);
		return;
	}
	set_phase(n, NODE_DONE);
	ev_break(n->loop, EVBREAK_ALL);
}

static void
on_db_closed(void *ctx)
{
	struct node *n = ctx;

	if (n->phase == NODE_CLOSING)
		halt(n);
}

static void
on_children_gone(void *ctx)
{
	struct node *n = ctx;

	if (n->phase != NODE_STOPPING)
		return;
	set_phase(n, NODE_CLOSING);
	db_close(n->db, CLOSE_MS, on_db_closed, n);
}

static void
stop_children(struct node *n)
{
	set_phase(n, NODE_STOPPING);
	set_limit(n, STOP_SECONDS);
	supervisor_stop(n->sup, on_children_gone, n);
}

static void
on_turns_done(void *ctx)
{
	struct node *n = ctx;

	if (n->phase == NODE_DRAINING)
		stop_children(n);
}

static void
interrupt_turns(struct node *n, const char *why)
{
	static char reason[160];

	snprintf(reason, sizeof reason, "%s", why);
	supervisor_interrupt(n->sup, reason);
	set_limit(n, INTERRUPT_SECONDS);
}

static void
drain(struct node *n)
{
	sd_notify_send("STOPPING=1");
	log_info("hearthd", "draining; running turns: %d, drain_timeout: %s",
	    supervisor_turns(n->sup), duration_text(n->opt->drain_timeout));
	set_phase(n, NODE_DRAINING);
	set_limit(n, (double)n->opt->drain_timeout / 1e3);
	record_heartbeat(db_recorder(n->db), true);
	supervisor_drain(n->sup, on_turns_done, n);
}

/* The present phase has taken too long. */
static void
on_limit(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct node *n = t->data;
	char why[160];

	(void)loop;
	(void)revents;
	if (n->phase == NODE_STOPPING) {
		supervisor_stop(n->sup, on_children_gone, n);
		set_limit(n, STOP_SECONDS);
	} else if (n->phase == NODE_DRAINING && !n->was_interrupted) {
		n->was_interrupted = true;
		snprintf(why, sizeof why, "hearthd was stopped: the turn did "
		    "not end within drain_timeout (%s)",
		    duration_text(n->opt->drain_timeout));
		interrupt_turns(n, why);
	} else if (n->phase == NODE_DRAINING) {
		stop_children(n);
	}
}

static void
on_stop_signal(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct node *n = s->data;

	(void)loop;
	(void)revents;
	n->signals++;
	log_info("hearthd", "SIG%s", sigabbrev_np(s->signum));
	if (n->phase == NODE_CLUSTER || n->phase == NODE_SCHEMA) {
		halt(n);
	} else if (n->phase == NODE_SERVING) {
		drain(n);
		if (s->signum == SIGINT)
			n->signals++;
	}
	if (n->phase == NODE_DRAINING && n->signals > 1 &&
	    !n->was_interrupted) {
		n->was_interrupted = true;
		interrupt_turns(n, "hearthd was stopped at once");
	}
}

/* ---- upkeep */

static void
on_hup(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct node *n = s->data;
	struct options fresh;
	struct err e;

	(void)loop;
	(void)revents;
	if (n->reload(&fresh, &e) != 0) {
		log_error("hearthd", "not reloaded: %s", e.text);
		return;
	}
	if (strcmp(fresh.database, n->opt->database) != 0 ||
	    strcmp(fresh.state_dir, n->opt->state_dir) != 0 ||
	    strcmp(fresh.node_name, n->opt->node_name) != 0)
		log_warning("hearthd", "database, state_dir and node_name "
		    "take effect after a restart");
	log_setup(fresh.log_level, fresh.log_format);
	if (n->sup)
		supervisor_configure(n->sup, &fresh);
	n->opt->drain_timeout = fresh.drain_timeout;
	options_free(&fresh);
	log_info("hearthd", "reloaded");
}

static void
on_heartbeat(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct node *n = t->data;

	(void)loop;
	(void)revents;
	if (n->db && n->is_db_up && n->phase < NODE_CLOSING)
		record_heartbeat(db_recorder(n->db),
		    n->phase != NODE_SERVING);
	give_back_memory();
	tell_status(n);
}

static void
on_watchdog(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)t;
	(void)revents;
	sd_notify_send("WATCHDOG=1");
}

static void
watch_signal(struct node *n, ev_signal *s, int signum,
    void (*cb)(struct ev_loop *loop, ev_signal *s, int revents))
{
	ev_signal_init(s, cb, signum);
	s->data = n;
	ev_signal_start(n->loop, s);
}

static void
watch(struct node *n)
{
	int64_t watchdog = sd_notify_watchdog_ms();

	watch_signal(n, &n->on_term, SIGTERM, on_stop_signal);
	watch_signal(n, &n->on_int, SIGINT, on_stop_signal);
	watch_signal(n, &n->on_hup, SIGHUP, on_hup);
	ev_timer_init(&n->limit, on_limit, 0., 0.);
	ev_timer_init(&n->heartbeat, on_heartbeat, HEARTBEAT_SECONDS,
	    HEARTBEAT_SECONDS);
	ev_timer_init(&n->watchdog, on_watchdog, 0.,
	    (double)watchdog / 1e3);
	n->limit.data = n->heartbeat.data = n->watchdog.data = n;
	ev_timer_start(n->loop, &n->heartbeat);
	if (watchdog > 0)
		ev_timer_again(n->loop, &n->watchdog);
}

static void
unwatch(struct node *n)
{
	ev_signal_stop(n->loop, &n->on_term);
	ev_signal_stop(n->loop, &n->on_int);
	ev_signal_stop(n->loop, &n->on_hup);
	ev_timer_stop(n->loop, &n->limit);
	ev_timer_stop(n->loop, &n->heartbeat);
	ev_timer_stop(n->loop, &n->watchdog);
}

int
node_run(struct ev_loop *loop, struct options *opt,
    int (*reload)(struct options *fresh, struct err *e))
{
	struct node n = { .loop = loop, .opt = opt, .reload = reload };

	watch(&n);
	start(&n);
	ev_run(loop, 0);
	supervisor_free(&n.sup);
	db_free(&n.db);
	cluster_free(&n.cluster);
	unwatch(&n);
	log_info("hearthd", "ended");
	return n.exit_status;
}
