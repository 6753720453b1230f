/* SPDX-License-Identifier: MIT */
/*
 * Spares: children that are initialized before there is a chat for them, as
 * many per agent as the registry asks for (agents.spares). The next chat that
 * needs a child of the agent claims one (supervisor/launch.c), and another is
 * started in its place.
 *
 * All of it is in the background: one of an agent is started at a time, for
 * each the registry is read again, and nobody leaves for it or waits for it.
 * One that fails or ends by itself counts as a crash of the agent's spares, and
 * the next waits as pool/restart_policy.h has it. A spare ends when the
 * registry does not want it any more, or not like that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/launcher.h"
#include "supervisor/private.h"

/* After a claim: what starting the next one costs would delay the first answer
 * of the one that was claimed. */
#define REFILL_MS 2000
/* How long the next waits when no process could be made. */
#define NO_PROCESS_MS 5000

/* Of one agent, as last read. Owned by supervisor.spares. */
struct spare_wish {
	struct list in_supervisor;
	char *agent, *config_hash;
	int64_t wanted;
	int64_t not_before;  /* clock_ms(): after crashes, or a claim */
	int64_t kb;          /* the most that one was seen to take */
	bool is_in_vain;     /* its launcher names a working copy */
	bool lacks_room;     /* was logged */
	/* counted by count() */
	int64_t alive;
	bool is_starting;
	bool was_read;
};

static struct spare_wish *
find(const struct supervisor *sup, const char *agent)
{
	LIST_EACH(pos, tmp, &sup->spares) {
		struct spare_wish *w = LIST_ITEM(pos, struct spare_wish,
		    in_supervisor);

		if (strcmp(w->agent, agent) == 0)
			return w;
	}
	return NULL;
}

static void
drop(struct spare_wish *w)
{
	list_remove(&w->in_supervisor);
	free(w->agent);
	free(w->config_hash);
	free(w);
}

void
spares_free(struct supervisor *sup)
{
	LIST_EACH(pos, tmp, &sup->spares)
		drop(LIST_ITEM(pos, struct spare_wish, in_supervisor));
}

/* ---- what there is */

/* Counts one that is wanted; ends one that is not. */
static void
count_seat(void *ctx, struct seat *seat)
{
	struct spare_wish *w = find(ctx, seat_agent(seat));

	if (!w || w->alive == w->wanted) {
		seat_stop(seat, "the registry does not ask for it any more");
	} else if (strcmp(w->config_hash, seat_config_hash(seat)) != 0) {
		seat_stop(seat, "the agent's configuration has changed");
	} else {
		w->alive++;
		if (!seat_can_be_claimed(seat))
			w->is_starting = true;
	}
}

static void
count(struct supervisor *sup)
{
	LIST_EACH(pos, tmp, &sup->spares) {
		struct spare_wish *w = LIST_ITEM(pos, struct spare_wish,
		    in_supervisor);

		w->alive = 0;
		w->is_starting = false;
	}
	pool_each(sup->pool, "", count_seat, sup);
}

static bool
has_room(struct supervisor *sup, struct spare_wish *w)
{
	bool has = list_empty(&sup->for_room) &&
	    pool_has_spare_room(sup->pool, w->kb);

	if (!has && !w->lacks_room)
		log_info(w->agent, "a spare waits until there is room for it "
		    "in max_agents and max_memory");
	w->lacks_room = !has;
	return has;
}

/* One is missing that could be started now. */
static bool
is_missing(struct supervisor *sup, struct spare_wish *w)
{
	return w->alive < w->wanted && !w->is_in_vain && !w->is_starting &&
	    clock_ms() >= w->not_before && has_room(sup, w);
}

void
spares_look(struct supervisor *sup)
{
	if (list_empty(&sup->spares) && !sup->ask_spares_again)
		return;
	count(sup);
	LIST_EACH(pos, tmp, &sup->spares)
		if (is_missing(sup, LIST_ITEM(pos, struct spare_wish,
		    in_supervisor)))
			sup->ask_spares_again = true;
	if (sup->ask_spares_again)
		spares_load(sup);
}

/* ---- what the registry asks for */

/* What is so now, whatever was wrong with an earlier one. */
static void
begin_anew(struct supervisor *sup, struct spare_wish *w,
    const struct spare_row *row)
{
	free(w->config_hash);
	w->config_hash = xstrdup(row->config_hash);
	w->not_before = w->kb = 0;
	w->lacks_room = false;
	pool_reset(sup->pool, "", w->agent);
	w->is_in_vain = launcher_names_place(row->command,
	    (size_t)row->launcher_words);
	if (w->is_in_vain)
		log_warning(w->agent, "no spares: its launcher names "
		    "{worktree} or {project}, which a child of no chat does "
		    "not have (set agents.spares to 0)");
}

