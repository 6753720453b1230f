/* SPDX-License-Identifier: MIT */
/*
 * Lines from the agent become messages here and go where they belong; what is
 * sent to the agent leaves through here.
 *
 * Bad input stays outside: noise is counted and logged, a response that
 * nobody waits for is dropped, a request is answered whatever it is. None of
 * them ends the agent, save noise alone before it has said one valid thing.
 *
 * Own ids grow and are never reused; foreign ids stay the text they are.
 * Next: handshake.c, attach.c, prompt.c, update.c, answer.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"
#include "worker/cause.h"
#include "worker/worker_private.h"

#define NOISE_LOGGED 5
#define NOISE_FATAL 10
#define NOISE_SHOWN 200
#define NOISE_READ 4096
/* A shorter line can't be a text chunk with a session id. */
#define SCAN_MIN 96
/* Messages on one line, glued together by noise. */
#define GLUED_MAX 16
/* What the agent may leave unread beside a prompt. */
#define QUEUE_MAX ((size_t)8 << 20)

static void
send_queue(struct worker *w)
{
	if (!w->out_open) {
		buf_reset(&w->out, 0);
		w->out_at = 0;
		return;
	}
	io_flush(w);
}

int64_t
rpc_request(struct worker *w, enum request_kind kind, const char *method,
    const char *params)
{
	int64_t id = ++w->last_id;
	struct pending *p = w->pending;

	while (p->kind != REQUEST_NONE) {
		p++;
		MUST(p < w->pending + PENDING_MAX);
	}
	p->kind = kind;
	p->id = id;
	envelope_request(&w->out, id, method, params);
	send_queue(w);
	return id;
}

void
rpc_notify(struct worker *w, const char *method, const char *params)
{
	if (!worker_is_live(w))
		return;
	envelope_notification(&w->out, method, params);
	send_queue(w);
}

void
rpc_result(struct worker *w, const char *id, const char *result)
{
	if (!worker_is_live(w))
		return;
	envelope_result(&w->out, id, result);
	send_queue(w);
}

void
rpc_error(struct worker *w, const char *id, int code, const char *message)
{
	if (!worker_is_live(w))
		return;
	envelope_error(&w->out, id, code, message);
	send_queue(w);
}

void
rpc_add_json(struct buf *b, const char *json)
{
	size_t at = b->len;

	buf_adds(b, json);
	for (; at < b->len; at++)
		if (b->data[at] == '\n' || b->data[at] == '\r')
			b->data[at] = ' ';
}

static enum request_kind
take_pending(struct worker *w, int64_t id)
{
	enum request_kind kind;

	for (int i = 0; id != 0 && i < PENDING_MAX; i++) {
		if (w->pending[i].id != id)
			continue;
		kind = w->pending[i].kind;
		w->pending[i] = (struct pending){ .kind = REQUEST_NONE };
		return kind;
	}
	return REQUEST_NONE;
}

/* Its beginning as a line for people. Hidden before it is cut: half of a
 * secret would not be known for one. */
static char *
show_noise(const struct worker *w, const char *p, size_t len)
{
	struct buf b = { 0 };
	char *text;

	utf8_repair(p, len < NOISE_READ ? len : utf8_cut(p, NOISE_READ), true,
	    &b);
	buf_adds(&b, "");
	text = secrets_hide(w->secrets, buf_take(&b));
	words_clean(text);
	if (strlen(text) > NOISE_SHOWN)
		text[utf8_cut(text, NOISE_SHOWN)] = '\0';
	return text;
}

static void
note_noise(struct worker *w, const char *p, size_t len)
{
	char *shown;

	w->noise++;
	if (w->noise <= NOISE_LOGGED) {
		shown = show_noise(w, p, len);
		log_info(w->label, "not a message (%zu bytes): %s", len,
		    shown);
		if (w->first_noise == NULL)
			w->first_noise = shown;
		else
			free(shown);
	}
	if (w->noise == NOISE_LOGGED)
		log_info(w->label, "more lines like these are only counted");
}

static void
on_noise(struct worker *w, const char *p, size_t len)
{
	const char *cause;
	char *error;

	note_noise(w, p, len);
	if (w->initialized || w->messages > 0 || w->noise < NOISE_FATAL)
		return;
	cause = cause_find(w->first_noise, -1, false);
	error = xasprintf("the agent prints text that is not ACP (%s); its "
	    "first line is: %s", cause != NULL ? cause :
	    "is its ACP flag missing?", w->first_noise);
	worker_give_up(w, "not_acp", "prints text that is not ACP", error,
	    false);
	free(error);
}

