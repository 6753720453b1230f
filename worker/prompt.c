/* SPDX-License-Identifier: MIT */
/*
 * A turn: session/prompt, the ways to cancel it, and its end.
 *
 * A turn ends exactly once: by the answer, by the ladder (cancel, cancel
 * again with $/cancel_request, session/close where it is offered, stop), or
 * with the agent. Whatever is open when it ends is settled first, and the
 * worker is IDLE (or past it) before AGENT_TURN_DONE is told, so that the next
 * prompt can come from within.
 *
 * Next: ask.c, update.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/worker_private.h"

/* The beginning of all params. */
static void
add_session(struct buf *b, const struct worker *w)
{
	buf_adds(b, "{\"sessionId\":");
	buf_json(b, w->session_id, w->session_id_len);
}

/* blocks with the preface in front. */
static void
add_blocks(struct buf *b, const char *preface, const char *blocks)
{
	if (preface == NULL) {
		rpc_add_json(b, blocks);
		return;
	}
	blocks += strcspn(blocks, "[") + 1;
	blocks += strspn(blocks, " \t\r\n");
	buf_adds(b, "[{\"type\":\"text\",\"text\":");
	buf_json(b, preface, strlen(preface));
	buf_adds(b, *blocks == ']' ? "}" : "},");
	rpc_add_json(b, blocks);
}

void
worker_prompt(struct worker *w, int64_t turn, const char *preface,
    const char *blocks)
{
	struct buf b = { 0 };

	MUST(w->state == WORKER_IDLE && !w->turn.is_open);
	tool_calls_reset(w->tools);
	terminals_forget(w->terminals);
	w->message = (struct message){ 0 };
	w->turn = (struct turn){ .is_open = true, .serial = turn };
	w->swallows_past = false;
	cost_meter_begin_turn(&w->cost);
	w->excused_until = clock_ms();
	worker_set_state(w, WORKER_PROMPTING);
	add_session(&b, w);
	buf_adds(&b, ",\"prompt\":");
	add_blocks(&b, preface, blocks);
	buf_adds(&b, "}");
	w->prompt_len = b.len;
	w->turn.request_id = rpc_request(w, REQUEST_PROMPT, "session/prompt",
	    b.data);
	buf_free(&b);
}

static void
send_cancel(struct worker *w)
{
	struct buf b = { 0 };

	add_session(&b, w);
	buf_adds(&b, "}");
	rpc_notify(w, "session/cancel", b.data);
	buf_free(&b);
}

void
worker_cancel(struct worker *w)
{
	if (w->state != WORKER_PROMPTING || !w->turn.is_open)
		return;
	w->turn.was_cancelled = true;
	worker_set_state(w, WORKER_CANCELLING);
	send_cancel(w);
	ask_cancel_all(w);
}

/* The limit that the turn broke. */
static const char *
limit_code(const struct worker *w)
{
	return w->turn.was_silent ? "silence_timeout" : "turn_timeout";
}

/* "turn_timeout (1 h): the turn took longer" and what became of it. */
static char *
limit_error(const struct worker *w, const char *end)
{
	return xasprintf("%s (%s): %s%s", limit_code(w),
	    duration_text(w->turn.was_silent ? w->silence_timeout :
	    w->turn_timeout), w->turn.was_silent ?
	    "the agent said nothing for so long" : "the turn took longer",
	    end);
}

static void
cancel_for_limit(struct worker *w)
{
	char *error = limit_error(w, "; cancelling");

	log_warning(w->label, "turn %lld: %s", (long long)w->turn.serial,
	    error);
	free(error);
	w->turn.timed_out = true;
	worker_set_state(w, WORKER_CANCELLING);
	send_cancel(w);
	ask_cancel_all(w);
	ask_tell_settled(w);
}

void
prompt_on_timeout(struct worker *w)
{
	cancel_for_limit(w);
}

/* A tool may be silent for long, and so may a person who is asked. */
static bool
may_be_silent(const struct worker *w)
{
	return w->open_asks > 0 || w->n_waits > 0 ||
	    tool_calls_open(w->tools) > 0;
}

int64_t
prompt_on_silence(struct worker *w)
{
	int64_t since = w->last_active > w->excused_until ? w->last_active :
	    w->excused_until;
	int64_t left = since + w->silence_timeout - clock_ms();

	if (may_be_silent(w))
		return w->silence_timeout;
	if (left > 0)
		return left;
	w->turn.was_silent = true;
	cancel_for_limit(w);
	return 0;
}

static void
cancel_again(struct worker *w)
{
	char params[64];

	w->turn.cancelled_twice = true;
	log_info(w->label, "no answer to session/cancel yet; once more");
	send_cancel(w);
	snprintf(params, sizeof params, "{\"requestId\":%lld}",
	    (long long)w->turn.request_id);
	rpc_notify(w, "$/cancel_request", params);
}

/* What the agent may still store before it is stopped; nobody waits for the
 * answer. False: it has no such thing. */
