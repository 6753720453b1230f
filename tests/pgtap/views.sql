-- SPDX-License-Identifier: MIT
-- The views: their columns, what they show of a small world, their width.
-- In one transaction, which stops the clock that they show.
\ir helpers.psql
begin;
select no_plan();

create temp table contract (view text, cols text);
insert into contract values
('pool', 'chat_id agent status pid node age idle turns rss'),
('queue', 'turn chat_id agent age waits_for'),
('active_turns', 'turn chat_id agent status age warm node'),
('agent_list', 'name title enabled paused warm spares permission_mode idle_timeout'),
('agent_session_status', 'session_id chat_id agent status has_session last_active_at'),
('pending_permissions', 'request chat_id agent age asks'),
('turn_latency', 'agent turns first_p50 first_p95 first_p99 turn_p50 turn_p95 turn_p99'),
('spawn_latency', 'agent spawns p50 p95 p99 spawn_ms initialize_ms session_ms'),
('warm_hit_rate', 'agent turns warm cold percent'),
('crashes', 'execution chat_id agent ago how'),
('usage_by_agent', 'agent chats turns input_tokens output_tokens cost'),
('usage_by_chat', 'chat_id title turns input_tokens output_tokens cost'),
('warnings', 'subject agent since warning'),
('files_changed', 'session_id file_path operation status agent age or_agents'),
('pending_review', 'session_id title files changed_by oldest'),
('node_status', 'node status pid version uptime heartbeat sessions children turns'),
('worktree_status', 'session_id project branch status used git size');
-- Columns may be appended, so the first ones are compared.
select is((select (array_agg(attname::text order by attnum))
			[:cardinality(string_to_array(cols, ' '))]
		from pg_attribute where attrelid = ('hearth.' || view)::regclass
			and attnum > 0), string_to_array(cols, ' '),
		'the columns of ' || view) from contract;
select set_eq($$ select relname::text from pg_class
	where relnamespace = 'hearth'::regnamespace and relkind = 'v' $$,
	'select view from contract', 'no view is unknown here');

-- A small world: node 1 is up, node 2 is gone.

insert into hearth.nodes (name, pid, version, heartbeat_at, started_at) values
	('alpha', 10, '0.1', now(), now() - interval '3 hours'),
	('beta', 20, '0.1', now() - interval '1 hour',
		now() - interval '5 hours');
insert into hearth.session_owners (session_id, node_id, epoch) values
	(pg_temp.id(1), 1, 1), (pg_temp.id(2), 2, 1);
insert into hearth.executions (chat_id, agent, node_id, pid, started_at,
	spawn_ms, initialize_ms, session_ms, ended_at, exit_code, term_signal,
	end_reason) values
	(pg_temp.id(11), 'qwen', 1, 100, now() - interval '90 s', 1, 200, 100,
		null, null, null, null),
	(null, 'qwen', 1, 101, now(), 3, 400, null, null, null, null, null),
	(pg_temp.id(12), 'qwen', 1, 102, now(), null, null, null, now(), 3, null,
		'exit code 3'),
	(pg_temp.id(12), 'qwen', 1, 103, now(), null, null, null, now(), null, 9,
		'SIGKILL'),
	(pg_temp.id(12), 'qwen', 1, 104, now(), null, null, null, now(), null,
		15, 'idle too long');
insert into hearth.agent_sessions (chat_id, agent, session_id, pid, status,
	agent_session_id, last_active_at, cost, backoff_until, crash_count,
	last_error) values
	(pg_temp.id(11), 'qwen', pg_temp.id(1), 100, 'idle', 's',
		now() - interval '30 s', 1.5, null, 0, null),
	(pg_temp.id(21), 'qwen', pg_temp.id(2), null, 'crashed', null, null, null,
		now() + interval '40 s', 5, 'exit code 3');
insert into hearth.turns (chat_id, session_id, agent, prompt, status,
	execution_id, warm, queued_at, started_at, first_event_at, ended_at,
	input_tokens, output_tokens, cost, suspicious, error, error_code)
