/* SPDX-License-Identifier: MIT */
/*
 * terminal/create, output, wait_for_exit, kill and release: what the agent
 * asks, and what its tool calls show of it. The work is terminals.c's.
 *
 * Nobody is asked for permission here: an agent asks by itself
 * (session/request_permission) before it has a command run, as it does before
 * it runs one of its own.
 *
 * A wait is answered when the command ends, be the terminal released before,
 * and in any case exactly once; whatever else is asked meanwhile is answered
 * at once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/worker_private.h"

#define WAITS_MAX 64
/* Terminals that are filled into one tool call's content. */
#define FILLED_MAX 8

struct wait {
	struct list node;     /* in worker.waits */
	char *id;             /* the request's id, JSON */
	char *terminal;
};

static void
free_wait(struct worker *w, struct wait *wait)
{
	list_remove(&wait->node);
	w->n_waits--;
	free(wait->id);
	free(wait->terminal);
	free(wait);
}

/* ---- what is told about a terminal */

/* NULL while it runs. */
static json_t *
status_of(const struct terminal_end *end)
{
	char number[32], name[40];
	const char *abbrev = sigabbrev_np(end->term_signal);

	if (!end->has_ended)
		return json_null();
	if (end->term_signal == 0)
		return json_pack("{s:i,s:n}", "exitCode", end->exit_code,
		    "signal");
	snprintf(number, sizeof number, "%d", end->term_signal);
	snprintf(name, sizeof name, "SIG%s",
	    abbrev != NULL ? abbrev : number);
	return json_pack("{s:n,s:s}", "exitCode", "signal", name);
}

/* False: there is no such terminal, or no more. */
static bool
add_output(struct worker *w, const char *id, json_t *to)
{
	struct terminal_end end;
	bool truncated;
	char *text;

	if (!terminals_end(w->terminals, id, &end))
		return false;
	text = terminals_output(w->terminals, id, &truncated);
	json_object_set_new(to, "output", json_string(text));
	json_object_set_new(to, "truncated", json_boolean(truncated));
	json_object_set_new(to, "exitStatus", status_of(&end));
	free(text);
	return true;
}

/*
 * Embedded terminals keep what they said beyond their release. Each one that
 * is named costs up to its limit, hence the bound.
 */
static void
fill_content(void *ctx, json_t *content)
{
	struct worker *w = ctx;
	const char *type, *id;
	int filled = 0;
	json_t *item;
	size_t i;

	json_array_foreach(content, i, item) {
		type = json_string_value(json_object_get(item, "type"));
		id = json_string_value(json_object_get(item, "terminalId"));
		if (type == NULL || id == NULL || strcmp(type, "terminal") != 0)
			continue;
		if (add_output(w, id, item) && ++filled == FILLED_MAX)
			return;
	}
}

static void
send_json(struct worker *w, const char *id, json_t *result)
{
	char *text = json_dumps(result, JSON_COMPACT);

	MUST(text != NULL);
	if (rpc_has_room(w, strlen(text)))
		rpc_result(w, id, text);
	else
		rpc_error(w, id, -32603, "earlier answers are not read yet");
	free(text);
	json_decref(result);
}

static void
send_status(struct worker *w, const char *id, const struct terminal_end *end)
{
	send_json(w, id, status_of(end));
}

static void
on_ended(void *ctx, const char *terminal, const struct terminal_end *end)
{
	struct worker *w = ctx;

	LIST_EACH(pos, tmp, &w->waits) {
		struct wait *wait = LIST_ITEM(pos, struct wait, node);

		if (strcmp(wait->terminal, terminal) != 0)
			continue;
		send_status(w, wait->id, end);
		free_wait(w, wait);
		w->excused_until = clock_ms();
	}
}

static void
on_gone(void *ctx)
{
	worker_check_gone(ctx);
}

/* ---- terminal/create */

/* A string that C can hold, or NULL. */
static const char *
plain_string(const json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL && strlen(s) == json_string_length(v) ? s : NULL;
}

static bool
is_absent(const json_t *v)
{
	return v == NULL || json_is_null(v);
}

static bool
read_args(const json_t *from, char ***args)
{
	const json_t *v;
	size_t i;

	if (is_absent(from))
		return true;
	json_array_foreach((json_t *)(uintptr_t)from, i, v) {
		if (plain_string(v) == NULL)
			return false;
		strv_add(args, plain_string(v));
	}
	return json_is_array(from);
}

/* A name as shells and env(1) take it. */
static bool
is_variable(const char *name)
{
	static const char chars[] = "_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789";

	return *name != '\0' && (*name < '0' || *name > '9') &&
	    name[strspn(name, chars)] == '\0';
}

static bool
read_env(const json_t *from, char ***env)
{
	const json_t *v;
	size_t i;

	if (is_absent(from))
		return true;
	json_array_foreach((json_t *)(uintptr_t)from, i, v) {
		const char *name = plain_string(json_object_get(v, "name"));
		const char *text = plain_string(json_object_get(v, "value"));
		char *entry;

		if (name == NULL || text == NULL || !is_variable(name))
			return false;
		entry = xasprintf("%s=%s", name, text);
		strv_add(env, entry);
		free(entry);
	}
	return json_is_array(from);
}

/* A limit beyond what is kept anyway may be any number. */
static bool
read_limit(const json_t *from, int64_t *limit)
{
	double d = json_number_value(from);

	*limit = -1;
	if (is_absent(from))
		return true;
	if (d < TERMINAL_OUTPUT_MAX)
		*limit = (int64_t)d;
	return json_is_number(from) && d >= 0;
}

