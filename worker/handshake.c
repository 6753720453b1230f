/* SPDX-License-Identifier: MIT */
/*
 * A fresh process is initialized: what is offered to the agent, what it
 * answers, and the words for a start that failed.
 *
 * Protocol version 1 is asked for and required.
 *
 * Next: attach.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/quirks.h"
#include "worker/worker_private.h"

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
	if (!w->can_run_more &&
	    json_is_true(json_object_get(o, "terminal"))) {
		log_warning(w->label, "its launcher takes the whole {command}: "
		    "terminals cannot be run behind it and are not offered");
		json_object_set_new(o, "terminal", json_false());
	}
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

void
handshake_give_up_refused(struct worker *w, const char *method,
    const struct envelope *m)
{
	bool is_auth = envelope_is_auth_error(m);
	char *said = words_said(w, m);
	char *more = is_auth ? words_auth_hint(w,
	    json_object_get(json_object_get(m->error, "data"),
	    "authMethods")) : words_cause(w, -1, NULL);
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
	char *error = xasprintf("the agent answered protocol version %.40s, "
	    "Hearth speaks version 1 of ACP (%s)", said, v == NULL ?
	    "is it another protocol's server?" :
	    "does another release of it, or an option, speak version 1?");

	worker_give_up(w, "protocol_version", "speaks another protocol version",
	    error, false);
	free(error);
	free(said);
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
		handshake_give_up_refused(w, "initialize", m);
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
	w->mixes_up_answers = quirks_mixes_up_answers(json_object_get(m->result,
	    "agentInfo"));
	if (!w->is_spare) {
		attach_begin(w);
		return;
	}
	worker_set_state(w, WORKER_SPARE);
	log_info(w->label, "initialized in %lld ms",
	    (long long)w->initialize_ms);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_INITIALIZED,
		.initialized = { .initialize_ms = w->initialize_ms },
	});
}

void
handshake_on_timeout(struct worker *w)
{
	const char *what = "no answer to ", *method = "initialize";
	const char *guess = "a wrong flag for ACP, or does it wait for a "
	    "login?";
	char *cause, *error;

	if (w->state == WORKER_STARTING) {
		what = "the process was not started";
		method = "";
		guess = NULL;
	} else if (w->state == WORKER_OPENING) {
		method = attach_method(w);
		guess = "does it wait for a login or for the network?";
	}
	cause = words_cause(w, -1, guess);
	error = xasprintf("start_timeout (%s): %s%s%s",
	    duration_text(w->start_timeout), what, method, cause);
	worker_give_up(w, "start_timeout", "start_timeout", error, false);
	free(error);
	free(cause);
}

void
handshake_free(struct worker *w)
{
	json_decref(w->init_result);
	json_decref(w->auth_methods);
}
