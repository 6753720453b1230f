/* SPDX-License-Identifier: MIT */
/*
 * The registry's MCP servers as an agent takes them. Pure.
 */
#ifndef HEARTH_MCP_H
#define HEARTH_MCP_H

#include <jansson.h>

/*
 * servers: a JSON array as text, or NULL. Leaves out those that the agent's
 * capabilities (agentCapabilities.mcpCapabilities) do not cover, and calls
 * skipped with their names: what else is in them may be secret. Members that
 * ACP requires and that may be empty are added. The caller frees.
 */
char *mcp_servers_for(const char *servers, const json_t *capabilities,
    void (*skipped)(void *ctx, const char *name, const char *why), void *ctx);

#endif
