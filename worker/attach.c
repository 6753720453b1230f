/* SPDX-License-Identifier: MIT */
/*
 * From an initialized process to a session: session/resume or session/load
 * when an earlier child had one, else session/new; and what may come before
 * the answer.
 *
 * A session that the agent does not know any more, or cannot reopen, is
 * replaced by a new one, and READY says why. Some agents take no MCP servers
 * with a session that they reopen: refused for what may be that, they are asked
 * once more without. Any other failure to reopen ends the child with
 * "resume_failed", because the conversation may still be there at the next try.
 * The owner says when that is the last one (may_replace): then an error is
 * enough for a new one, and an agent that ends or is silent ends with
 * "session_lost".
 *
 * After session/load agents replay the conversation: mostly before the answer,
 * some behind it, now and then with a delay. What is known already is
 * swallowed until the first prompt, and READY waits for a quiet moment. Updates
 * that are not about the past (commands, modes …) are kept, as those that
 * precede session/new's answer are, and told right after READY in their order;
 * some agents send their commands only then.
 *
 * Next: prompt.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/mcp.h"
#include "worker/worker_private.h"

#define EARLY_MAX 200
#define EARLY_BYTES ((size_t)4 << 20)
/* After load's answer: without an update for so long the replay is over … */
#define QUIET_MS 200
/* … or was never begun; at the latest after so long. */
#define NO_REPLAY_MS 500
#define REPLAY_MAX_MS 5000

#define METHOD_NOT_FOUND (-32601)
#define INVALID_PARAMS (-32602)

static bool
has_capability(const json_t *v)
{
	return json_is_object(v) || json_is_true(v);
}

static const json_t *
capabilities(const struct worker *w)
{
	return json_object_get(w->init_result, "agentCapabilities");
}

static bool
can_resume(const struct worker *w)
{
	return has_capability(json_object_get(json_object_get(capabilities(w),
	    "sessionCapabilities"), "resume"));
}

static bool
can_load(const struct worker *w)
{
	return has_capability(json_object_get(capabilities(w),
	    "loadSession"));
}

const char *
attach_method(const struct worker *w)
{
	switch (w->opening) {
	case REQUEST_RESUME_SESSION:
		return "session/resume";
	case REQUEST_LOAD_SESSION:
		return "session/load";
	default:
		return "session/new";
	}
}

static void
on_skipped(void *ctx, const char *name, const char *why)
{
	const struct worker *w = ctx;

	log_warning(w->label, "MCP server %.60s is left out: %s", name, why);
}

static void
add_mcp_servers(struct worker *w, struct buf *b)
{
	char *servers = mcp_servers_for(w->without_mcp ? NULL :
	    w->mcp_servers, json_object_get(capabilities(w),
	    "mcpCapabilities"), on_skipped, w);

	w->sent_mcp = strcmp(servers, "[]") != 0;
	buf_adds(b, servers);
	free(servers);
}

static void
send_opening(struct worker *w, enum request_kind kind)
{
	struct buf b = { 0 };

	w->opening = kind;
	buf_adds(&b, "{\"cwd\":");
	buf_json(&b, w->cwd, strlen(w->cwd));
	buf_adds(&b, ",\"mcpServers\":");
	add_mcp_servers(w, &b);
	if (w->session_id != NULL) {
		buf_adds(&b, ",\"sessionId\":");
		buf_json(&b, w->session_id, w->session_id_len);
	}
	buf_adds(&b, "}");
	rpc_request(w, kind, attach_method(w), b.data);
	buf_free(&b);
}

static void
set_session_id(struct worker *w, const char *id)
{
	free(w->session_id);
	w->session_id = xstrdup(id);
	w->session_id_len = id != NULL ? strlen(id) : 0;
}

/* The id is ours before the request: updates may come before the answer. */
static void
reopen(struct worker *w, enum request_kind kind)
{
	set_session_id(w, w->known_session);
	w->is_reopening = true;
	w->cost.told = -1;
	w->swallows_past = kind == REQUEST_LOAD_SESSION;
	send_opening(w, kind);
}

static struct early *
take_early(struct worker *w)
{
	struct early *early;

	if (list_empty(&w->early))
		return NULL;
	early = LIST_ITEM(w->early.next, struct early, node);
	list_remove(&early->node);
	return early;
}

static void
drop_early(struct worker *w)
{
	struct early *early;

	while ((early = take_early(w)) != NULL)
		free(early);
	w->early_count = 0;
	w->early_bytes = 0;
}

