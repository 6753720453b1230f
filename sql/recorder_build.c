/* SPDX-License-Identifier: MIT */
/*
 * Building items, see the header. Must never know: what they are about.
 */
#include "sql/recorder_build.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/statement.h"

struct item *
item_statement(struct recorder *r, struct chat_log *log, const char *name)
{
	struct item *it = item_new(r, log, ITEM_STATEMENT);

	it->statement = statement_find(name);
	return it;
}

void
item_add(struct item *it, const char *s)
{
	MUST(it->n < ITEM_PARAMS);
	it->param[it->n++] = xstrdup(s);
}

void
item_add_json(struct item *it, const char *s)
{
	it->json |= 1u << it->n;
	item_add(it, s);
}

void
item_add_int(struct item *it, int64_t n)
{
	MUST(it->n < ITEM_PARAMS);
	it->param[it->n++] = xasprintf("%" PRId64, n);
}

void
item_add_known(struct item *it, int64_t n, int64_t below)
{
	if (n < below)
		item_add(it, NULL);
	else
		item_add_int(it, n);
}

void
item_add_bool(struct item *it, bool b)
{
	item_add(it, b ? "t" : "f");
}

void
item_add_age(struct item *it)
{
	it->age = it->n;
	item_add(it, NULL);
}

void
item_number(struct item *it)
{
	it->seq = ++it->chat->last_seq;
	item_add_int(it, it->seq);
}

void
json_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
	if (value)
		buf_json(b, value, strlen(value));
	else
		buf_adds(b, "null");
}

void
item_note_status(struct item *it, const char *what, const char *chat,
    const char *agent, int64_t id, const char *status)
{
	struct buf b = { 0 };

	buf_addc(&b, '{');
	json_member(&b, "what", what);
	json_member(&b, "chat", chat);
	json_member(&b, "agent", agent);
	if (id)
		buf_printf(&b, ",\"id\":%" PRId64, id);
	else
		buf_adds(&b, ",\"id\":null");
	json_member(&b, "status", status);
	buf_addc(&b, '}');
	it->note_kind = NOTE_STATUS;
	it->note = buf_take(&b);
}

struct item *
item_event(struct chat_log *log, int64_t turn, const char *agent,
    const char *kind)
{
	struct item *it = item_new(log->r, log, ITEM_EVENT);

	it->turn = turn;
	it->agent = xstrdup(agent);
	it->event = xstrdup(kind);
	it->seq = ++log->last_seq;
	return it;
}