static bool
close_session(struct worker *w)
{
	struct buf b = { 0 };

	if (!w->can_close)
		return false;
	add_session(&b, w);
	buf_adds(&b, "}");
	rpc_request(w, REQUEST_CLOSE_SESSION, "session/close", b.data);
	buf_free(&b);
	return true;
}

bool
prompt_on_cancel_timeout(struct worker *w)
{
	char *error, *end;
	bool has_closed;

	if (!w->turn.cancelled_twice) {
		cancel_again(w);
		return true;
	}
	has_closed = close_session(w);
	if (w->turn.timed_out) {
		end = xasprintf(", and the agent did not end the turn within "
		    "cancel_timeout (%s) either, so it was ended",
		    duration_text(w->cancel_timeout));
		error = limit_error(w, end);
		worker_give_up(w, limit_code(w), limit_code(w), error,
		    !has_closed);
		free(end);
	} else {
		error = xasprintf("cancel_timeout (%s): the agent did not end "
		    "the turn that was cancelled, so it was stopped",
		    duration_text(w->cancel_timeout));
		worker_give_up(w, "cancel_timeout", "cancel_timeout", error,
		    false);
	}
	free(error);
	return false;
}

/* ev has what the end was; the rest is added here. */
static void
finish(struct worker *w, struct agent_event *ev)
{
	ev->type = AGENT_TURN_DONE;
	ev->done.turn = w->turn.serial;
	ev->done.was_cancelled = w->turn.was_cancelled;
	ev->done.was_empty = !w->turn.has_output && !w->turn.used_tool;
	ev->done.used_tool = w->turn.used_tool;
	gather_release(w);
	findings_end(w->findings);
	update_tell_findings(w);
	w->turn.is_open = false;
	ask_cancel_all(w);
	ask_tell_settled(w);
	if (w->state == WORKER_PROMPTING || w->state == WORKER_CANCELLING)
		worker_set_state(w, WORKER_IDLE);
	log_debug(w->label, "turn %lld done: %s", (long long)ev->done.turn,
	    ev->done.error_code != NULL ? ev->done.error_code
	    : ev->done.stop_reason);
	worker_tell(w, ev);
}

void
prompt_fail(struct worker *w, const char *code, const char *error)
{
	struct agent_event ev = { .done = {
		.error_code = code,
		.error = error,
		.input_tokens = -1,
		.output_tokens = -1,
	} };

	finish(w, &ev);
}

static const char *
read_stop_reason(struct worker *w, const json_t *result)
{
	const char *reason = json_string_value(json_object_get(result,
	    "stopReason"));

	if (reason != NULL && reason[0] != '\0')
		return reason;
	log_info(w->label, "the prompt's answer has no stopReason; taken as "
	    "end_turn");
	return "end_turn";
}

static char *
word_error(struct worker *w, const struct envelope *m, bool is_auth)
{
	char *said = words_said(w, m);
	char *more = is_auth ? words_auth_hint(w,
	    json_object_get(json_object_get(m->error, "data"),
	    "authMethods")) : xstrdup("");
	char *error = xasprintf("%s%s", said, more);

	free(said);
	free(more);
	return error;
}

/*
 * Some agents reopen any session, and refuse what is asked in one that they do
 * not know.
 */
static bool
is_refused_stranger(const struct worker *w, const char *stop_reason)
{
	return w->is_unproven && strcmp(stop_reason, "refusal") == 0 &&
	    !w->turn.has_output && !w->turn.used_tool;
}

void
prompt_on_answer(struct worker *w, const struct envelope *m)
{
	struct agent_event ev = { 0 };
	struct usage usage;
	bool is_auth = false, cancelled;
	char *error = NULL;

	if (!w->turn.is_open)
		return;
	cancelled = w->turn.was_cancelled || w->turn.timed_out;
	usage = usage_of_answer(m->result);
	ev.done.input_tokens = usage.input_tokens;
	ev.done.output_tokens = usage.output_tokens;
	if (m->error == NULL) {
		ev.done.stop_reason = read_stop_reason(w, m->result);
		if (!cancelled &&
		    is_refused_stranger(w, ev.done.stop_reason)) {
			ev.done.error_code = "session_lost";
			error = xstrdup("the agent refused the first prompt of "
			    "the session that it reopened without a word: it "
			    "seems not to know it any more");
		}
	} else if (cancelled && envelope_is_abort(m)) {
		ev.done.stop_reason = "cancelled";
	} else {
		is_auth = envelope_is_auth_error(m);
		error = word_error(w, m, is_auth);
		ev.done.error_code = envelope_is_session_lost(m) ?
		    "session_lost" : is_auth ? "auth_required" : "agent_error";
		ev.done.mixes_up_next = w->mixes_up_answers;
	}
	w->is_unproven = false;
	if (w->turn.timed_out) {
		free(error);
		error = limit_error(w, " and was cancelled");
		ev.done.error_code = limit_code(w);
	}
	ev.done.error = error;
	finish(w, &ev);
	free(error);
}
