/* SPDX-License-Identifier: MIT */
/*
 * The schema: numbered migrations (sql/migrations/NNNN_name.sql, append-only,
 * each in a transaction), then the replaceable part (sql/functions.sql,
 * sql/views.sql, sql/roles.sql), all under one advisory lock. Synchronous: it
 * runs in `hearth init`, which hearthd starts as a child. The one part of sql/
 * that cli/ may include.
 */
#ifndef HEARTH_MIGRATE_H
#define HEARTH_MIGRATE_H

#include "base/err.h"

/* The newest migration that this program carries. */
int migrate_known_version(void);
/*
 * Creates or upgrades the schema (and, where they are missing, the roles);
 * with create_database also the database that conninfo names, when it is
 * missing. *from and *to are the versions before and after (0: none). Refuses
 * a newer schema. 0 or -1 with the reason.
 */
int migrate(const char *conninfo, int create_database, int *from, int *to,
    struct err *e);

#endif
