/* SPDX-License-Identifier: MIT */
/*
 * Answers to the agent's requests, but for permissions (ask.c). Every request
 * is answered at once and exactly once; some agents wait for ever otherwise.
 *
 * Files are served only when they were offered, and only below the session's
 * folder. Terminals are answer_terminal.c's. There are no forms.
 */
#include <string.h>

#include "base/log.h"
#include "worker/client_fs.h"
#include "worker/worker_private.h"

static int
error_code(enum client_fs_result r)
{
	switch (r) {
	case CLIENT_FS_NOT_FOUND:
		return -32002;
	case CLIENT_FS_REFUSED:
		return -32602;
	default:
		return -32603;
	}
}

static void
read_file(struct worker *w, const struct envelope *m)
{
	const char *path = json_string_value(json_object_get(m->params,
	    "path"));
	int64_t line = json_integer_value(json_object_get(m->params, "line"));
	int64_t limit = json_integer_value(json_object_get(m->params,
	    "limit"));
	struct buf content = { 0 }, result = { 0 };
	struct err e;
	enum client_fs_result r;

	if (path == NULL || line < 0 || limit < 0) {
		rpc_error(w, m->id, -32602, "path, line or limit is wrong");
		return;
	}
	r = client_fs_read(w->cwd, path, line, limit, &content, &e);
	if (r == CLIENT_FS_OK) {
		buf_adds(&result, "{\"content\":");
		buf_json(&result, content.data != NULL ? content.data : "",
		    content.len);
		buf_adds(&result, "}");
		rpc_result(w, m->id, result.data);
	} else {
		log_debug(w->label, "fs/read_text_file: %s", e.text);
		rpc_error(w, m->id, error_code(r), e.text);
	}
	buf_free(&content);
	buf_free(&result);
}

static void
write_file(struct worker *w, const struct envelope *m)
{
	const char *path = json_string_value(json_object_get(m->params,
	    "path"));
	const json_t *content = json_object_get(m->params, "content");
	struct err e;
	enum client_fs_result r;

	if (path == NULL || !json_is_string(content)) {
		rpc_error(w, m->id, -32602, "path and content are needed");
		return;
	}
	r = client_fs_write(w->cwd, path, json_string_value(content),
	    json_string_length(content), &e);
	if (r == CLIENT_FS_OK) {
		rpc_result(w, m->id, "{}");
		return;
	}
	log_debug(w->label, "fs/write_text_file: %s", e.text);
	rpc_error(w, m->id, error_code(r), e.text);
}

static void
refuse(struct worker *w, const struct envelope *m)
{
	struct buf b = { 0 };

	log_debug(w->label, "request %.100s is not known; answered -32601",
	    m->method);
	if (strncmp(m->method, "terminal/", 9) == 0)
		buf_adds(&b, "terminals are not offered by this client");
	else
		buf_printf(&b, "Method not found: %s", m->method);
	rpc_error(w, m->id, -32601, b.data);
	buf_free(&b);
}

/* Only a client initializes: what comes back is our own request. */
static bool
is_echo(const struct worker *w, const struct envelope *m)
{
	return !w->initialized && strcmp(m->method, "initialize") == 0;
}

void
answer_request(struct worker *w, const struct envelope *m)
{
	if (is_echo(w, m))
		worker_give_up(w, "not_acp", "echoes what it is sent",
		    "the program sends back what it is sent; it is not an ACP "
		    "agent", false);
	else if (w->offers_read && strcmp(m->method, "fs/read_text_file") == 0)
		read_file(w, m);
	else if (w->offers_write &&
	    strcmp(m->method, "fs/write_text_file") == 0)
		write_file(w, m);
	else if (w->offers_terminals &&
	    strncmp(m->method, "terminal/", 9) == 0)
		terminal_on_request(w, m);
	else if (strcmp(m->method, "elicitation/create") == 0)
		rpc_result(w, m->id, "{\"action\":\"decline\"}");
	else
		refuse(w, m);
}
