/* SPDX-License-Identifier: MIT */
/*
 * A session's working copy, as the daemon sees it: which tree was told last,
 * whether anything moved since, and the one operation under way.
 *
 * A copy has at most one operation; its result is handed over when the helper
 * and all it started are gone, as the last thing that happens, so the callback
 * may free the copy or begin the next operation.
 *
 * Must never know: how git is run (workspace/git.c), agents, PostgreSQL.
 */
#include "workspace/workspace.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "workspace/helper.h"
#include "workspace/name.h"
#include "workspace/setup_record.h"
#include "workspace/watch.h"

/* A write through a mapping or a hard link escapes inotify: ask git anew. */
#define TREE_TRUSTED_MS (10 * 60 * 1000)
/* A first checkout or a tree of a very large project takes minutes. */
#define LIMIT_MS (15 * 60 * 1000)

struct workspace {
	struct ev_loop *loop;
	char *state_dir;
	struct watches *watches;
};

enum operation { NONE, MAKING, SNAPSHOT, DECIDING, REMOVING };

struct change_list {
	struct file_change *all;
	size_t n, room;
};

struct working_copy {
	struct workspace *ws;
	char *label;             /* "session 4c1e2f3a", for the log */
	char *session;
	int64_t project_id;
	char *project_path, *default_branch;
	char *path, *branch, *base;
	char *saved;             /* commit, when it was put away */
	char **include, **setup_command;
	int64_t setup_timeout;
	struct setup_outcome setup;
	bool has_setup;          /* that is known */
	int64_t snapshots;
	char *prepared;          /* that it was made from just now; NULL */
	char *tree;              /* told last; NULL before it was made */
	int64_t tree_began;      /* when it was about to be taken */
	bool is_fresh;           /* tree is what was there then */
	struct watch *watch;
	bool is_unwatched;       /* in part, and the log says so */

	enum operation operation;
	struct helper *helper;
	int64_t began;
	char *next_tree;
	bool next_is_fresh;
	char **below;            /* to be looked at, "PID:MS:OWN" */
	pid_t *living;           /* what the last look found */
	size_t n_living;
	struct change_list changes; /* deciding: what was found before */
	struct change_list part, left;
	struct file_outcome *outcomes;
	size_t n_outcomes;
	working_copy_made_fn *made; /* also: removed */
	working_copy_snapshot_fn *taken;
	working_copy_decided_fn *decided;
	void *ctx;
};

struct workspace *
workspace_new(struct ev_loop *loop, const char *state_dir)
{
	struct workspace *ws = xcalloc(1, sizeof *ws);

	ws->loop = loop;
	ws->state_dir = xstrdup(state_dir);
	ws->watches = watches_new(loop);
	return ws;
}

void
workspace_free(struct workspace **wsp)
{
	struct workspace *ws = *wsp;

	if (!ws)
		return;
	watches_free(&ws->watches);
	free(ws->state_dir);
	free(ws);
	*wsp = NULL;
}

struct working_copy *
working_copy_new(struct workspace *ws, const struct working_copy_spec *spec)
{
	struct working_copy *wc = xcalloc(1, sizeof *wc);

	wc->ws = ws;
	wc->label = xasprintf("session %.8s", spec->session);
	wc->session = xstrdup(spec->session);
	wc->project_id = spec->project_id;
	wc->project_path = xstrdup(spec->project_path);
	wc->default_branch = xstrdup(spec->default_branch);
	wc->path = xstrdup(spec->path);
	wc->base = xstrdup(spec->base_commit);
	wc->include = strv_copy(spec->include);
	wc->setup_command = strv_copy(spec->setup_command);
	wc->setup_timeout = spec->setup_timeout;
	wc->snapshots = spec->snapshots;
	wc->watch = watch_new(ws->watches);
	return wc;
}

static void
free_changes(struct change_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free((char *)list->all[i].path);
		free((char *)list->all[i].diff);
		free((char *)list->all[i].old_oid);
		free((char *)list->all[i].new_oid);
		free((char *)list->all[i].old_mode);
		free((char *)list->all[i].new_mode);
	}
	free(list->all);
	*list = (struct change_list){ 0 };
}

static void
free_outcomes(struct file_outcome *outcomes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)outcomes[i].code);
		free((char *)outcomes[i].why);
	}
	free(outcomes);
}

