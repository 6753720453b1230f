/* SPDX-License-Identifier: MIT */
/*
 * session/update to agent_event. Text chunks take the hot path (scan.c) when
 * they have the plain shape, and mean the same when they don't; everything
 * else is handed on whole, as the text it came in.
 *
 * Text is dropped in one case only: some agents stream a message without ids
 * and then send all of it once more with an id. What the rule has to know of
 * the message so far is its length and hash, never its text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "worker/scan.h"
#include "worker/worker_private.h"

#define TEXT_KEPT ((size_t)64 << 10)
#define REPEAT_MAX ((size_t)64 << 10) /* longer messages are not compared */
#define FNV_START 14695981039346656037u
#define FNV_PRIME 1099511628211u

struct chunk {
	bool reasoning;
	bool repaired;
	const char *message_id; /* NULL: none */
	const char *text;
	size_t len;
};

static uint64_t
hash_more(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * FNV_PRIME;
	return h;
}

/* What follows is another message. */
static void
end_message(struct worker *w)
{
	w->message = (struct message){ 0 };
	findings_break(w->findings);
}

static bool
is_repeat(const struct worker *w, const struct chunk *c)
{
	const struct message *m = &w->message;

	return c->message_id != NULL && !m->has_id && m->chunks >= 2 &&
	    m->reasoning == c->reasoning && m->len == c->len &&
	    m->len <= REPEAT_MAX &&
	    m->hash == hash_more(FNV_START, c->text, c->len);
}

static void
note_chunk(struct worker *w, const struct chunk *c)
{
	struct message *m = &w->message;

	if (m->reasoning != c->reasoning)
		end_message(w);
	m->reasoning = c->reasoning;
	m->has_id |= c->message_id != NULL;
	if (m->has_id)
		return;
	if (m->chunks++ == 0)
		m->hash = FNV_START;
	if (m->len <= REPEAT_MAX)
		m->hash = hash_more(m->hash, c->text, c->len);
	m->len += c->len;
}

static void
tell_text(struct worker *w, const struct chunk *c)
{
	if (c->len == 0)
		return;
	if (is_repeat(w, c)) {
		log_debug(w->label, "the whole message once more (%zu bytes); "
		    "dropped", c->len);
		end_message(w);
		return;
	}
	note_chunk(w, c);
	if (w->turn.is_open && !w->is_replaying && !c->reasoning)
		w->turn.has_output = true;
	if (!c->reasoning)
		findings_text(w->findings, c->text, c->len);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_TEXT,
		.text = {
			.reasoning = c->reasoning,
			.message_id = c->message_id,
			.text = c->text,
			.len = c->len,
			.repaired = c->repaired,
		},
	});
}

bool
update_scan(struct worker *w, const char *line, size_t len)
{
	struct scan_chunk c;
	enum scan_result r;

	buf_reset(&w->text, TEXT_KEPT);
	r = scan_chunk(line, len, &c, &w->text);
	if (r == SCAN_OTHER || c.session_id_len != w->session_id_len ||
	    memcmp(c.session_id, w->session_id, w->session_id_len) != 0)
		return false;
	if (c.message_id != NULL) {
		buf_reset(&w->message_id, TEXT_KEPT);
		buf_add(&w->message_id, c.message_id, c.message_id_len);
	}
	w->messages++;
	tell_text(w, &(struct chunk){
		.reasoning = r == SCAN_REASONING,
		.repaired = c.repaired,
		.message_id = c.message_id != NULL ? w->message_id.data : NULL,
		.text = w->text.data != NULL ? w->text.data : "",
		.len = w->text.len,
	});
	return true;
}

static void
on_output(void *ctx, const struct agent_tool *tool, const json_t *content,
    const json_t *raw_output)
{
	struct worker *w = ctx;

	findings_tool(w->findings, tool->tool_call_id, tool->title, tool->kind,
	    content, raw_output);
}

void
update_init(struct worker *w)
{
	w->findings = findings_new();
	tool_calls_on_output(w->tools, on_output, w);
}

void
update_tell_findings(struct worker *w)
{
	const struct agent_artifact *a;

	while ((a = findings_take(w->findings)) != NULL)
		worker_tell(w, &(struct agent_event){
			.type = AGENT_ARTIFACT, .artifact = *a });
}

const struct agent_tool *
update_merge_tool(struct worker *w, json_t *tool)
{
	const struct agent_tool *merged = NULL;

	gather_release(w);
	if (json_is_object(tool))
		merged = tool_calls_merge(w->tools, tool);
	if (merged != NULL && w->turn.is_open && !w->is_replaying)
		w->turn.used_tool = true;
	return merged;
}

