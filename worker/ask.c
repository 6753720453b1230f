/* SPDX-License-Identifier: MIT */
/*
 * session/request_permission: what the agent asks and what becomes of it.
 *
 * A request is answered exactly once: by a rule or policy at once, by a
 * person, by expiry, or "cancelled" when the turn is cancelled or ends, when
 * the agent withdraws it, or when the agent goes away.
 * AGENT_PERMISSION_SETTLED follows for each that was told as open; since the
 * answer may come from outside the loop, a settled request stays in the list
 * until ask_tell_settled().
 *
 * Which rule decides says permission_rules.c; options are chosen by
 * permission.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/permission.h"
#include "worker/permission_rules.h"
#include "worker/worker_private.h"

#define OPEN_MAX 64

struct ask {
	struct list node;     /* in worker.asks */
	int64_t serial;
	char *id;             /* the request's id, JSON */
	json_t *options;
	bool is_open;
	char *option_id;      /* once settled; NULL: cancelled */
	const char *status;
};

static void
free_ask(struct ask *a)
{
	list_remove(&a->node);
	json_decref(a->options);
	free(a->id);
	free(a->option_id);
	free(a);
}

static void
send_outcome(struct worker *w, const char *id, const char *option_id)
{
	struct buf b = { 0 };

	if (option_id == NULL) {
		buf_adds(&b, "{\"outcome\":{\"outcome\":\"cancelled\"}}");
	} else {
		buf_adds(&b, "{\"outcome\":{\"outcome\":\"selected\","
		    "\"optionId\":");
		buf_json(&b, option_id, strlen(option_id));
		buf_adds(&b, "}}");
	}
	rpc_result(w, id, b.data);
	buf_free(&b);
}

/* Not open any more; the answer is sent by the caller. */
static void
settle(struct worker *w, struct ask *a, const char *option_id,
    const char *status)
{
	a->is_open = false;
	a->option_id = xstrdup(option_id);
	a->status = status;
	w->open_asks--;
	w->excused_until = clock_ms();
	worker_kick(w);
}

void
ask_cancel_all(struct worker *w)
{
	struct ask *a;

	LIST_EACH(pos, tmp, &w->asks) {
		a = LIST_ITEM(pos, struct ask, node);
		if (!a->is_open)
			continue;
		settle(w, a, NULL, "cancelled");
		send_outcome(w, a->id, NULL);
	}
}

static struct ask *
find_settled(struct worker *w)
{
	struct ask *a;

	LIST_EACH(pos, tmp, &w->asks) {
		a = LIST_ITEM(pos, struct ask, node);
		if (!a->is_open)
			return a;
	}
	return NULL;
}

void
ask_tell_settled(struct worker *w)
{
	struct ask *a;

	while ((a = find_settled(w)) != NULL) {
		list_remove(&a->node);
		worker_tell(w, &(struct agent_event){
			.type = AGENT_PERMISSION_SETTLED,
			.settled = {
				.serial = a->serial,
				.option_id = a->option_id,
				.status = a->status,
			},
		});
		free_ask(a);
	}
}

static struct ask *
find_open(struct worker *w, int64_t serial)
{
	struct ask *a;

	LIST_EACH(pos, tmp, &w->asks) {
		a = LIST_ITEM(pos, struct ask, node);
		if (a->is_open && a->serial == serial)
			return a;
	}
	return NULL;
}

int
worker_answer_permission(struct worker *w, int64_t serial,
    const char *option_id, struct err *e)
{
	struct ask *a = find_open(w, serial);

	if (a == NULL || !worker_is_live(w))
		return fail(e, "permission request %lld is not open any more",
		    (long long)serial);
	if (!permission_has_option(a->options, option_id))
		return fail(e, "permission request %lld has no option \"%s\"",
		    (long long)serial, option_id);
	settle(w, a, option_id, "answered");
	send_outcome(w, a->id, option_id);
	return 0;
}

void
worker_expire_permission(struct worker *w, int64_t serial)
{
	struct ask *a = find_open(w, serial);
	const char *option_id;

	if (a == NULL)
		return;
	option_id = permission_choose(a->options, false);
	settle(w, a, option_id, "expired");
	send_outcome(w, a->id, option_id);
}

bool
ask_on_withdrawn(struct worker *w, const json_t *request_id)
{
	struct ask *a;

	if (request_id == NULL)
		return false;
	LIST_EACH(pos, tmp, &w->asks) {
		a = LIST_ITEM(pos, struct ask, node);
		if (!a->is_open || !rpc_is_id(a->id, request_id))
			continue;
		settle(w, a, NULL, "cancelled");
		rpc_error(w, a->id, -32800, "Request cancelled");
		ask_tell_settled(w);
		return true;
	}
	return false;
}

static char *
text_of(const json_t *call, const char *member)
{
	const json_t *value = json_object_get(call, member);

	return value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
}

