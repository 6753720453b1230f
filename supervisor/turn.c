/* SPDX-License-Identifier: MIT */
/*
 * The life of a turn, from its claim to its end (supervisor/turn_state.def).
 *
 *   turn_begin     claimed: warm, its prompt goes out at once
 *   turn_advance   cold: working copy, child, tree, "running" — step by step
 *   deliver        the prompt goes to the agent, once
 *   turn_settle    the agent is done; copy_tree_after() reads what changed
 *   turn_finish    everything of its end is recorded in one transaction
 *
 * A turn is freed by turn_forget(), never while a callback will come back to
 * it (waits).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "supervisor/private.h"

/* How long a turn waits when no process could be made for it. */
#define NO_CHILD_MS 500
/* An execution is one life: the next child takes another claim. */
#define AGENT_ENDED_EARLY "its agent ended before it had the prompt"

static const char *const state_words[] = {
#define STATE(name, word, meaning) [TURN_##name] = word,
#define EDGE(from, to)
#include "supervisor/turn_state.def"
#undef STATE
#undef EDGE
};

static bool
is_edge(enum turn_state from, enum turn_state to)
{
#define STATE(name, word, meaning)
#define EDGE(f, t) if (from == TURN_##f && to == TURN_##t) return true;
#include "supervisor/turn_state.def"
#undef STATE
#undef EDGE
	return false;
}

static void
set_state(struct turn *t, enum turn_state state)
{
	MUST(is_edge(t->state, state));
	log_debug(turn_name(t), "%s -> %s", state_words[t->state],
	    state_words[state]);
	t->state = state;
}

const char *
turn_name(const struct turn *t)
{
	static char name[160];

	snprintf(name, sizeof name, "turn %lld chat %.8s/%s",
	    (long long)t->id, t->chat->id, t->agent);
	return name;
}

static struct seat *
seat_of(const struct turn *t)
{
	return pool_find(t->session->sup->pool, t->session->id, t->chat->id,
	    t->agent);
}

/* ---- its beginning */

static struct turn *
new_turn(struct session *s, const struct claimed_turn *c)
{
	struct turn *t = xcalloc(1, sizeof *t);

	t->session = s;
	t->chat = session_chat(s, c->chat, c->chat_last_seq);
	t->id = c->turn;
	t->is_exclusive = c->is_exclusive;
	t->agent = xstrdup(c->agent);
	t->prompt = xstrdup(c->prompt);
	t->created_by = xstrdup(c->created_by);
	t->model = xstrdup(c->model);
	t->mode_id = xstrdup(c->mode_id);
	launch_fill(&t->launch, c);
	t->ends_child = c->ends_child;
	s->is_ephemeral = s->is_ephemeral || c->is_ephemeral;
	t->execution = c->execution_id;
	t->is_execution_spent = t->is_recorded_running = c->is_running;
	list_init(&t->asks);
	list_append(&s->turns, &t->in_session);
	s->sup->turns++;
	return t;
}

/* The prompt tells the new session what was said in the lost one: from here on
 * that is what a next child is to reopen. */
static void
note_replaced(struct turn *t, struct seat *seat)
{
	record_agent_session(t->chat->log, t->agent,
	    &(struct agent_session_row){
		.agent_session_id = seat_agent_session(seat),
		.pid = -1,
		.crash_count = -1,
		.backoff_ms = -1,
	    });
}

static void
deliver(struct turn *t, struct seat *seat)
{
	/* wakes it, should it be hibernated */
	seat_hold(seat, true);
	set_state(t, TURN_RUNNING);
	if (seat_lost_reason(seat))
		note_replaced(t, seat);
	whose_add(t->session, t->chat, t->id, t->agent,
	    SUSPECT_AT_WORK);
	record_turn_started(t->chat->log, t->id, t->agent,
	    &(struct turn_start){
		.prompt = t->prompt,
		.created_by = t->created_by,
		.model = t->model,
		.mode_id = t->mode_id,
	    });
	seat_prompt(seat, t->id, t->preface, t->prompt);
}

void
turn_begin(struct session *s, const struct claimed_turn *c)
{
	struct turn *t = new_turn(s, c);
	struct seat *seat = seat_of(t);

	if (c->project_path) {
		copy_prepare(s, c);
		whose_recall(s, c->unread);
	}
	/* clean still, as when it was asked for */
	if (c->is_running && seat && seat_is_ready(seat) &&
	    seat_execution(seat) == c->execution_id &&
	    !seat_lost_reason(seat) && copy_is_clean(s)) {
		t->is_tree_taken = true;
		whose_told(s, NULL);
		if (turn_is_configured(t, seat))
			deliver(t, seat);
		return;
	}
	if (t->launch.command)
		turn_advance(t);
	else
		turn_requeue(t, seat ? "the working copy has changed meanwhile" :
		    AGENT_ENDED_EARLY, 0);
}