static void
start(struct worker *w, const struct envelope *m,
    const struct terminal_command *c)
{
	const char *terminal;
	struct err e;
	enum terminal_result r = terminals_create(w->terminals, c, &terminal,
	    &e);

	if (r == TERMINAL_OK) {
		log_debug(w->label, "%s: %.200s", terminal, c->command);
		send_json(w, m->id, json_pack("{s:s}", "terminalId",
		    terminal));
		return;
	}
	log_info(w->label, "terminal/create: %s", e.text);
	rpc_error(w, m->id, r == TERMINAL_REFUSED ? -32602 : -32603, e.text);
}

static void
on_create(struct worker *w, const struct envelope *m)
{
	const json_t *cwd = json_object_get(m->params, "cwd");
	char **args = NULL, **env = NULL;
	struct terminal_command c = {
		.command = plain_string(json_object_get(m->params,
		    "command")),
		.cwd = plain_string(cwd),
	};

	/* what it asks with its last breath is not begun any more */
	if (!worker_is_live(w))
		return;
	if (c.command == NULL || *c.command == '\0' ||
	    (c.cwd == NULL && !is_absent(cwd)) ||
	    !read_args(json_object_get(m->params, "args"), &args) ||
	    !read_env(json_object_get(m->params, "env"), &env) ||
	    !read_limit(json_object_get(m->params, "outputByteLimit"),
	    &c.limit)) {
		rpc_error(w, m->id, -32602,
		    "command, args, env, cwd or outputByteLimit is wrong");
	} else {
		c.args = args;
		c.env = env;
		start(w, m, &c);
	}
	strv_free(&args);
	strv_free(&env);
}

/* ---- the rest */

static void
on_output(struct worker *w, const struct envelope *m, const char *terminal)
{
	json_t *result = json_object();

	add_output(w, terminal, result);
	if (json_is_null(json_object_get(result, "exitStatus")))
		json_object_del(result, "exitStatus");
	send_json(w, m->id, result);
}

static void
on_wait(struct worker *w, const struct envelope *m, const char *terminal)
{
	struct terminal_end end;
	struct wait *wait;

	if (terminals_end(w->terminals, terminal, &end) && end.has_ended) {
		send_status(w, m->id, &end);
		return;
	}
	if (w->n_waits >= WAITS_MAX) {
		rpc_error(w, m->id, -32603, "too many waits are open");
		return;
	}
	wait = xcalloc(1, sizeof *wait);
	wait->id = xstrdup(m->id);
	wait->terminal = xstrdup(terminal);
	list_append(&w->waits, &wait->node);
	w->n_waits++;
}

static void
on_kill(struct worker *w, const struct envelope *m, const char *terminal)
{
	terminals_kill(w->terminals, terminal);
	rpc_result(w, m->id, "{}");
}

static void
on_release(struct worker *w, const struct envelope *m, const char *terminal)
{
	terminals_release(w->terminals, terminal);
	rpc_result(w, m->id, "{}");
}

static void
unknown_terminal(struct worker *w, const struct envelope *m,
    const char *terminal)
{
	char *words;

	if (terminal == NULL) {
		rpc_error(w, m->id, -32602, "terminalId is missing");
		return;
	}
	words = xasprintf("there is no terminal %.100s, or it was released",
	    terminal);
	rpc_error(w, m->id, -32002, words);
	free(words);
}

void
terminal_on_request(struct worker *w, const struct envelope *m)
{
	static const struct {
		const char *method;
		void (*on)(struct worker *w, const struct envelope *m,
		    const char *terminal);
	} methods[] = {
		{ "output", on_output },
		{ "wait_for_exit", on_wait },
		{ "kill", on_kill },
		{ "release", on_release },
	};
	const char *verb = m->method + strlen("terminal/");
	const char *terminal = json_string_value(json_object_get(m->params,
	    "terminalId"));

	if (strcmp(verb, "create") == 0) {
		on_create(w, m);
		return;
	}
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (strcmp(methods[i].method, verb) != 0)
			continue;
		if (terminal != NULL &&
		    terminals_is_open(w->terminals, terminal))
			methods[i].on(w, m, terminal);
		else
			unknown_terminal(w, m, terminal);
		return;
	}
	rpc_error(w, m->id, -32601, "there is no such method of terminals");
}

bool
terminal_on_withdrawn(struct worker *w, const json_t *request_id)
{
	LIST_EACH(pos, tmp, &w->waits) {
		struct wait *wait = LIST_ITEM(pos, struct wait, node);

		if (request_id == NULL || !rpc_is_id(wait->id, request_id))
			continue;
		rpc_error(w, wait->id, -32800, "Request cancelled");
		free_wait(w, wait);
		return true;
	}
	return false;
}

void
terminal_init(struct worker *w, const struct worker_spec *spec)
{
	static const struct terminals_callbacks callbacks = {
		.ended = on_ended,
		.gone = on_gone,
	};

	list_init(&w->waits);
	w->can_run_more = w->argv[spec->launcher_words] != NULL;
	w->terminals = terminals_new(w->loop, &(struct terminals_spec){
		.label = w->label,
		.serial = w->serial,
		.launcher = w->argv,
		.n_launcher = (size_t)spec->launcher_words,
		.envp = spec->envp,
		.cwd = w->cwd,
	}, &callbacks, w);
	tool_calls_on_final(w->tools, fill_content, w);
}

void
terminal_free(struct worker *w)
{
	LIST_EACH(pos, tmp, &w->waits)
		free_wait(w, LIST_ITEM(pos, struct wait, node));
	terminals_free(&w->terminals);
}
