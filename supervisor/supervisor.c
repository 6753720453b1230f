/* SPDX-License-Identifier: MIT */
/*
 * The supervisor as a whole: what it is made of, the database's ups and downs,
 * and its end in three steps (drain, interrupt, stop).
 */
#include "supervisor/supervisor.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "supervisor/private.h"

#define POLL_SECONDS 5.
#define WAITING_SESSIONS 200

static void on_poll(struct ev_loop *loop, ev_timer *t, int revents);
static void on_prepare(struct ev_loop *loop, ev_prepare *p, int revents);

static struct pool_config
pool_config_of(const struct options *opt)
{
	return (struct pool_config){
		.max_agents = opt->max_agents,
		.idle_timeout = opt->idle_timeout,
		.start_timeout = opt->start_timeout,
		.turn_timeout = opt->turn_timeout,
		.cancel_timeout = opt->cancel_timeout,
		.silence_timeout = opt->silence_timeout,
		.gathers = opt->flush_interval > 0,
		.restart = { opt->crash_limit, opt->crash_window },
		.max_memory = opt->max_memory,
	};
}

static struct leaving_limits
limits_of(const struct options *opt)
{
	return (struct leaving_limits){
		.archive_grace = opt->archive_grace,
		.worktree_budget = opt->worktree_budget,
	};
}

struct supervisor *
supervisor_new(struct ev_loop *loop, const struct options *opt,
    struct db *db)
{
	struct supervisor *sup = xcalloc(1, sizeof *sup);
	struct pool_config cfg = pool_config_of(opt);

	sup->loop = loop;
	sup->db = db;
	sup->recorder = db_recorder(db);
	list_init(&sup->for_room);
	list_init(&sup->spares);
	sup->pool = pool_new(loop, &cfg, agent_on_event, sup);
	pool_on_memory(sup->pool, agent_on_memory, agent_on_sleep);
	sup->workspace = workspace_new(loop, opt->state_dir);
	sup->permission_timeout = opt->permission_timeout;
	sup->setup_timeout = opt->setup_timeout;
	sup->state_dir = opt->state_dir;
	sup->limits = limits_of(opt);
	sup->snapshots = snapshots_new(sup, opt->snapshot_interval);
	ev_timer_init(&sup->poll, on_poll, POLL_SECONDS, POLL_SECONDS);
	sup->poll.data = sup;
	ev_prepare_init(&sup->prepare, on_prepare);
	/* before the recorder's, which sends what this one records */
	ev_set_priority(&sup->prepare, EV_MAXPRI);
	sup->prepare.data = sup;
	ev_prepare_start(loop, &sup->prepare);
	return sup;
}

void
supervisor_configure(struct supervisor *sup, const struct options *opt)
{
	struct pool_config cfg = pool_config_of(opt);

	pool_configure(sup->pool, &cfg);
	sup->permission_timeout = opt->permission_timeout;
	sup->limits = limits_of(opt);
	sup->setup_timeout = opt->setup_timeout;
	snapshots_configure(sup->snapshots, opt->snapshot_interval);
}

static void
free_session(void *value, void *ctx)
{
	(void)ctx;
	session_free(value);
}

void
supervisor_free(struct supervisor **supervisor)
{
	struct supervisor *sup = *supervisor;

	if (!sup)
		return;
	ev_timer_stop(sup->loop, &sup->poll);
	ev_prepare_stop(sup->loop, &sup->prepare);
	snapshots_free(&sup->snapshots);
	pool_free(&sup->pool);
	map_each(&sup->sessions, free_session, NULL);
	map_free(&sup->sessions);
	map_free(&sup->typed);
	measure_end(sup);
	spares_free(sup);
	workspace_free(&sup->workspace);
	free(sup);
	*supervisor = NULL;
}

/* ---- what waits in the queue */

static void
on_waiting(void *ctx, const char *const *sessions, size_t n,
    int64_t next_ms, const struct err *e)
{
	struct supervisor *sup = ctx;

	sup->is_asking = false;
	if (e)
		return;
	if (!sup->is_draining)
		for (size_t i = 0; i < n; i++)
			supervisor_work(sup, &(struct queued_turn){
			    .session = sessions[i] });
	if (next_ms >= 0)
		supervisor_look_in(sup, next_ms);
	if (sup->ask_again)
		supervisor_look(sup);
}

void
supervisor_look(struct supervisor *sup)
{
	sup->ask_again = sup->is_asking;
	if (!sup->is_up || sup->is_draining || sup->is_asking)
		return;
	sup->is_asking = true;
	db_waiting_sessions(sup->db, WAITING_SESSIONS, on_waiting, sup);
}

void
supervisor_look_in(struct supervisor *sup, int64_t ms)
{
	double at = (double)ms / 1e3 + .01;

	if (!ev_is_active(&sup->poll) ||
	    ev_timer_remaining(sup->loop, &sup->poll) <= at)
		return;
	ev_timer_stop(sup->loop, &sup->poll);
	ev_timer_set(&sup->poll, at, POLL_SECONDS);
	ev_timer_start(sup->loop, &sup->poll);
}

/* What waits for the database, or should a hint be lost. */
static void
go_on(void *value, void *ctx)
{
	struct session *s = value;

	(void)ctx;
	if (!s->is_claiming)
		late_commands_run(s);
	task_advance(s);
}

