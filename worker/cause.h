/* SPDX-License-Identifier: MIT */
/*
 * What an agent's last words say about the likely cause of its end. Only ever
 * a hint for people: no state depends on it. Pure.
 */
#ifndef HEARTH_CAUSE_H
#define HEARTH_CAUSE_H

#include <stdbool.h>

/*
 * A question such as "does it need a login?", or NULL when nothing is known.
 * said: the end of its stderr, or what it printed instead of messages.
 * exit_code: -1 when it has not exited. was_ready: it had begun to work.
 */
const char *cause_find(const char *said, int exit_code, bool was_ready);

#endif