static void
take_row(struct supervisor *sup, const struct spare_row *row)
{
	struct spare_wish *w = find(sup, row->agent);

	if (!w) {
		w = xcalloc(1, sizeof *w);
		w->agent = xstrdup(row->agent);
		list_append(&sup->spares, &w->in_supervisor);
	}
	w->was_read = true;
	w->wanted = row->spares;
	if (!w->config_hash || strcmp(w->config_hash, row->config_hash) != 0)
		begin_anew(sup, w, row);
}

static void
take_rows(struct supervisor *sup, const struct spare_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		take_row(sup, &rows[i]);
	LIST_EACH(pos, tmp, &sup->spares) {
		struct spare_wish *w = LIST_ITEM(pos, struct spare_wish,
		    in_supervisor);

		if (!w->was_read)
			drop(w);
		else
			w->was_read = false;
	}
}

static void
wait_for(struct supervisor *sup, struct spare_wish *w, int64_t ms)
{
	w->not_before = clock_ms() + ms;
	supervisor_look_in(sup, ms);
}

static void
start_missing(struct supervisor *sup, const struct spare_row *row)
{
	struct spare_wish *w = find(sup, row->agent);
	struct err e;

	if (!is_missing(sup, w) || launch_spare(sup, row, &e))
		return;
	log_warning(w->agent, "no spare: %s", e.text);
	wait_for(sup, w, NO_PROCESS_MS);
}

static void
on_spares(void *ctx, const struct spare_row *rows, size_t n,
    const struct err *e)
{
	struct supervisor *sup = ctx;

	sup->is_asking_spares = false;
	if (e) {
		/* the next look, or the reconnection, tries again */
		sup->ask_spares_again = true;
		return;
	}
	if (!sup->is_draining) {
		take_rows(sup, rows, n);
		count(sup);
		for (size_t i = 0; i < n; i++)
			start_missing(sup, &rows[i]);
	}
	if (sup->ask_spares_again)
		spares_load(sup);
}

void
spares_load(struct supervisor *sup)
{
	sup->ask_spares_again = sup->is_asking_spares || !sup->is_up;
	if (sup->ask_spares_again || sup->is_draining)
		return;
	sup->is_asking_spares = true;
	db_spares(sup->db, on_spares, sup);
}

/* ---- the life of one */

void
spares_claimed(struct supervisor *sup, const char *agent)
{
	struct spare_wish *w = find(sup, agent);

	pool_reset(sup->pool, "", agent);
	if (w)
		wait_for(sup, w, REFILL_MS);
}

static void
failed(struct supervisor *sup, const struct seat *seat)
{
	struct spare_wish *w = find(sup, seat_agent(seat));
	int count;
	int64_t wait = pool_note_crash(sup->pool, seat, &count);

	if (!w || wait == 0)
		return;
	log_warning(w->agent, "its spares fail: the next is started in %lld ms",
	    (long long)wait);
	wait_for(sup, w, wait);
}

static void
ended(struct supervisor *sup, const struct seat *seat,
    const struct agent_event *ev)
{
	struct spare_wish *w = find(sup, seat_agent(seat));

	agent_record_end(sup, NULL, seat, ev);
	if (w && seat_memory(seat) > w->kb)
		w->kb = seat_memory(seat);
	if (!ev->ended.was_planned && !seat_has_failed(seat))
		failed(sup, seat);
	sup->is_room_freed = true;
}

void
spare_on_event(struct supervisor *sup, struct seat *seat,
    const struct agent_event *ev)
{
	switch (ev->type) {
	case AGENT_SPAWNED:
		record_execution_start(sup->recorder, NULL,
		    seat_execution(seat), seat_agent(seat), ev->spawned.pid,
		    ev->spawned.spawn_ms, seat_origin(seat));
		break;
	case AGENT_INITIALIZED:
		record_execution_ready(sup->recorder, NULL,
		    seat_execution(seat), ev->initialized.initialize_ms, -1);
		spares_look(sup);
		break;
	case AGENT_FAILED:
		failed(sup, seat);
		break;
	case AGENT_ENDED:
		ended(sup, seat, ev);
		break;
	default: /* it has no session that anything could be about */
		break;
	}
}

void
spare_on_memory(struct supervisor *sup, struct seat *seat, int64_t pss_kb)
{
	struct spare_wish *w = find(sup, seat_agent(seat));

	if (w && pss_kb > w->kb)
		w->kb = pss_kb;
	record_execution_memory(sup->recorder, NULL, seat_execution(seat),
	    pss_kb);
}

static void
stop_seat(void *ctx, struct seat *seat)
{
	(void)ctx;
	seat_stop(seat, "hearthd is being stopped");
}

void
spares_stop(struct supervisor *sup)
{
	pool_each(sup->pool, "", stop_seat, NULL);
}
