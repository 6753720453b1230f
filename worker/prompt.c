/* SPDX-License-Identifier: MIT */
/*
 * A turn: session/prompt, the ways to cancel it, and its end.
 *
 * A turn ends exactly once: by the answer, by the ladder (cancel, cancel
 * again with $/cancel_request, stop), or with the agent. Whatever is open when
 * it ends is settled first, and the worker is IDLE (or past it) before
 * AGENT_TURN_DONE is told, so that the next prompt can come from within.
 *
 * Next: ask.c, update.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/worker_private.h"

#define TOKENS_MAX 1e12 /* more is nonsense */

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
	worker_set_state(w, WORKER_PROMPTING);
	buf_adds(&b, "{\"sessionId\":");
	buf_json(&b, w->session_id, w->session_id_len);
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

	buf_adds(&b, "{\"sessionId\":");
	buf_json(&b, w->session_id, w->session_id_len);
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

void
prompt_on_timeout(struct worker *w)
{
	log_warning(w->label, "turn %lld: turn_timeout (%s); cancelling",
	    (long long)w->turn.serial, duration_text(w->turn_timeout));
	w->turn.timed_out = true;
	worker_set_state(w, WORKER_CANCELLING);
	send_cancel(w);
	ask_cancel_all(w);
	ask_tell_settled(w);
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

bool
prompt_on_cancel_timeout(struct worker *w)
{
	char *error;

	if (!w->turn.cancelled_twice) {
		cancel_again(w);
		return true;
	}
	if (w->turn.timed_out) {
		error = xasprintf("turn_timeout (%s): the turn took longer, "
		    "and the agent did not end it within cancel_timeout (%s) "
		    "either, so it was killed",
		    duration_text(w->turn_timeout),
		    duration_text(w->cancel_timeout));
		worker_give_up(w, "turn_timeout", "turn_timeout", error, true);
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

/* A count of tokens; -1 for whatever can't be one. */
static int64_t
read_count(const json_t *o, const char *member)
{
	const json_t *v = json_object_get(o, member);
	double d = json_is_number(v) ? json_number_value(v) : -1;

	return d >= 0 && d <= TOKENS_MAX ? (int64_t)d : -1;
}

static int64_t
add_count(int64_t sum, int64_t more)
{
	return sum >= 0 && more > 0 ? sum + more : sum;
}

/*
 * Cached and thought tokens are counted beside input and output, unless the
 * total shows that they are within.
 */
static void
read_usage(const json_t *usage, struct agent_event *ev)
{
	int64_t in = read_count(usage, "inputTokens");
	int64_t out = read_count(usage, "outputTokens");
	int64_t total = read_count(usage, "totalTokens");

	ev->done.input_tokens = in;
	ev->done.output_tokens = out;
	if (total >= 0 && in >= 0 && out >= 0 && total == in + out)
		return;
	in = add_count(in, read_count(usage, "cachedReadTokens"));
	ev->done.input_tokens = add_count(in,
	    read_count(usage, "cachedWriteTokens"));
	ev->done.output_tokens = add_count(out,
	    read_count(usage, "thoughtTokens"));
}

static void
read_tokens(const json_t *result, struct agent_event *ev)
{
	const json_t *usage = json_object_get(result, "usage");
	const json_t *quota = json_object_get(json_object_get(
	    json_object_get(result, "_meta"), "quota"), "token_count");

	ev->done.input_tokens = ev->done.output_tokens = -1;
	if (json_is_object(usage)) {
		read_usage(usage, ev);
	} else if (json_is_object(quota)) {
		ev->done.input_tokens = read_count(quota, "input_tokens");
		ev->done.output_tokens = read_count(quota, "output_tokens");
	}
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
	char *said = envelope_error_text(m);
	char *more = is_auth ? words_auth_hint(w,
	    json_object_get(json_object_get(m->error, "data"),
	    "authMethods")) : xstrdup("");
	char *error = xasprintf("%s%s", said, more);

	free(said);
	free(more);
	return error;
}

void
prompt_on_answer(struct worker *w, const struct envelope *m)
{
	struct agent_event ev = { 0 };
	bool is_auth = false, cancelled;
	char *error = NULL;

	if (!w->turn.is_open)
		return;
	cancelled = w->turn.was_cancelled || w->turn.timed_out;
	read_tokens(m->result, &ev);
	if (m->error == NULL) {
		ev.done.stop_reason = read_stop_reason(w, m->result);
	} else if (cancelled && envelope_is_abort(m)) {
		ev.done.stop_reason = "cancelled";
	} else {
		is_auth = envelope_is_auth_error(m);
		error = word_error(w, m, is_auth);
		ev.done.error_code = is_auth ? "auth_required" : "agent_error";
	}
	if (w->turn.timed_out) {
		free(error);
		error = xasprintf("turn_timeout (%s): the turn took longer and "
		    "was cancelled", duration_text(w->turn_timeout));
		ev.done.error_code = "turn_timeout";
	}
	ev.done.error = error;
	finish(w, &ev);
	free(error);
}
