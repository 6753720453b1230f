/* SPDX-License-Identifier: MIT */
/* How a diff is shown. */
#ifndef HEARTH_DIFF_H
#define HEARTH_DIFF_H

#include "base/buf.h"

/* On a terminal what an agent wrote cannot speak to it: control characters
 * become visible, with colours or without. */
enum diff_look { DIFF_AS_IT_IS, DIFF_VISIBLE, DIFF_IN_COLOURS };

/* Appends it; it ends with a newline. */
void diff_render(const char *diff, enum diff_look look, struct buf *out);

#endif