select pg_temp.id(11), pg_temp.id(1), 'qwen', '[]'::jsonb, 'completed', 1, n > 1,
		now(), now(), now() + n * interval '10 ms',
		now() + n * interval '1 s', 100, 10, n * 0.1, n = 3, null,
		null
	from generate_series(1, 3) n
union all select pg_temp.id(12), pg_temp.id(1), 'qwen', '[]', 'failed', 3,
		false, now(), null, null, now(), null, null, null, false,
		E'agent exited\nwith code 3', 'agent_crashed';

update hearth.executions set rss_kb = 409600 where pid = 100;
select results_eq('select agent, status, pid, age, idle, turns, rss
	from hearth.pool', $$ values
		('qwen', 'idle', 100, '1m', '30s', 3::bigint, '400 MB'),
		('qwen', 'spare', 101, '0s', null, 0, null) $$, 'pool');
select results_eq('table hearth.turn_latency', $$ values ('qwen', 3::bigint,
	20.0, 29.0, 29.8, 2000.0, 2900.0, 2980.0) $$, 'turn_latency');
select results_eq($$ select * from hearth.turn_latency('1 hour') $$,
	'table hearth.turn_latency', 'and the function of its name');
select results_eq('table hearth.spawn_latency', $$ values ('qwen', 5::bigint,
	352.0, 397.9, 402.0, 2.0, 300.0, 100.0) $$, 'spawn_latency');
select results_eq('table hearth.warm_hit_rate', $$ values ('qwen', 4::bigint,
	2::bigint, 2::bigint, 50.0) $$, 'warm_hit_rate');
select results_eq('select how from hearth.crashes order by execution',
	$$ values ('exit code 3'), ('SIGKILL') $$,
	'crashes has no child that was stopped');
-- Of the 1.5 that the sessions cost, 0.6 are their turns'; the rest is older than
-- the costs of turns.
select results_eq('table hearth.usage_by_agent', $$ values ('qwen', 2::bigint,
	4::bigint, 300::numeric, 30::numeric, 1.5) $$, 'usage_by_agent');
select results_eq($$ select turns, input_tokens, output_tokens, cost
	from hearth.usage_by_chat where chat_id = pg_temp.id(11) $$,
	$$ values (3::bigint, 300::numeric, 30::numeric, 1.5) $$,
	'usage_by_chat');
select results_eq('select subject, warning from hearth.warnings
		order by subject', $$ values
	('agent session', 'backs off after 5 crashes: exit code 3'),
	('turn 3', 'completed, but without an answer or a tool call'),
	('turn 4', 'failed: agent exited with code 3') $$, 'warnings');
select results_eq('select node, status, pid, uptime, sessions, children, turns
		from hearth.node_status', $$ values
	('alpha', 'up', 10, '3h', 1::bigint, 2::bigint, 0::bigint),
	('beta', 'gone', 20, null, 1, 0, 0) $$, 'node_status');

-- What each queued turn waits for

create function pg_temp.waits_for() returns text language sql
return (select waits_for from hearth.queue order by turn desc limit 1);
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(11), pg_temp.id(1), 'qwen', '[]');
select is(pg_temp.waits_for(), 'node alpha', 'the owner');
update hearth.nodes set draining = true where id = 1;
select is(pg_temp.waits_for(), 'a node: none is up', 'a node');
update hearth.nodes set heartbeat_at = now() where id = 2;
select is(pg_temp.waits_for(), 'node alpha to come back', 'a draining owner');
update hearth.nodes set heartbeat_at = now() - interval '1 hour' where id = 1;
select is(pg_temp.waits_for(), 'node beta', 'another node when its own is gone');
update hearth.nodes set draining = false, heartbeat_at = now();
update hearth.turns set not_before = now() + interval '20 s' where id = 5;
select is(pg_temp.waits_for(), 'a retry in 20s', 'its own not_before');
update hearth.turns set not_before = null where id = 5;
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(21), pg_temp.id(2), 'qwen', '[]');
select is(pg_temp.waits_for(), 'back-off, for 40s', 'a back-off');
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(12), pg_temp.id(1), 'other', '[]');
select is(pg_temp.waits_for(), 'its agent, which is paused', 'a paused agent');
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(12), pg_temp.id(1), 'gone', '[]');
select is(pg_temp.waits_for(), 'its agent, which is unknown',
	'an agent that is gone');
