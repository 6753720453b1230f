/* SPDX-License-Identifier: MIT */
/*
 * S records, read: what became of a setup command.
 */
#ifndef HEARTH_SETUP_RECORD_H
#define HEARTH_SETUP_RECORD_H

#include "workspace/record.h"
#include "workspace/workspace.h"

/* output is the caller's to free. */
void setup_read(const struct record *r, struct setup_outcome *outcome);

#endif
