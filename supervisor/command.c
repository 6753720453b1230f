/* SPDX-License-Identifier: MIT */
/*
 * What users ask for through SQL functions: rows of hearth.commands, taken in
 * order, carried out here, answered in their row.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* code NULL: it is done. */
static void
end(struct supervisor *sup, const struct command *c, const char *code,
    const char *why)
{
	struct session *s = session_find(sup, c->session);

	/* without one nothing was done */
	record_command(sup->recorder, s ? s->log : NULL, c->id,
	    code ? "failed" : "done", code, why);
}

static void
done(struct supervisor *sup, const struct command *c)
{
	end(sup, c, NULL, NULL);
}

/*
 * Kept while a claim is under way, until it is known who has the turn: the
 * cancel of a queued one, or a reset of the agent that it may be for; and
 * behind a reset, until that is durable, what warms the agent. The command is
 * answered then.
 */
struct late_command {
	struct list in_session;
	enum late { LATE_CANCEL, LATE_RESET, LATE_WARM } kind;
	int64_t command, turn, chat_last_seq;
	char *chat, *agent, *by, *reason;
};

static void reset(struct session *s, const struct command *c);

static void
put_off(struct session *s, enum late kind, const struct command *c)
{
	struct late_command *l = xcalloc(1, sizeof *l);

	l->kind = kind;
	l->command = c->id;
	l->turn = c->turn;
	l->chat_last_seq = c->chat_last_seq;
	l->chat = xstrdup(c->chat);
	l->agent = xstrdup(c->agent);
	l->by = xstrdup(c->requested_by);
	l->reason = xstrdup(c->reason);
	list_append(&s->late_commands, &l->in_session);
}

static void
on_queued_ended(void *ctx)
{
	struct session *s = ctx;

	s->n_ending--;
	late_commands_run(s);
	if (s->wants_claim)
		session_claim(s);
	session_tidy(s);
}

static const char *
reason_of(const struct command *c)
{
	return c->reason ? c->reason : "cancelled";
}

/* A turn that this node has; what has ended cannot be cancelled any more. */
static void
cancel_live(struct turn *t, const struct command *c)
{
	if (!turn_cancel(t, c->id, c->requested_by, reason_of(c)))
		done(t->session->sup, c);
}

/* Ends a turn that nobody has claimed; nobody may until that is durable. */
static void
end_queued(struct session *s, const struct command *c)
{
	struct recorder *r = s->sup->recorder;
	struct chat *known = session_find_chat(s, c->chat);
	struct chat_log *log = known ? known->log :
	    chat_log_open(r, s->id, c->chat,
	    c->chat_last_seq);
	struct turn_end end = {
		.status = "cancelled",
		.end_reason = reason_of(c),
		.cancelled_by = c->requested_by,
		.input_tokens = -1,
		.output_tokens = -1,
	};

	record_queued_turn_end(log, c->turn, c->agent, &end);
	if (!known)
		chat_log_close(&log);
	done(s->sup, c);
	s->n_ending++;
	record_barrier(r, on_queued_ended, s);
}

static void
cancel_queued(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_get(sup, c->session);

	if (s->is_claiming)
		put_off(s, LATE_CANCEL, c);
	else
		end_queued(s, c);
}

static void
free_late(struct late_command *l)
{
	list_remove(&l->in_session);
	free(l->chat);
	free(l->agent);
	free(l->by);
	free(l->reason);
	free(l);
}

static void
cancel_late(struct session *s, const struct command *c)
{
	struct turn *t = session_turn_by_id(s, c->turn);

	if (t && !t->is_requeued)
		cancel_live(t, c);
	else
		end_queued(s, c);
}

