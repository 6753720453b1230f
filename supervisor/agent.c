/* SPDX-License-Identifier: MIT */
/*
 * What agents do, as rows: every event of a seat becomes calls of the
 * recorder, and steps of the turn that it belongs to. Updates that come when
 * no turn is in flight belong to the chat's last turn.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"

/* Where an event belongs. */
struct place {
	struct supervisor *sup;
	struct session *session;
	struct chat *chat;
	struct turn *turn;    /* that the agent has, or NULL */
	int64_t turn_id;      /* the turn's once it has its prompt, else the
	                       * chat's last one's, else 0 */
	struct seat *seat;
	const char *agent;
};

static void
execution_ready(struct place *p, const struct agent_event *ev)
{
	record_execution_ready(p->sup->recorder, p->chat->log,
	    seat_execution(p->seat), ev->ready.initialize_ms,
	    ev->ready.session_ms);
	record_agent_session(p->chat->log, p->agent,
	    &(struct agent_session_row){
		.status = p->turn ? "active" : "idle",
		/* one that replaces a lost one, when it has been told that */
		.agent_session_id = ev->ready.lost_reason ? NULL :
		    ev->ready.session_id,
		.resumed_by = ev->ready.resumed_by,
		.offers = ev->ready.offers,
		.config_hash = seat_config_hash(p->seat),
		.pid = seat_pid(p->seat),
		.crash_count = -1,
		.backoff_ms = 0,
	    });
	history_note(p->chat, p->turn ? p->turn->id : 0, p->agent, ev);
	wish_go_on(p->session, p->seat);
	warm_settle(p->session, p->chat->id, p->agent, NULL, NULL);
	if (p->turn)
		turn_advance(p->turn);
}

static void
configured(struct place *p, const struct agent_event *ev)
{
	if (p->turn && p->turn->state == TURN_STARTING)
		turn_on_configured(p->turn, ev->configured.error);
	wish_on_configured(p->session, p->seat, ev->configured.error);
	warm_settle(p->session, p->chat->id, p->agent, NULL, NULL);
	if (p->turn)
		turn_advance(p->turn);
}

static void
spawned(struct place *p, const struct agent_event *ev)
{
	record_execution_start(p->sup->recorder, p->chat->log,
	    seat_execution(p->seat), p->agent, ev->spawned.pid,
	    ev->spawned.spawn_ms, seat_origin(p->seat));
	record_agent_session(p->chat->log, p->agent,
	    &(struct agent_session_row){
		.status = "warming",
		.pid = ev->spawned.pid,
		.crash_count = -1,
		.backoff_ms = -1,
	    });
}

static void
note_background(struct place *p)
{
	if (!p->turn || p->turn->state == TURN_STARTING)
		whose_add(p->session, p->chat, seat_last_turn(p->seat),
		    p->agent, SUSPECT_LATE);
}

static void
tool_call(struct place *p, const struct agent_tool *tool)
{
	if (p->turn_id == p->chat->last_turn && !tool->is_final &&
	    p->chat->late_tools == 0)
		p->chat->late_tools = p->turn_id;

	record_tool_call(p->chat->log, p->turn_id, p->agent,
	    &(struct tool_call_row){
		.tool_call_id = tool->tool_call_id,
		.title = tool->title,
		.kind = tool->kind,
		.status = tool->status,
		.is_final = tool->is_final,
		.raw_input = tool->raw_input,
		.raw_output = tool->raw_output,
		.content = tool->content,
		.locations = tool->locations,
	    });
}

