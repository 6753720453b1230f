/* SPDX-License-Identifier: MIT */
/* See quirks.h. Tests: tests/e2e_lost.c. */
#include "worker/quirks.h"

#include <stdio.h>
#include <string.h>

bool
quirks_mixes_up_answers(const json_t *info)
{
	const char *name = json_string_value(json_object_get(info, "name"));
	const char *version = json_string_value(json_object_get(info,
	    "version"));
	int minor, end = 0;

	/* the adapters of claude, whatever their scope, 0.20 to 0.39 */
	return name != NULL && strstr(name, "claude") != NULL &&
	    version != NULL && sscanf(version, "0.%2d.%n", &minor, &end) == 1 &&
	    end > 0 && minor >= 20 && minor < 40;
}
