/* SPDX-License-Identifier: MIT */
/*
 * What the demo agent understands: simple English commands, one on each line
 * ("help" lists them); everything else is a chat.
 */
#ifndef HEARTH_DEMO_ORDERS_H
#define HEARTH_DEMO_ORDERS_H

/* Does what a prompt says, or chats. */
void demo_obey(const char *prompt);

#endif
