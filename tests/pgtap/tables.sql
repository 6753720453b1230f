-- SPDX-License-Identifier: MIT
-- The tables: everything the contract names is there, and the rules that are
-- indexes and checks hold.
\ir helpers.psql
select no_plan();

create temp table contract (tab text, cols text);
insert into contract values
('projects', 'id name path node_id default_branch setup_command include snapshots created_at'),
('sessions', 'id project_id title concurrent_turns ephemeral created_at archived_at'),
('session_owners', 'session_id node_id epoch'),
('chats', 'id session_id title first_seq last_seq created_at closed_at'),
('agents', 'name title command env mcp_servers enabled paused warm spares permission_mode client_capabilities launcher idle_timeout created_at'),
('agent_sessions', 'chat_id agent session_id worktree_id backend agent_session_id node_id pid config_hash status end_reason resumed_by crash_count last_error last_error_code backoff_until suspended_at offers mode_id model plan input_tokens output_tokens cost context_used context_size created_at last_active_at'),
('executions', 'id chat_id agent node_id pid started_at spawn_ms initialize_ms session_ms origin ended_at exit_code term_signal end_reason peak_rss_kb stderr_tail'),
('turns', 'id chat_id session_id agent prompt status exclusive stop_reason end_reason error error_code warm execution_id message_id idempotency_key request_hash created_by model mode_id attempts not_before cancel_requested_at cancelled_by input_tokens output_tokens cost queued_at started_at first_event_at ended_at priority suspicious'),
('events', 'chat_id seq turn_id agent kind payload repaired created_at'),
('messages', 'id session_id chat_id turn_id role agent content reasoning status first_seq last_seq created_at ended_at'),
('tool_calls', 'id chat_id agent turn_id tool_call_id title kind status raw_input raw_output content locations first_seq last_seq started_at ended_at'),
('permission_requests', 'id turn_id chat_id tool_call_id options status option_id answered_by created_at answered_at execution_id serial tool_call agent'),
('worktrees', 'id session_id path branch base_commit status node_id created_at last_used_at setup_exit_code setup_ms setup_output setup_ended_at'),
('pending_changes', 'id session_id chat_id turn_id file_path operation diff old_oid new_oid old_mode new_mode content agent status decision error created_at decided_at decided_by other_turns'),
('artifacts', 'id session_id chat_id turn_id type url title metadata created_at'),
('participants', 'chat_id participant status last_seen_at'),
('nodes', 'id name epoch hostname pid version started_at heartbeat_at draining project_roots'),
('commands', 'id kind chat_id agent args status result error error_code node_id requested_by requested_at ended_at session_id turn_id'),
('permission_rules', 'id agent project_id priority tool_kind path_pattern command_pattern decision created_at'),
('snapshots', 'id project_id node_id base_commit path status session_id end_reason created_at expires_at ended_at');

select has_column('hearth', tab, col, tab || ' has ' || col)
	from contract, regexp_split_to_table(cols || ' tenant', ' ') col;
select col_type_is('hearth', tab, 'id', case when tab in
		('sessions', 'chats', 'worktrees', 'snapshots') then 'uuid' else 'bigint' end,
		tab || '.id has the right type')
	from contract where cols ~ '^id ';
select isnt(obj_description(('hearth.' || tab)::regclass), null,
		tab || ' has a comment') from contract;
select is_empty($$ select attrelid::regclass, attname from pg_attribute
	join pg_class c on c.oid = attrelid
	where relnamespace = 'hearth'::regnamespace and relkind = 'r'
		and atttypid = 'timestamp'::regtype $$,
	'every time has a zone');
select is_empty($$ select conname from pg_constraint
	where contype = 'f' and conrelid = 'hearth.events'::regclass $$,
	'events have no foreign keys');
select set_eq($$ select tgname::text from pg_trigger
	where not tgisinternal $$, array['permission_rules_changed',
		'agents_changed'],
	'no table that turns write to has a trigger');

-- One live turn per (chat, agent), one live exclusive turn per session.

create function pg_temp.turn(chat integer, agent text, status text,
	exclusive boolean) returns text language sql
return format($$insert into hearth.turns (chat_id, session_id, agent, prompt,
	status, exclusive) values (%L, %L, %L, '[]', %L, %L)$$, pg_temp.id(chat),
	pg_temp.id(chat / 10), agent, status, exclusive);
select lives_ok(pg_temp.turn(11, 'qwen', 'running', false), 'a live turn');
select throws_ok(pg_temp.turn(11, 'qwen', s, false), '23505', null,
		'a second live turn of chat and agent is refused when ' || s)
	from unnest('{starting,running,waiting_permission}'::text[]) s;
select lives_ok(pg_temp.turn(11, 'qwen', s, true),
		'beside a live turn there may be one that is ' || s)
	from unnest('{queued,completed,failed,cancelled,interrupted}'::text[]) s;
select lives_ok(pg_temp.turn(11, 'other', 'running', false),
	'another agent may be live in the chat');
select lives_ok(pg_temp.turn(12, 'qwen', 'starting', true),
	'an exclusive turn counts only exclusive ones');
