-- SPDX-License-Identifier: MIT
-- What the daemon is asked to do: cancel, answer, close, reset, archive.
\ir helpers.psql
select no_plan();

insert into hearth.turns (chat_id, session_id, agent, prompt, status)
	select pg_temp.id(11), pg_temp.id(1), 'qwen', '[]', s
	from unnest('{queued,running,completed,failed,cancelled,interrupted}'
		::text[]) s;

-- cancel

select is(pg_temp.app(format($$ select hearth.cancel(%s,
	cancelled_by => 'ann') $$, id)), 'true', 'cancel of a turn that is '
	|| status) from hearth.turns where status in ('queued', 'running');
select is(pg_temp.app(format('select hearth.cancel(%s)', id)), 'true',
	'a second cancel of it') from hearth.turns where status = 'running';
select results_eq($$ select kind, session_id, chat_id, agent, turn_id, status,
		requested_by, args from hearth.commands order by id $$,
	$$ select 'cancel', session_id, chat_id, agent, id, 'pending', 'ann',
		'{}'::jsonb from hearth.turns where status in ('queued', 'running')
		order by id $$, 'each is asked for once');
select is(pg_temp.app(format('select hearth.cancel(%s)', id)), 'false',
	'cancel of a turn that is ' || status) from hearth.turns
	where status in ('completed', 'failed', 'cancelled', 'interrupted');
select is((select count(*) from hearth.commands), 2::bigint,
	'what has ended is not cancelled');
update hearth.commands set status = 'done';
select is(pg_temp.app('select hearth.cancel(2)'), 'true', 'a late cancel');
select is((select count(*) from hearth.commands), 3::bigint,
	'is asked for when the earlier one was carried out in vain');
select pg_temp.fails('select hearth.cancel(99)', '42704', '%hearth.turns%',
	'cancel of an unknown turn');
select pg_temp.fails('select hearth.cancel(null)', '42704', '%hearth.turns%',
	'cancel of no turn');
select is((select status from hearth.turns where id = 2), 'running',
	'the turn''s row is the daemon''s alone');

-- answer_permission

insert into hearth.permission_requests (turn_id, chat_id, agent, execution_id,
	serial, options, status) select 2, pg_temp.id(11), 'qwen', 7, n,
	'[{"optionId": "yes", "name": "Yes", "kind": "allow_once"},
	{"optionId": "no", "name": "No", "kind": "reject_once"}]', s
	from unnest('{pending,pending,answered,cancelled,expired}'::text[])
		with ordinality x (s, n);
select pg_temp.fails($$ select hearth.answer_permission(1, 'maybe') $$,
	'22023', 'Options: yes, no.', 'an option that does not exist');
select pg_temp.fails($$ select hearth.answer_permission(1, null) $$, '22023',
	'Options: yes, no.', 'no option');
select is(pg_temp.app($$ select hearth.answer_permission(1, 'yes',
	answered_by => 'ann') $$), 'true', 'the first answer wins');
select is(pg_temp.app($$ select hearth.answer_permission(1, 'no') $$),
	'false', 'a later one does not');
select results_eq($$ select kind, session_id, chat_id, agent, turn_id, args,
		requested_by from hearth.commands
	where kind = 'answer_permission' $$,
	$$ values ('answer_permission', pg_temp.id(1), pg_temp.id(11), 'qwen',
		2::bigint, '{"request": 1, "option_id": "yes"}'::jsonb, 'ann') $$,
	'what the daemon is told');
select is((select status from hearth.permission_requests where id = 1),
	'pending', 'the request''s row is the daemon''s alone');
update hearth.commands set status = 'done';
select is(pg_temp.app($$ select hearth.answer_permission(1, 'no') $$),
	'false', 'also when the first was carried out');
select is(pg_temp.app(format($$ select hearth.answer_permission(%s, 'yes')
	$$, id)), 'false', 'an answer to a request that is ' || status)
	from hearth.permission_requests where status <> 'pending';
select pg_temp.fails($$ select hearth.answer_permission(99, 'yes') $$,
	'42704', '%pending_permissions%', 'an unknown request');
select throws_ok($$ insert into hearth.commands (kind, args)
	values ('answer_permission', '{"request": 1}') $$, '23505', null,
	'an index holds it, not luck');

-- close_agent, reset_agent, suspend_agent, resume_agent