void
working_copy_free(struct working_copy **wcp)
{
	struct working_copy *wc = *wcp;

	if (!wc)
		return;
	helper_free(&wc->helper);
	watch_free(&wc->watch);
	free_changes(&wc->changes);
	free_changes(&wc->part);
	free_changes(&wc->left);
	free_outcomes(wc->outcomes, wc->n_outcomes);
	free(wc->label);
	free(wc->session);
	free(wc->project_path);
	free(wc->default_branch);
	free(wc->path);
	free(wc->branch);
	free(wc->base);
	free(wc->saved);
	strv_free(&wc->below);
	free(wc->living);
	strv_free(&wc->include);
	strv_free(&wc->setup_command);
	free(wc->setup.output);
	free(wc->prepared);
	free(wc->tree);
	free(wc->next_tree);
	free(wc);
	*wcp = NULL;
}

const char *
working_copy_path(const struct working_copy *wc)
{
	return wc->path;
}

const char *
working_copy_branch(const struct working_copy *wc)
{
	return wc->branch;
}

const char *
working_copy_base(const struct working_copy *wc)
{
	return wc->base;
}

const char *
working_copy_saved(const struct working_copy *wc)
{
	return wc->saved;
}

const struct setup_outcome *
working_copy_setup(const struct working_copy *wc)
{
	return wc->has_setup ? &wc->setup : NULL;
}

char *const *
working_copy_setup_command(const struct working_copy *wc)
{
	return wc->setup_command;
}

const char *
working_copy_prepared(const struct working_copy *wc)
{
	return wc->prepared;
}

int64_t
working_copy_project(const struct working_copy *wc)
{
	return wc->project_id;
}

bool
working_copy_is_clean(struct working_copy *wc)
{
	return wc->operation == NONE && wc->tree && wc->is_fresh &&
	    clock_ms() - wc->tree_began < TREE_TRUSTED_MS &&
	    watch_is_quiet(wc->watch);
}

static void
replace(char **where, const char *with)
{
	free(*where);
	*where = with && *with ? xstrdup(with) : NULL;
}

static const char *
or_null(const char *s)
{
	return *s ? xstrdup(s) : NULL;
}

static char *
repaired(const char *s, size_t n)
{
	struct buf out = { 0 };

	utf8_repair(s, n, true, &out);
	return buf_take(&out);
}

static void
add_change(struct change_list *list, const struct record *r)
{
	struct file_change *c;

	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->all = xrealloc(list->all,
		    list->room * sizeof *list->all);
	}
	c = &list->all[list->n++];
	c->operation = r->field[0][0];
	c->old_oid = or_null(r->field[1]);
	c->new_oid = or_null(r->field[2]);
	c->old_mode = or_null(r->field[3]);
	c->new_mode = or_null(r->field[4]);
	c->path = name_show(r->field[5]);
	c->diff = repaired(r->field[6], r->last_len);
}

static void
keep_setup(struct working_copy *wc, const struct record *r)
{
	free(wc->setup.output);
	wc->has_setup = true;
	setup_read(r, &wc->setup);
}

static void
add_outcome(struct working_copy *wc, const struct record *r)
{
	wc->outcomes = xrealloc(wc->outcomes,
	    (wc->n_outcomes + 1) * sizeof *wc->outcomes);
	wc->outcomes[wc->n_outcomes++] = (struct file_outcome){
		.id = atoll(r->field[0]),
		.code = or_null(r->field[1]),
		.why = repaired(r->field[2], r->last_len),
	};
}

static void
add_living(struct working_copy *wc, pid_t root)
{
	wc->living = xrealloc(wc->living,
	    (wc->n_living + 1) * sizeof *wc->living);
	wc->living[wc->n_living++] = root;
}

static void
add_watches(struct working_copy *wc, const char *wds)
{
	char *end;

	for (long wd; (wd = strtol(wds, &end, 10)) > 0 && end != wds; wds = end)
		watch_add(wc->watch, (int)wd);
}

