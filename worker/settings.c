/* SPDX-License-Identifier: MIT */
/* See settings.h. What agents offer is read leniently, and never trusted to be
 * of the right type. */
#include "worker/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Of what an agent offers, in an error. */
#define CHOICES_SHOWN 20
#define CHOICE_BYTES 60

static void
replace(json_t **to, json_t *with)
{
	json_t *old = *to;

	*to = with == NULL || json_is_null(with) ? NULL : json_incref(with);
	json_decref(old);
}

void
settings_free(struct settings *s)
{
	replace(&s->config, NULL);
	replace(&s->modes, NULL);
	replace(&s->models, NULL);
}

/* A copy: what is changed here must not change the agent's message. */
static void
take(json_t **to, const json_t *from, const char *member)
{
	json_t *copy = json_deep_copy(json_object_get(from, member));

	replace(to, copy);
	json_decref(copy);
}

void
settings_of_session(struct settings *s, const json_t *result)
{
	take(&s->config, result, "configOptions");
	take(&s->modes, result, "modes");
	take(&s->models, result, "models");
}

void
settings_recall(struct settings *s, const json_t *offers)
{
	json_t *option;
	size_t i;

	if (s->config != NULL || s->modes != NULL || s->models != NULL)
		return;
	settings_of_session(s, offers);
	json_array_foreach(s->config, i, option)
		json_object_del(option, "currentValue");
	json_object_del(s->modes, "currentModeId");
	json_object_del(s->models, "currentModelId");
}