create temp table asked as select f, pg_temp.app(format(
	'select hearth.%s(chat => %L, agent => %L)', f, pg_temp.id(11), 'qwen'))
	::bigint as id from unnest('{close_agent,reset_agent,suspend_agent,
		resume_agent}'::text[]) f;
select results_eq(format('select kind, session_id, chat_id, agent, status
	from hearth.commands where id = %s', id),
	format('values (%L, %L::uuid, %L::uuid, %L, %L)', f, pg_temp.id(1),
		pg_temp.id(11), 'qwen', 'pending'), f || ' asks the daemon')
	from asked;
select pg_temp.fails(format('select hearth.%s(%L, %L)', f, pg_temp.id(99),
	'qwen'), '42704', '%open_chat()%', f || ' in an unknown chat')
	from unnest('{close_agent,reset_agent,suspend_agent,
		resume_agent}'::text[]) f;
select pg_temp.fails(format('select hearth.%s(%L, %L)', f, pg_temp.id(11),
	'nobody'), '42704', '%agent_list%', f || ' of an unknown agent')
	from unnest('{close_agent,reset_agent,suspend_agent,
		resume_agent}'::text[]) f;
insert into hearth.agent_sessions (chat_id, agent, session_id)
	values (pg_temp.id(11), 'gone', pg_temp.id(1));
select lives_ok(format('select pg_temp.app(%L)', format(
	'select hearth.close_agent(%L, %L)', pg_temp.id(11), 'gone')),
	'an agent that left the registry can still be closed');

-- set_mode, set_config_option

select pg_temp.app(format($$ select hearth.set_mode(%L, 'qwen', 'plan',
	'ann') $$, pg_temp.id(11))) as id \gset
select is((select row(c.kind, c.agent, c.requested_by, c.args)::text
		from hearth.commands c where c.id = :id),
	'(set_mode,qwen,ann,"{""mode_id"": ""plan""}")',
	'set_mode asks the daemon');
select pg_temp.app(format($$ select hearth.set_config_option(%L, 'qwen',
	'web', 'true') $$, pg_temp.id(11))) as id \gset
select is((select c.args from hearth.commands c where c.id = :id),
	'{"value": true, "option": "web"}', 'set_config_option too');
select pg_temp.fails(format($$ select hearth.set_mode(%L, 'qwen', '') $$,
	pg_temp.id(11)), '22023', '%offers%', 'set_mode without a mode');
select pg_temp.fails(format($$ select hearth.set_config_option(%L, 'qwen',
	'web', %L) $$, pg_temp.id(11), v), '22023', '%offers%',
	'set_config_option to ' || coalesce(v, 'NULL'))
	from unnest('{1,null,"[]",NULL}'::text[]) v;

-- close_chat, archive_session

select pg_temp.app(format('select hearth.close_chat(%L)', pg_temp.id(12)))
	as id \gset
select results_eq(format('select kind, session_id, chat_id, agent
	from hearth.commands where id = %s', :'id'),
	format('values (%L, %L::uuid, %L::uuid, null::text)', 'close_chat',
		pg_temp.id(1), pg_temp.id(12)), 'close_chat asks the daemon');
select isnt((select closed_at from hearth.chats where id = pg_temp.id(12)),
	null, 'and closes the chat at once');
create temp table closed as select closed_at from hearth.chats
	where id = pg_temp.id(12);
select lives_ok(format('select pg_temp.app(%L)', format(
	'select hearth.close_chat(%L)', pg_temp.id(12))), 'it can be repeated');
select is((select closed_at from hearth.chats where id = pg_temp.id(12)),
	(select closed_at from closed), 'which does not change the time');
select pg_temp.fails(format('select hearth.close_chat(%L)', pg_temp.id(99)),
	'42704', '%open_chat()%', 'close_chat of an unknown chat');
select pg_temp.app(format('select hearth.archive_session(%L)',
	pg_temp.id(2))) as id \gset
select results_eq(format('select kind, session_id, chat_id
	from hearth.commands where id = %s', :'id'),
	format('values (%L, %L::uuid, null::uuid)', 'archive_session',
		pg_temp.id(2)), 'archive_session asks the daemon');
select isnt((select archived_at from hearth.sessions
	where id = pg_temp.id(2)), null, 'and archives the session at once');
select pg_temp.fails(format('select hearth.archive_session(%L)',
	pg_temp.id(99)), '42704', '%open_session()%',
	'archive_session of an unknown session');

select * from finish();
