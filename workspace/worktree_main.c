/* SPDX-License-Identifier: MIT */
/*
 * hearth-worktree: all walks over files and all git, outside the daemon.
 *
 *   create    make the session's copy (or take a prepared one) or take it up
 *             again, run the setup command in a new one, watch, take a tree
 *   snapshot  watch, take a tree, tell what changed since the one before
 *   decide    decide on changes, or make some (workspace/decide.h)
 *   remove    remove the copy
 *   put-away  save what is in it, then remove it (workspace/away.h)
 *   erase     remove it and what is saved of it
 *   measure   what it is like (workspace/measure.h)
 *   prepare   keep as many prepared copies of the project as it wants
 *   prepared  tell which prepared copies there are
 *
 * Says records on stdout (workspace/record.h) and, when it fails, one line on
 * stderr. Watching comes before the tree, here as in workspace/ready.c.
 *
 * Must never know: the daemon, agents, PostgreSQL. Read on in
 * workspace/make.c, workspace/take.c, workspace/changes.c,
 * workspace/decide.c.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "workspace/away.h"
#include "workspace/changes.h"
#include "workspace/decide.h"
#include "workspace/living.h"
#include "workspace/make.h"
#include "workspace/measure.h"
#include "workspace/prepared.h"
#include "workspace/project.h"
#include "workspace/ready.h"
#include "workspace/review.h"
#include "workspace/say.h"
#include "workspace/take.h"
#include "workspace/walk.h"
#include "workspace/write.h"

#define INOTIFY_FD 3

struct order {
	const char *state, *session, *project_id, *project, *branch, *path;
	const char *base, *tree;
	long long setup_limit;   /* milliseconds */
	char **include, **below;
	char *const *setup;      /* what follows the options */
	int count;               /* snapshots that the project wants */
	bool watches, is_fresh;
};

static const struct option options[] = {
	{ "state", required_argument, NULL, 's' },
	{ "session", required_argument, NULL, 'i' },
	{ "project-id", required_argument, NULL, 'n' },
	{ "project", required_argument, NULL, 'p' },
	{ "branch", required_argument, NULL, 'b' },
	{ "path", required_argument, NULL, 'f' },
	{ "base", required_argument, NULL, 'c' },
	{ "tree", required_argument, NULL, 't' },
	{ "watch", no_argument, NULL, 'w' },
	{ "fresh", no_argument, NULL, 'r' },
	{ "include", required_argument, NULL, 'x' },
	{ "setup-limit", required_argument, NULL, 'l' },
	{ "count", required_argument, NULL, 'k' },
	{ "below", required_argument, NULL, 'B' },
	{ NULL, 0, NULL, 0 },
};

static int
parse(int argc, char **argv, struct order *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': o->state = optarg; break;
		case 'i': o->session = optarg; break;
		case 'n': o->project_id = optarg; break;
		case 'p': o->project = optarg; break;
		case 'b': o->branch = optarg; break;
		case 'f': o->path = optarg; break;
		case 'c': o->base = optarg; break;
		case 't': o->tree = optarg; break;
		case 'w': o->watches = true; break;
		case 'r': o->is_fresh = true; break;
		case 'x': strv_add(&o->include, optarg); break;
		case 'l': o->setup_limit = atoll(optarg); break;
		case 'B': strv_add(&o->below, optarg); break;
		case 'k': o->count = atoi(optarg); break;
		default: return -1;
		}
	}
	o->setup = argv + optind;
	return o->state ? 0 : -1;
}

/* They become parts of file names. */
static bool
has_names(const struct order *o, bool has_session)
{
	return o->project && o->project_id &&
	    strspn(o->project_id, "0123456789-") == strlen(o->project_id) &&
	    (!has_session || (o->session && strlen(o->session) >= 8 &&
	    strspn(o->session, "0123456789abcdefABCDEF-") ==
	    strlen(o->session)));
}

static struct prepared_order
prepared_of(const struct order *o)
{
	return (struct prepared_order){
		.state_dir = o->state,
		.project_id = atoll(o->project_id),
		.project = o->project,
		.branch = o->branch,
		.include = o->include,
		.setup = o->setup,
		.setup_limit = o->setup_limit,
		.count = o->count,
	};
}

static int
create(const struct order *o, struct make *m, struct err *e)
{
	struct prepared_order prepared = prepared_of(o);
	struct copy c = { 0 };
	int rc;

	prepared_claim(&prepared, m);
	rc = make_copy(m, &c, e);
	if (rc == 0) {
		SAY('C', m->place.worktree, c.branch ? c.branch : "", c.base);
		rc = ready_copy(&(struct ready){
			.place = &m->place,
			.base = c.base,
			.setup = o->setup,
			.setup_limit = o->setup_limit,
			.inotify = o->watches ? INOTIFY_FD : -1,
		    }, e);
	}
	copy_free(&c);
	return rc;
}

/* Before the tree: who writes behind it is seen here. */
static void
say_living(char *const *below)
{
	for (; below && *below; below++) {
		char text[32];
		long root;

		if (!living_has(*below, &root))
			continue;
		snprintf(text, sizeof text, "%ld", root);
		SAY('L', text);
	}
}