/* The rule that decides about the call; NULL: none, permission_mode does. */
static const struct permission_rule *
find_rule(const struct worker *w, const json_t *call,
    const struct agent_tool *tool)
{
	struct permission_scope who = { w->tenant, w->agent, w->project_id };
	struct permission_call asked = {
		.cwd = w->cwd, .real_cwd = w->real_cwd,
	};
	const struct permission_rule *rule;
	char *texts[3];

	if (w->rules == NULL)
		return NULL;
	/* what came before may have said more of it than the request does */
	asked.kind = tool != NULL ? tool->kind :
	    json_string_value(json_object_get(call, "kind"));
	texts[0] = text_of(call, "locations");
	texts[1] = text_of(call, "rawInput");
	texts[2] = tool != NULL ? tool_calls_content(w->tools, tool) :
	    text_of(call, "content");
	asked.locations = tool != NULL ? tool->locations : texts[0];
	asked.raw_input = tool != NULL ? tool->raw_input : texts[1];
	asked.content = texts[2];
	rule = permission_rules_find(w->rules, &who, &asked);
	for (int i = 0; i < 3; i++)
		free(texts[i]);
	return rule;
}

static enum permission_decision
mode_decision(const struct worker *w)
{
	switch (w->permission_mode) {
	case PERMISSION_ALLOW:
		return DECISION_ALLOW;
	case PERMISSION_DENY:
		return DECISION_DENY;
	default:
		return DECISION_ASK;
	}
}

/* Opens a request, or answers it as decided and the turn's state have it. */
static bool
answer(struct worker *w, const struct envelope *m, json_t *options,
    enum permission_decision decision, const char **option_id)
{
	struct ask *a;

	*option_id = NULL;
	if (w->state == WORKER_CANCELLING) {
		send_outcome(w, m->id, NULL);
		return true;
	}
	/* before there is a session nobody could answer */
	if (!w->is_ready || decision != DECISION_ASK) {
		/* nor is it known whose rules hold for a spare */
		*option_id = permission_choose(options,
		    decision == DECISION_ALLOW && !w->is_spare);
		send_outcome(w, m->id, *option_id);
		return true;
	}
	a = xcalloc(1, sizeof *a);
	a->serial = w->last_ask;
	a->id = xstrdup(m->id);
	a->options = json_incref(options);
	a->is_open = true;
	list_append(&w->asks, &a->node);
	w->open_asks++;
	return false;
}

/* what: the rest of the event. */
static void
tell_permission(struct worker *w, const struct envelope *m,
    const json_t *call, struct agent_event *what)
{
	json_t *options = json_object_get(m->params, "options");
	const struct agent_tool *tool = what->permission.tool;
	char *call_text = json_is_object(call)
	    ? json_dumps(call, JSON_COMPACT) : xstrdup("{}");
	char *options_text = json_dumps(options, JSON_COMPACT);

	what->type = AGENT_PERMISSION;
	what->permission.serial = w->last_ask;
	what->permission.tool_call_id = tool != NULL ? tool->tool_call_id :
	    NULL;
	what->permission.tool_call = call_text;
	what->permission.options = options_text;
	what->permission.repaired = m->repaired;
	worker_tell(w, what);
	free(call_text);
	free(options_text);
}

static void
on_question(struct worker *w, const struct envelope *m, json_t *options)
{
	json_t *call = json_object_get(m->params, "toolCall");
	struct agent_event ev = { 0 };
	const struct agent_tool *tool = w->is_ready ?
	    update_merge_tool(w, call) : NULL;
	const struct permission_rule *rule = find_rule(w, call, tool);

	ev.permission.tool = tool;
	ev.permission.answered = answer(w, m, options, rule != NULL ?
	    rule->decision : mode_decision(w), &ev.permission.option_id);
	/* a cancelled turn's question is answered so whatever the rules say */
	if (rule != NULL && w->state != WORKER_CANCELLING)
		ev.permission.rule = rule->id;
	if (w->is_ready)
		tell_permission(w, m, call, &ev);
	else
		log_info(w->label, "asked for a permission before it had a "
		    "session; answered by policy");
}

void
ask_on_request(struct worker *w, const struct envelope *m)
{
	json_t *options = json_object_get(m->params, "options");

	/* what it asked with its last breath is told, and cancelled at once */
	if (!worker_is_live(w) && w->state != WORKER_ENDED) {
		log_debug(w->label, "a permission request comes too late");
		return;
	}
	if (!json_is_array(options)) {
		rpc_error(w, m->id, -32602, "options must be an array");
		return;
	}
	if (w->open_asks >= OPEN_MAX) {
		log_info(w->label, "too many open permission requests");
		rpc_error(w, m->id, -32603, "too many open requests");
		return;
	}
	w->last_ask++;
	on_question(w, m, options);
}

void
ask_free(struct worker *w)
{
	LIST_EACH(pos, tmp, &w->asks)
		free_ask(LIST_ITEM(pos, struct ask, node));
}
