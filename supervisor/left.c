/* SPDX-License-Identifier: MIT */
/*
 * What turns leave running: a server, a watcher, a job in the background. What
 * such a process changes between turns is not a person's, or nobody can say.
 *
 * Whether there is one is asked of whoever takes a tree, off the loop: of each
 * child, processes that have begun since its first prompt. What was there
 * before is the agent's own (its MCP servers, the program behind its launcher).
 * The suspicion stays until another tree has been taken, as long as the session
 * is remembered: it has children, or turns.
 *
 * Must never know: /proc. Read on in supervisor/whose.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "supervisor/private.h"

/* A child's own keeper, and those of its terminals. */
#define KEEPERS_MAX 40

struct left_tree {
	struct process_tree tree;
	char *chat, *agent;
	int64_t turn;         /* the agent's last */
};

void
left_forget(struct session *s)
{
	for (size_t i = 0; i < s->n_left_trees; i++) {
		free(s->left_trees[i].chat);
		free(s->left_trees[i].agent);
	}
	free(s->left_trees);
	s->left_trees = NULL;
	s->n_left_trees = 0;
}

static void
add_seat(void *ctx, struct seat *seat)
{
	struct session *s = ctx;
	pid_t keeper[KEEPERS_MAX];
	size_t n = seat_first_prompt(seat) == 0 ? 0 :
	    seat_keepers(seat, keeper, KEEPERS_MAX);

	if (n == 0)
		return;
	s->left_trees = xrealloc(s->left_trees,
	    (s->n_left_trees + n) * sizeof *s->left_trees);
	for (size_t i = 0; i < n; i++)
		s->left_trees[s->n_left_trees++] = (struct left_tree){
			.tree = { keeper[i], seat_first_prompt(seat),
			    seat_pid(seat) },
			.chat = xstrdup(seat_chat(seat)),
			.agent = xstrdup(seat_agent(seat)),
			.turn = seat_last_turn(seat),
		};
}

void
left_look(struct session *s)
{
	struct process_tree *trees;

	left_forget(s);
	pool_each(s->sup->pool, s->id, add_seat, s);
	trees = xcalloc(s->n_left_trees + 1, sizeof *trees);
	for (size_t i = 0; i < s->n_left_trees; i++)
		trees[i] = s->left_trees[i].tree;
	working_copy_look_below(s->copy, trees, s->n_left_trees);
	free(trees);
}

/* Then it is suspected itself, and its end looks again. */
static bool
is_at_work(struct session *s, const struct left_tree *l)
{
	const struct turn *t = session_find_turn(s, l->chat, l->agent);

	return t && t->state != TURN_STARTING;
}

void
left_found(struct session *s)
{
	whose_drop_left(s);
	for (size_t i = 0; i < s->n_left_trees; i++) {
		const struct left_tree *l = &s->left_trees[i];
		struct chat *chat = session_find_chat(s, l->chat);

		if (chat && !is_at_work(s, l) &&
		    working_copy_lives_below(s->copy, l->tree.root))
			whose_add(s, chat, l->turn, l->agent, SUSPECT_LEFT);
	}
	left_forget(s);
}
