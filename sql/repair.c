/* SPDX-License-Identifier: MIT */
/*
 * Poison: a flush that failed because of what was in it (SQLSTATE class 22,
 * 23, 54 and the like). It is cut in halves until one unit fails alone, in
 * which the offending item is then mended step by step: its texts are repaired;
 * JSON that PostgreSQL does not take becomes {"repaired": "<text>"}; an event
 * keeps its number with {"dropped": "<SQLSTATE>"}; at last the item goes, with
 * a log line. All others are stored meanwhile.
 */
#include "sql/recorder_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"
#include "sql/statement.h"

enum { STAGE_TEXT = 1, STAGE_JSON, STAGE_STUB, STAGE_DROP };

static bool
mend_string(char **s)
{
	struct buf out = { 0 };
	bool changed;

	if (!*s)
		return false;
	changed = utf8_repair(*s, strlen(*s), true, &out);
	if (changed) {
		free(*s);
		*s = buf_take(&out);
	}
	buf_free(&out);
	return changed;
}

static bool
mend_texts(struct item *it)
{
	struct buf out = { 0 };
	bool changed = utf8_repair(it->text.data ? it->text.data : "",
	    it->text.len, true, &out);

	if (changed) {
		buf_free(&it->text);
		it->text = out;
		it->repaired = true;
	} else {
		buf_free(&out);
	}
	changed |= mend_string(&it->event);
	changed |= mend_string(&it->agent);
	changed |= mend_string(&it->message_id);
	changed |= mend_string(&it->note);
	for (int i = 0; i < it->n; i++)
		changed |= mend_string(&it->param[i]);
	return changed;
}

static void
wrap(const char *json, size_t n, struct buf *out)
{
	bool is_array = n > 0 && json[0] == '[';

	buf_adds(out, is_array ? "[{\"repaired\":" : "{\"repaired\":");
	buf_json(out, json, n);
	buf_adds(out, is_array ? "}]" : "}");
}

static bool
wrap_json(struct item *it)
{
	bool changed = false;
	struct buf out = { 0 };

	if (it->kind == ITEM_EVENT) {
		wrap(it->text.data, it->text.len, &out);
		buf_free(&it->text);
		it->text = out;
		it->repaired = true;
		return true;
	}
	for (int i = 0; i < it->n; i++) {
		if (!(it->json & 1u << i) || !it->param[i])
			continue;
		wrap(it->param[i], strlen(it->param[i]), &out);
		free(it->param[i]);
		it->param[i] = buf_take(&out);
		changed = true;
	}
	return changed;
}

static bool
make_stub(struct item *it, const struct sql_error *e)
{
	if (it->kind != ITEM_TEXT && it->kind != ITEM_EVENT)
		return false;
	if (it->kind == ITEM_TEXT)
		it->event = xstrdup(it->reasoning ? "reasoning" : "text");
	it->kind = ITEM_EVENT;
	it->repaired = true;
	it->text.len = 0;
	buf_printf(&it->text, "{\"dropped\":\"%s\"}", e->state);
	free(it->agent);
	it->agent = NULL;
	return true;
}

static const char *
kind_of(const struct item *it)
{
	if (it->kind == ITEM_STATEMENT)
		return statement_name(it->statement);
	return it->event ? it->event : "text";
}

static void
drop(struct recorder *r, struct item *it, const struct sql_error *e)
{
	log_error("recorder", "chat %s: %s dropped: %s (SQLSTATE %s)",
	    it->chat ? it->chat->chat : "-", kind_of(it), e->text, e->state);
	r->queued--;
	item_free(r, it);
}

/* Goes on to the next stage that changes something; drops it in the end. */
static void
mend(struct recorder *r, struct item *it, const struct sql_error *e)
{
	bool changed = false;

	/* What it belongs to is gone: no other text would help. */
	if (strcmp(e->state, "23503") == 0)
		it->stage = STAGE_STUB;
	while (!changed && it->stage < STAGE_DROP) {
		switch (++it->stage) {
		case STAGE_TEXT:
			changed = mend_texts(it);
			break;
		case STAGE_JSON:
			changed = wrap_json(it);
			break;
		case STAGE_STUB:
			changed = make_stub(it, e);
			break;
		default:
			drop(r, it, e);
			return;
		}
	}
	log_warning("recorder", "chat %s: %s repaired: %s (SQLSTATE %s)",
	    it->chat ? it->chat->chat : "-", kind_of(it), e->text, e->state);
}

void
repair(struct recorder *r, const struct sql_error *e, struct item *offender,
    size_t units, size_t items)
{
	if (!offender && units > 1) {
		r->limit = (units + 1) / 2;
		return;
	}
	if (!offender && items > 1 && !r->is_careful) {
		r->is_careful = true;
		r->limit = 1;
		return;
	}
	if (!offender && items > 1) {
		/* The transaction as a whole, at its end: give up its unit. */
		for (size_t i = 0; i < items; i++)
			drop(r, LIST_ITEM(r->queue.next, struct item, node),
			    e);
		return;
	}
	mend(r, offender ? offender :
	    LIST_ITEM(r->queue.next, struct item, node), e);
}
