/* SPDX-License-Identifier: MIT */
/*
 * Keeping the prepared worktrees of a project as they are wanted. Each is a
 * copy like a session's own (workspace/make.c), under its own uuid and its own
 * lock; one helper at a time makes and removes those of a node.
 *
 * Must never know: agents. Read on in workspace/claim.c.
 */
#include "workspace/prepared.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/project.h"
#include "workspace/ready.h"
#include "workspace/say.h"

/* Of those that are ready. */
struct stock {
	int current;         /* of the branch's present commit */
	int stale;           /* of an older one */
};

void
prepared_say(const struct prepared *p, const char *status, const char *error)
{
	char *number = xasprintf("%lld", p->project_id);
	char *expires = xasprintf("%lld", strcmp(status, "ready") == 0 ?
	    (long long)p->since + PREPARED_SECONDS : 0LL);

	SAY('K', p->id, number, status, p->base, p->session, expires,
	    error ? error : "");
	say_flush();
	free(number);
	free(expires);
}

/* FNV-1a, each text with its NUL. */
static uint64_t
mix(uint64_t h, const char *text)
{
	size_t n = strlen(text) + 1;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
	return h;
}

char *
prepared_key(const struct prepared_order *o)
{
	uint64_t h = mix(0xcbf29ce484222325, o->project);

	h = mix(h, o->branch ? o->branch : "");
	for (char *const *p = o->include; p && *p; p++)
		h = mix(h, *p);
	h = mix(h, "");
	for (char *const *p = o->setup; *p; p++)
		h = mix(h, *p);
	return xasprintf("%016llx", (unsigned long long)h);
}

int
prepared_say_all(const char *state_dir, struct err *e)
{
	struct prepared_list list;
	int rc = prepared_list(state_dir, &list, e);

	for (size_t i = 0; i < list.n; i++) {
		struct prepared *p = &list.all[i];

		prepared_say(p, p->state == PREPARED_READY ? "ready" :
		    prepared_is_claimed(state_dir, p) ? "claimed" :
		    "preparing", NULL);
	}
	prepared_list_free(&list);
	return rc;
}

/* ---- removing */

static void
drop_files(const char *state_dir, const char *id)
{
	char *lock = xasprintf("%s/snapshots/%s.lock", state_dir, id);
	char *file = prepared_path(state_dir, id);

	unlink(lock);
	unlink(file);
	free(lock);
	free(file);
}

/* Of one that was killed: nobody else writes the file, whose lock we have. */
static int
drop_half(const struct prepared_order *o, const char *id, struct err *e)
{
	char *file = prepared_path(o->state_dir, id);
	char *half = xasprintf("%s.new", file);
	struct place own;
	int rc = place_open(&own, o->state_dir, id, o->project_id, NULL, e);

	if (rc == 0) {
		unlink(half);
		if (access(file, F_OK) < 0)
			drop_files(o->state_dir, id);
	}
	place_close(&own);
	free(half);
	free(file);
	return rc;
}

static int
drop(const char *state_dir, struct place *own, const struct prepared *p,
    const char *status, const char *why, struct err *e)
{
	struct make m = { .place = *own, .project = p->project,
		.session = p->id };

	if (make_remove(&m, e) < 0)
		return -1;
	drop_files(state_dir, p->id);
	prepared_say(p, status, why);
	return 0;
}

/* ---- what is there */

/* Why a ready one is not wanted; NULL: it is. */
static const char *
fault_of(const struct prepared_order *o, const struct place *own,
    const struct prepared *p, const char *key)
{
	struct stat st;

	if (o->count == 0)
		return "the project wants none";
	if (strcmp(p->key, key) != 0)
		return "the project's settings have changed";
	if (time(NULL) - p->since >= PREPARED_SECONDS)
		return "it is older than 24 hours";
	if (lstat(own->worktree, &st) < 0 || !S_ISDIR(st.st_mode))
		return "its folder is gone";
	return NULL;
}

static int
look_at_ready(const struct prepared_order *o, struct place *own,
    const struct prepared *p, const char *key, const char *commit,
    struct stock *stock, struct err *e)
{
	const char *fault = fault_of(o, own, p, key);
	bool is_current = commit && strcmp(p->base, commit) == 0;

	if (!fault && is_current && stock->current >= o->count)
		fault = "there are enough";
	if (!fault && !is_current && stock->current + stock->stale >= o->count)
		fault = "the default branch has moved";
	if (fault)
		return drop(o->state_dir, own, p, "expired", fault, e);
	stock->current += is_current;
	stock->stale += !is_current;
	return 0;
}

static int
look_at_taken(const struct prepared_order *o, struct place *own,
    const struct prepared *p, struct err *e)
{
	char *branch;

	if (!prepared_is_claimed(o->state_dir, p))
		return drop(o->state_dir, own, p, "failed",
		    "a session that was about to take it was cut off", e);
	branch = prepared_branch(o->state_dir, p);
	prepared_settle(o->state_dir, own, p, branch);
	free(branch);
	prepared_say(p, "claimed", NULL);
	return 0;
}