select throws_ok(pg_temp.turn(12, 'other', s, true), '23505', null,
		'a second live exclusive turn of the session is refused when ' || s)
	from unnest('{starting,running,waiting_permission}'::text[]) s;
select lives_ok(pg_temp.turn(21, 'qwen', 'running', true),
	'another session has its own exclusive turn');
select throws_ok(pg_temp.turn(21, 'qwen', 'asleep', true), '23514', null,
	'an unknown turn status is refused');

-- One pending change per file, one tool call per turn or outside of turns.

create function pg_temp.change(status text) returns text language sql
return format($$insert into hearth.pending_changes (session_id, file_path,
	operation, status) values (%L, 'main.c', 'edit', %L)$$, pg_temp.id(1),
	status);
select lives_ok(pg_temp.change('pending'), 'a pending change');
select throws_ok(pg_temp.change('pending'), '23505', null,
	'a second pending change of the file is refused');
select lives_ok(pg_temp.change('superseded'), 'a superseded one is not');
-- Longer than any index takes, and not to be compressed.
create temp view long_path as
select string_agg(sha512(n::text::bytea)::text, '/') as path
	from generate_series(1, 31) n;
create function pg_temp.change_of(path text) returns text language sql
return format($$insert into hearth.pending_changes (session_id, file_path,
	operation) values (%L, %L, 'edit')$$, pg_temp.id(1), path);
select lives_ok(pg_temp.change_of(p || l.path), 'a long path')
	from long_path l, unnest('{a,b}'::text[]) p;
select throws_ok(pg_temp.change_of('a' || l.path), '23505', null,
	'a second pending change of it is refused') from long_path l;
select lives_ok(pg_temp.change_of(p), p || ' is a file of its own')
	from unnest(array['A', '\x41', '\101', '\\101', '\', 'ä', '\xc3a4', '/'])
		p;
select lives_ok(format($$insert into hearth.tool_calls (chat_id, turn_id,
	tool_call_id) values (%L, null, 'c1')$$, pg_temp.id(11)),
	'a tool call outside of turns');
select throws_ok(format($$insert into hearth.tool_calls (chat_id, turn_id,
	tool_call_id) values (%L, null, 'c1')$$, pg_temp.id(11)), '23505', null,
	'no turn is a turn too for the uniqueness of tool calls');
select lives_ok($$insert into hearth.messages (session_id, chat_id, turn_id,
	role) values (gen_random_uuid(), gen_random_uuid(), 1, 'user')$$,
	'a message');
select throws_ok($$insert into hearth.messages (session_id, chat_id, turn_id,
	role) values (gen_random_uuid(), gen_random_uuid(), 1, 'user')$$,
	'23505', null, 'a turn has one message of each role');

-- The registry

create temp table agent_case (good boolean, what text, col text, val text);
insert into agent_case values
(true, 'a usual name', 'name', 'claude-code_2.1'),
(false, 'capitals in a name', 'name', 'Qwen'),
(false, 'a dash first', 'name', '-qwen'),
(false, 'an empty name', 'name', ''),
(false, 'a name of 65 characters', 'name', repeat('a', 65)),
(true, 'a name of 64 characters', 'name', repeat('a', 64)),
(false, 'no command', 'command', '{}'),
(false, 'an empty program', 'command', '{""}'),
(false, 'NULL in a command', 'command', '{a,NULL}'),
(false, 'an unknown permission mode', 'permission_mode', 'maybe'),
(true, 'strings and nulls in env', 'env', '{"A": "x", "B": null}'),
(false, 'a number in env', 'env', '{"A": 1}'),
(false, 'an array in env', 'env', '{"A": ["x"]}'),
(false, 'an array as env', 'env', '["A=x"]'),
(false, 'a name with = in env', 'env', '{"A=B": "x"}'),
(false, 'an empty name in env', 'env', '{"": "x"}'),
(true, 'an array of servers', 'mcp_servers', '[{"name": "x"}]'),
(false, 'an object of servers', 'mcp_servers', '{}'),
(true, 'capabilities', 'client_capabilities', '{"fs": {}}'),
(false, 'an array of capabilities', 'client_capabilities', '[]'),
(false, 'spares below zero', 'spares', '-1'),
(false, 'an idle_timeout below zero', 'idle_timeout', '-1s'),
(false, 'NULL in a launcher', 'launcher', '{NULL}');
create function pg_temp.agent(col text, val text) returns text language sql
return case when col = 'name' then format(
	$$insert into hearth.agents (name, command) values (%L, '{x}')$$, val)
	when col = 'command' then format(
	$$insert into hearth.agents (name, command) values ('x', %L)$$, val)
	else format($$insert into hearth.agents (name, command, %I)
		values ('x', '{x}', %L)$$, col, val) end;
select case when good
		then lives_ok(pg_temp.agent(col, val)
			|| '; delete from hearth.agents where command = ''{x}''',
			what || ' is accepted')
		else throws_ok(pg_temp.agent(col, val), '23514', null,
			what || ' is refused') end
	from agent_case;

select * from finish();