static void
on_batch(struct worker *w)
{
	if (w->strays++ < NOISE_LOGGED)
		log_info(w->label, "sent a batch; answered -32600");
	rpc_error(w, "null", -32600, "Batches are not supported");
}

static void
log_stray_error(const struct worker *w, const struct envelope *m)
{
	char *said = words_said(w, m);

	log_info(w->label, "error without a request %d: %.200s",
	    m->error_code, said);
	free(said);
}

static void
on_stray_error(struct worker *w, const struct envelope *m)
{
	w->messages++;
	if (w->strays++ < NOISE_LOGGED)
		log_stray_error(w, m);
}

static void
on_response(struct worker *w, const struct envelope *m)
{
	switch (take_pending(w, m->own_id)) {
	case REQUEST_INITIALIZE:
		handshake_on_initialize(w, m);
		break;
	case REQUEST_NEW_SESSION:
	case REQUEST_LOAD_SESSION:
	case REQUEST_RESUME_SESSION:
		attach_on_answer(w, m);
		break;
	case REQUEST_SETTING:
		configure_on_answer(w, m);
		break;
	case REQUEST_PROMPT:
		prompt_on_answer(w, m);
		break;
	case REQUEST_CLOSE_SESSION: /* it is stopped, whatever it says */
		break;
	case REQUEST_NONE:
		log_debug(w->label, "response %s is late, a duplicate or "
		    "foreign; dropped", m->id);
		break;
	}
}

static void
on_notification(struct worker *w, const struct envelope *m)
{
	if (strcmp(m->method, "session/update") == 0) {
		if (attach_swallow(w, m))
			return;
		if (w->is_ready)
			update_on_notification(w, m);
		else
			attach_keep(w, m->text, m->text_len);
	} else if (strcmp(m->method, "$/cancel_request") == 0) {
		const json_t *id = json_object_get(m->params, "requestId");

		if (!ask_on_withdrawn(w, id) && !terminal_on_withdrawn(w, id))
			log_debug(w->label, "$/cancel_request names nothing "
			    "that is open");
	} else {
		log_debug(w->label, "notification %.100s is not known",
		    m->method);
	}
}

static void
on_request(struct worker *w, const struct envelope *m)
{
	if (strcmp(m->method, "session/request_permission") == 0)
		ask_on_request(w, m);
	else
		answer_request(w, m);
}

bool
rpc_has_room(const struct worker *w, size_t n)
{
	return io_queued(w) + n <= QUEUE_MAX;
}

bool
rpc_is_id(const char *text, const json_t *id)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);
	bool same = v != NULL && json_equal(v, id);

	json_decref(v);
	return same;
}

/* Answers must not pile up for an agent that does not take them. */
static void
check_queue(struct worker *w)
{
	if (io_queued(w) > QUEUE_MAX + w->prompt_len)
		worker_give_up(w, w->is_ready ? "protocol_error" : "not_acp",
		    "does not read its stdin",
		    "the agent asks without end and does not read the answers",
		    true);
}

static void
on_message(struct worker *w, const struct envelope *m, const char *line,
    size_t len)
{
	switch (m->kind) {
	case ENVELOPE_NOISE:
	case ENVELOPE_INVALID:
		on_noise(w, line, len);
		break;
	case ENVELOPE_BATCH:
		on_batch(w);
		break;
	case ENVELOPE_STRAY_ERROR:
		on_stray_error(w, m);
		break;
	case ENVELOPE_RESPONSE:
		w->messages++;
		on_response(w, m);
		break;
	case ENVELOPE_NOTIFICATION:
		w->messages++;
		on_notification(w, m);
		break;
	case ENVELOPE_REQUEST:
		w->messages++;
		on_request(w, m);
		break;
	}
}

/*
 * One message of a line, usually all of it. Returns what follows a message
 * that stood between noise: it may hold another one.
 */
static size_t
take_message(struct worker *w, const char *line, size_t len)
{
	struct envelope m;
	size_t rest;

	envelope_parse(line, len, &m);
	rest = m.rest_len;
	if (m.noise_len > 0 && m.kind != ENVELOPE_NOISE)
		note_noise(w, m.noise, m.noise_len);
	on_message(w, &m, line, len);
	envelope_free(&m);
	return rest;
}

void
rpc_line(struct worker *w, const char *line, size_t len)
{
	size_t rest;

	if (w->is_ready && !w->swallows_past && len >= SCAN_MIN &&
	    update_scan(w, line, len))
		return;
	for (int i = 0; len > 0 && i < GLUED_MAX; i++) {
		rest = take_message(w, line, len);
		check_queue(w);
		MUST(rest < len);
		line += len - rest;
		len = rest;
	}
}