static int
look_at(const struct prepared_order *o, const char *id, const char *key,
    const char *commit, struct stock *stock, struct err *e)
{
	struct prepared p;
	struct place own;
	int rc = place_open(&own, o->state_dir, id, o->project_id, NULL, e);

	if (rc == 0 && prepared_read(o->state_dir, id, &p) < 0) {
		drop_files(o->state_dir, id); /* taken while we waited */
	} else if (rc == 0) {
		if (p.state == PREPARED_READY)
			rc = look_at_ready(o, &own, &p, key, commit, stock, e);
		else if (p.state == PREPARED_TAKEN)
			rc = look_at_taken(o, &own, &p, e);
		else
			rc = drop(o->state_dir, &own, &p, "failed",
			    "its preparation was cut off", e);
		prepared_free(&p);
	}
	place_close(&own);
	return rc;
}

static int
look_at_all(const struct prepared_order *o, const char *key,
    const char *commit, struct stock *stock, struct err *e)
{
	struct prepared_list list;
	int rc = prepared_list(o->state_dir, &list, e);

	*stock = (struct stock){ .current = 0 };
	for (char **id = list.halves; rc == 0 && id && *id; id++)
		rc = drop_half(o, *id, e);
	/* the current ones first: they decide about the others */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; rc == 0 && i < list.n; i++) {
			struct prepared *p = &list.all[i];
			bool is_current = commit &&
			    strcmp(p->base, commit) == 0;

			if (p->project_id == o->project_id &&
			    is_current == (pass == 0))
				rc = look_at(o, p->id, key, commit, stock, e);
		}
	prepared_list_free(&list);
	return rc;
}

/* ---- making one */

static char *
new_id(struct err *e)
{
	char *line;

	place_read("/proc/sys/kernel/random/uuid", &line, 1);
	if (!line)
		fail(e, "/proc/sys/kernel/random/uuid cannot be read");
	return line;
}

static int
fill(const struct prepared_order *o, struct place *own, struct prepared *p,
    struct err *e)
{
	struct make m = { .place = *own, .project = o->project,
		.session = p->id, .branch = o->branch, .include = o->include,
		.is_detached = true };
	struct copy c = { 0 };
	/* a file that is changed while the setup command runs is newer */
	time_t began = time(NULL);
	int rc = make_copy(&m, &c, e);

	if (rc == 0)
		rc = ready_copy(&(struct ready){ .place = own, .base = c.base,
		    .setup = o->setup, .setup_limit = o->setup_limit,
		    .inotify = -1 }, e);
	if (rc == 0) {
		free(p->base);
		free(p->git_dir);
		p->base = xstrdup(c.base);
		p->git_dir = xstrdup(c.git_dir);
		p->state = PREPARED_READY;
		p->since = began;
		rc = prepared_write(o->state_dir, p, e);
	}
	copy_free(&c);
	return rc;
}

/* One that fails is removed at once; the caller tells why. */
static int
prepare(const struct prepared_order *o, const char *key, struct err *e)
{
	struct prepared p = { .id = new_id(e), .project_id = o->project_id,
		.project = xstrdup(o->project), .key = xstrdup(key),
		.base = xstrdup(""), .git_dir = xstrdup(""),
		.session = xstrdup("") };
	struct place own = { .lock = -1 };
	int rc = p.id ? place_open(&own, o->state_dir, p.id, o->project_id,
	    NULL, e) : -1;

	if (rc == 0)
		rc = prepared_write(o->state_dir, &p, e);
	if (rc == 0) {
		prepared_say(&p, "preparing", NULL);
		rc = fill(o, &own, &p, e);
		if (rc == 0)
			prepared_say(&p, "ready", NULL);
		else
			drop(o->state_dir, &own, &p, "failed", e->text, NULL);
	}
	place_close(&own);
	prepared_free(&p);
	return rc;
}

static int
keep(const struct prepared_order *o, const char *key, struct err *e)
{
	struct project project = { 0 };
	struct stock stock;
	char *commit = NULL;
	int rc = o->count ? project_look(o->project, o->branch, &project, e) : 0;

	if (rc == 0 && o->count && !project.is_git)
		rc = fail(e, "project %s: only a git repository with a commit "
		    "can have snapshots", o->project);
	if (rc == 0 && o->count) {
		commit = project_commit(&project, o->branch, e);
		rc = commit ? 0 : -1;
	}
	if (rc == 0)
		rc = look_at_all(o, key, commit, &stock, e);
	if (rc == 0 && stock.current < o->count) {
		rc = prepare(o, key, e);
		/* the new one may have made an older one superfluous */
		if (rc == 0 && stock.stale)
			rc = look_at_all(o, key, commit, &stock, e);
	}
	free(commit);
	project_free(&project);
	return rc;
}

int
prepared_keep(const struct prepared_order *o, struct err *e)
{
	struct prepared_list list; /* makes the folder */
	char *key = prepared_key(o);
	char *path = xasprintf("%s/prepared/lock", o->state_dir);
	int rc = prepared_list(o->state_dir, &list, e);
	int lock = rc == 0 ? place_lock(path, e) : -1;

	prepared_list_free(&list);
	if (lock >= 0) {
		rc = keep(o, key, e);
		close(lock);
	}
	free(path);
	free(key);
	return lock < 0 ? -1 : rc;
}
