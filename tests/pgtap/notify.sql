-- SPDX-License-Identifier: MIT
-- The notifications, as a listener sees them: this session listens to itself,
-- and psql writes what it hears behind the answer of each statement.
\ir helpers.psql
\getenv heard HEARTH_SCRATCH
select no_plan();

insert into hearth.turns (chat_id, session_id, agent, prompt, status)
	values (pg_temp.id(12), pg_temp.id(1), 'qwen', '[]', 'running');
insert into hearth.permission_requests (turn_id, chat_id, agent, execution_id,
	serial, options) values (1, pg_temp.id(12), 'qwen', 1, 1,
	'[{"optionId": "yes"}]');

-- 'channel payload' of each notification in what psql wrote.
create function pg_temp.heard(written text) returns text[] language sql
return (select coalesce(array_agg(m[1] || ' ' || m[2] order by m[1], m[2]),
		'{}')
	from regexp_matches(written,
		'notification "(.*?)" with payload "(.*?)" received', 'g') m);

listen hearth_work;
listen hearth_status;

\o :heard
select pg_temp.app(format($$ select hearth.submit(%L, 'qwen', 'Hi',
	idempotency_key => 'k') $$, pg_temp.id(11)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array[
	format('hearth_status {"what":"turn","chat":"%s","agent":"qwen","id":2,'
		'"status":"queued"}', pg_temp.id(11)),
	format('hearth_work {"session":"%s","turn":2,"chat":"%s","agent":"qwen"}',
		pg_temp.id(1), pg_temp.id(11))],
	'submit tells the daemon and all of the turn');

\o :heard
select pg_temp.app(format($$ select hearth.submit(%L, 'qwen', 'Hi',
	idempotency_key => 'k') $$, pg_temp.id(11)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), '{}', 'a repeated submit tells nothing');

\o :heard
select pg_temp.app('select hearth.cancel(1)');
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array[format('hearth_work {"command":%s}',
	(select max(id) from hearth.commands))], 'cancel tells the daemon');

\o :heard
select pg_temp.app('select hearth.cancel(1)');
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), '{}', 'a second cancel tells nothing');

\o :heard
select pg_temp.app($$ select hearth.answer_permission(1, 'yes') $$);
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array[format('hearth_work {"command":%s}',
	(select max(id) from hearth.commands))],
	'answer_permission tells the daemon');

\o :heard
select pg_temp.app(format($$ select hearth.submit(%L, 'qwen', 'Hi',
	mode => 'interrupt') $$, pg_temp.id(12)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array[
	format('hearth_status {"what":"turn","chat":"%s","agent":"qwen","id":%s,'
		'"status":"queued"}', pg_temp.id(12),
		(select max(id) from hearth.turns)),
	format('hearth_work {"session":"%s","turn":%s,"chat":"%s","agent":"qwen"}',
		pg_temp.id(1), (select max(id) from hearth.turns), pg_temp.id(12))],
	'interrupt does not cancel again what is being cancelled');

update hearth.commands set status = 'done';
\o :heard
select pg_temp.app(format($$ select hearth.submit(%L, 'qwen', 'Hi',
	mode => 'interrupt') $$, pg_temp.id(12)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is((pg_temp.heard(:'out'))[2], format('hearth_work {"command":%s}',
	(select max(id) from hearth.commands)),
	'interrupt tells the daemon to cancel');

\o :heard
select pg_temp.app(format($$ select hearth.close_agent(%L, 'qwen') $$,
	pg_temp.id(12)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array[format('hearth_work {"command":%s}',
	(select max(id) from hearth.commands))], 'close_agent tells the daemon');

\o :heard
select pg_temp.app(format($$ select hearth.join_chat(%L, 'a"b') $$,
	pg_temp.id(12)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(substr((pg_temp.heard(:'out'))[1], 15)::jsonb, jsonb_build_object(
	'what', 'presence', 'chat', pg_temp.id(12), 'id', 'a"b', 'status',
	'online'), 'join_chat tells all of the presence');

\o :heard
select pg_temp.app(format($$ select hearth.join_chat(%L, 'a"b') $$,
	pg_temp.id(12)));
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), '{}', 'joining again tells nothing');

select * from finish();