update hearth.agents set enabled = false where name = 'other';
select is((select waits_for from hearth.queue where agent = 'other'),
	'its agent, which is disabled', 'a disabled agent');
update hearth.chats set closed_at = now() where id = pg_temp.id(11);
select is((select waits_for from hearth.queue where turn = 5),
	'its end: the chat is closed', 'a closed chat');
update hearth.chats set closed_at = null;
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(11), pg_temp.id(1), 'qwen', '[]');
select is(pg_temp.waits_for(), 'turn 5, before it in the chat',
	'an earlier turn');
insert into hearth.turns (chat_id, session_id, agent, prompt, priority)
	values (pg_temp.id(11), pg_temp.id(1), 'qwen', '[]', 1);
select is(pg_temp.waits_for(), 'node alpha', 'an interrupt waits for no turn');
update hearth.turns set status = 'starting' where id = 10;
insert into hearth.turns (chat_id, session_id, agent, prompt)
	values (pg_temp.id(12), pg_temp.id(1), 'qwen', '[]');
select is(pg_temp.waits_for(), 'turn 10 of the session',
	'the live turn of another chat');
update hearth.turns set exclusive = false where id = 10;
update hearth.sessions set concurrent_turns = true where id = pg_temp.id(1);
select is(pg_temp.waits_for(), 'node alpha',
	'in a session of concurrent turns not');
select results_eq('select turn, status, node from hearth.active_turns',
	$$ values (10::bigint, 'starting', 'alpha') $$, 'active_turns');

-- Changes, questions, worktrees

insert into hearth.permission_requests (turn_id, chat_id, agent, execution_id,
	serial, tool_call, created_at) values (10, pg_temp.id(11), 'qwen', 1, 1,
	'{"title": "Run make"}', now() - interval '10 minutes');
insert into hearth.pending_changes (session_id, file_path, operation, agent,
	status, created_at) values
	(pg_temp.id(1), 'a.c', 'create', 'qwen', 'superseded', now()),
	(pg_temp.id(1), 'a.c', 'edit', 'qwen', 'pending',
		now() - interval '3 days'),
	(pg_temp.id(1), 'b.c', 'edit', null, 'pending', now()),
	(pg_temp.id(1), 'c.c', 'delete', 'other', 'applied', now());
insert into hearth.worktrees (session_id, path, branch)
	values (pg_temp.id(1), '/w/1', 'hearth/1');
select results_eq('select agent, age, asks from hearth.pending_permissions',
	$$ values ('qwen', '10m', 'Run make') $$, 'pending_permissions');
select is((select warning from hearth.warnings where subject = 'request 1'),
	'nobody has answered the agent''s question', 'and its warning');
-- A later success of the chat ends the warning, nothing else does.
create function pg_temp.warned() returns text language sql
return (select string_agg(subject, ' ' order by subject) from hearth.warnings
	where subject like 'turn %');
create function pg_temp.goes_on(chat integer, how text, odd boolean)
returns text language plpgsql as $$
declare
	warned text;
begin
	insert into hearth.turns (id, chat_id, session_id, agent, prompt, status,
		ended_at, suspicious)
	values (99, pg_temp.id(chat), pg_temp.id(1), 'other', '[]', how, now(),
		odd);
	warned := pg_temp.warned();
	delete from hearth.turns where id = 99;
	return warned;
end $$;
select is(pg_temp.warned(), 'turn 3 turn 4', 'two turns are warned of');
select is(pg_temp.goes_on(12, 'completed', false), 'turn 3',
	'one that failed, until the next is well');
select is(pg_temp.goes_on(11, 'completed', false), 'turn 4',
	'so a suspicious one');
select is(pg_temp.goes_on(12, 'completed', true), 'turn 3 turn 4 turn 99',
	'a suspicious end is no success');
select is(pg_temp.goes_on(12, 'cancelled', false), 'turn 3 turn 4',
	'nor is a cancelled one');
insert into hearth.commands (id, kind, status, node_id)
	values (98, 'close_agent', 'running', 1), (99, 'warm', 'running', 2);
