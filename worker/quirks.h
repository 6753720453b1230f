/* SPDX-License-Identifier: MIT */
/*
 * What certain versions of agents are known to do wrong, by what they say of
 * themselves in initialize's answer. Pure.
 */
#ifndef HEARTH_QUIRKS_H
#define HEARTH_QUIRKS_H

#include <jansson.h>
#include <stdbool.h>

/*
 * After a prompt that ended with an error of its provider it answers later ones
 * with what belonged to those before. info: agentInfo, or NULL.
 */
bool quirks_mixes_up_answers(const json_t *info);

#endif
