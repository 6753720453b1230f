/* SPDX-License-Identifier: MIT */
/*
 * Rows of turns and working copies, which several questions have. Texts are
 * borrowed from the answer, lists are not. Must never know: what was asked.
 */
#include "sql/db_private.h"

#include "base/alloc.h"

void
claimed_turn_begin(struct claimed_turn *t, const PGresult *res, int row)
{
	*t = (struct claimed_turn){
		.turn = result_int8(res, row, "turn"),
		.session = result_text(res, row, "session"),
		.chat = result_text(res, row, "chat"),
		.agent = result_text(res, row, "agent"),
		.is_running = result_bool(res, row, "is_running"),
		.is_exclusive = result_bool(res, row, "is_exclusive"),
		.execution_id = result_int8(res, row, "execution_id"),
		.prompt = result_text(res, row, "prompt"),
		.created_by = result_text(res, row, "created_by"),
		.model = result_text(res, row, "model"),
		.mode_id = result_text(res, row, "mode_id"),
	};
}

void
claimed_turn_add_copy(struct claimed_turn *t, const PGresult *res, int row)
{
	t->project_id = result_int8(res, row, "project_id");
	t->project_path = result_text(res, row, "project_path");
	t->default_branch = result_text(res, row, "default_branch");
	t->worktree_path = result_text(res, row, "worktree_path");
	t->base_commit = result_text(res, row, "base_commit");
	t->snapshots = result_int8(res, row, "snapshots");
}

void
claimed_turn_add_setup(struct claimed_turn *t, const PGresult *res, int row)
{
	t->include = result_array(res, row, "include");
	t->setup_command = result_array(res, row, "setup_command");
}

void
claimed_turn_add_agent(struct claimed_turn *t, const PGresult *res, int row)
{
	t->chat_last_seq = result_int8(res, row, "chat_last_seq");
	t->command = result_array(res, row, "command");
	t->env = result_array(res, row, "env");
	t->mcp_servers = result_text(res, row, "mcp_servers");
	t->client_capabilities = result_text(res, row, "client_capabilities");
	t->permission_mode = result_text(res, row, "permission_mode");
	t->idle_timeout = result_int8(res, row, "idle_timeout");
	t->config_hash = result_text(res, row, "config_hash");
	t->known_session = result_text(res, row, "known_session");
	t->wanted = result_text(res, row, "wanted");
	t->may_replace = result_bool(res, row, "may_replace");
	t->launcher_words = result_int8(res, row, "launcher_words");
	t->tenant = result_text(res, row, "tenant");
	t->ends_child = result_bool(res, row, "ends_child");
	t->is_ephemeral = result_bool(res, row, "is_ephemeral");
}

void
claimed_turn_free(struct claimed_turn *t)
{
	strv_free((char ***)&t->command);
	strv_free((char ***)&t->env);
	strv_free((char ***)&t->include);
	strv_free((char ***)&t->setup_command);
}