/* ---- its way to the agent */

static void
on_end_durable(void *ctx)
{
	struct turn *t = ctx;
	struct session *s = t->session;

	t->waits--;
	cancels_answer(t);
	/* it may be claimed again, after a while */
	if (t->is_requeued)
		supervisor_look(s->sup);
	turn_forget(t);
	task_advance(s);
	if (s->wants_claim)
		session_claim(s);
	/* behind the claim, so that no claim is under way when it is answered */
	if (s->is_ephemeral)
		retire_sweep(s->sup);
	session_tidy(s);
}

/* Its end is queued; once that is durable the session's next may begin. */
static void
leave(struct turn *t)
{
	struct seat *seat = seat_of(t);

	set_state(t, TURN_ENDED);
	t->session->sup->turns--;
	list_remove(&t->for_room);
	t->session->sup->is_room_freed = true;
	if (seat)
		seat_hold(seat, false);
	if (seat && t->closes_seat)
		seat_stop(seat, "closed by a user");
	else if (seat && t->ends_child && !t->is_requeued)
		seat_stop(seat, "ended with its turn: the agent is not kept "
		    "warm");
	else if (seat)
		wish_go_on(t->session, seat);
	else
		wishes_settle(t->session);
	t->waits++;
	record_barrier(t->session->sup->recorder, on_end_durable, t);
}

static void
start_child(struct turn *t)
{
	struct session *s = t->session;
	struct seat *seat;
	struct err e;

	if (!pool_has_room(s->sup->pool)) {
		if (!list_linked(&t->for_room))
			list_append(&s->sup->for_room, &t->for_room);
		return;
	}
	seat = launch_start(&t->launch, t->chat, t->agent, t->execution,
	    "cold", &e);
	if (seat) {
		t->execution = seat_execution(seat);
		t->is_execution_spent = true;
		seat_hold(seat, true);
	} else {
		turn_requeue(t, e.text, NO_CHILD_MS);
	}
}

void
turns_take_room(struct supervisor *sup)
{
	while (!list_empty(&sup->for_room) && pool_has_room(sup->pool)) {
		struct turn *t = LIST_ITEM(sup->for_room.next, struct turn,
		    for_room);

		list_remove(&t->for_room);
		turn_advance(t);
	}
}

static void
on_running_durable(void *ctx)
{
	struct turn *t = ctx;
	struct session *s = t->session;

	t->waits--;
	if (s->is_lost) {
		turn_forget(t);
		session_tidy(s);
		return;
	}
	t->is_recorded_running = true;
	turn_advance(t);
}

/* Everything is there; "running" is committed before the prompt goes out. */
static void
make_running(struct turn *t, struct seat *seat)
{
	if (t->is_recorded_running && t->execution == seat_execution(seat)) {
		deliver(t, seat);
		return;
	}
	seat_hold(seat, true);
	t->execution = seat_execution(seat);
	t->is_execution_spent = true;
	t->waits++;
	record_turn_running(t->chat->log, t->id, t->agent, t->execution,
	    !seat_is_fresh(seat));
	record_barrier(t->session->sup->recorder, on_running_durable, t);
}

static void
end_undelivered(struct turn *t, const struct turn_end *end)
{
	record_turn_end(t->chat->log, t->id, t->agent, end);
	t->chat->last_turn = t->id;
	leave(t);
}

/* "idle" or, without a child, what became of it. */
static const char *
agent_status_after(const struct turn *t, const char *otherwise)
{
	return seat_of(t) ? "idle" : otherwise;
}

static void
end_cancelled(struct turn *t)
{
	end_undelivered(t, &(struct turn_end){
		.status = "cancelled",
		.end_reason = t->cancel_reason,
		.cancelled_by = t->cancelled_by,
		.input_tokens = -1,
		.output_tokens = -1,
		.agent_status = agent_status_after(t, "closed"),
	});
}

void
turn_requeue(struct turn *t, const char *why, int64_t not_before)
{
	if (t->is_cancelled) {
		end_cancelled(t);
		return;
	}
	log_info(turn_name(t), "back to the queue: %s", why);
	t->is_requeued = true;
	record_turn_requeued(t->chat->log, t->id, t->agent, why, not_before);
	leave(t);
}

