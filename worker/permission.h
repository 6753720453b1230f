/* SPDX-License-Identifier: MIT */
/*
 * Which of a permission request's options a policy picks. Pure. Options are
 * matched by kind, never by id.
 */
#ifndef HEARTH_PERMISSION_H
#define HEARTH_PERMISSION_H

#include <jansson.h>
#include <stdbool.h>

/*
 * allow: allow_once, then allow_always. Not allow: reject_once (one whose id
 * is not "cancel" or "abort" first, because codex ends the turn on those),
 * then reject_always. NULL when there is none: answer "cancelled".
 */
const char *permission_choose(const json_t *options, bool allow);
bool permission_has_option(const json_t *options, const char *option_id);

#endif