static void
tell_update_with(struct worker *w, const struct envelope *m, const char *kind,
    const struct agent_tool *tool, const struct agent_usage *usage)
{
	/* m->update points into m->text, which holds more after it: end it
	 * there for the callback, so that it can be used as a string. */
	char *end = m->text + (m->update - m->text) + m->update_len;
	char saved = *end;

	*end = '\0';
	worker_tell(w, &(struct agent_event){
		.type = AGENT_UPDATE,
		.update = {
			.kind = kind,
			.payload = m->update,
			.len = m->update_len,
			.repaired = m->repaired,
			.tool = tool,
			.usage = usage,
		},
	});
	*end = saved;
}

static void
tell_update(struct worker *w, const struct envelope *m, const char *kind,
    const struct agent_tool *tool)
{
	tell_update_with(w, m, kind, tool, NULL);
}

static void
on_usage(struct worker *w, const struct envelope *m, const json_t *update)
{
	struct usage_report r = usage_of_update(update);

	cost_meter_tell(&w->cost, r.cost);
	tell_update_with(w, m, "usage", NULL, &(struct agent_usage){
		.turn = w->turn.serial,
		.context_used = r.context_used,
		.context_size = r.context_size,
		.turn_cost = w->turn.serial != 0 && r.cost >= 0 ?
		    w->cost.turn : -1,
	});
}

static void
on_chunk(struct worker *w, const struct envelope *m, json_t *update,
    bool reasoning)
{
	json_t *content = json_object_get(update, "content");
	const char *type = json_string_value(json_object_get(content, "type"));
	json_t *text = json_object_get(content, "text");

	if (type == NULL || strcmp(type, "text") != 0 ||
	    !json_is_string(text)) {
		end_message(w);
		if (w->turn.is_open && !w->is_replaying && !reasoning)
			w->turn.has_output = true;
		tell_update(w, m, "unknown", NULL);
		return;
	}
	tell_text(w, &(struct chunk){
		.reasoning = reasoning,
		.repaired = m->repaired,
		.message_id = json_string_value(json_object_get(update,
		    "messageId")),
		.text = json_string_value(text),
		.len = json_string_length(text),
	});
}

static const char *
find_kind(const char *tag)
{
	static const struct {
		const char *tag, *kind;
	} kinds[] = {
		{ "tool_call", "tool_call" },
		{ "tool_call_update", "tool_update" },
		{ "plan", "plan" },
		{ "plan_update", "plan" },
		{ "plan_removed", "plan" },
		{ "available_commands_update", "commands" },
		{ "current_mode_update", "mode" },
		{ "config_option_update", "config" },
		{ "session_info_update", "session_info" },
		{ "usage_update", "usage" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].tag, tag) == 0)
			return kinds[i].kind;
	return "unknown";
}

static void
on_tool(struct worker *w, const struct envelope *m, json_t *update,
    const char *kind)
{
	const struct agent_tool *tool;

	gather_before(w, update);
	tool = update_merge_tool(w, update);
	if (tool != NULL && tool->is_new)
		end_message(w);
	if (tool != NULL && gather_hold(w, m, update, tool))
		return;
	tell_update(w, m, tool != NULL ? kind : "unknown", tool);
	update_tell_findings(w);
}

static void
on_update(struct worker *w, const struct envelope *m, json_t *update)
{
	const char *tag = json_string_value(json_object_get(update,
	    "sessionUpdate"));
	const char *kind;

	if (tag == NULL) {
		tell_update(w, m, "unknown", NULL);
	} else if (strcmp(tag, "agent_message_chunk") == 0) {
		on_chunk(w, m, update, false);
	} else if (strcmp(tag, "agent_thought_chunk") == 0) {
		on_chunk(w, m, update, true);
	} else if (strcmp(tag, "user_message_chunk") == 0) {
		log_debug(w->label, "own prompt echoed; dropped");
		end_message(w);
	} else {
		kind = find_kind(tag);
		settings_on_update(&w->settings, update);
		if (strncmp(kind, "tool_", 5) == 0)
			on_tool(w, m, update, kind);
		else if (strcmp(kind, "usage") == 0)
			on_usage(w, m, update);
		else
			tell_update(w, m, kind, NULL);
	}
}

/* One session is asked for per process, so no session id means ours. */
static bool
is_ours(const struct worker *w, const json_t *params)
{
	const json_t *id = json_object_get(params, "sessionId");

	return !json_is_string(id) ||
	    strcmp(json_string_value(id), w->session_id) == 0;
}

void
update_on_notification(struct worker *w, const struct envelope *m)
{
	if (m->update == NULL) {
		log_debug(w->label, "session/update without an update");
		return;
	}
	if (is_ours(w, m->params)) {
		on_update(w, m, json_object_get(m->params, "update"));
		return;
	}
	if (!w->saw_foreign)
		log_info(w->label, "an update of another session (%.100s); "
		    "kept as it is",
		    json_string_value(json_object_get(m->params,
		    "sessionId")));
	w->saw_foreign = true;
	tell_update(w, m, "unknown", NULL);
}