static void
on_poll(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct supervisor *sup = t->data;

	(void)loop;
	(void)revents;
	if (sup->rules_again)
		rules_load(sup);
	map_free(&sup->typed);
	sup->is_room_freed = true; /* by a child that has come to rest */
	map_each(&sup->sessions, go_on, NULL);
	supervisor_look(sup);
	commands_take(sup);
	retire_sweep(sup);
	if (sup->is_measuring_due)
		measure_look(sup);
	spares_look(sup);
}

/* ---- the database's callbacks */

void
supervisor_up(struct supervisor *sup)
{
	sup->is_up = true;
	ev_timer_again(sup->loop, &sup->poll);
	/* first, so that no turn begins before they are known */
	rules_load(sup);
	map_each(&sup->sessions, go_on, NULL);
	commands_take(sup);
	supervisor_look(sup);
	retire_sweep(sup);
	measure_look(sup);
	spares_load(sup);
	snapshots_look(sup->snapshots);
}

static void
stop_claiming(void *value, void *ctx)
{
	struct session *s = value;

	(void)ctx;
	s->wants_claim = false;
	s->hinted = 0;
}

void
supervisor_down(struct supervisor *sup)
{
	sup->is_up = false;
	ev_timer_stop(sup->loop, &sup->poll);
	map_each(&sup->sessions, stop_claiming, NULL);
}

void
supervisor_work(struct supervisor *sup, const struct queued_turn *q)
{
	struct session *s;

	if (sup->is_draining)
		return;
	s = session_get(sup, q->session);
	session_hint(s, q);
	/* not claimed while PostgreSQL is away: found again when it is back */
	session_tidy(s);
}

void
supervisor_typing(struct supervisor *sup, const char *session,
    const char *chat, const char *agent)
{
	warm_typing(sup, session, chat, agent);
}

void
supervisor_commands(struct supervisor *sup)
{
	commands_take(sup);
}

void
supervisor_rules(struct supervisor *sup)
{
	rules_load(sup);
}

void
supervisor_agents(struct supervisor *sup)
{
	spares_load(sup);
}

void
supervisor_fenced(struct supervisor *sup, const char *session)
{
	struct session *s = session_find(sup, session);

	if (s)
		session_lose(s);
}

void
supervisor_pressure(struct supervisor *sup, bool full)
{
	if (full)
		log_warning("hearthd", "PostgreSQL is behind: agents are not "
		    "read until it has caught up");
	else
		log_info("hearthd", "PostgreSQL has caught up");
	pool_pause(sup->pool, full);
}

void
supervisor_chat_pressure(struct supervisor *sup, const char *session,
    const char *chat, bool full)
{
	if (full)
		log_warning("hearthd", "chat %s: PostgreSQL is behind: its "
		    "agents are not read until it has caught up", chat);
	else
		log_info("hearthd", "chat %s: PostgreSQL has caught up", chat);
	pool_pause_chat(sup->pool, session, chat, full);
}

/* ---- the end */

void
supervisor_drain(struct supervisor *sup, void (*on_quiet)(void *ctx),
    void *ctx)
{
	sup->is_draining = true;
	spares_stop(sup);
	sup->on_quiet = on_quiet;
	sup->ctx = ctx;
}

static void
interrupt_session(void *value, void *ctx)
{
	struct session *s = value;

	(void)ctx;
	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);
		struct seat *seat = pool_find(s->sup->pool, s->id,
		    t->chat->id, t->agent);

		if (t->state == TURN_STARTING) {
			copy_leave(t);
			turn_advance(t);
		} else if (seat) {
			seat_stop(seat, s->sup->interrupted);
		}
	}
}

void
supervisor_interrupt(struct supervisor *sup, const char *why)
{
	sup->is_draining = true;
	sup->interrupted = why;
	map_each(&sup->sessions, interrupt_session, NULL);
}

void
supervisor_stop(struct supervisor *sup, void (*on_empty)(void *ctx),
    void *ctx)
{
	bool is_second = sup->on_empty != NULL;

	sup->is_draining = true;
	sup->on_empty = on_empty;
	sup->ctx = ctx;
	if (is_second)
		pool_kill(sup->pool, "hearthd is being stopped");
	else
		pool_stop(sup->pool, "hearthd is being stopped");
}

/* on_quiet may ask for on_empty, and that there is nothing to wait for. */
static void
on_prepare(struct ev_loop *loop, ev_prepare *p, int revents)
{
	struct supervisor *sup = p->data;
	void (*fn)(void *ctx);

	(void)loop;
	(void)revents;
	if (sup->is_room_freed) {
		sup->is_room_freed = false;
		turns_take_room(sup);
		spares_look(sup);
	}
	if (sup->on_quiet && sup->turns == 0 && sup->tasks == 0) {
		fn = sup->on_quiet;
		sup->on_quiet = NULL;
		fn(sup->ctx);
	}
	if (sup->on_empty && pool_is_empty(sup->pool)) {
		fn = sup->on_empty;
		sup->on_empty = NULL;
		fn(sup->ctx);
	}
}

struct pool_counts
supervisor_children(const struct supervisor *sup)
{
	return pool_count(sup->pool);
}

int
supervisor_turns(const struct supervisor *sup)
{
	return sup->turns;
}
