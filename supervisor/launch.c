/* SPDX-License-Identifier: MIT */
/*
 * How an agent is launched: what the registry and the agent session said of it
 * when it was asked, and the child that comes of it. For turns and for what is
 * started ahead of them alike.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "supervisor/launcher.h"
#include "supervisor/private.h"

void
launch_fill(struct launch *l, const struct claimed_turn *c)
{
	*l = (struct launch){
		.command = strv_copy(c->command),
		.env = strv_copy(c->env),
		.launcher_words = (size_t)c->launcher_words,
		.project = xstrdup(c->project_path),
		.mcp_servers = xstrdup(c->mcp_servers),
		.client_capabilities = xstrdup(c->client_capabilities),
		.permission_mode = xstrdup(c->permission_mode),
		.config_hash = xstrdup(c->config_hash),
		.known_session = xstrdup(c->known_session),
		.may_replace = c->may_replace,
		.idle_timeout = c->idle_timeout,
		.wanted = xstrdup(c->wanted),
		.project_id = c->project_id,
		.tenant = xstrdup(c->tenant),
	};
}

void
launch_clear(struct launch *l)
{
	strv_free(&l->command);
	strv_free(&l->env);
	free(l->project);
	free(l->mcp_servers);
	free(l->client_capabilities);
	free(l->permission_mode);
	free(l->config_hash);
	free(l->known_session);
	free(l->wanted);
	free(l->tenant);
	*l = (struct launch){ .command = NULL };
}

/* What is run for it: the launcher may name this working copy. */
static char **
child_argv(const struct launch *l, const struct session *s)
{
	const char *home = getenv("HOME");
	struct launcher_place at = {
		.worktree = working_copy_path(s->copy),
		.project = l->project,
		.state_dir = s->sup->state_dir,
		.home = home ? home : "/nonexistent",
	};

	return launcher_expand(l->command, l->launcher_words, l->env, &at);
}

struct seat *
launch_start(const struct launch *l, struct chat *chat, const char *agent,
    int64_t execution, const char *origin, struct err *e)
{
	struct session *s = chat->session;
	char **argv = child_argv(l, s);
	struct seat_spec spec = {
		.session = s->id,
		.chat = chat->id,
		.agent = agent,
		.execution = execution,
		.config_hash = l->config_hash,
		.argv = argv,
		.env = l->env,
		.cwd = working_copy_path(s->copy),
		.client_capabilities = l->client_capabilities,
		.mcp_servers = l->mcp_servers,
		.known_session = l->known_session,
		.may_replace = l->may_replace,
		.wanted = l->wanted,
		.project_id = l->project_id,
		.tenant = l->tenant,
		.permission_mode = l->permission_mode,
		.idle_timeout = l->idle_timeout,
		.is_paused = chat_log_is_full(chat->log),
		.launcher_words = (int64_t)l->launcher_words,
		.origin = origin,
	};
	struct seat *seat = pool_start(s->sup->pool, &spec, e);

	strv_free(&argv);
	return seat;
}