static bool
is_kept(const char *kind)
{
	static const char *const kinds[] = { "plan", "commands", "mode",
		"config" };

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static void
usage(struct place *p, const struct agent_usage *u)
{
	record_usage(p->chat->log, p->agent, &(struct usage_row){
		.turn = u->turn,
		.turn_cost = u->turn_cost,
		.context_used = u->context_used,
		.context_size = u->context_size,
	});
}

static void
update(struct place *p, const struct agent_event *ev)
{
	record_event(p->chat->log, p->turn_id, p->agent, ev->update.kind,
	    ev->update.payload, ev->update.len, ev->update.repaired);
	if (ev->update.tool) {
		tool_call(p, ev->update.tool);
		note_background(p);
	}
	if (is_kept(ev->update.kind))
		record_agent_update(p->chat->log, p->agent, ev->update.kind,
		    ev->update.payload);
	if (ev->update.usage)
		usage(p, ev->update.usage);
}

static void
artifact(struct place *p, const struct agent_artifact *a)
{
	record_artifact(p->chat->log, p->turn_id, p->agent,
	    &(struct artifact_row){
		.type = a->type,
		.url = a->url,
		.title = a->title,
		.metadata = a->metadata,
	    });
}

static void
permission(struct place *p, const struct agent_event *ev)
{
	int64_t execution = seat_execution(p->seat);
	char by[40] = "policy";

	if (ev->permission.rule)
		snprintf(by, sizeof by, "rule %lld",
		    (long long)ev->permission.rule);
	if (ev->permission.tool)
		tool_call(p, ev->permission.tool);
	record_permission(p->chat->log, p->turn_id, p->agent, execution,
	    ev->permission.serial, ev->permission.tool_call_id,
	    ev->permission.tool_call, ev->permission.options);
	if (ev->permission.answered)
		record_permission_end(p->chat->log, p->turn_id, p->agent,
		    execution, ev->permission.serial,
		    ev->permission.option_id ? "answered" : "cancelled",
		    ev->permission.option_id, by);
	else if (p->turn)
		turn_asks(p->turn, ev->permission.serial);
	else /* no turn: nobody waits for it, and no limit would end it */
		seat_expire_permission(p->seat, ev->permission.serial);
}

static void
permission_settled(struct place *p, const struct agent_event *ev)
{
	struct ask *a = p->turn ?
	    turn_find_ask(p->turn, ev->settled.serial) : NULL;

	record_permission_end(p->chat->log, p->turn_id, p->agent,
	    seat_execution(p->seat), ev->settled.serial, ev->settled.status,
	    ev->settled.option_id, a ? a->answered_by : NULL);
	if (p->turn)
		turn_answered(p->turn, ev->settled.serial);
}

/* It counts as a crash unless the cause is not the agent's to mend. */
static bool
is_crash(const char *code)
{
	return strcmp(code, "agent_missing") != 0 &&
	    strcmp(code, "auth_required") != 0;
}

/* pid: 0 when the process is gone, -1 when it is still being stopped. */
static void
note_crash(struct place *p, const char *code, const char *error, int64_t pid)
{
	int count = -1;
	int64_t wait = is_crash(code) ?
	    pool_note_crash(p->sup->pool, p->seat, &count) : 0;

	if (wait > 0)
		log_warning(p->agent, "chat %s: crash %d in a row; waits %lld "
		    "ms before it is started again", p->chat->id, count,
		    (long long)wait);
	record_agent_session(p->chat->log, p->agent,
	    &(struct agent_session_row){
		.status = "crashed",
		.end_reason = code,
		.last_error = error,
		.last_error_code = code,
		.crash_count = count,
		.backoff_ms = wait,
		.pid = pid,
	    });
	if (wait > 0)
		supervisor_look_in(p->sup, wait);
}

static void
turn_done(struct place *p, const struct agent_event *ev)
{
	const char *code = ev->done.error_code;

	/* so that the next child does not ask for that session once more */
	if (code && strcmp(code, "session_lost") == 0)
		note_crash(p, code, ev->done.error, -1);
	if (p->turn && p->turn->id == ev->done.turn)
		turn_settle(p->turn, ev);
}

static void
failed(struct place *p, const struct agent_event *ev)
{
	note_crash(p, ev->failed.error_code, ev->failed.error, -1);
	/* or every child to come would end as this one did */
	if (strcmp(ev->failed.error_code, "settings_failed") == 0)
		record_unwanted(p->chat->log, p->agent);
	wish_refuse_asked(p->session, p->seat, ev->failed.error_code,
	    ev->failed.error);
	warm_settle(p->session, p->chat->id, p->agent, ev->failed.error_code,
	    ev->failed.error);
	/* one that waits for its working copy finds no child, and says so */
	if (p->turn && p->turn->state == TURN_STARTING && p->turn->waits == 0)
		turn_fail(p->turn, ev->failed.error_code, ev->failed.error);
}

void
agent_record_end(struct supervisor *sup, struct chat_log *log,
    const struct seat *seat, const struct agent_event *ev)
{
	record_execution_end(sup->recorder, log, seat_execution(seat),
	    &(struct execution_end){
		.exit_code = ev->ended.exit_code,
		.term_signal = ev->ended.term_signal,
		.end_reason = ev->ended.end_reason,
		.peak_rss_kb = ev->ended.peak_rss_kb,
		.stderr_tail = ev->ended.stderr_tail,
	    });
}

static void
ended(struct place *p, const struct agent_event *ev)
{
	p->sup->is_room_freed = true;
	agent_record_end(p->sup, p->chat->log, p->seat, ev);
	if (p->chat->late_tools != 0)
		record_late_tool_calls_end(p->chat->log, p->chat->late_tools,
		    p->agent);
	/* a late end never touches the row of a successor */
	if (pool_find(p->sup->pool, seat_session(p->seat), seat_chat(p->seat),
	    p->agent))
		return;
	wish_refuse_asked(p->session, p->seat, ev->ended.was_planned ?
	    "closed" : "agent_crashed", ev->ended.end_reason);
	wishes_settle(p->session);
	if (seat_has_failed(p->seat))
		record_agent_session(p->chat->log, p->agent,
		    &(struct agent_session_row){
			.crash_count = -1, .backoff_ms = -1, .pid = 0 });
	else if (ev->ended.was_planned)
		record_agent_session(p->chat->log, p->agent,
		    &(struct agent_session_row){
			.status = "closed",
			.end_reason = ev->ended.end_reason,
			.crash_count = -1,
			.backoff_ms = -1,
		    });
	else
		note_crash(p, "agent_crashed", ev->ended.end_reason, 0);
	warm_settle(p->session, p->chat->id, p->agent,
	    ev->ended.was_planned ? "closed" : "agent_crashed",
	    ev->ended.end_reason);
	if (p->turn)
		turn_advance(p->turn);
}

static void
handle(struct place *p, const struct agent_event *ev)
{
	switch (ev->type) {
	case AGENT_SPAWNED:
		spawned(p, ev);
		break;
	case AGENT_INITIALIZED:
		break; /* a spare's */
	case AGENT_READY:
		execution_ready(p, ev);
		break;
	case AGENT_CONFIGURED:
		configured(p, ev);
		break;
	case AGENT_TEXT:
		record_text(p->chat->log, p->turn_id, p->agent,
		    ev->text.reasoning, ev->text.message_id, ev->text.text,
		    ev->text.len, ev->text.repaired);
		note_background(p);
		break;
	case AGENT_UPDATE:
		update(p, ev);
		break;
	case AGENT_ARTIFACT:
		artifact(p, &ev->artifact);
		break;
	case AGENT_PERMISSION:
		permission(p, ev);
		break;
	case AGENT_PERMISSION_SETTLED:
		permission_settled(p, ev);
		break;
	case AGENT_WOKEN:
		break; /* told by agent_on_sleep() */
	case AGENT_TURN_DONE:
		turn_done(p, ev);
		break;
	case AGENT_FAILED:
		failed(p, ev);
		break;
	case AGENT_ENDED:
		ended(p, ev);
		break;
	case AGENT_GONE:
		break; /* not told here */
	}
}

void
agent_on_event(void *ctx, struct seat *seat, const struct agent_event *ev)
{
	struct supervisor *sup = ctx;
	struct place p = { .sup = sup, .seat = seat };

	if (seat_is_spare(seat)) {
		spare_on_event(sup, seat, ev);
		return;
	}
	p.agent = seat_agent(seat);
	p.session = session_find(sup, seat_session(seat));
	if (!p.session)
		return;
	/* by now it may be a later one, which does not know the seat's chat */
	if (ev->type == AGENT_GONE) {
		retire_advance(p.session);
		session_tidy(p.session);
		return;
	}
	if (!p.session->is_lost) {
		p.chat = session_find_chat(p.session, seat_chat(seat));
		MUST(p.chat != NULL);
		p.turn = session_find_turn(p.session, seat_chat(seat),
		    p.agent);
		p.turn_id = p.turn && p.turn->state != TURN_STARTING ?
		    p.turn->id : p.chat->last_turn;
		handle(&p, ev);
	}
	if (ev->type == AGENT_ENDED)
		session_tidy(p.session);
}

void
agent_on_memory(void *ctx, struct seat *seat, int64_t pss_kb)
{
	struct supervisor *sup = ctx;
	struct session *s = session_find(sup, seat_session(seat));
	struct chat *c = s && !s->is_lost ?
	    session_find_chat(s, seat_chat(seat)) : NULL;

	if (seat_is_spare(seat))
		spare_on_memory(sup, seat, pss_kb);
	else if (c)
		record_execution_memory(sup->recorder, c->log,
		    seat_execution(seat), pss_kb);
}

void
agent_on_sleep(void *ctx, struct seat *seat, bool is_asleep)
{
	struct supervisor *sup = ctx;
	struct session *s = session_find(sup, seat_session(seat));
	struct chat *c = s && !s->is_lost ?
	    session_find_chat(s, seat_chat(seat)) : NULL;

	if (c)
		record_agent_session(c->log, seat_agent(seat),
		    &(struct agent_session_row){
			.status = is_asleep ? "hibernated" : "idle",
			.pid = -1,
			.crash_count = -1,
			.backoff_ms = -1,
		    });
}
