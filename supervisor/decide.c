/* SPDX-License-Identifier: MIT */
/*
 * Decisions on changes, and changes that are asked for: a command is a task of
 * its session. When its time comes its decisions are noted in their rows
 * (decide.sql), the files are written by hearth-worktree, and the outcome of
 * each, what is left of it, and the command's end are one transaction.
 *
 * Whatever ends hearthd or the helper on the way, the command is taken again,
 * and what is done already is found to be done. A helper that ended without an
 * answer is asked again, so that the rows say what the files are.
 *
 * Must never know: how files are written (workspace/decide.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "supervisor/private.h"
#include "workspace/name.h"

#define TRIES 3

/* One change, as it was when its time came. */
struct item {
	int64_t id, turn;
	char *verb, *path, *agent, *other_turns;
	char *status;            /* NULL: it is no change yet */
	bool is_noted;           /* its row has the decision */
	bool has_pending;        /* besides it, of the same file */
	struct chat *chat;       /* NULL: told nowhere */
	char *code, *why;        /* of its outcome; NULL: done */
};

struct decision {
	struct task task;
	int64_t command;
	char *requested_by;
	struct item *items;
	size_t n;
	int tries;
};

static void
free_items(struct decision *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->items[i].verb);
		free(d->items[i].path);
		free(d->items[i].status);
		free(d->items[i].agent);
		free(d->items[i].other_turns);
		free(d->items[i].code);
		free(d->items[i].why);
	}
	free(d->items);
	d->items = NULL;
	d->n = 0;
}

static void
free_decision(struct decision *d)
{
	free_items(d);
	free(d->requested_by);
	free(d);
}

static void
drop(struct task *t, const char *code, const char *why)
{
	struct decision *d = LIST_ITEM(t, struct decision, task);

	if (code)
		record_command(t->session->sup->recorder, t->session->log,
		    d->command, "failed", code, why);
	free_decision(d);
}

/* ---- its outcome */

static void
on_durable(void *ctx)
{
	struct decision *d = ctx;

	task_end(&d->task);
	free_decision(d);
}

static const char *
status_after(const char *verb)
{
	if (strcmp(verb, "accept") == 0)
		return "applied";
	return strcmp(verb, "reject") == 0 ? "rejected" : "reverted";
}

static void
set_outcome(struct item *it, const char *code, const char *why)
{
	free(it->code);
	free(it->why);
	it->code = xstrdup(code);
	it->why = xstrdup(code ? why : NULL);
}

static struct item *
find_item(struct decision *d, int64_t id, const char *path)
{
	for (size_t i = 0; i < d->n; i++)
		if (path ? strcmp(d->items[i].path, path) == 0 :
		    d->items[i].id == id)
			return &d->items[i];
	return NULL;
}

static void
record_outcome(struct decision *d, const struct item *it,
    const struct file_decided *files)
{
	struct session *s = d->task.session;
	struct change_row part;

	if (files && files->n_part)
		part = copy_change_row(files->part);
	record_decided(it->chat ? it->chat->log : s->log,
	    &(struct decided_row){
		.change = it->id,
		.agent = it->agent,
		.before = it->status,
		.status = it->code ? NULL : status_after(it->verb),
		.error = it->why,
		.decided_by = d->requested_by,
		.part = files && files->n_part ? &part : NULL,
	    });
}

/* What these files differ in from what is reviewed now. */
static void
record_left(struct decision *d, const struct file_decided *files)
{
	for (size_t i = 0; i < files->n_left; i++) {
		struct item *it = find_item(d, 0, files->left[i].path);

		/* what was asked for made another file of it: one that is as
		 * reviewed now was pending before */
		if (it && it->chat && (it->has_pending || !it->status ||
		    files->left[i].operation != '='))
			copy_record_changes(it->chat, it->turn, it->agent,
			    it->other_turns, &files->left[i], 1);
	}
}

static void
record_end_of_command(struct decision *d)
{
	struct session *s = d->task.session;
	const struct item *first = NULL;
	size_t failed = 0;
	char *text;

	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].code) {
			first = first ? first : &d->items[i];
			failed++;
		}
	if (!first) {
		record_command(s->sup->recorder, s->log, d->command, "done",
		    NULL, NULL);
		return;
	}
	text = d->n == 1 ? xstrdup(first->why) :
	    xasprintf("%zu of %zu changes: %s", failed, d->n, first->why);
	record_command(s->sup->recorder, s->log, d->command, "failed",
	    first->code, text);
	free(text);
}

