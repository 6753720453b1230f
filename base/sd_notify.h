/* SPDX-License-Identifier: MIT */
/*
 * The service manager's notification protocol: one datagram to
 * $NOTIFY_SOCKET. Without that variable, nothing happens.
 */
#ifndef HEARTH_SD_NOTIFY_H
#define HEARTH_SD_NOTIFY_H

#include <stdint.h>

/* "READY=1\nSTATUS=…": formats and sends; a failure is ignored. */
void sd_notify_send(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* How often WATCHDOG=1 must come, halved, in milliseconds; 0: not asked. */
int64_t sd_notify_watchdog_ms(void);

#endif
