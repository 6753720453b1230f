-- SPDX-License-Identifier: MIT
-- What starts an agent before it is prompted: warm() and typing().
\ir helpers.psql
select no_plan();

insert into hearth.chats (id, session_id, closed_at)
	values (pg_temp.id(13), pg_temp.id(1), now());
insert into hearth.sessions (id, project_id, archived_at)
	values (pg_temp.id(3), 1, now());
insert into hearth.chats (id, session_id)
	values (pg_temp.id(31), pg_temp.id(3)), (pg_temp.id(14), pg_temp.id(1));
insert into hearth.agent_sessions (chat_id, agent, session_id, backoff_until)
	values (pg_temp.id(14), 'qwen', pg_temp.id(1), now() + interval '1 h'),
		(pg_temp.id(12), 'qwen', pg_temp.id(1), now() - interval '1 s');

-- warm

select results_eq(format('select kind, session_id, chat_id, agent, status,
	requested_by from hearth.commands where id = %s', pg_temp.app(format(
	$$ select hearth.warm(chat => %L, agent => 'qwen',
		requested_by => 'ann') $$, pg_temp.id(11)))),
	format('values (%L, %L::uuid, %L::uuid, %L, %L, %L)', 'warm',
		pg_temp.id(1), pg_temp.id(11), 'qwen', 'pending', 'ann'),
	'warm asks the daemon');
select lives_ok(format('select pg_temp.app(%L)', format(
	'select hearth.warm(%L, %L)', pg_temp.id(12), 'qwen')),
	'a back-off that is over is no obstacle');

create temp table bad (chat integer, agent text, state text, hint text);
insert into bad values (99, 'qwen', '42704', '%open_chat()%'),
	(11, 'nobody', '42704', 'Enabled:%'),
	(11, 'off', '55000', 'Enable it%'),
	(11, 'other', '55000', '%paused is false%'),
	(13, 'qwen', '55000', '%open_chat()%'),
	(31, 'qwen', '55000', '%new session%'),
	(14, 'qwen', '55000', '%reset_agent()%');
select pg_temp.fails(format('select hearth.warm(%L, %L)', pg_temp.id(chat),
	agent), state, hint, format('warm refuses chat %s, agent %s', chat, agent))
	from bad;
select pg_temp.fails('select hearth.warm(null, null)', '42704',
	'%open_chat()%', 'warm of nothing');

-- typing

\getenv heard HEARTH_SCRATCH
create function pg_temp.heard(written text) returns text[] language sql
return (select coalesce(array_agg(m[1] || ' ' || m[2] order by m[1], m[2]),
		'{}')
	from regexp_matches(written,
		'notification "(.*?)" with payload "(.*?)" received', 'g') m);
listen hearth_work;
listen hearth_status;
\o :heard
select pg_temp.app(format($$ select hearth.typing(%L, 'qwen', 'a"b') $$,
	pg_temp.id(11)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is((pg_temp.heard(:'out'))[2], format(
	'hearth_work {"session":"%s","typing":1,"chat":"%s","agent":"qwen"}',
	pg_temp.id(1), pg_temp.id(11)), 'typing hints to the daemon');
select is(substr((pg_temp.heard(:'out'))[1], 15)::jsonb, jsonb_build_object(
	'what', 'presence', 'chat', pg_temp.id(11), 'agent', 'qwen', 'id', 'a"b',
	'status', 'typing'), 'and to who looks at the chat');
select is((select count(*) from hearth.commands), 2::bigint,
	'and stores nothing');
select is((select count(*) from hearth.participants), 0::bigint,
	'at all');
\o :heard
select pg_temp.app(format('select hearth.typing(%L, %L, %L)',
	pg_temp.id(chat), agent, 'ann')) from bad where state = '55000';
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), '{}',
	'typing to what cannot start is silent');
select pg_temp.fails(format('select hearth.typing(%L, %L, %L)',
	pg_temp.id(chat), agent, 'ann'), state, hint,
	format('typing refuses chat %s, agent %s', chat, agent))
	from bad where state = '42704';
select pg_temp.fails(format('select hearth.typing(%L, %L, %L)',
	pg_temp.id(11), 'qwen', who), '22023', '%person%',
	'typing by nobody') from unnest(array[null, '', ' ',
	repeat('x', 201)]) who;

-- submit_once

select pg_temp.app($$ select hearth.submit_once(project => 'shop',
	agent => 'qwen', prompt => 'Hi', created_by => 'ann') $$) as turn \gset
select results_eq(format('select s.project_id, s.ephemeral, t.agent,
	t.created_by, t.status::text, c.session_id = t.session_id
	from hearth.turns t join hearth.chats c on c.id = t.chat_id
	join hearth.sessions s on s.id = t.session_id where t.id = %s', :'turn'),
	$$ values (1::bigint, true, 'qwen', 'ann', 'queued', true) $$,
	'submit_once makes an ephemeral session, a chat and a turn');
create temp table counted as select count(*) as n from hearth.sessions;
select pg_temp.app($$ select hearth.submit_once('shop', 'qwen', 'Hi',
	idempotency_key => 'k') $$) as first \gset
select isnt(:'first'::text, :'turn', 'each has its own');
select is(pg_temp.app($$ select hearth.submit_once('/srv/shop', 'qwen', 'Hi',
	idempotency_key => 'k') $$), :'first', 'but the same key');
update hearth.sessions set archived_at = now() where id =
	(select session_id from hearth.turns where id = :'first'::bigint);
select is(pg_temp.app($$ select hearth.submit_once('shop', 'qwen', 'Hi',
	idempotency_key => 'k') $$), :'first', 'also when it is over');
select pg_temp.fails($$ select hearth.submit_once('shop', 'qwen', 'Ho',
	idempotency_key => 'k') $$, '23505', '%new key%',
	'the same key with other content');
select pg_temp.fails(format($$ select hearth.submit_once(%L, %L, %L) $$,
	project, agent, prompt), state, hint, format('submit_once(%L, %L, %L)',
	project, agent, prompt))
	from (values ('nowhere', 'qwen', 'Hi', '42704', '%add_project%'),
		('shop', 'nobody', 'Hi', '42704', 'Enabled:%'),
		('shop', 'off', 'Hi', '55000', 'Enable it%'),
		('shop', 'qwen', ' ', '22023', '%'))
		v(project, agent, prompt, state, hint);
select is((select count(*) from hearth.sessions), (select n + 1 from counted),
	'what fails leaves no session');

select * from finish();