static void
on_record(void *ctx, const struct record *r)
{
	struct working_copy *wc = ctx;

	switch (r->type) {
	case 'C':
		replace(&wc->path, r->field[0]);
		replace(&wc->branch, r->field[1]);
		replace(&wc->base, r->field[2]);
		break;
	case 'K':
		replace(&wc->prepared, r->field[0]);
		break;
	case 'S':
		keep_setup(wc, r);
		break;
	case 'W':
		add_watches(wc, r->field[0]);
		break;
	case 'D':
		watch_end(wc->watch, r->field[0][0] == '1');
		if (r->field[0][0] != '1' && !wc->is_unwatched)
			log_info(wc->label, "not watched as a whole, so git "
			    "decides what changed: %s", r->field[1]);
		wc->is_unwatched = r->field[0][0] != '1';
		break;
	case 'T':
		/* Told from another tree than ours: more is told then. */
		if (wc->operation == DECIDING && (!wc->tree ||
		    strcmp(wc->tree, r->field[0]) != 0))
			break;
		/* A copy taken up again: the tree before is still to be
		 * told from, so what was missed comes with the next one. */
		replace(&wc->next_tree, r->field[
		    wc->operation == MAKING ? 0 : 1]);
		wc->next_is_fresh = wc->operation == SNAPSHOT ||
		    strcmp(r->field[0], r->field[1]) == 0;
		break;
	case 'F':
		add_change(wc->n_outcomes ? &wc->left : &wc->changes, r);
		break;
	case 'P':
		add_change(&wc->part, r);
		break;
	case 'O':
		add_outcome(wc, r);
		break;
	case 'L':
		add_living(wc, (pid_t)atol(r->field[0]));
		break;
	case 'A':
		replace(&wc->saved, r->field[0]);
		break;
	case 'N':
		/* what a new copy lacks is worth knowing */
		if (wc->operation == MAKING)
			log_info(wc->label, "%s", r->field[0]);
		else
			log_debug(wc->label, "%s", r->field[0]);
		break;
	default:
		log_warning(wc->label, "hearth-worktree said something that "
		    "is not for the daemon: %c", r->type);
	}
}

static void
take_tree(struct working_copy *wc, const struct err *e)
{
	if (!e && wc->next_tree) {
		free(wc->tree);
		wc->tree = wc->next_tree;
		wc->next_tree = NULL;
		wc->is_fresh = wc->next_is_fresh;
		wc->tree_began = wc->began;
	} else if (e) {
		wc->is_fresh = false;
		if (wc->operation != DECIDING)
			watch_end(wc->watch, false);
		replace(&wc->next_tree, NULL);
	}
	if (wc->operation == REMOVING && !e)
		replace(&wc->tree, NULL);
}

/* Everything of the operation leaves wc before anybody is told. */
static void
on_end(void *ctx, const struct err *e)
{
	struct working_copy *wc = ctx;
	enum operation operation = wc->operation;
	struct change_list changes = wc->changes, part = wc->part;
	struct change_list left = wc->left;
	struct file_decided d = { wc->outcomes, wc->n_outcomes, changes.all,
		part.all, left.all, changes.n, part.n, left.n };

	take_tree(wc, e);
	helper_free(&wc->helper);
	wc->operation = NONE;
	wc->changes = wc->part = wc->left = (struct change_list){ 0 };
	wc->outcomes = NULL;
	wc->n_outcomes = 0;
	if (operation == SNAPSHOT)
		wc->taken(wc->ctx, e, e ? NULL : changes.all,
		    e ? 0 : changes.n);
	else if (operation == DECIDING)
		wc->decided(wc->ctx, e, e ? NULL : &d);
	else
		wc->made(wc->ctx, e);
	free_changes(&changes);
	free_changes(&part);
	free_changes(&left);
	free_outcomes((struct file_outcome *)d.outcomes, d.n_outcomes);
}

static void
add_option(char ***args, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	strv_add(args, name);
	strv_add(args, value);
}

/* What a new copy gets; the milliseconds that this may take. */
static int64_t
add_equipment(const struct working_copy *wc, char ***args)
{
	char *limit = xasprintf("%lld", (long long)wc->setup_timeout);
	char *count = xasprintf("%lld", (long long)wc->snapshots);
	bool has_setup = wc->setup_command && *wc->setup_command;

	add_option(args, "--count", count);
	for (char **p = wc->include; p && *p; p++)
		add_option(args, "--include", *p);
	if (has_setup) {
		add_option(args, "--setup-limit", limit);
		strv_add(args, "--");
		for (char **word = wc->setup_command; *word; word++)
			strv_add(args, *word);
	}
	free(limit);
	free(count);
	return has_setup ? wc->setup_timeout : 0;
}

