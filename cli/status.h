/* SPDX-License-Identifier: MIT */
/* What is going on, for `hearth status` and `hearth top`. */
#ifndef HEARTH_STATUS_H
#define HEARTH_STATUS_H

#include <libpq-fe.h>

#include "cli/show.h"

/* 0, or CLI_FAILED after a complaint. */
int status_show(PGconn *conn, const struct show *to);

#endif
