/* SPDX-License-Identifier: MIT */
/*
 * The secrets that an agent was given: values of its registry entry's env, and
 * of env and headers of its MCP servers. What an agent says of an error may
 * hold them; before that gets into a log or a row, each is replaced by its
 * name in brackets, [API_KEY], also where it is escaped as in a JSON string.
 * Pure.
 */
#ifndef HEARTH_SECRETS_H
#define HEARTH_SECRETS_H

struct secrets;

/* env: "K=V" sets, "K" unsets; mcp_servers: JSON array. Both may be NULL. */
struct secrets *secrets_new(char *const *env, const char *mcp_servers);
/* Takes text, returns text without them; the caller frees. NULL is NULL. */
char *secrets_hide(const struct secrets *s, char *text);
void secrets_free(struct secrets **s);   /* NULL is fine */

#endif