static void
begin(struct working_copy *wc, enum operation operation, const char *verb,
    const struct buf *input)
{
	static const struct helper_callbacks cb = {
		.record = on_record, .end = on_end,
	};
	char *id = xasprintf("%lld", (long long)wc->project_id);
	char **args = NULL;
	int fd = watches_fd(wc->ws->watches);
	bool walks = fd >= 0 && (operation == MAKING ||
	    (operation == SNAPSHOT && watch_needs_walk(wc->watch)));
	int64_t limit = LIMIT_MS;

	MUST(wc->operation == NONE);
	wc->operation = operation;
	strv_add(&args, verb);
	add_option(&args, "--state", wc->ws->state_dir);
	add_option(&args, "--session", wc->session);
	add_option(&args, "--project-id", id);
	add_option(&args, "--project", wc->project_path);
	add_option(&args, "--branch", wc->default_branch);
	add_option(&args, "--path", wc->path);
	add_option(&args, "--base", wc->base);
	add_option(&args, "--tree", wc->tree);
	if (walks)
		strv_add(&args, "--watch");
	if (operation == MAKING)
		limit += add_equipment(wc, &args);
	for (char **p = wc->below; operation == SNAPSHOT && p && *p; p++)
		add_option(&args, "--below", *p);
	wc->began = clock_ms();
	/* a decision takes no tree that the watch could be trusted from */
	if (operation != DECIDING)
		watch_begin(wc->watch, walks);
	wc->helper = helper_start(wc->ws->loop, wc->label, args, input,
	    walks ? fd : -1, limit, &cb, wc);
	strv_free(&args);
	free(id);
}

void
working_copy_make(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx)
{
	wc->made = done;
	wc->ctx = ctx;
	wc->has_setup = false;
	replace(&wc->prepared, NULL);
	begin(wc, MAKING, "create", NULL);
}

void
working_copy_look_below(struct working_copy *wc,
    const struct process_tree *trees, size_t n)
{
	strv_free(&wc->below);
	for (size_t i = 0; i < n; i++) {
		char *text = xasprintf("%d:%lld:%d", (int)trees[i].root,
		    (long long)trees[i].since, (int)trees[i].own);

		strv_add(&wc->below, text);
		free(text);
	}
}

bool
working_copy_lives_below(const struct working_copy *wc, pid_t root)
{
	for (size_t i = 0; i < wc->n_living; i++)
		if (wc->living[i] == root)
			return true;
	return false;
}

void
working_copy_snapshot(struct working_copy *wc, working_copy_snapshot_fn *done,
    void *ctx)
{
	MUST(wc->tree != NULL);
	wc->taken = done;
	wc->ctx = ctx;
	wc->n_living = 0;
	begin(wc, SNAPSHOT, "snapshot", NULL);
	strv_free(&wc->below);
}

static void
add_order(struct buf *out, const struct file_order *o)
{
	char *id = xasprintf("%lld", (long long)o->id);
	char *name = name_read(o->path);
	struct record r = { .type = 'X', .n = 10, .field = { id, o->verb,
		o->old_oid, o->new_oid, o->old_mode, o->new_mode, o->hunks,
		name ? name : o->path, o->text, o->other_text } };

	for (size_t i = 0; i < r.n; i++)
		if (!r.field[i])
			r.field[i] = "";
	r.last_len = strlen(r.field[r.n - 1]);
	record_add(out, &r);
	free(name);
	free(id);
}

void
working_copy_decide(struct working_copy *wc, const struct file_order *orders,
    size_t n, working_copy_decided_fn *done, void *ctx)
{
	struct buf input = { 0 };

	for (size_t i = 0; i < n; i++)
		add_order(&input, &orders[i]);
	wc->decided = done;
	wc->ctx = ctx;
	begin(wc, DECIDING, "decide", &input);
	buf_free(&input);
}

void
working_copy_remove(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx)
{
	wc->made = done;
	wc->ctx = ctx;
	begin(wc, REMOVING, "remove", NULL);
}

void
working_copy_put_away(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx)
{
	wc->made = done;
	wc->ctx = ctx;
	begin(wc, REMOVING, "put-away", NULL);
}

void
working_copy_erase(struct working_copy *wc, working_copy_made_fn *done,
    void *ctx)
{
	wc->made = done;
	wc->ctx = ctx;
	begin(wc, REMOVING, "erase", NULL);
}

struct survey *
working_copy_survey(struct working_copy *wc, survey_fn *done, void *ctx)
{
	return survey_start(wc->ws->loop, wc->ws->state_dir,
	    &(struct working_copy_spec){
		.session = wc->session,
		.project_id = wc->project_id,
		.project_path = wc->project_path,
		.default_branch = wc->default_branch,
		.path = wc->path,
		.base_commit = wc->base,
	    }, true, done, ctx);
}
