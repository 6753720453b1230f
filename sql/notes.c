/* SPDX-License-Identifier: MIT */
/*
 * What readers are told after a flush: on hearth_events the newest visible seq
 * of each chat, on hearth_status what changed. All of it is one transaction of
 * its own behind the facts, with synchronous_commit off, and tells nothing when
 * the facts were rolled back (the server compares the flush's number).
 *
 * What could not be told because the connection was lost stays in the arrays
 * and goes with the next flush.
 */
#include "sql/recorder_private.h"

#include "base/log.h"

void
notes_begin(struct recorder *r)
{
	struct sql_array *a = r->array;

	array_begin(&a[A_CHANNEL], SQL_TEXT);
	array_begin(&a[A_NOTE], SQL_TEXT);
	array_begin(&a[A_EXECUTION], SQL_INT8);
	array_begin(&a[A_SERIAL], SQL_INT8);
	array_begin(&a[A_CHANGE_SESSION], SQL_UUID);
	array_begin(&a[A_CHANGE_PATH], SQL_TEXT);
}

void
notes_add_events(struct recorder *r, const struct chat_log *chat)
{
	char text[128];
	int n = snprintf(text, sizeof text, "{\"chat\":\"%.64s\",\"seq\":%lld}",
	    chat->chat, (long long)chat->flush_seq);

	array_string(&r->array[A_CHANNEL], "hearth_events");
	array_text(&r->array[A_NOTE], text, (size_t)n);
}

void
notes_add_item(struct recorder *r, const struct item *it)
{
	struct sql_array *a = r->array;

	switch (it->note_kind) {
	case NOTE_STATUS:
		array_string(&a[A_CHANNEL], "hearth_status");
		array_string(&a[A_NOTE], it->note);
		break;
	case NOTE_PERMISSION:
		array_int8(&a[A_EXECUTION], it->note_execution);
		array_int8(&a[A_SERIAL], it->note_serial);
		break;
	case NOTE_CHANGE:
		array_uuid(&a[A_CHANGE_SESSION], it->chat->session);
		array_string(&a[A_CHANGE_PATH], it->note);
		break;
	case NOTE_NONE:
		break;
	}
}

bool
notes_need(struct recorder *r)
{
	struct sql_array *a = r->array;

	if (a[A_CHANNEL].n)
		conn_need(r->conn, r->s_notify);
	if (a[A_EXECUTION].n)
		conn_need(r->conn, r->s_notify_permissions);
	if (a[A_CHANGE_PATH].n)
		conn_need(r->conn, r->s_notify_changes);
	return a[A_CHANNEL].n || a[A_EXECUTION].n || a[A_CHANGE_PATH].n;
}

static void
send(struct recorder *r, int statement, int first)
{
	struct params p = { 0 };

	if (!r->array[first].n)
		return;
	params_int8(&p, r->flush);
	params_array(&p, &r->array[first]);
	params_array(&p, &r->array[first + 1]);
	conn_send(r->conn, statement, &p, NULL, NULL);
}

static void
on_told(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct recorder *r = ctx;

	(void)res;
	r->notes_in_flight = false;
	if (e && e->state[0] == '0' && e->state[1] == '8')
		return;
	if (e)
		log_warning("recorder", "notifications: %s", e->text);
	/* A flush that failed adds its own again when it is sent again. */
	notes_begin(r);
}

void
notes_send(struct recorder *r)
{
	send(r, r->s_notify, A_CHANNEL);
	send(r, r->s_notify_permissions, A_EXECUTION);
	send(r, r->s_notify_changes, A_CHANGE_SESSION);
	r->notes_in_flight = true;
	conn_sync(r->conn, on_told, r);
}
