/* SPDX-License-Identifier: MIT */
/*
 * Some agents resend all that a running tool has said with every line of it, so
 * that what is told grows with the square of the output. A large update of a
 * running tool therefore waits, the longer the larger it is: one that says all
 * of it again takes its place, and anything else that is told comes behind it.
 * The call's state (tool_calls.c) knows each at once.
 *
 * Only members are known to be repeated that the protocol has replaced as a
 * whole; an update with any other is told at once, and so is each when nothing
 * is to be gathered (worker_spec.gathers).
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "worker/worker_private.h"

#define LEAST ((size_t)4 << 10)
/* So many bytes of updates are told per millisecond, about. */
#define BYTES_PER_MS 256
#define WAIT_MOST 5000

static const char *const replaced[] = { "sessionUpdate", "toolCallId",
	"title", "kind", "status", "content", "locations", "rawInput",
	"rawOutput", NULL };

static bool
is_replaced(const char *name)
{
	for (const char *const *r = replaced; *r != NULL; r++)
		if (strcmp(*r, name) == 0)
			return true;
	return false;
}

static bool
has_only_replaced(const json_t *update)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)update, name, value)
		if (!is_replaced(name))
			return false;
	return true;
}

static bool
is_update(const json_t *update)
{
	const char *tag = json_string_value(json_object_get(update,
	    "sessionUpdate"));

	return tag != NULL && strcmp(tag, "tool_call_update") == 0;
}

/*
 * Now says all that before said, and may be more: texts begin alike, lists too.
 * What was null was not said.
 */
static bool
says_again(const json_t *now, const json_t *before)
{
	const char *name;
	const json_t *value;

	if (json_is_null(before))
		return true;
	if (json_typeof(now) != json_typeof(before))
		return false;
	if (json_is_string(before))
		return json_string_length(now) >= json_string_length(before) &&
		    memcmp(json_string_value(now), json_string_value(before),
		    json_string_length(before)) == 0;
	if (json_is_array(before)) {
		for (size_t i = 0; i < json_array_size(before); i++) {
			const json_t *v = json_array_get(now, i);

			if (v == NULL ||
			    !says_again(v, json_array_get(before, i)))
				return false;
		}
		return true;
	}
	if (!json_is_object(before))
		return json_equal(now, before);
	json_object_foreach((json_t *)(uintptr_t)before, name, value) {
		const json_t *v = json_object_get(now, name);

		if (!json_is_null(value) &&
		    (v == NULL || !says_again(v, value)))
			return false;
	}
	return true;
}

static void
forget(struct worker *w)
{
	struct gathered *g = &w->gathered;

	ev_timer_stop(w->loop, &g->timer);
	free(g->tool_call_id);
	g->tool_call_id = NULL;
	json_decref(g->update);
	g->update = NULL;
	buf_free(&g->payload);
}

void
gather_release(struct worker *w)
{
	struct gathered g;
	json_t *call;

	if (w->gathered.tool_call_id == NULL)
		return;
	g = w->gathered;
	w->gathered.tool_call_id = NULL;
	w->gathered.update = NULL;
	w->gathered.payload = (struct buf){ 0 };
	ev_timer_stop(w->loop, &w->gathered.timer);
	call = json_pack("{s:s}", "toolCallId", g.tool_call_id);
	MUST(call != NULL);
	worker_tell(w, &(struct agent_event){
		.type = AGENT_UPDATE,
		.update = {
			.kind = "tool_update",
			.payload = g.payload.data,
			.len = g.payload.len,
			.repaired = g.repaired,
			.tool = tool_calls_merge(w->tools, call),
		},
	});
	json_decref(call);
	json_decref(g.update);
	free(g.tool_call_id);
	buf_free(&g.payload);
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	gather_release(t->data);
}

void
gather_init(struct worker *w)
{
	ev_init(&w->gathered.timer, on_timer);
	w->gathered.timer.data = w;
}

void
gather_before(struct worker *w, const json_t *update)
{
	struct gathered *g = &w->gathered;
	const char *id = json_string_value(json_object_get(update,
	    "toolCallId"));

	if (g->tool_call_id == NULL)
		return;
	if (id == NULL || strcmp(id, g->tool_call_id) != 0 ||
	    !says_again(update, g->update)) {
		gather_release(w);
		return;
	}
	/* what it said is said again; how long it has waited counts on */
	free(g->tool_call_id);
	g->tool_call_id = NULL;
	json_decref(g->update);
	g->update = NULL;
	buf_reset(&g->payload, 0);
}

bool
gather_hold(struct worker *w, const struct envelope *m, json_t *update,
    const struct agent_tool *tool)
{
	struct gathered *g = &w->gathered;
	int64_t wait = (int64_t)m->update_len / BYTES_PER_MS;

	if (!w->gathers || !w->turn.is_open || w->is_replaying ||
	    m->update_len < LEAST || tool->is_final || tool->is_new ||
	    !is_update(update) || !has_only_replaced(update)) {
		forget(w);
		return false;
	}
	g->tool_call_id = xstrdup(tool->tool_call_id);
	g->update = json_incref(update);
	g->repaired = m->repaired;
	buf_add(&g->payload, m->update, m->update_len);
	if (!ev_is_active(&g->timer)) {
		ev_now_update(w->loop);
		ev_timer_set(&g->timer, (double)(wait < WAIT_MOST ? wait :
		    WAIT_MOST) / 1000, 0.);
		ev_timer_start(w->loop, &g->timer);
	}
	return true;
}

void
gather_free(struct worker *w)
{
	forget(w);
}
