/* SPDX-License-Identifier: MIT */
/*
 * An agent's mode, model and other options: what it offers, as it told it last,
 * and which request makes one of them what somebody wants. Config options come
 * first; where an agent has none for it, the older modes (session/set_mode) and
 * models (session/set_model). Pure.
 */
#ifndef HEARTH_SETTINGS_H
#define HEARTH_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct settings {
	json_t *config;  /* configOptions, an array; NULL: none offered */
	json_t *modes;   /* {currentModeId, availableModes}, or NULL */
	json_t *models;  /* {currentModelId, availableModels}, or NULL */
};

void settings_free(struct settings *s);
/* What the answer to session/new, load or resume says; replaces all. */
void settings_of_session(struct settings *s, const json_t *result);
/*
 * A session that was reopened, and said nothing of it, offers what an earlier
 * child had in it (an object with the same members, or NULL); what is chosen
 * is not known.
 */
void settings_recall(struct settings *s, const json_t *offers);
/* A session/update; true when it was about settings. */
bool settings_on_update(struct settings *s, const json_t *update);

enum setting_kind { SETTING_MODEL, SETTING_MODE, SETTING_OPTION };

/* What somebody wants. */
struct setting {
	enum setting_kind kind;
	const char *id;       /* SETTING_OPTION: the option's */
	const json_t *value;  /* a string; of a boolean option, a boolean */
};

enum setting_way {
	SETTING_IS_SO,        /* it has that value */
	SETTING_BY_CONFIG,    /* session/set_config_option */
	SETTING_BY_MODE,      /* session/set_mode */
	SETTING_BY_MODEL,     /* session/set_model */
	SETTING_UNSUPPORTED,  /* *e says why, and what there is */
};

struct setting_step {
	enum setting_way way;
	/* SETTING_BY_CONFIG: borrowed from the settings */
	const char *config_id;
	bool is_boolean;
};

/* How to make it so. */
struct setting_step settings_plan(const struct settings *s,
    const struct setting *want, struct err *e);
/* The agent has answered the request of that step. */
void settings_done(struct settings *s, const struct setting_step *step,
    const json_t *value, const json_t *result);

#endif