/*
 * What became of a child that was started for it is recorded already; without
 * one, the agent session that the claim made "warming" is closed.
 */
static const char *
agent_status_failed(const struct turn *t)
{
	return t->is_execution_spent ? agent_status_after(t, NULL) :
	    agent_status_after(t, "closed");
}

void
turn_fail(struct turn *t, const char *code, const char *error)
{
	log_warning(turn_name(t), "failed: %s: %s", code, error);
	end_undelivered(t, &(struct turn_end){
		.status = "failed",
		.end_reason = code,
		.error = error,
		.error_code = code,
		.input_tokens = -1,
		.output_tokens = -1,
		.agent_status = agent_status_failed(t),
	});
}

/* The seat to use, or NULL: one of another configuration is stopped. */
static struct seat *
usable_seat(struct turn *t)
{
	struct seat *seat = seat_of(t);

	/* one that was claimed the short way brought none: it was compared */
	if (!seat || !t->launch.config_hash ||
	    strcmp(seat_config_hash(seat), t->launch.config_hash) == 0)
		return seat;
	seat_stop(seat, "the agent's configuration has changed");
	return NULL;
}

/* One that was started ahead of it: from here on as if it were for it. */
static void
await_child(struct turn *t, struct seat *seat)
{
	if (t->is_execution_spent || seat_is_ready(seat))
		return;
	t->execution = seat_execution(seat);
	t->is_execution_spent = true;
	seat_hold(seat, true);
}

void
turn_advance(struct turn *t)
{
	struct supervisor *sup = t->session->sup;
	struct seat *seat;

	if (t->state != TURN_STARTING || t->waits > 0)
		return;
	if (t->is_cancelled) {
		end_cancelled(t);
		return;
	}
	if (sup->interrupted) {
		turn_requeue(t, sup->interrupted, 0);
		return;
	}
	if (!copy_is_ready(t) || !copy_tree_before(t))
		return;
	seat = usable_seat(t);
	if (seat && seat_is_ready(seat) && history_is_ready(t, seat) &&
	    turn_is_configured(t, seat))
		make_running(t, seat);
	else if (!seat && t->is_execution_spent)
		turn_requeue(t, AGENT_ENDED_EARLY, 0);
	else if (!seat)
		start_child(t);
	else
		await_child(t, seat);
}

/* ---- while it runs */

static void
on_permission_expired(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct ask *a = timer->data;
	struct seat *seat = seat_of(a->turn);

	(void)loop;
	(void)revents;
	log_info(turn_name(a->turn), "permission request %lld was not "
	    "answered within permission_timeout (%s): rejected",
	    (long long)a->serial,
	    duration_text(a->turn->session->sup->permission_timeout));
	if (seat)
		seat_expire_permission(seat, a->serial);
}

void
turn_asks(struct turn *t, int64_t serial)
{
	struct supervisor *sup = t->session->sup;
	struct ask *a = xcalloc(1, sizeof *a);

	a->turn = t;
	a->serial = serial;
	ev_timer_init(&a->expiry, on_permission_expired,
	    (double)sup->permission_timeout / 1e3, 0.);
	a->expiry.data = a;
	ev_timer_start(sup->loop, &a->expiry);
	list_append(&t->asks, &a->in_turn);
	if (t->state == TURN_RUNNING) {
		set_state(t, TURN_WAITING_PERMISSION);
		record_turn_status(t->chat->log, t->id, "waiting_permission");
	}
}

static void
free_ask(struct ask *a)
{
	ev_timer_stop(a->turn->session->sup->loop, &a->expiry);
	list_remove(&a->in_turn);
	free(a->answered_by);
	free(a);
}

struct ask *
turn_find_ask(struct turn *t, int64_t serial)
{
	LIST_EACH(pos, tmp, &t->asks) {
		struct ask *a = LIST_ITEM(pos, struct ask, in_turn);

		if (a->serial == serial)
			return a;
	}
	return NULL;
}

void
turn_answered(struct turn *t, int64_t serial)
{
	struct ask *a = turn_find_ask(t, serial);

	if (a)
		free_ask(a);
	if (t->state == TURN_WAITING_PERMISSION && list_empty(&t->asks)) {
		set_state(t, TURN_RUNNING);
		record_turn_status(t->chat->log, t->id, "running");
	}
}