void
late_commands_run(struct session *s)
{
	while (!list_empty(&s->late_commands)) {
		struct late_command *l = LIST_ITEM(s->late_commands.next,
		    struct late_command, in_session);
		const struct command late = { .id = l->command,
			.session = s->id, .turn = l->turn, .chat = l->chat,
			.agent = l->agent,
			.chat_last_seq = l->chat_last_seq,
			.requested_by = l->by, .reason = l->reason };

		/* the one before it has begun the next claim, or its rows are
		 * not written yet */
		if (s->is_claiming ||
		    (l->kind == LATE_WARM && s->n_ending > 0))
			return;
		list_remove(&l->in_session);
		if (l->kind == LATE_CANCEL)
			cancel_late(s, &late);
		else if (l->kind == LATE_RESET)
			reset(s, &late);
		else
			warm_ask(s, l->chat, l->agent, l->command);
		free_late(l);
	}
}

bool
late_commands_reset(const struct session *s, const char *chat,
    const char *agent)
{
	LIST_EACH(pos, tmp, &s->late_commands) {
		const struct late_command *l = LIST_ITEM(pos,
		    struct late_command, in_session);

		if (l->kind == LATE_RESET && strcmp(l->chat, chat) == 0 &&
		    strcmp(l->agent, agent) == 0)
			return true;
	}
	return false;
}

void
late_commands_lose(struct session *s, const char *why)
{
	LIST_EACH(pos, tmp, &s->late_commands) {
		struct late_command *l = LIST_ITEM(pos, struct late_command,
		    in_session);

		record_command(s->sup->recorder, NULL, l->command, "failed",
		    "lost", why);
		free_late(l);
	}
}

void
late_commands_drop(struct session *s)
{
	LIST_EACH(pos, tmp, &s->late_commands)
		free_late(LIST_ITEM(pos, struct late_command, in_session));
}

/* One that cancels several is answered by the last of them. */
void
cancels_answer(struct turn *t)
{
	struct session *s = t->session;

	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *other = LIST_ITEM(pos, struct turn, in_session);

		if (other != t)
			asked_subtract(&t->cancels, &other->cancels);
	}
	asked_answer(&t->cancels, s, NULL, NULL);
}

void
cancels_lose(struct turn *t, const char *why)
{
	if (t->state != TURN_ENDED)
		asked_answer(&t->cancels, t->session, "lost", why);
}

static void
cancel(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_find(sup, c->session);
	struct turn *t = s ? session_turn_by_id(s, c->turn) : NULL;

	if (t ? t->is_requeued : c->turn_status &&
	    strcmp(c->turn_status, "queued") == 0)
		cancel_queued(sup, c);
	else if (t)
		cancel_live(t, c);
	else
		done(sup, c);
}

static void
answer_permission(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_find(sup, c->session);
	struct turn *t = s ? session_find_turn(s, c->chat, c->agent) : NULL;
	struct seat *seat = pool_find(sup->pool, c->session, c->chat,
	    c->agent);
	struct ask *a = t ? turn_find_ask(t, c->serial) : NULL;
	struct err e = { "the agent does not wait for it any more" };
	int rc = -1;

	if (seat && seat_execution(seat) == c->execution_id)
		rc = seat_answer_permission(seat, c->serial, c->option_id, &e);
	/* that it is settled is told from the loop, so a is still there */
	if (rc == 0 && a)
		a->answered_by = xstrdup(c->requested_by);
	if (rc == 0)
		done(sup, c);
	else
		end(sup, c, "not_pending", e.text);
}

struct closing {
	struct session *session;
	const struct command *command;
	int64_t waiting;            /* for the end of its turns, or 0 */
	bool is_answered;           /* by them */
};

static bool
is_about(const struct command *c, const char *chat, const char *agent)
{
	return (!c->chat || strcmp(c->chat, chat) == 0) &&
	    (!c->agent || strcmp(c->agent, agent) == 0);
}

static void
close_turn(struct closing *k, struct turn *t)
{
	t->closes_seat = true;
	if (turn_cancel(t, k->waiting, k->command->requested_by, "closed"))
		k->is_answered = true;
}