/* why: what became of the session that there was, NULL when there was none. */
static void
open_new(struct worker *w, const char *why)
{
	if (why != NULL)
		log_info(w->label, "its session is not reopened (%s): a new "
		    "one begins, and is told the record", why);
	w->lost_reason = xstrdup(why);
	if (w->is_reopening) /* what came was about the old one */
		drop_early(w);
	w->is_reopening = w->swallows_past = w->without_mcp = false;
	w->cost.told = 0;
	set_session_id(w, NULL);
	send_opening(w, REQUEST_NEW_SESSION);
}

void
attach_begin(struct worker *w)
{
	w->can_close = has_capability(json_object_get(json_object_get(
	    capabilities(w), "sessionCapabilities"), "close"));
	worker_set_state(w, WORKER_OPENING);
	w->opened_at = clock_ms();
	if (w->known_session == NULL)
		open_new(w, NULL);
	else if (*w->known_session == '\0')
		open_new(w, "the agent did not know it any more, or failed "
		    "twice to reopen it");
	else if (can_resume(w))
		reopen(w, REQUEST_RESUME_SESSION);
	else if (can_load(w))
		reopen(w, REQUEST_LOAD_SESSION);
	else
		open_new(w, "the agent cannot reopen conversations");
}

static void
copy_members(json_t *to, const json_t *from, const char *const *members)
{
	json_t *v;

	for (; *members != NULL; members++) {
		v = json_object_get(from, *members);
		if (v != NULL && !json_is_null(v))
			json_object_set(to, *members, v);
	}
}

static char *
make_offers(struct worker *w, const json_t *session)
{
	static const char *const of_session[] = { "modes", "models",
		"configOptions", NULL };
	static const char *const of_agent[] = { "agentInfo",
		"agentCapabilities", "authMethods", NULL };
	json_t *o = json_object();
	char *text;

	copy_members(o, session, of_session);
	copy_members(o, w->init_result, of_agent);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	MUST(text != NULL);
	return text;
}

static const char *
resumed_by(const struct worker *w)
{
	return w->opening == REQUEST_RESUME_SESSION ? "resume" :
	    w->opening == REQUEST_LOAD_SESSION ? "load" : "new";
}

static void
tell_ready(struct worker *w, const json_t *session)
{
	int64_t session_ms = clock_ms() - w->opened_at;
	char *offers = make_offers(w, session);

	json_decref(w->init_result);
	w->init_result = NULL;
	log_info(w->label, "ready in %lld ms%s%s",
	    (long long)(clock_ms() - w->wanted_at),
	    w->opening == REQUEST_NEW_SESSION ? "" : " by ",
	    w->opening == REQUEST_NEW_SESSION ? "" : attach_method(w));
	worker_tell(w, &(struct agent_event){
		.type = AGENT_READY,
		.ready = {
			.initialize_ms = w->initialize_ms,
			.session_ms = session_ms,
			.session_id = w->session_id,
			.resumed_by = resumed_by(w),
			.lost_reason = w->lost_reason,
			.offers = offers,
		},
	});
	free(offers);
}

static void
tell_early(struct worker *w)
{
	struct early *early;

	if (w->early_dropped > 0)
		log_warning(w->label, "%u updates before the session were "
		    "dropped", w->early_dropped);
	w->is_replaying = true;
	while ((early = take_early(w)) != NULL) {
		rpc_line(w, early->line, early->len);
		free(early);
	}
	w->is_replaying = false;
}

static void
become_ready(struct worker *w)
{
	json_t *session = w->session_result;
	bool is_wanted = configure_is_wanted(w);

	w->session_result = NULL;
	w->is_ready = true;
	w->is_reopening = false;
	w->is_unproven = w->opening != REQUEST_NEW_SESSION;
	settings_of_session(&w->settings, session);
	if (w->is_unproven)
		settings_recall(&w->settings, w->known_offers);
	worker_set_state(w, is_wanted ? WORKER_CONFIGURING : WORKER_IDLE);
	tell_ready(w, session);
	json_decref(session);
	tell_early(w);
	/* else it is being configured, if it is, for who was told */
	if (is_wanted)
		configure_next(w);
}

static void
wait_for_quiet(struct worker *w, int64_t ms)
{
	ev_now_update(w->loop);
	ev_timer_set(&w->quiet, (double)ms / 1000, 0.);
	ev_timer_start(w->loop, &w->quiet);
}

