/* SPDX-License-Identifier: MIT */
/*
 * Choosing among a permission request's options. Ids are free text and mean
 * nothing, with one exception: codex offers a reject_once whose id says cancel
 * and which ends the turn, so another reject_once goes before it. Pure.
 */
#include "worker/permission.h"

#include <string.h>
#include <strings.h>

static const char *
option_text(const json_t *option, const char *name)
{
	return json_string_value(json_object_get(option, name));
}

static bool
ends_turn(const char *option_id)
{
	return strcasecmp(option_id, "cancel") == 0 ||
	    strcasecmp(option_id, "abort") == 0;
}

/* The first option of that kind; with gently set, one that keeps the turn. */
static const char *
find_kind(const json_t *options, const char *kind, bool gently)
{
	size_t i;
	json_t *option;

	json_array_foreach(options, i, option) {
		const char *id = option_text(option, "optionId");
		const char *has = option_text(option, "kind");

		if (id && has && strcmp(has, kind) == 0 &&
		    !(gently && ends_turn(id)))
			return id;
	}
	return NULL;
}

const char *
permission_choose(const json_t *options, bool allow)
{
	const char *id;

	if (allow) {
		id = find_kind(options, "allow_once", false);
		return id ? id : find_kind(options, "allow_always", false);
	}
	id = find_kind(options, "reject_once", true);
	if (!id)
		id = find_kind(options, "reject_once", false);
	return id ? id : find_kind(options, "reject_always", false);
}

bool
permission_has_option(const json_t *options, const char *option_id)
{
	size_t i;
	json_t *option;

	json_array_foreach(options, i, option) {
		const char *id = option_text(option, "optionId");

		if (id && strcmp(id, option_id) == 0)
			return true;
	}
	return false;
}
