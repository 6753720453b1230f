/* SPDX-License-Identifier: MIT */
/* Time that never jumps, in milliseconds; only differences mean anything. */
#ifndef HEARTH_CLOCK_H
#define HEARTH_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);

#endif
