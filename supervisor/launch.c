/* SPDX-License-Identifier: MIT */
/*
 * How an agent is launched: what the registry and the agent session said of it
 * when it was asked, and the child that comes of it. For turns, for what is
 * started ahead of them, and for spares alike.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
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
launch_forget(struct launch *l)
{
	free(l->known_session);
	free(l->wanted);
	l->known_session = l->wanted = NULL;
	l->may_replace = false;
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

/* What is run: the launcher may name folders. */
static char **
expand(const struct supervisor *sup, char *const *command,
    size_t launcher_words, char *const *env, const char *worktree,
    const char *project)
{
	const char *home = getenv("HOME");
	struct launcher_place at = {
		.worktree = worktree,
		.project = project,
		.state_dir = sup->state_dir,
		.home = home ? home : "/nonexistent",
	};

	return launcher_expand(command, launcher_words, env, &at);
}

/* Its pid makes the two rows one child in the view pool. */
static void
note_claim(struct chat *chat, struct seat *seat)
{
	log_info(seat_agent(seat), "chat %.8s claims the spare with pid %d",
	    chat->id, (int)seat_pid(seat));
	spares_claimed(chat->session->sup, seat_agent(seat));
	record_execution_claimed(chat->log, seat_execution(seat));
	record_agent_session(chat->log, seat_agent(seat),
	    &(struct agent_session_row){
		.status = "warming",
		.pid = seat_pid(seat),
		.crash_count = -1,
		.backoff_ms = -1,
	    });
}

struct seat *
launch_start(const struct launch *l, struct chat *chat, const char *agent,
    int64_t execution, const char *origin, struct err *e)
{
	struct session *s = chat->session;
	char **argv = expand(s->sup, l->command, l->launcher_words, l->env,
	    working_copy_path(s->copy), l->project);
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
	struct seat *seat = pool_claim(s->sup->pool, &spec);

	if (seat)
		note_claim(chat, seat);
	else
		seat = pool_start(s->sup->pool, &spec, e);
	if (seat)
		wish_is_not_asked(s, seat);
	strv_free(&argv);
	return seat;
}

/* The folder that spares are started in: nobody may write to it, so that none
 * leaves anything for the next. */
static char *
spare_folder(const struct supervisor *sup, struct err *e)
{
	char *path = xasprintf("%s/spare", sup->state_dir);

	if (mkdir(path, 0500) == 0 || errno == EEXIST)
		return path;
	fail(e, "mkdir %s: %s", path, strerror(errno));
	free(path);
	return NULL;
}

struct seat *
launch_spare(struct supervisor *sup, const struct spare_row *row,
    struct err *e)
{
	char *folder = spare_folder(sup, e);
	struct seat_spec spec = {
		.session = "",
		.chat = "",
		.agent = row->agent,
		.execution = row->execution_id,
		.config_hash = row->config_hash,
		.env = row->env,
		.cwd = folder,
		.client_capabilities = row->client_capabilities,
		.mcp_servers = row->mcp_servers,
		.permission_mode = row->permission_mode,
		.launcher_words = row->launcher_words,
		.origin = "spare",
	};
	struct seat *seat = NULL;
	char **argv;

	if (!folder)
		return NULL;
	argv = expand(sup, row->command, (size_t)row->launcher_words, row->env,
	    folder, folder);
	spec.argv = argv;
	seat = pool_start(sup->pool, &spec, e);
	strv_free(&argv);
	free(folder);
	return seat;
}