/* Ends a seat that a user does not want any more; its turn is cancelled. */
static void
close_matching(void *ctx, struct seat *seat)
{
	struct closing *k = ctx;
	struct turn *t;

	if (!is_about(k->command, seat_chat(seat), seat_agent(seat)))
		return;
	t = session_find_turn(k->session, seat_chat(seat), seat_agent(seat));
	if (t)
		close_turn(k, t);
	else
		seat_stop(seat, "closed by a user");
}

static bool
close_seats(struct session *s, const struct command *c, int64_t waiting)
{
	struct closing closing = { s, c, waiting, false };

	warm_close(s, c->chat, c->agent);
	pool_each(s->sup->pool, s->id, close_matching, &closing);
	return closing.is_answered;
}

/* Those that have no child yet, whatever they wait for: nobody who asks for
 * the child's end knows how far it has got. */
static bool
close_turns(struct session *s, const struct command *c, int64_t waiting)
{
	struct closing closing = { s, c, waiting, false };

	LIST_EACH(pos, tmp, &s->turns) {
		struct turn *t = LIST_ITEM(pos, struct turn, in_session);

		if (is_about(c, t->chat->id, t->agent))
			close_turn(&closing, t);
	}
	return closing.is_answered;
}

bool
close_all(struct supervisor *sup, const struct command *c, int64_t waiting)
{
	struct session *s = session_find(sup, c->session);
	bool is_answered = s && close_seats(s, c, waiting);

	return (s && close_turns(s, c, waiting)) || is_answered;
}

/* What was to be warmed behind a reset, and was asked for before this. */
static void
close_late(struct session *s, const struct command *c)
{
	LIST_EACH(pos, tmp, &s->late_commands) {
		struct late_command *l = LIST_ITEM(pos, struct late_command,
		    in_session);

		if (l->kind != LATE_WARM ||
		    (c->chat && strcmp(l->chat, c->chat) != 0) ||
		    (c->agent && strcmp(l->agent, c->agent) != 0))
			continue;
		record_command(s->sup->recorder, s->log, l->command, "failed",
		    "closed", "closed by a user");
		free_late(l);
	}
}

/* close_agent, close_chat */
static void
close_agents(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_find(sup, c->session);

	if (s)
		close_late(s, c);
	if (!close_all(sup, c, c->id))
		done(sup, c);
}

/* What waited for the end of the back-off sees it now. */
static void
on_reset_durable(void *ctx)
{
	struct session *s = ctx;

	supervisor_look(s->sup);
	s->n_ending--;
	late_commands_run(s);
	if (s->wants_claim)
		session_claim(s);
	session_tidy(s);
}

/*
 * An agent session that waits after crashes may start again at once, with a
 * conversation that it does not know. Nobody reads what was known of it before
 * it is forgotten; what a claim that is under way has read is given back.
 */
static void
reset(struct session *s, const struct command *c)
{
	struct supervisor *sup = s->sup;
	struct turn *t = session_find_turn(s, c->chat, c->agent);
	struct chat *known = session_find_chat(s, c->chat);
	struct chat_log *log = known ? known->log :
	    chat_log_open(sup->recorder, s->id, c->chat, c->chat_last_seq);

	/* without a child it is not cancelled */
	if (t)
		launch_forget(&t->launch);
	pool_reset(sup->pool, c->chat, c->agent);
	record_agent_session(log, c->agent, &(struct agent_session_row){
		.agent_session_id = "", .pid = -1, .crash_count = 0,
		.backoff_ms = 0 });
	record_unwanted(log, c->agent);
	if (!known)
		chat_log_close(&log);
	if (!close_seats(s, c, c->id))
		done(sup, c);
	s->n_ending++;
	record_barrier(sup->recorder, on_reset_durable, s);
}

static void
reset_agent(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_get(sup, c->session);

	if (s->is_claiming) {
		put_off(s, LATE_RESET, c);
		return;
	}
	close_late(s, c);
	reset(s, c);
}

