/* SPDX-License-Identifier: MIT */
/*
 * The demo agent's tool calls. Each is told three times: pending, in_progress
 * once it is allowed, completed or failed. An edit carries its difference from
 * the first, so that a client can show it with the permission question. Files
 * themselves are contrib/demo_files.c.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contrib/demo_agent.h"
#include "contrib/demo_files.h"
#include "contrib/demo_tools.h"

/* Announces a tool call; what is returned names it from then on. */
static json_t *
begin_call(const char *verb, const char *kind, const char *path,
    json_t *content)
{
	const struct demo_session *s = demo_session();
	bool is_absolute = path[0] == '/';
	static int last_call;
	char id[32];
	json_t *call;

	snprintf(id, sizeof id, "call-%d", ++last_call);
	call = json_pack("{s:s, s:s++, s:s, s:s, s:[{s:s++}], s:{s:s},"
	    " s:[o*]}", "toolCallId", id, "title", verb, " ", path,
	    "kind", kind, "status", "pending", "locations", "path",
	    is_absolute ? "" : s->cwd, is_absolute ? "" : "/", path,
	    "rawInput", "path", path, "content", content);
	if (call == NULL)
		demo_die("out of memory");
	json_object_set_new(call, "sessionUpdate", json_string("tool_call"));
	demo_update(json_deep_copy(call));
	json_object_del(call, "sessionUpdate");
	return call;
}

static void
set_call(const json_t *call, const char *status)
{
	demo_update(json_pack("{s:s, s:O, s:s}", "sessionUpdate",
	    "tool_call_update", "toolCallId",
	    json_object_get(call, "toolCallId"), "status", status));
}

static void
explain(const char *path, int error)
{
	if (error == EACCES || error == ELOOP)
		demo_sayf("%s: I may not go there.", path);
	else if (error == EILSEQ)
		demo_sayf("%s is not a text file.", path);
	else if (error == EINVAL)
		demo_sayf("%s is not a file.", path);
	else if (error == ENOENT)
		demo_sayf("There is no %s.", path);
	else
		demo_sayf("That did not work: %s: %s.", path, strerror(error));
}

/* Ends the call, telling of failure when error is not 0, and forgets it. */
static void
end_call(json_t *call, const char *path, int error)
{
	set_call(call, error == 0 ? "completed" : "failed");
	json_decref(call);
	if (error != 0)
		explain(path, error);
}

/* Whether the session's mode, or else the user, allows the tool call. */
static bool
may_i(const json_t *call)
{
	const char *option = NULL;
	json_t *reply;
	bool is_yes;

	if (!demo_session()->asks || demo_session()->always)
		return true;
	reply = demo_ask("session/request_permission", json_pack("{s:O,"
	    " s:[{s:s, s:s, s:s}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]}",
	    "toolCall", call, "options",
	    "optionId", "yes", "name", "Allow", "kind", "allow_once",
	    "optionId", "always", "name", "Allow in this conversation",
	    "kind", "allow_always",
	    "optionId", "no", "name", "Do not allow", "kind", "reject_once"));
	(void)json_unpack(reply, "{s:{s:{s:s}}}", "result", "outcome",
	    "optionId", &option);
	is_yes = option != NULL && strcmp(option, "no") != 0;
	if (is_yes && strcmp(option, "always") == 0)
		demo_session()->always = true;
	json_decref(reply);
	return is_yes;
}

bool
demo_tools_change(const char *verb, const char *path, const char *before,
    const char *after)
{
	const struct demo_session *s = demo_session();
	bool is_absolute = path[0] == '/';
	json_t *call = begin_call(verb, after != NULL ? "edit" : "delete", path,
	    json_pack("{s:s, s:s++, s:s?, s:s}", "type", "diff",
	    "path", is_absolute ? "" : s->cwd, is_absolute ? "" : "/", path,
	    "oldText", before, "newText", after != NULL ? after : ""));
	int rc;

	if (!may_i(call)) {
		set_call(call, "failed");
		json_decref(call);
		demo_sayf("You did not allow it: %s stays as it was.", path);
		return false;
	}
	set_call(call, "in_progress");
	rc = after != NULL ? demo_files_save(s->cwd, path, after) :
	    demo_files_delete(s->cwd, path);
	end_call(call, path, rc == 0 ? 0 : errno);
	return rc == 0;
}

char *
demo_tools_read(const char *path)
{
	json_t *call = begin_call("Read", "read", path, NULL);
	char *text;

	set_call(call, "in_progress");
	text = demo_files_load(demo_session()->cwd, path);
	end_call(call, path, text != NULL ? 0 : errno);
	return text;
}

bool
demo_tools_peek(const char *path, char **text)
{
	*text = demo_files_load(demo_session()->cwd, path);
	if (*text == NULL && errno != ENOENT) {
		explain(path, errno);
		return false;
	}
	return true;
}
