-- SPDX-License-Identifier: MIT
--
-- What may stand in the columns that change with every turn, as domains instead
-- of CHECKs: PostgreSQL reads a table's CHECKs anew for every statement that
-- writes to it, a domain's once per connection. That was a tenth of the time of
-- a short turn. The views, and the functions that are bound to columns, are made
-- again by what follows the migrations.

do $$
declare
	ours text := (select string_agg(format('hearth.%I', v.viewname), ', ')
		from pg_catalog.pg_views v
		where v.schemaname = 'hearth' and v.viewname in ('pool', 'queue',
			'active_turns', 'agent_list', 'agent_session_status',
			'pending_permissions', 'turn_latency', 'spawn_latency',
			'warm_hit_rate', 'crashes', 'usage_by_agent', 'usage_by_chat',
			'warnings', 'files_changed', 'pending_review', 'node_status',
			'worktree_status'));
	bound text := (select string_agg(p.oid::regprocedure::text, ', ')
		from pg_catalog.pg_proc p
		where p.pronamespace = 'hearth'::regnamespace
			and p.prosqlbody is not null);
begin
	if ours is not null then
		execute 'drop view ' || ours;
		delete from hearth.schema_replaceable;
	end if;
	if bound is not null then
		execute 'drop function ' || bound;
	end if;
end $$;

create domain hearth.turn_status as text
	check (value in ('queued', 'starting', 'running', 'waiting_permission',
		'completed', 'failed', 'cancelled', 'interrupted'));
comment on domain hearth.turn_status is
	'Live: starting, running, waiting_permission; over: completed, failed, cancelled, interrupted';
create domain hearth.prompt_blocks as jsonb
	check (jsonb_typeof(value) = 'array');
comment on domain hearth.prompt_blocks is 'JSON array of ACP content blocks';
create domain hearth.message_role as text
	check (value in ('user', 'assistant'));
comment on domain hearth.message_role is 'Who said it';
create domain hearth.message_status as text
	check (value in ('streaming', 'complete', 'failed'));
comment on domain hearth.message_status is
	'streaming: it grows until its turn ends';
create domain hearth.agent_status as text
	check (value in ('warming', 'active', 'idle', 'hibernated', 'crashed',
		'closed'));
comment on domain hearth.agent_status is
	'Of an agent session: warming, active and idle have a child process';
create domain hearth.resumption as text
	check (value in ('new', 'resume', 'load', 'replay'));
comment on domain hearth.resumption is
	'How a child came to its conversation';

alter table hearth.turns
	drop constraint turns_status_check, drop constraint turns_prompt_check,
	alter status drop default,
	alter status type hearth.turn_status,
	alter status set default 'queued',
	alter prompt type hearth.prompt_blocks;
alter table hearth.messages
	drop constraint messages_role_check,
	drop constraint messages_status_check,
	alter role type hearth.message_role,
	alter status drop default,
	alter status type hearth.message_status,
	alter status set default 'streaming';
alter table hearth.agent_sessions
	drop constraint agent_sessions_status_check,
	drop constraint agent_sessions_resumed_by_check,
	alter status drop default,
	alter status type hearth.agent_status,
	alter status set default 'warming',
	alter resumed_by type hearth.resumption;

-- Of two indexes that look equally good, as all do on an empty table, the planner
-- takes the newer one. That shall be the one that finds a turn by its id.
alter table hearth.turns drop constraint turns_pkey, add primary key (id);

-- The new types have no statistics yet. (Those of an empty table would be worse
-- than none: plans would be made for no rows at all.)
do $$ begin
	if exists (select from hearth.turns) then
		analyze hearth.turns, hearth.messages, hearth.agent_sessions;
	end if;
end $$;
