/* SPDX-License-Identifier: MIT */
/*
 * Makes the session's settings what is wanted: one request at a time, each
 * planned when its turn comes, because what one sets may change what the
 * others offer. Either right after the session was opened, for what was wanted
 * of an earlier child (what the agent does not take any more stays as it is),
 * or at worker_configure().
 *
 * What was changed is told as the update that the agent would send, unless it
 * did. Planning is settings.c's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/worker_private.h"

/* More than these are nobody's wishes. */
#define WISHES_MAX 64

struct wish {
	struct list node;
	enum setting_kind kind;
	char *id;
	json_t *value;
};

static struct wish *
first_wish(struct worker *w)
{
	return list_empty(&w->wishes) ? NULL :
	    LIST_ITEM(w->wishes.next, struct wish, node);
}

static void
drop_wish(struct wish *wish)
{
	list_remove(&wish->node);
	json_decref(wish->value);
	free(wish->id);
	free(wish);
}

/* Takes the reference to value. */
static void
add_wish(struct worker *w, enum setting_kind kind, const char *id,
    json_t *value)
{
	struct wish *wish;
	int n = 0;

	LIST_EACH(pos, tmp, &w->wishes)
		n++;
	if (value == NULL || json_is_null(value) || n == WISHES_MAX) {
		json_decref(value);
		return;
	}
	wish = xcalloc(1, sizeof *wish);
	wish->kind = kind;
	wish->id = xstrdup(id);
	wish->value = value;
	list_append(&w->wishes, &wish->node);
}

/* The model first: what else there is may depend on it. */
void
configure_want(struct worker *w, const char *wanted)
{
	json_t *o = wanted != NULL ? json_loads(wanted, 0, NULL) : NULL;
	json_t *value;
	const char *id;

	add_wish(w, SETTING_MODEL, NULL,
	    json_incref(json_object_get(o, "model")));
	json_object_foreach(json_object_get(o, "options"), id, value)
		add_wish(w, SETTING_OPTION, id, json_incref(value));
	add_wish(w, SETTING_MODE, NULL,
	    json_incref(json_object_get(o, "mode")));
	json_decref(w->known_offers);
	w->known_offers = json_incref(json_object_get(o, "offers"));
	json_decref(o);
}

bool
configure_is_wanted(const struct worker *w)
{
	return !list_empty(&w->wishes);
}

bool
configure_is_for_earlier(const struct worker *w)
{
	return w->is_ready && configure_is_wanted(w) && !w->tells_refusal;
}

/* What kept a wish from coming true. */
static void
note_refusal(struct worker *w, const char *why)
{
	if (!w->tells_refusal)
		log_warning(w->label, "what was set before is not set: %s",
		    why);
	else if (w->refusal == NULL)
		w->refusal = xstrdup(why);
}

static void
send_step(struct worker *w, const struct wish *wish)
{
	static const char *const methods[] = {
		[SETTING_BY_CONFIG] = "session/set_config_option",
		[SETTING_BY_MODE] = "session/set_mode",
		[SETTING_BY_MODEL] = "session/set_model",
	};
	json_t *params = json_pack("{s:s}", "sessionId", w->session_id);
	const char *name = "value";
	char *text;

	MUST(params != NULL);
	w->asked = methods[w->step.way];
	if (w->step.way == SETTING_BY_MODE)
		name = "modeId";
	else if (w->step.way == SETTING_BY_MODEL)
		name = "modelId";
	else
		json_object_set_new(params, "configId",
		    json_string(w->step.config_id));
	if (w->step.is_boolean)
		json_object_set_new(params, "type", json_string("boolean"));
	json_object_set(params, name, wish->value);
	text = json_dumps(params, JSON_COMPACT);
	MUST(text != NULL);
	rpc_request(w, REQUEST_SETTING, w->asked, text);
	free(text);
	json_decref(params);
}

static struct setting_step
plan(struct worker *w, const struct wish *wish, struct err *e)
{
	return settings_plan(&w->settings, &(struct setting){
		.kind = wish->kind, .id = wish->id, .value = wish->value }, e);
}

