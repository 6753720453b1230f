/* SPDX-License-Identifier: MIT */
/* The agents that `hearth init` registers by itself. */
#ifndef HEARTH_REGISTRY_H
#define HEARTH_REGISTRY_H

#include <jansson.h>
#include <libpq-fe.h>

/*
 * The default entries as a JSON array of objects with name, title, command,
 * env, permission_mode, and enabled: whether the command is there. The demo
 * agent is among them when demo (its absolute path) is not NULL. The caller
 * decrefs.
 */
json_t *registry_defaults(const char *path, const char *demo);
/*
 * Writes defaults into the registry: new ones are added, those that are there
 * follow the default where nobody changed them. A user without the right to do
 * so changes nothing and gets no complaint. 0, or -1 after a complaint.
 */
int registry_write(PGconn *conn, const json_t *defaults);
/* The same with the defaults for this machine: its PATH, its demo agent. */
int registry_seed(PGconn *conn);

#endif