static void
note_suspended(struct supervisor *sup, const struct command *c,
    bool is_suspended)
{
	struct session *s = session_get(sup, c->session);
	struct chat *known = session_find_chat(s, c->chat);
	struct chat_log *log = known ? known->log :
	    chat_log_open(sup->recorder, c->session, c->chat,
	    c->chat_last_seq);

	record_agent_suspended(log, c->agent, is_suspended);
	if (!known)
		chat_log_close(&log);
	session_tidy(s);
}

/* Without a child there is nothing to give back, unless there will be one. */
static int
suspend(struct session *s, struct seat *seat, const struct command *c,
    struct err *e)
{
	if (s && session_find_turn(s, c->chat, c->agent))
		return fail(e, "the agent has a turn");
	if (s && warm_is_under_way(s, c->chat, c->agent))
		return fail(e, "the agent is being started");
	return seat ? seat_suspend(seat, e) : 0;
}

static void
suspend_agent(struct supervisor *sup, const struct command *c)
{
	struct seat *seat = pool_find(sup->pool, c->session, c->chat,
	    c->agent);
	struct err e;

	if (suspend(session_find(sup, c->session), seat, c, &e) != 0) {
		end(sup, c, "agent_busy", e.text);
	} else {
		if (seat)
			note_suspended(sup, c, true);
		done(sup, c);
	}
}

static void
resume_agent(struct supervisor *sup, const struct command *c)
{
	struct seat *seat = pool_find(sup->pool, c->session, c->chat,
	    c->agent);

	if (seat)
		seat_touch(seat);
	note_suspended(sup, c, false);
	done(sup, c);
}

/* Answered when the child is ready. */
static void
warm(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_get(sup, c->session);

	if (s->n_ending > 0 || late_commands_reset(s, c->chat, c->agent))
		put_off(s, LATE_WARM, c);
	else
		warm_ask(s, c->chat, c->agent, c->id);
}

static const struct {
	const char *kind;
	void (*carry_out)(struct supervisor *sup, const struct command *c);
} kinds[] = {
	{ "cancel", cancel },
	{ "answer_permission", answer_permission },
	{ "close_agent", close_agents },
	{ "close_chat", close_agents },
	{ "archive_session", archive_take },
	{ "restore_session", archive_restore },
	{ "delete_session", archive_delete },
	{ "delete_chat", archive_delete },
	{ "reset_agent", reset_agent },
	{ "set_mode", wish_take },
	{ "set_config_option", wish_take },
	{ "suspend_agent", suspend_agent },
	{ "resume_agent", resume_agent },
	{ "warm", warm },
	{ "accept_change", decide_take },
	{ "accept_changes", decide_take },
	{ "accept_hunks", decide_take },
	{ "reject_change", decide_take },
	{ "reject_changes", decide_take },
	{ "revert_change", decide_take },
	{ "queue_create", decide_take },
	{ "queue_edit", decide_take },
	{ "queue_delete", decide_take },
};

static void
carry_out(struct supervisor *sup, const struct command *c)
{
	struct session *s = session_find(sup, c->session);

	log_debug("hearthd", "command %lld: %s", (long long)c->id, c->kind);
	/* it is ours again before its children have ended */
	if (s && s->is_lost) {
		record_command(sup->recorder, NULL, c->id, "failed", "lost",
		    "another node had the session, and its agents here are "
		    "still being stopped");
		return;
	}
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].kind, c->kind) == 0) {
			kinds[i].carry_out(sup, c);
			return;
		}
	end(sup, c, "unknown_command", "this hearthd does not know the command; "
	    "it is older than the schema");
}

static void
on_commands(void *ctx, const struct command *c, size_t n,
    const struct err *e)
{
	struct supervisor *sup = ctx;

	sup->is_taking = false;
	for (size_t i = 0; !e && i < n; i++)
		carry_out(sup, &c[i]);
	if (sup->take_again || (!e && n > 0))
		commands_take(sup);
}

void
commands_take(struct supervisor *sup)
{
	sup->take_again = sup->is_taking;
	if (sup->is_taking || !sup->is_up)
		return;
	sup->is_taking = true;
	db_take_commands(sup->db, on_commands, sup);
}