/* files NULL: nothing was asked for, or nothing is known. */
static void
finish(struct decision *d, const struct file_decided *files)
{
	struct recorder *r = d->task.session->sup->recorder;

	record_begin(r);
	if (files && files->n_found && d->items[0].chat) {
		whose_record(d->task.session, d->items[0].chat, NULL,
		    files->found, files->n_found);
		whose_told(d->task.session, NULL);
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].is_noted)
			record_outcome(d, &d->items[i], files);
	if (files)
		record_left(d, files);
	record_end_of_command(d);
	record_end(r);
	record_barrier(r, on_durable, d);
}

/* ---- carrying it out */

static void begin(struct task *t);

static void
on_decided(void *ctx, const struct err *e, const struct file_decided *files)
{
	struct decision *d = ctx;

	if (e && ++d->tries < TRIES) {
		log_info("hearthd", "session %s, command %lld: %s; once more",
		    d->task.session->id, (long long)d->command, e->text);
		begin(&d->task);
		return;
	}
	for (size_t i = 0; e && i < d->n; i++)
		if (!d->items[i].code)
			set_outcome(&d->items[i], "workspace_failed", e->text);
	for (size_t i = 0; !e && i < files->n_outcomes; i++) {
		struct item *it = find_item(d, files->outcomes[i].id, NULL);

		if (it)
			set_outcome(it, files->outcomes[i].code,
			    files->outcomes[i].why);
	}
	finish(d, files);
}

/* Its status speaks against it, unless it says that it is done. */
static void
look_at_status(struct item *it)
{
	char why[160];

	if (!it->status || it->is_noted ||
	    strcmp(it->status, status_after(it->verb)) == 0)
		return;
	snprintf(why, sizeof why, "change %lld is %s", (long long)it->id,
	    it->status);
	set_outcome(it, "not_pending", why);
}

static struct item
item_of(struct session *s, const struct decision_row *row)
{
	return (struct item){
		.id = row->id,
		.turn = row->turn,
		.verb = xstrdup(row->verb),
		/* a row has it as it is shown, a person writes it as it is */
		.path = row->status ? xstrdup(row->path) :
		    name_show(row->path),
		.status = xstrdup(row->status),
		.agent = xstrdup(row->agent),
		.other_turns = xstrdup(row->other_turns),
		.is_noted = row->status && row->is_fit,
		.has_pending = row->has_pending,
		.chat = row->chat ? session_chat(s, row->chat,
		    row->chat_last_seq) : NULL,
	};
}

static struct file_order
order_of(const struct decision_row *row)
{
	return (struct file_order){
		.id = row->id,
		.verb = row->verb,
		.path = row->path,
		.old_oid = row->old_oid,
		.new_oid = row->new_oid,
		.old_mode = row->old_mode,
		.new_mode = row->new_mode,
		.hunks = row->hunks,
		.text = row->text,
		.other_text = row->other_text,
	};
}

static void
on_rows(void *ctx, const struct decision_row *rows, size_t n,
    const struct err *e)
{
	struct decision *d = ctx;
	struct session *s = d->task.session;
	struct file_order *orders;
	size_t n_orders = 0;

	if (e) {
		task_put_off(&d->task);
		return;
	}
	if (n == 0 || s->is_lost) {
		record_command(s->sup->recorder, NULL, d->command, "failed",
		    "lost", "another node has the session");
		record_barrier(s->sup->recorder, on_durable, d);
		return;
	}
	free_items(d);
	d->items = xcalloc(n + 1, sizeof *d->items);
	orders = xcalloc(n + 1, sizeof *orders);
	for (size_t i = 0; i < n && rows[i].verb; i++) {
		d->items[d->n++] = item_of(s, &rows[i]);
		look_at_status(&d->items[i]);
		if (rows[i].is_fit)
			orders[n_orders++] = order_of(&rows[i]);
	}
	if (n_orders)
		working_copy_decide(s->copy, orders, n_orders, on_decided, d);
	else
		finish(d, NULL);
	free(orders);
}

static void
begin(struct task *t)
{
	struct decision *d = LIST_ITEM(t, struct decision, task);

	db_decide(t->session->sup->db, d->command, on_rows, d);
}

void
decide_take(struct supervisor *sup, const struct command *c)
{
	struct decision *d = xcalloc(1, sizeof *d);

	d->command = c->id;
	d->requested_by = xstrdup(c->requested_by);
	d->task.begin = begin;
	d->task.drop = drop;
	/* of a decision the trees know enough */
	d->task.needs_made = strncmp(c->kind, "queue_", 6) == 0;
	task_add(session_get(sup, c->session), &d->task);
}
