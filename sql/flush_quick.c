/* SPDX-License-Identifier: MIT */
/*
 * A quick turn: both ends of it are in one flush, so they are one statement,
 * and what the turn said is passed instead of read back. What may be stored
 * already, or is to be bisected, is sent as it was handed in.
 */
#include "sql/recorder_private.h"

#include <string.h>

void
quick_join(struct recorder *r, struct item *it)
{
	struct item *start = it->chat ? it->chat->flush_start : NULL;

	it->start = NULL;
	it->is_joined = false;
	if (r->is_uncertain || r->is_careful || !it->chat)
		return;
	if (it->statement == r->s_turn_started)
		it->chat->flush_start = it;
	if (it->statement != r->s_turn_end || !it->is_plain || !start ||
	    start->turn != it->turn)
		return;
	it->start = start;
	start->is_joined = true;
	conn_need(r->conn, r->s_turn_quick);
}

/* What turn_end reads back from the events: all of them are in this flush. */
struct quick_words {
	struct buf said[2];  /* text, reasoning */
	int64_t first_at;    /* the first event's; 0 none */
};

static void
gather_words(struct recorder *r, const struct item *end, struct quick_words *w)
{
	for (struct list *pos = end->start->node.next; pos != &r->flight &&
	    pos != &end->node; pos = pos->next) {
		const struct item *it = LIST_ITEM(pos, struct item, node);

		if (it->turn != end->turn || it->kind == ITEM_STATEMENT)
			continue;
		if (it->kind == ITEM_TEXT)
			buf_add(&w->said[it->reasoning], it->text.data,
			    it->text.len);
		else if (strcmp(it->event, "turn_ended") == 0 ||
		    strcmp(it->event, "agent_status") == 0)
			continue;
		if (!w->first_at)
			w->first_at = it->at;
	}
	buf_adds(&w->said[0], "");
}

void
quick_send(struct recorder *r, struct item *end, int64_t now,
    conn_result_fn *done)
{
	struct quick_words words = { .first_at = 0 };
	struct params p = { 0 };

	gather_words(r, end, &words);
	params_int8(&p, now - end->at);
	for (int i = 1; i < end->n; i++)
		params_text(&p, end->param[i]);
	params_text(&p, end->chat->chat);
	params_text(&p, end->start->agent);
	params_int8(&p, now - end->start->at);
	params_int8_or_null(&p, now - words.first_at, !words.first_at);
	params_text(&p, words.said[0].data);
	params_text(&p, words.said[1].data);
	conn_send(r->conn, r->s_turn_quick, &p, done, end);
	buf_free(&words.said[0]);
	buf_free(&words.said[1]);
}