bool
turn_cancel(struct turn *t, int64_t command, const char *by,
    const char *reason)
{
	struct seat *seat = seat_of(t);

	if (t->state == TURN_SETTLING || t->state == TURN_ENDED)
		return false;
	asked_add(&t->cancels, command);
	if (t->is_cancelled)
		return true;
	log_info(turn_name(t), "cancelled by %s", by ? by : "a user");
	t->is_cancelled = true;
	t->cancelled_by = xstrdup(by);
	t->cancel_reason = xstrdup(reason);
	if (t->state == TURN_STARTING) {
		copy_leave(t);
		turn_advance(t);
	} else if (seat) {
		seat_cancel(seat);
	}
	return true;
}

/* ---- its end */

void
turn_settle(struct turn *t, const struct agent_event *ev)
{
	struct outcome *o = &t->outcome;

	set_state(t, TURN_SETTLING);
	o->stop_reason = xstrdup(ev->done.stop_reason);
	o->error_code = xstrdup(ev->done.error_code);
	o->error = xstrdup(ev->done.error);
	o->was_empty = ev->done.was_empty;
	o->used_tool = ev->done.used_tool;
	o->mixes_up_next = ev->done.mixes_up_next;
	o->input_tokens = ev->done.input_tokens;
	o->output_tokens = ev->done.output_tokens;
	copy_tree_after(t);
}

static bool
has_code(const struct turn *t, const char *code)
{
	return t->outcome.error_code &&
	    strcmp(t->outcome.error_code, code) == 0;
}

static void
fill_end(const struct turn *t, struct turn_end *end)
{
	const struct outcome *o = &t->outcome;
	const char *interrupted = t->session->sup->interrupted;

	*end = (struct turn_end){
		.stop_reason = o->stop_reason,
		.error = o->error,
		.error_code = o->error_code,
		.cancelled_by = t->cancelled_by,
		.input_tokens = o->input_tokens,
		.output_tokens = o->output_tokens,
		.agent_status = agent_status_after(t,
		    interrupted ? "closed" : "crashed"),
	};
	if (has_code(t, "cancel_timeout")) {
		end->status = "cancelled";
		end->end_reason = o->error_code;
	} else if (o->error_code && interrupted) {
		end->status = end->error_code = "interrupted";
		end->end_reason = end->error = interrupted;
	} else if (o->error_code) {
		end->status = "failed";
		end->end_reason = o->error_code;
	} else if (t->is_cancelled || (o->stop_reason &&
	    strcmp(o->stop_reason, "cancelled") == 0)) {
		end->status = "cancelled";
		end->end_reason = t->is_cancelled ? t->cancel_reason :
		    "the agent cancelled it";
	} else {
		end->status = "completed";
		end->suspicious = o->was_empty && o->output_tokens <= 0 &&
		    o->stop_reason && strcmp(o->stop_reason, "end_turn") == 0;
	}
}

void
turn_finish(struct turn *t, const struct file_change *changes, size_t n)
{
	struct recorder *r = t->session->sup->recorder;
	struct seat *seat = seat_of(t);
	struct turn_end end;

	fill_end(t, &end);
	/* one success ends the count of crashes, as the record of the end does
	 * in the agent session */
	if (seat && strcmp(end.status, "completed") == 0)
		pool_reset(t->session->sup->pool, t->chat->id, t->agent);
	if (seat && has_code(t, "auth_required"))
		seat_stop(seat, "it needs a login, which it reads at its start");
	else if (seat && has_code(t, "session_lost"))
		seat_stop(seat, "it does not know its session any more");
	else if (seat && t->outcome.mixes_up_next)
		seat_stop(seat, "after an error this version of the agent "
		    "answers with what belongs to earlier prompts");
	record_begin(r);
	whose_record(t->session, t->chat, t, changes, n);
	record_turn_end(t->chat->log, t->id, t->agent, &end);
	record_end(r);
	t->chat->last_turn = t->id;
	leave(t);
}

void
turn_forget(struct turn *t)
{
	MUST(t->waits == 0 || t->session->sup->is_draining);
	LIST_EACH(pos, tmp, &t->asks)
		free_ask(LIST_ITEM(pos, struct ask, in_turn));
	list_remove(&t->in_session);
	list_remove(&t->for_room);
	if (t->state != TURN_ENDED)
		t->session->sup->turns--;
	launch_clear(&t->launch);
	free(t->agent);
	free(t->prompt);
	free(t->created_by);
	free(t->model);
	free(t->mode_id);
	free(t->preface);
	asked_free(&t->cancels);
	free(t->cancelled_by);
	free(t->cancel_reason);
	free(t->outcome.stop_reason);
	free(t->outcome.error_code);
	free(t->outcome.error);
	free(t);
}
