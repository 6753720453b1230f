/* SPDX-License-Identifier: MIT */
/* See mcp.h. */
#include "worker/mcp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

static bool
has(const json_t *capabilities, const char *name)
{
	const json_t *v = json_object_get(capabilities, name);

	return json_is_true(v) || json_is_object(v);
}

static void
need_array(json_t *server, const char *member)
{
	if (!json_is_array(json_object_get(server, member)))
		json_object_set_new(server, member, json_array());
}

/* What the protocol has as a list of names and values, people write as an
 * object, too. */
static void
need_pairs(json_t *server, const char *member)
{
	json_t *pairs = json_object_get(server, member), *value;
	json_t *list = json_array();
	const char *name;

	json_object_foreach(pairs, name, value)
		json_array_append_new(list, json_pack("{s:s,s:O}", "name",
		    name, "value", value));
	if (json_is_array(pairs))
		json_decref(list);
	else
		json_object_set_new(server, member, list);
}

/* Why the agent can't have it, or NULL. */
static const char *
adapt(json_t *server, const json_t *capabilities)
{
	const char *type = json_string_value(json_object_get(server, "type"));

	if (!json_is_object(server))
		return "it is no JSON object";
	if (type == NULL || strcmp(type, "stdio") == 0) {
		/* protocol version 1 has no word for it */
		json_object_del(server, "type");
		need_array(server, "args");
		need_pairs(server, "env");
		return NULL;
	}
	if (strcmp(type, "http") != 0 && strcmp(type, "sse") != 0)
		return "its type is none of stdio, http, sse";
	need_pairs(server, "headers");
	return has(capabilities, type) ? NULL :
	    "the agent does not take servers of its type";
}

char *
mcp_servers_for(const char *servers, const json_t *capabilities,
    void (*skipped)(void *ctx, const char *name, const char *why), void *ctx)
{
	json_t *list = servers != NULL ? json_loads(servers, 0, NULL) : NULL;
	json_t *taken = json_array(), *server;
	const char *why, *name;
	char *text;
	size_t i;

	json_array_foreach(list, i, server) {
		why = adapt(server, capabilities);
		name = json_string_value(json_object_get(server, "name"));
		if (why == NULL)
			json_array_append(taken, server);
		else
			skipped(ctx, name != NULL ? name : "without a name",
			    why);
	}
	text = json_dumps(taken, JSON_COMPACT);
	MUST(text != NULL);
	json_decref(taken);
	json_decref(list);
	return text;
}
