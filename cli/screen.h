/* SPDX-License-Identifier: MIT */
/*
 * A whole terminal that is drawn again and again, with single keys. Must never
 * know: what is drawn.
 */
#ifndef HEARTH_SCREEN_H
#define HEARTH_SCREEN_H

#include "base/buf.h"

/* Takes stdout's terminal; screen_close() gives it back as it was. */
void screen_open(void);
void screen_close(void);
int screen_height(void);
/* Shows the text from the top, cut to the terminal. */
void screen_draw(const char *text);
/*
 * Waits that long for a key: the key, 0 when none came or the window changed,
 * -1 when the user (^C, ^D) or a signal wants the end.
 */
int screen_key(int timeout_ms);

/* Pure: as many of the text's lines as leave one for the cursor, each cut to
 * width characters, as bytes for a terminal. */
void screen_fit(struct buf *b, const char *text, int width, int height);

#endif