update hearth.nodes set heartbeat_at = now() - interval '1 hour' where id = 2;
select results_eq($$ select subject, warning from hearth.warnings
	where subject like 'command %' $$, $$ values ('command 99',
	'warm was begun by node beta, which is gone') $$,
	'a command of a node that is gone');
update hearth.nodes set heartbeat_at = now() where id = 2;
delete from hearth.commands where id in (98, 99);
update hearth.turns set error = repeat('x', 55) where id = 4;
select is((select warning from hearth.warnings where subject = 'turn 4'),
	'failed: ' || repeat('x', 55), 'a warning that fits is whole');
update hearth.turns set error = repeat('x', 57) where id = 4;
select is((select warning from hearth.warnings where subject = 'turn 4'),
	'failed: ' || repeat('x', 55) || '…', 'a longer one says that it is cut');
select results_eq('select file_path, operation, status, agent, age
	from hearth.files_changed', $$ values
	('c.c', 'delete', 'applied', 'other', '0s'),
	('b.c', 'edit', 'pending', null, '0s'),
	('a.c', 'edit', 'pending', 'qwen', '3d') $$,
	'files_changed, most recent first');
select results_eq('select title, files, changed_by, oldest
	from hearth.pending_review',
	$$ values ('session 1', 2::bigint, 'changes from a person, qwen',
		'3d') $$, 'pending_review');
-- Two turns were at work when a.c was changed.
update hearth.pending_changes set turn_id = 1,
		other_turns = (select array_agg(t.id)
		from hearth.turns t where t.agent = 'other')
	where file_path = 'a.c' and status = 'pending';
select is((select or_agents from hearth.files_changed
	where file_path = 'a.c'), 'other', 'files_changed says who else');
-- Between turns, while something that a turn had started was running.
update hearth.pending_changes set turn_id = null where file_path = 'a.c';
select is((select or_agents from hearth.files_changed
	where file_path = 'a.c'), 'a person, other', 'or a person');
update hearth.pending_changes set turn_id = 1 where file_path = 'a.c';
select is((select or_agents from hearth.files_changed
	where file_path = 'b.c'), null, 'and only where it may be');
select is((select files || ' ' || changed_by from hearth.pending_review),
	'2 changes from a person, other,', 'so does pending_review');
select results_eq('select project, branch, status, used
	from hearth.worktree_status',
	$$ values ('shop', 'hearth/1', 'active', '0s') $$, 'worktree_status');
select results_eq('select git, size from hearth.worktree_status',
	$$ values ('', null::text) $$, 'one that was not measured yet');
update hearth.worktrees set ahead = 2, behind = 1, changed_files = 3,
	size_kb = 120 * 1024, last_used_at = now() - interval '4 days';
select results_eq('select used, git, size from hearth.worktree_status',
	$$ values ('0s', '+2 -1 *3', '120 MB') $$,
	'one that was measured, and that a turn has used');
select is(hearth.worktree_used(w), (select max(coalesce(ended_at, started_at,
		queued_at)) from hearth.turns where session_id = w.session_id
		and id in (select max(id) from hearth.turns group by chat_id)),
	'it was used by the chats'' last turns') from hearth.worktrees w;
select results_eq('select agent, status, has_session
	from hearth.agent_session_status where chat_id = pg_temp.id(11)',
	$$ values ('qwen', 'idle', true) $$, 'agent_session_status');
select is((select count(*) from hearth.agent_list), 3::bigint, 'agent_list');

-- As psql would show them: no row is wider than 100 columns. Save that of
-- agent_session_status, which is for programs: the contract gives it two uuids.

create function pg_temp.width(view text) returns integer language plpgsql as $$
declare
	total integer := 0;
	widest integer;
	col text;
begin
	for col in select attname from pg_attribute
		where attrelid = ('hearth.' || view)::regclass and attnum > 0
	loop
		execute format('select greatest(length(%L), max(length(%I::text)))
			from hearth.%I', col, col, view) into widest;
		total := total + widest + 3;
	end loop;
	return total - 1;
end $$;
select cmp_ok(pg_temp.width(view), '<=', 100, view || ' fits in 100 columns')
	from contract where view <> 'agent_session_status';

select * from finish();
rollback;