static bool
is_text(const json_t *v, const char *text)
{
	return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

bool
settings_on_update(struct settings *s, const json_t *update)
{
	const json_t *tag = json_object_get(update, "sessionUpdate");
	json_t *mode;

	if (is_text(tag, "config_option_update") &&
	    json_is_array(json_object_get(update, "configOptions"))) {
		take(&s->config, update, "configOptions");
		return true;
	}
	if (!is_text(tag, "current_mode_update"))
		return false;
	mode = json_object_get(update, "currentModeId");
	if (mode == NULL)
		mode = json_object_get(update, "modeId");
	if (json_is_string(mode) && json_is_object(s->modes))
		json_object_set(s->modes, "currentModeId", mode);
	return true;
}

/* ---- finding */

static json_t *
option_with(const struct settings *s, const char *category, const char *id)
{
	json_t *o;
	size_t i;

	json_array_foreach(s->config, i, o) {
		const json_t *c = json_object_get(o, "category");

		if ((category == NULL || is_text(c, category)) &&
		    (id == NULL || is_text(json_object_get(o, "id"), id)))
			return o;
	}
	return NULL;
}

static json_t *
find_option(const struct settings *s, const struct setting *want)
{
	const char *name = want->kind == SETTING_MODEL ? "model" : "mode";
	json_t *o;

	if (want->kind == SETTING_OPTION)
		return option_with(s, NULL, want->id);
	o = option_with(s, name, name);
	if (o == NULL)
		o = option_with(s, name, NULL);
	if (o == NULL)
		o = option_with(s, NULL, name);
	return o;
}

typedef bool choice_fn(void *ctx, const char *value);

static bool
each_value(const json_t *list, const char *member, choice_fn *fn, void *ctx)
{
	const json_t *item, *v;
	size_t i;

	json_array_foreach(list, i, item) {
		/* a group, in a list of them */
		if (json_is_array(json_object_get(item, "options")) &&
		    each_value(json_object_get(item, "options"), member, fn,
		    ctx))
			return true;
		v = json_object_get(item, member);
		if (json_is_string(v) && fn(ctx, json_string_value(v)))
			return true;
	}
	return false;
}

static bool
is_choice(void *ctx, const char *value)
{
	return strcmp(ctx, value) == 0;
}

struct shown {
	struct buf text;
	int n;
};

static bool
show_choice(void *ctx, const char *value)
{
	struct shown *shown = ctx;

	if (shown->n++ < CHOICES_SHOWN)
		buf_printf(&shown->text, "%s%.*s", shown->n > 1 ? ", " : "",
		    CHOICE_BYTES, value);
	return false;
}

/* ---- planning */

static const char *
name_of(const struct setting *want)
{
	return want->kind == SETTING_MODEL ? "model" :
	    want->kind == SETTING_MODE ? "mode" : want->id;
}

static struct setting_step
refuse(const struct setting *want, const json_t *list, const char *member,
    struct err *e)
{
	char *value = json_dumps(want->value, JSON_ENCODE_ANY | JSON_COMPACT);
	struct shown shown = { .n = 0 };

	each_value(list, member, show_choice, &shown);
	if (shown.n == 0)
		fail(e, "the agent offers no choice of %.60s", name_of(want));
	else
		fail(e, "the agent has no %.60s %.100s; it has: %s%s",
		    name_of(want), value, shown.text.data,
		    shown.n > CHOICES_SHOWN ? " …" : "");
	buf_free(&shown.text);
	free(value);
	return (struct setting_step){ .way = SETTING_UNSUPPORTED };
}

static struct setting_step
plan_config(const json_t *o, const struct setting *want, struct err *e)
{
	const json_t *current = json_object_get(o, "currentValue");
	struct setting_step step = {
		.way = SETTING_BY_CONFIG,
		.config_id = json_string_value(json_object_get(o, "id")),
		.is_boolean = is_text(json_object_get(o, "type"), "boolean"),
	};
	const json_t *list = json_object_get(o, "options");
	const char *text = json_string_value(want->value);

	if (step.config_id == NULL)
		return refuse(want, NULL, "value", e);
	if (step.is_boolean && !json_is_boolean(want->value)) {
		fail(e, "the agent's option %.60s is true or false",
		    name_of(want));
		step.way = SETTING_UNSUPPORTED;
	} else if (!step.is_boolean && (text == NULL ||
	    !each_value(list, "value", is_choice, (void *)text))) {
		return refuse(want, list, "value", e);
	} else if (json_equal(current, want->value)) {
		step.way = SETTING_IS_SO;
	}
	return step;
}

static struct setting_step
plan_legacy(const json_t *offered, const struct setting *want, struct err *e)
{
	bool is_model = want->kind == SETTING_MODEL;
	const json_t *list = json_object_get(offered, is_model ?
	    "availableModels" : "availableModes");
	const json_t *current = json_object_get(offered, is_model ?
	    "currentModelId" : "currentModeId");
	const char *member = is_model ? "modelId" : "id";
	const char *text = json_string_value(want->value);
	struct setting_step step = {
		.way = is_model ? SETTING_BY_MODEL : SETTING_BY_MODE };

	if (text == NULL || !each_value(list, member, is_choice,
	    (void *)text))
		return refuse(want, list, member, e);
	if (is_text(current, text))
		step.way = SETTING_IS_SO;
	return step;
}

struct setting_step
settings_plan(const struct settings *s, const struct setting *want,
    struct err *e)
{
	const json_t *o = find_option(s, want);

	if (o != NULL)
		return plan_config(o, want, e);
	if (want->kind == SETTING_OPTION)
		return refuse(want, s->config, "id", e);
	return plan_legacy(want->kind == SETTING_MODEL ? s->models : s->modes,
	    want, e);
}

void
settings_done(struct settings *s, const struct setting_step *step,
    const json_t *value, const json_t *result)
{
	json_t *o, *copy = json_deep_copy(value);

	switch (step->way) {
	case SETTING_BY_MODE:
		json_object_set(s->modes, "currentModeId", copy);
		break;
	case SETTING_BY_MODEL:
		json_object_set(s->models, "currentModelId", copy);
		break;
	case SETTING_BY_CONFIG:
		o = option_with(s, NULL, step->config_id);
		if (json_is_array(json_object_get(result, "configOptions")))
			take(&s->config, result, "configOptions");
		else if (o != NULL)
			json_object_set(o, "currentValue", copy);
		break;
	default:
		break;
	}
	json_decref(copy);
}
