-- SPDX-License-Identifier: MIT
--
-- Who may do what, from nothing: everything that was granted before is taken
-- back first, so that a right which is not in this file does not exist. Run
-- last, as hearth_owner; the roles exist (sql/migrate_access.c makes them).
--
--   hearth_app     applications: the functions, and reading. Of agents it sees
--                  no command, launcher, env and mcp_servers.
--   hearth_admin   also edits the registry, the projects and the permission
--                  rules, which is to run code as the user of hearthd.
--   hearth_daemon  what hearthd's statements need: it reads everything,
--                  inserts and updates, and deletes nothing.

revoke all on schema hearth from public, hearth_app, hearth_admin,
	hearth_daemon;
revoke all on all tables in schema hearth from public, hearth_app,
	hearth_admin, hearth_daemon;
revoke all on all sequences in schema hearth from public, hearth_app,
	hearth_admin, hearth_daemon;
-- Not from hearth_daemon: functions that are its alone are granted where they
-- are made. Taking a table's rights takes those on its columns too.
revoke all on all functions in schema hearth from public, hearth_app,
	hearth_admin;

grant usage on schema hearth to hearth_app, hearth_admin, hearth_daemon;

-- Reading

grant select on all tables in schema hearth to hearth_admin, hearth_daemon;
-- By name, so that a new table is closed to applications until it is here.
grant select on
	hearth.projects, hearth.sessions, hearth.session_owners, hearth.chats,
	hearth.agent_sessions, hearth.executions, hearth.turns, hearth.events,
	hearth.messages, hearth.tool_calls, hearth.permission_requests,
	hearth.worktrees, hearth.pending_changes, hearth.artifacts,
	hearth.participants, hearth.nodes, hearth.commands,
	hearth.schema_migrations,
	hearth.pool, hearth.queue, hearth.active_turns, hearth.agent_list,
	hearth.agent_session_status, hearth.pending_permissions,
	hearth.turn_latency, hearth.spawn_latency, hearth.warm_hit_rate,
	hearth.crashes, hearth.usage_by_agent, hearth.usage_by_chat,
	hearth.warnings, hearth.files_changed, hearth.pending_review,
	hearth.node_status, hearth.worktree_status,
	hearth.permission_rules,
	hearth.snapshots
	to hearth_app;
grant select (name, tenant, title, enabled, paused, warm, spares,
	permission_mode, idle_timeout, created_at) on hearth.agents to hearth_app;

grant execute on function
	hearth.no_such(text, text, text),
	hearth.is_alive(timestamptz),
	hearth.brief(interval),
	hearth.schema_version(),
	hearth.worktree_used(hearth.worktrees),
	hearth.turn_latency(interval),
	hearth.spawn_latency(interval)
	to hearth_app, hearth_admin, hearth_daemon;
grant execute on function
	hearth.history(uuid, integer, integer),
	hearth.turn_object(hearth.turns),
	hearth.last_messages(uuid, integer),
	hearth.events_since(uuid, bigint, integer),
	hearth.poll(jsonb)
	to hearth_app, hearth_admin;

-- Asking

grant execute on function
	hearth.open_session(text, text, uuid),
	hearth.open_chat(uuid, text, uuid),
	hearth.rename_session(uuid, text),
	hearth.rename_chat(uuid, text),
	hearth.set_concurrent_turns(uuid, boolean),
	hearth.submit(uuid, text, text, jsonb, text, text, text, text, text),
	hearth.submit_once(text, text, text, jsonb, text, text, text, text),
	hearth.follow_up(uuid, text, jsonb, text, text, text, text, text),
	hearth.cancel(bigint, text),
	hearth.answer_permission(bigint, text, text),
	hearth.set_mode(uuid, text, text, text),
	hearth.set_config_option(uuid, text, text, jsonb, text),
	hearth.close_agent(uuid, text, text),
	hearth.reset_agent(uuid, text, text),
	hearth.warm(uuid, text, text),
	hearth.typing(uuid, text, text),
	hearth.close_chat(uuid, text),
	hearth.archive_session(uuid, text),
	hearth.restore_session(uuid, text),
	hearth.delete_session(uuid, text),
	hearth.delete_chat(uuid, text),
	hearth.join_chat(uuid, text),
	hearth.leave_chat(uuid, text),
	hearth.suspend_agent(uuid, text, text),
	hearth.resume_agent(uuid, text, text),
	hearth.accept_change(bigint, text),
	hearth.reject_change(bigint, text),
	hearth.revert_change(bigint, text),
	hearth.accept_changes(uuid, text),
	hearth.reject_changes(uuid, text),
	hearth.accept_hunks(bigint, integer[], text),
	hearth.queue_create(uuid, text, text, text, text),
	hearth.queue_edit(uuid, text, text, text, text, text),
	hearth.queue_delete(uuid, text, text, text)
	to hearth_app, hearth_admin;

-- Editing the registry and the projects

grant execute on function
	hearth.add_project(text, text),
	hearth.remove_project(text)
	to hearth_admin;
grant insert, update, delete on hearth.agents, hearth.projects
	to hearth_admin;
grant usage on sequence hearth.projects_id_seq to hearth_admin;
grant insert, update, delete on hearth.permission_rules to hearth_admin;
grant usage on sequence hearth.permission_rules_id_seq to hearth_admin;

-- The daemon

grant insert, update on
	hearth.nodes,
	hearth.session_owners,
	hearth.agent_sessions,
	hearth.executions,
	hearth.events,
	hearth.messages,
	hearth.tool_calls,
	hearth.permission_requests,
	hearth.worktrees,
	hearth.pending_changes,
	hearth.artifacts,
	hearth.snapshots
	to hearth_daemon;
grant update on
	hearth.turns,
	hearth.chats,
	hearth.sessions,
	hearth.commands,
	hearth.participants
	to hearth_daemon;
grant usage on all sequences in schema hearth to hearth_daemon;
-- the key of an index that its rows go into
grant execute on function hearth.path_key(text) to hearth_daemon;