static int
snapshot(const struct order *o, struct make *m, struct err *e)
{
	struct take t = ready_take(&m->place);
	struct review r;
	char *now, *head;
	int rc;

	if (!o->base || !o->tree)
		return fail(e, "snapshot needs --base and --tree");
	if (o->watches)
		walk_watch(INOTIFY_FD, m->place.worktree);
	say_living(o->below);
	/* before it, too: what is committed behind it is not in it */
	head = away_head(&m->place, o->project);
	now = take_tree(&t, o->base, e);
	if (!now) {
		free(head);
		return -1;
	}
	review_read(&m->place, o->base, &r);
	rc = changes_say(m->place.repository, r.reviewed, o->tree, r.told,
	    now, e);
	review_tell(&r, now, head);
	if (rc == 0)
		rc = review_write(&m->place, &r, e);
	if (rc == 0)
		SAY('T', o->tree, now);
	review_free(&r);
	return rc;
}

/* What one that was ended on the way has left, comes first. */
static int
settle(const struct order *o, const struct make *m, struct err *e)
{
	struct write_roots roots = { { NULL } };
	struct project p;
	int rc;

	if (project_look(o->project, o->branch, &p, NULL) == 0)
		roots.path[IN_PROJECT] = p.path;
	roots.path[IN_WORKTREE] = m->place.worktree;
	rc = write_settle(&m->place, &roots, o->base, e);
	project_free(&p);
	return rc;
}

static int
obey_decide(const struct order *o, const struct make *m, struct err *e)
{
	return decide(&(struct decide){ .place = &m->place,
		.project = o->project, .branch = o->branch, .base = o->base,
		.take = ready_take(&m->place) }, e);
}

static int
put_away(struct make *m, struct err *e)
{
	char *commit;
	int rc = away_put(m, &commit, e);

	if (rc == 0)
		SAY('A', commit ? commit : "");
	free(commit);
	return rc;
}

/* Reading needs no lock: nobody waits for one who only measures. */
static int
measure(const struct order *o, struct make *m, struct err *e)
{
	if (!o->is_fresh)
		place_unlock(&m->place);
	return measure_say(m, o->is_fresh, e);
}

/* What is done in a session's copy. */
static int
obey_for_session(const char *verb, const struct order *o, struct err *e)
{
	struct make m = { .project = o->project, .session = o->session,
		.branch = o->branch, .base = o->base, .include = o->include };
	int rc = place_open(&m.place, o->state, o->session,
	    atoll(o->project_id), o->path, e);

	/* what is erased needs no settling */
	if (rc == 0 && strcmp(verb, "erase") != 0 &&
	    access(m.place.journal_file, F_OK) == 0)
		rc = settle(o, &m, e);
	if (rc < 0)
		;
	else if (strcmp(verb, "create") == 0)
		rc = create(o, &m, e);
	else if (strcmp(verb, "snapshot") == 0)
		rc = snapshot(o, &m, e);
	else if (strcmp(verb, "decide") == 0)
		rc = obey_decide(o, &m, e);
	else if (strcmp(verb, "remove") == 0)
		rc = make_remove(&m, e);
	else if (strcmp(verb, "put-away") == 0)
		rc = put_away(&m, e);
	else if (strcmp(verb, "erase") == 0)
		rc = away_erase(&m, e);
	else if (strcmp(verb, "measure") == 0)
		rc = measure(o, &m, e);
	else
		rc = fail(e, "unknown command \"%s\"", verb);
	place_close(&m.place);
	return rc;
}

static int
obey(const char *verb, const struct order *o, struct err *e)
{
	bool prepares = strcmp(verb, "prepare") == 0;
	struct prepared_order prepared;

	if (strcmp(verb, "prepared") == 0)
		return prepared_say_all(o->state, e);
	if (!has_names(o, !prepares))
		return fail(e, "%s needs --project-id, --project%s", verb,
		    prepares ? "" : " and --session");
	if (!prepares)
		return obey_for_session(verb, o, e);
	prepared = prepared_of(o);
	return prepared_keep(&prepared, e);
}

int
main(int argc, char **argv)
{
	struct order o = { 0 };
	struct err e = { "" };
	int rc;

	umask(022);
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || parse(argc - 1, argv + 1, &o) < 0) {
		fprintf(stderr, "usage: hearth-worktree create|snapshot|decide"
		    "|remove|put-away|erase|measure|prepare|prepared"
		    " --state DIR [--session UUID]"
		    " [--project-id N --project DIR] [--branch B]"
		    " [--path DIR] [--base COMMIT] [--tree TREE]"
		    " [--include PATTERN]... [--setup-limit MS] [--count N]"
		    " [--below PID:MS:OWN]... [--watch] [--fresh] [-- SETUP COMMAND]\n");
		return 64;
	}
	if (o.watches)
		fcntl(INOTIFY_FD, F_SETFD, FD_CLOEXEC);
	rc = obey(argv[1], &o, &e);
	strv_free(&o.include);
	strv_free(&o.below);
	if (rc < 0) {
		say_flush();
		fprintf(stderr, "%s\n", *e.text ? e.text :
		    "git failed without a word");
		return 1;
	}
	say('Z', NULL, 0);
	say_flush();
	return 0;
}