void
attach_on_quiet(struct worker *w)
{
	int64_t now = clock_ms(), left;

	if (w->state != WORKER_OPENING)
		return;
	left = w->replayed_at + QUIET_MS - now;
	/* a paused worker does not see what comes */
	if (w->is_paused || (left > 0 &&
	    now < w->answered_at + REPLAY_MAX_MS))
		wait_for_quiet(w, left > 0 ? left : QUIET_MS);
	else
		become_ready(w);
}

static void
on_opened(struct worker *w, const json_t *result)
{
	const json_t *id = json_object_get(result, "sessionId");

	if (json_string_length(id) == 0) {
		worker_give_up(w, "agent_error", "gave no session id",
		    "the agent's answer to session/new has no sessionId",
		    false);
		return;
	}
	set_session_id(w, json_string_value(id));
	become_ready(w);
}

static void
give_up_reopening(struct worker *w, const struct envelope *m)
{
	char *said = words_said(w, m);
	char *tail = words_stderr(w);
	char *error = xasprintf("%s failed: %s; the next turn begins a new "
	    "conversation if that fails again%s", attach_method(w), said,
	    tail);

	worker_give_up(w, "resume_failed", "did not reopen its conversation",
	    error, false);
	free(error);
	free(tail);
	free(said);
}

static void
on_refused(struct worker *w, const struct envelope *m)
{
	bool is_unknown_method = m->error_code == METHOD_NOT_FOUND;
	char *said;

	if (w->opening == REQUEST_NEW_SESSION) {
		handshake_give_up_refused(w, "session/new", m);
	} else if (m->error_code == INVALID_PARAMS && w->sent_mcp) {
		log_warning(w->label, "%s is refused; once more without MCP "
		    "servers", attach_method(w));
		w->without_mcp = true;
		send_opening(w, w->opening);
	} else if (is_unknown_method &&
	    w->opening == REQUEST_RESUME_SESSION && can_load(w)) {
		w->without_mcp = false;
		reopen(w, REQUEST_LOAD_SESSION);
	} else if (!is_unknown_method && !envelope_is_not_found(m) &&
	    envelope_is_auth_error(m)) {
		handshake_give_up_refused(w, attach_method(w), m);
	} else if (is_unknown_method || envelope_is_not_found(m) ||
	    w->may_replace) {
		said = words_said(w, m);
		open_new(w, said);
		free(said);
	} else {
		give_up_reopening(w, m);
	}
}

void
attach_on_answer(struct worker *w, const struct envelope *m)
{
	if (w->state != WORKER_OPENING)
		return;
	if (m->error != NULL) {
		on_refused(w, m);
		return;
	}
	w->session_result = json_incref(m->result);
	w->answered_at = clock_ms();
	if (w->opening == REQUEST_NEW_SESSION)
		on_opened(w, m->result);
	else if (w->opening == REQUEST_LOAD_SESSION)
		wait_for_quiet(w, w->replayed_at != 0 ? QUIET_MS :
		    NO_REPLAY_MS);
	else
		become_ready(w);
}

/* About what was said and done, not about how things are. */
static bool
is_past(const struct envelope *m)
{
	static const char *const present[] = { "available_commands_update",
		"current_mode_update", "config_option_update",
		"session_info_update", "usage_update", NULL };
	const char *tag = json_string_value(json_object_get(json_object_get(
	    m->params, "update"), "sessionUpdate"));

	for (const char *const *t = present; tag != NULL && *t != NULL; t++)
		if (strcmp(tag, *t) == 0)
			return false;
	return true;
}

bool
attach_swallow(struct worker *w, const struct envelope *m)
{
	if (!w->swallows_past || !is_past(m))
		return false;
	w->replayed_at = clock_ms();
	return true;
}

void
attach_keep(struct worker *w, const char *line, size_t len)
{
	struct early *early;

	if (!worker_is_live(w))
		return;
	if (w->early_count >= EARLY_MAX || w->early_bytes + len > EARLY_BYTES) {
		if (w->early_dropped++ == 0)
			log_warning(w->label, "too many updates before the "
			    "session; they are dropped from here on");
		return;
	}
	early = xmalloc(sizeof *early + len + 1);
	early->node = (struct list){ NULL, NULL };
	early->len = len;
	memcpy(early->line, line, len);
	early->line[len] = '\0';
	list_append(&w->early, &early->node);
	w->early_count++;
	w->early_bytes += len;
}

void
attach_free(struct worker *w)
{
	drop_early(w);
	json_decref(w->session_result);
	free(w->known_session);
	free(w->lost_reason);
	free(w->session_id);
}
