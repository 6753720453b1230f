/* SPDX-License-Identifier: MIT */
/*
 * From a fresh process to a session: initialize, session/new, and what may
 * come before the latter's answer.
 *
 * Protocol version 1 is asked for and required. Updates that precede the
 * answer of session/new are kept (bounded) and told right after READY in
 * their order; some agents send their commands only then.
 *
 * Next: turn.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/worker_private.h"

#define EARLY_MAX 200
#define EARLY_BYTES ((size_t)4 << 20)

static json_t *
read_overrides(struct worker *w)
{
	json_error_t e;
	json_t *o;

	if (w->capabilities == NULL)
		return NULL;
	o = json_loads(w->capabilities, 0, &e);
	if (json_is_object(o))
		return o;
	log_warning(w->label, "client_capabilities is not a JSON object; "
	    "the default is offered");
	json_decref(o);
	return NULL;
}

/*
 * What is offered to the agent: the default, overridden member by member.
 * Agents run their commands by themselves, be terminals offered or not, so
 * the default offers none.
 */
static json_t *
offer(struct worker *w)
{
	json_t *o, *fs, *overrides = read_overrides(w);

	o = json_pack("{s:{s:b,s:b},s:b,s:{s:{s:{}},s:{},s:{}}}",
	    "fs", "readTextFile", 0, "writeTextFile", 0, "terminal", 0,
	    "session", "configOptions", "boolean", "notices", "compaction");
	MUST(o != NULL);
	if (overrides != NULL)
		json_object_update_recursive(o, overrides);
	json_decref(overrides);
	fs = json_object_get(o, "fs");
	w->offers_read = json_is_true(json_object_get(fs, "readTextFile"));
	w->offers_write = json_is_true(json_object_get(fs, "writeTextFile"));
	w->offers_terminals = json_is_true(json_object_get(o, "terminal"));
	return o;
}

void
handshake_initialize(struct worker *w)
{
	json_t *params = json_pack("{s:i,s:{s:s,s:s,s:s},s:o}",
	    "protocolVersion", 1,
	    "clientInfo", "name", "hearth", "title", "Hearth",
	    "version", PACKAGE_VERSION,
	    "clientCapabilities", offer(w));
	char *text;

	MUST(params != NULL);
	text = json_dumps(params, JSON_COMPACT);
	MUST(text != NULL);
	rpc_request(w, REQUEST_INITIALIZE, "initialize", text);
	free(text);
	json_decref(params);
}

/* The agent refused initialize or session/new. */
static void
give_up_refused(struct worker *w, const char *method,
    const struct envelope *m)
{
	bool is_auth = envelope_is_auth_error(m);
	char *said = envelope_error_text(m);
	char *more = is_auth ? words_auth_hint(w,
	    json_object_get(json_object_get(m->error, "data"),
	    "authMethods")) : words_stderr(w);
	char *error = xasprintf("%s failed: %s%s", method, said, more);

	worker_give_up(w, is_auth ? "auth_required" : "agent_error",
	    is_auth ? "needs a login" : "refused to start", error, false);
	free(error);
	free(more);
	free(said);
}

static bool
is_version_1(const json_t *v)
{
	if (json_is_string(v))
		return strcmp(json_string_value(v), "1") == 0;
	return json_is_number(v) && json_number_value(v) == 1.0;
}

static void
give_up_version(struct worker *w, json_t *v)
{
	char *said = v == NULL ? xstrdup("none")
	    : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT |
	    JSON_ENSURE_ASCII);
	char *error = xasprintf("the agent answered protocol version %.40s; "
	    "this client speaks version 1 of ACP", said);

	worker_give_up(w, "protocol_version", "speaks another protocol version",
	    error, false);
	free(error);
	free(said);
}

static void
open_session(struct worker *w)
{
	struct buf b = { 0 };

	w->opened_at = clock_ms();
	buf_adds(&b, "{\"cwd\":");
	buf_json(&b, w->cwd, strlen(w->cwd));
	buf_adds(&b, ",\"mcpServers\":");
	rpc_add_json(&b, w->mcp_servers != NULL ? w->mcp_servers : "[]");
	buf_adds(&b, "}");
	rpc_request(w, REQUEST_NEW_SESSION, "session/new", b.data);
	buf_free(&b);
}

void
handshake_on_initialize(struct worker *w, const struct envelope *m)
{
	json_t *version;

	if (w->state != WORKER_INITIALIZING)
		return;
	w->initialized = true;
	w->initialize_ms = clock_ms() - w->spawn_at;
	if (m->error != NULL) {
		give_up_refused(w, "initialize", m);
		return;
	}
	version = json_object_get(m->result, "protocolVersion");
	if (!is_version_1(version)) {
		give_up_version(w, version);
		return;
	}
	w->init_result = json_incref(m->result);
	w->auth_methods = json_incref(json_object_get(m->result,
	    "authMethods"));
	worker_set_state(w, WORKER_OPENING);
	open_session(w);
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

static void
tell_ready(struct worker *w, const json_t *session)
{
	int64_t session_ms = clock_ms() - w->opened_at;
	char *offers = make_offers(w, session);

	json_decref(w->init_result);
	w->init_result = NULL;
	log_info(w->label, "ready in %lld ms",
	    (long long)(w->initialize_ms + session_ms));
	worker_tell(w, &(struct agent_event){
		.type = AGENT_READY,
		.ready = {
			.initialize_ms = w->initialize_ms,
			.session_ms = session_ms,
			.session_id = w->session_id,
			.offers = offers,
		},
	});
	free(offers);
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
replay(struct worker *w)
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

void
handshake_on_new(struct worker *w, const struct envelope *m)
{
	const json_t *id = json_object_get(m->result, "sessionId");

	if (w->state != WORKER_OPENING)
		return;
	if (m->error != NULL) {
		give_up_refused(w, "session/new", m);
		return;
	}
	if (json_string_length(id) == 0) {
		worker_give_up(w, "agent_error", "gave no session id",
		    "the agent's answer to session/new has no sessionId",
		    false);
		return;
	}
	w->session_id = xstrdup(json_string_value(id));
	w->session_id_len = strlen(w->session_id);
	w->is_ready = true;
	worker_set_state(w, WORKER_IDLE);
	tell_ready(w, m->result);
	replay(w);
}

void
handshake_keep(struct worker *w, const char *line, size_t len)
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
handshake_on_timeout(struct worker *w)
{
	const char *missing = w->state == WORKER_STARTING
	    ? "the process was not started"
	    : w->state == WORKER_INITIALIZING
	    ? "no answer to initialize (a wrong flag for ACP, or it waits for "
	    "a login?)"
	    : "no answer to session/new (it waits for a login or for the "
	    "network?)";
	char *tail = words_stderr(w);
	char *error = xasprintf("start_timeout (%s): %s%s",
	    duration_text(w->start_timeout), missing, tail);

	worker_give_up(w, "start_timeout", "start_timeout", error, false);
	free(error);
	free(tail);
}

void
handshake_free(struct worker *w)
{
	struct early *early;

	while ((early = take_early(w)) != NULL)
		free(early);
	json_decref(w->init_result);
	json_decref(w->auth_methods);
	free(w->session_id);
}
