/* SPDX-License-Identifier: MIT */
/*
 * The node of db_fixture.h. The flush interval is 50 ms, long enough to be
 * seen; the buffer's budget 1 MiB, small enough to be filled.
 */
#include "tests/db_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "tests/pg_harness.h"

const char *
session_id(int n)
{
	static char kept[4][40];
	static unsigned at;
	char *s = kept[at++ % 4];

	snprintf(s, 40, "00000000-0000-4000-8000-00000000%04x", n);
	return s;
}

const char *
chat_id(int n)
{
	static char kept[4][40];
	static unsigned at;
	char *s = kept[at++ % 4];

	snprintf(s, 40, "00000000-0000-4000-9000-00000000%04x", n);
	return s;
}

void
seed_world(const char *pg)
{
	pg_exec(pg, "insert into hearth.projects (id, name, path) "
	    "values (1, 'p', '/p'); "
	    "insert into hearth.agents (name, command, env, launcher) values "
	    "('fake', '{fake-agent,\"a b\"}', '{\"A\": \"x=\\\"y\", "
	    "\"B\": null}', '{nice}'), ('other', '{other}', '{}', '{}')");
}

void
seed_session(const char *pg, int session, bool concurrent)
{
	pg_execf(pg, "insert into hearth.sessions (id, project_id, "
	    "concurrent_turns) values ('%s', 1, %s)", session_id(session),
	    concurrent ? "true" : "false");
}

void
seed_chat(const char *pg, int session, int chat)
{
	pg_execf(pg, "insert into hearth.chats (id, session_id) "
	    "values ('%s', '%s')", chat_id(chat), session_id(session));
}

int64_t
seed_turn(const char *pg, int session, int chat, const char *agent,
    const char *prompt)
{
	return atoll(pg_value(pg, "insert into hearth.turns (chat_id, "
	    "session_id, agent, prompt) values ('%s', '%s', '%s', "
	    "'[{\"type\":\"text\",\"text\":\"%s\"}]') returning id",
	    chat_id(chat), session_id(session), agent, prompt));
}

static void
on_up(void *ctx, bool first)
{
	struct node *n = ctx;

	n->ups++;
	n->first_ups += first;
}

static void
on_down(void *ctx, const char *why)
{
	struct node *n = ctx;

	n->downs++;
	snprintf(n->why_down, sizeof n->why_down, "%s", why);
}

static void
on_session_work(void *ctx, const struct queued_turn *q)
{
	struct node *n = ctx;

	n->works++;
	snprintf(n->worked, sizeof n->worked, "%s %lld %s %s", q->session,
	    (long long)q->turn, q->chat ? q->chat : "-",
	    q->agent ? q->agent : "-");
}

static void
on_agents_changed(void *ctx)
{
	((struct node *)ctx)->agents++;
}

static void
on_commands_wait(void *ctx)
{
	((struct node *)ctx)->commands++;
}

static void
on_fence_lost(void *ctx, const char *session)
{
	struct node *n = ctx;

	n->fences++;
	snprintf(n->fenced, sizeof n->fenced, "%s", session);
}

static void
on_pressure_told(void *ctx, bool full)
{
	struct node *n = ctx;

	n->pressures++;
	n->is_full = full;
}

static void
on_chat_pressure_told(void *ctx, const char *session, const char *chat,
    bool full)
{
	struct node *n = ctx;

	ck_assert_int_eq(strlen(session), 36);
	snprintf(n->full_chat, sizeof n->full_chat, "%s", full ? chat : "");
}

static void
on_fatal_told(void *ctx, const char *why)
{
	struct node *n = ctx;

	ck_assert_str_eq(n->fatal, "");
	snprintf(n->fatal, sizeof n->fatal, "%s", why);
}

static void
on_tick(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)w, (void)events;
}

void
node_begin(struct node *n, const char *conninfo, const char *name)
{
	static const struct db_callbacks callbacks = {
		.up = on_up, .down = on_down, .work = on_session_work,
		.commands = on_commands_wait, .agents = on_agents_changed,
		.fenced = on_fence_lost, .pressure = on_pressure_told,
		.chat_pressure = on_chat_pressure_told,
		.fatal = on_fatal_told,
	};
	struct db_config cfg = {
		.conninfo = conninfo, .node_name = name, .version = "test",
		.flush_interval = 50, .buffer_budget = 1 << 20,
		.project_roots = "/a:/b",
	};

	*n = (struct node){ .loop = ev_loop_new(EVFLAG_AUTO) };
	ev_timer_init(&n->tick, on_tick, 0.002, 0.002);
	ev_timer_start(n->loop, &n->tick);
	n->db = db_new(n->loop, &cfg, &callbacks, n);
}

void
node_start(struct node *n, const char *conninfo, const char *name)
{
	node_begin(n, conninfo, name);
	UNTIL(n, n->ups == 1 || n->fatal[0]);
	ck_assert_str_eq(n->fatal, "");
}

void
node_stop(struct node *n)
{
	if (!n->loop)
		return;
	db_free(&n->db);
	ev_timer_stop(n->loop, &n->tick);
	ev_loop_destroy(n->loop);
	n->loop = NULL;
}

void
node_own(struct node *n, int session)
{
	pg_execf(n->db->conninfo, "insert into hearth.session_owners "
	    "(session_id, node_id, epoch) values ('%s', %lld, %lld) on "
	    "conflict (session_id) do update set node_id = excluded.node_id, "
	    "epoch = excluded.epoch", session_id(session),
	    (long long)n->db->node, (long long)n->db->epoch);
}

void
turn_loop(struct node *n)
{
	ev_run(n->loop, EVRUN_ONCE);
}