/* True: a request is under way. */
static bool
take_step(struct worker *w)
{
	struct wish *wish;
	struct err e;

	while ((wish = first_wish(w)) != NULL) {
		w->step = plan(w, wish, &e);
		/* the list that it stands in may be replaced meanwhile */
		free(w->config_id);
		w->config_id = xstrdup(w->step.config_id);
		w->step.config_id = w->config_id;
		if (w->step.way == SETTING_UNSUPPORTED) {
			note_refusal(w, e.text);
		} else if (w->step.way != SETTING_IS_SO) {
			send_step(w, wish);
			return true;
		}
		drop_wish(wish);
	}
	return false;
}

void
configure_next(struct worker *w)
{
	char *refusal;

	if (w->state != WORKER_CONFIGURING || take_step(w))
		return;
	refusal = w->refusal;
	w->refusal = NULL;
	worker_set_state(w, WORKER_IDLE);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_CONFIGURED,
		.configured = { .error = refusal },
	});
	free(refusal);
}

int
worker_configure(struct worker *w, const struct agent_setting *s,
    struct err *e)
{
	MUST(w->state == WORKER_IDLE);
	w->tells_refusal = true;
	if (s->model != NULL)
		add_wish(w, SETTING_MODEL, NULL, json_string(s->model));
	if (s->option != NULL)
		add_wish(w, SETTING_OPTION, s->option,
		    json_loads(s->value, JSON_DECODE_ANY, NULL));
	if (s->mode_id != NULL)
		add_wish(w, SETTING_MODE, NULL, json_string(s->mode_id));
	if (take_step(w)) {
		worker_set_state(w, WORKER_CONFIGURING);
		return 1;
	}
	if (w->refusal == NULL)
		return 0;
	fail(e, "%s", w->refusal);
	free(w->refusal);
	w->refusal = NULL;
	return -1;
}

/* Said by us in the agent's place. */
static void
tell_change(struct worker *w, const char *kind, json_t *update)
{
	char *text = json_dumps(update, JSON_COMPACT);

	MUST(text != NULL);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_UPDATE,
		.update = { .kind = kind, .payload = text,
			.len = strlen(text) },
	});
	free(text);
	json_decref(update);
}

static void
on_set(struct worker *w, const struct wish *wish, const json_t *result)
{
	json_t *before = json_deep_copy(w->settings.config);
	bool was_so = plan(w, wish, &(struct err){ 0 }).way == SETTING_IS_SO;

	settings_done(&w->settings, &w->step, wish->value, result);
	if (w->step.way == SETTING_BY_CONFIG &&
	    !json_equal(before, w->settings.config))
		tell_change(w, "config", json_pack("{s:s,s:O}",
		    "sessionUpdate", "config_option_update",
		    "configOptions", w->settings.config));
	else if (w->step.way == SETTING_BY_MODE && !was_so)
		tell_change(w, "mode", json_pack("{s:s,s:O}",
		    "sessionUpdate", "current_mode_update",
		    "currentModeId", wish->value));
	else if (w->step.way == SETTING_BY_MODEL && !was_so)
		tell_change(w, "config", json_pack("{s:s,s:O}",
		    "sessionUpdate", "config_option_update",
		    "currentModelId", wish->value));
	json_decref(before);
}

void
configure_on_answer(struct worker *w, const struct envelope *m)
{
	struct wish *wish = first_wish(w);
	char *said, *why;

	if (w->state != WORKER_CONFIGURING || wish == NULL)
		return;
	if (m->error != NULL) {
		said = words_said(w, m);
		why = xasprintf("%s failed: %s", w->asked, said);
		note_refusal(w, why);
		free(why);
		free(said);
	} else {
		list_remove(&wish->node); /* told things may end in here */
		on_set(w, wish, m->result);
	}
	drop_wish(wish);
	configure_next(w);
}

void
configure_on_timeout(struct worker *w)
{
	char *error = xasprintf("start_timeout (%s): no answer to %s",
	    duration_text(w->start_timeout), w->asked);

	worker_give_up(w, "start_timeout", "start_timeout", error, false);
	free(error);
}

void
configure_free(struct worker *w)
{
	struct wish *wish;

	while ((wish = first_wish(w)) != NULL)
		drop_wish(wish);
	settings_free(&w->settings);
	json_decref(w->known_offers);
	free(w->config_id);
	free(w->refusal);
}
