/* SPDX-License-Identifier: MIT */
/* How a diff is shown. */
#ifndef HEARTH_DIFF_H
#define HEARTH_DIFF_H

#include <stdbool.h>

#include "base/buf.h"

/*
 * Appends it as it is, or with colours for a terminal; there what an agent
 * wrote cannot speak to the terminal: control characters become visible. Ends
 * with a newline.
 */
void diff_render(const char *diff, bool has_colours, struct buf *out);

#endif
