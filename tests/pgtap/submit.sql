-- SPDX-License-Identifier: MIT
-- submit() and follow_up(): the row, the modes, idempotency, every refusal.
\ir helpers.psql
select no_plan();

create function pg_temp.submit(args text, chat integer default 11,
	agent text default 'qwen') returns text language sql
return format('select hearth.submit(chat => %L, agent => %L, %s)',
	pg_temp.id(chat), agent, args);

select is(pg_temp.app(pg_temp.submit($$ prompt => 'Hello', created_by => 'ann',
	model => 'm1', mode_id => 'plan' $$)), '1', 'submit returns the id');
select results_eq($$ select chat_id, session_id, agent, prompt::jsonb,
		status::text, priority, created_by, model, mode_id, attempts, request_hash
	from hearth.turns $$,
	$$ values (pg_temp.id(11), pg_temp.id(1), 'qwen',
		'[{"type": "text", "text": "Hello"}]'::jsonb, 'queued', 0::smallint,
		'ann', 'm1', 'plan', 0, null::bytea) $$, 'what it stores');
select pg_temp.app(pg_temp.submit($$ prompt => 'See', blocks =>
	'[{"type": "resource_link", "uri": "file:///a"}]' $$)) as id \gset
select is((select prompt from hearth.turns where id = :id),
	'[{"type": "text", "text": "See"},
		{"type": "resource_link", "uri": "file:///a"}]',
	'the text comes before the blocks');
select pg_temp.app(pg_temp.submit($$ prompt => null, blocks =>
	'[{"type": "image", "data": "", "mimeType": "image/png"}]'
	$$)) as id \gset
select is((select prompt from hearth.turns where id = :id) -> 0 ->> 'type', 'image', 'blocks alone are a prompt');
select pg_temp.app(pg_temp.submit($$ prompt => 'x', blocks => 'null' $$)) as id \gset
select is((select prompt from hearth.turns where id = :id),
	'[{"type": "text", "text": "x"}]', 'JSON null is no blocks');
select pg_temp.app(pg_temp.submit($$ prompt => 'x' $$, agent => 'other')) as id \gset
select is((select status from hearth.turns where id = :id),
	'queued', 'a paused agent''s turns are queued');
select pg_temp.app(pg_temp.submit($$ prompt => E'  a\n' $$)) as id \gset
select is((select prompt #>> '{0,text}' from hearth.turns where id = :id),
	E'  a\n', 'the text is not trimmed');

-- Refusals

select pg_temp.fails(pg_temp.submit(args), '22023', hint, what)
	from (values
	($$ prompt => '' $$, 'Give a text%', 'an empty prompt'),
	($$ prompt => E' \n\t' $$, 'Give a text%', 'a blank prompt'),
	($$ prompt => null $$, 'Give a text%', 'no prompt'),
	($$ prompt => '', blocks => '[]' $$, 'Give a text%', 'no blocks either'),
	($$ prompt => 'x', blocks => '{"type": "text"}' $$, 'Each block%',
		'blocks that are an object'),
	($$ prompt => 'x', blocks => '["text"]' $$, 'Each block%',
		'a block that is a string'),
	($$ prompt => 'x', blocks => '[{"text": "a"}]' $$, 'Each block%',
		'a block without a type'),
	($$ prompt => 'x', blocks => '[{"type": 1}]' $$, 'Each block%',
		'a type that is a number'),
	($$ prompt => 'x', mode => 'now' $$, 'Use queue%', 'an unknown mode'),
	($$ prompt => 'x', mode => null $$, 'Use queue%', 'no mode'))
	v (args, hint, what);
select pg_temp.fails(pg_temp.submit(
	$$ prompt => repeat('x', 16 * 1024 * 1024 + 1) $$), '54000',
	'Put it into a file%', 'a prompt above 16 MB');
select pg_temp.fails(pg_temp.submit($$ prompt => null, blocks =>
	jsonb_build_array(jsonb_build_object('type', 'text', 'text',
		repeat('x', 16 * 1024 * 1024))) $$), '54000',
	'Put it into a file%', 'blocks above 16 MB');
select pg_temp.fails(pg_temp.submit($$ prompt => 'x', idempotency_key =>
	repeat('k', 1001) $$), '54000', 'Give a hash%', 'a key above 1000 bytes');
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, 99), '42704',
	'%open_chat()%', 'an unknown chat');
select pg_temp.fails($$ select hearth.submit(null, 'qwen', 'x') $$, '42704',
	'%open_chat()%', 'no chat');
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, agent => 'nobody'),
	'42704', 'Enabled: other, qwen.', 'an unknown agent');
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, agent => null),
	'42704', 'Enabled:%', 'no agent');
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, agent => 'off'),
	'55000', 'Enable it%', 'a disabled agent');
update hearth.chats set closed_at = now() where id = pg_temp.id(12);
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, 12), '55000',
	'%open_chat()%', 'a closed chat');
update hearth.sessions set archived_at = now() where id = pg_temp.id(2);
select pg_temp.fails(pg_temp.submit($$ prompt => 'x' $$, 21), '55000',
	'Open a new session%', 'an archived session');
update hearth.chats set closed_at = null where id = pg_temp.id(12);
update hearth.sessions set archived_at = null where id = pg_temp.id(2);
select is((select count(*) from hearth.turns), 6::bigint,
	'a refused prompt leaves nothing');

-- Idempotency

create temp table first as select pg_temp.app(pg_temp.submit(
	$$ prompt => 'Once', idempotency_key => 'k', model => 'm' $$)) as id;
select is(pg_temp.app(pg_temp.submit(
	$$ prompt => 'Once', idempotency_key => 'k', model => 'm' $$)),
	(select id from first), 'the same key and content return the first turn');
select pg_temp.fails(pg_temp.submit(args, agent => agent), '23505',
		'A new prompt needs a new key.', 'the same key with ' || what)
	from (values
	($$ prompt => 'Twice', idempotency_key => 'k', model => 'm' $$, 'qwen',
		'another prompt'),
	($$ prompt => 'Once', idempotency_key => 'k' $$, 'qwen', 'another model'),
	($$ prompt => 'Once', idempotency_key => 'k', model => 'm',
		mode_id => 'x' $$, 'qwen', 'another mode_id'),
	($$ prompt => 'Once', idempotency_key => 'k', model => 'm',
		blocks => '[{"type": "text", "text": "b"}]' $$, 'qwen',
		'other blocks'),
	($$ prompt => 'Once', idempotency_key => 'k', model => 'm' $$, 'other',
		'another agent')) v (args, agent, what);
select isnt(pg_temp.app(pg_temp.submit($$ prompt => 'Once',
	idempotency_key => 'k', model => 'm' $$, 12)), (select id from first),
	'another chat has keys of its own');
update hearth.chats set closed_at = now() where id = pg_temp.id(11);
select is(pg_temp.app(pg_temp.submit($$ prompt => 'Once',
	idempotency_key => 'k', model => 'm', mode => 'reject' $$)),
	(select id from first),
	'a repetition is answered even when the chat is closed by now');
update hearth.chats set closed_at = null where id = pg_temp.id(11);
select isnt(pg_temp.app(pg_temp.submit($$ prompt => 'x',
	idempotency_key => '' $$)), pg_temp.app(pg_temp.submit($$ prompt => 'x',
	idempotency_key => '' $$)), 'an empty key is none');

-- Modes

select pg_temp.fails(pg_temp.submit($$ prompt => 'x', mode => 'reject' $$),
	'55006', 'Wait for its end%', 'reject when a turn is queued');
select pg_temp.app(pg_temp.submit($$ prompt => 'x', mode => 'reject' $$, 21)) as id \gset
select is((select status from hearth.turns where id = :id),
	'queued', 'reject in an idle chat is queued');
update hearth.turns set status = 'running' where chat_id = pg_temp.id(21);
select pg_temp.fails(pg_temp.submit($$ prompt => 'x', mode => 'reject' $$,
	21), '55006', 'Wait for its end%', 'reject when a turn is live');
select pg_temp.app(pg_temp.submit($$ prompt => 'now', mode => 'interrupt',
		created_by => 'ann' $$, 21)) as id \gset
select is((select priority from hearth.turns where id = :id), 1::smallint,
	'interrupt goes before queued turns');
select results_eq($$ select c.kind, c.session_id, c.chat_id, c.agent,
		c.turn_id, c.args ->> 'reason', c.status, c.requested_by
	from hearth.commands c $$,
	$$ select 'cancel', session_id, chat_id, agent, id, 'replaced', 'pending',
		'ann' from hearth.turns where status = 'running' $$,
	'interrupt asks to cancel the live turn as replaced');
select pg_temp.app(pg_temp.submit($$ prompt => 'no, now', mode => 'interrupt' $$,
		21)) as id \gset
select is((select priority from hearth.turns where id = :id), 2::smallint,
	'a second interrupt goes before the first');
select is((select count(*) from hearth.commands), 1::bigint,
	'a cancel that is pending is not asked for again');
select pg_temp.app(pg_temp.submit($$ prompt => 'x', mode => 'interrupt' $$,
		12)) as id \gset
select is((select status from hearth.turns where id = :id), 'queued', 'interrupt in an idle chat is queued');
select is((select count(*) from hearth.commands), 1::bigint,
	'and cancels nothing');

-- follow_up

select pg_temp.app(pg_temp.submit($$ prompt => 'x' $$, agent => 'other'))
	as id \gset
select pg_temp.app(format($$ select hearth.follow_up(%L, prompt => 'And?',
	created_by => 'ben') $$, pg_temp.id(11))) as id \gset
select results_eq(format($$ select agent, prompt #>> '{0,text}', created_by
	from hearth.turns where id = %s $$, :'id'),
	$$ values ('other', 'And?', 'ben') $$, 'follow_up asks the last agent');
select pg_temp.fails(format($$ select hearth.follow_up(%L, 'x') $$,
	pg_temp.id(99)), '42704', '%open_chat()%',
	'follow_up in an unknown chat');
insert into hearth.chats (id, session_id)
	values (pg_temp.id(14), pg_temp.id(1));
select pg_temp.fails(format($$ select hearth.follow_up(%L, 'x') $$,
	pg_temp.id(14)), '55000', 'Use submit()%',
	'follow_up in a chat without turns');
select pg_temp.fails(format($$ select hearth.follow_up(%L, '') $$,
	pg_temp.id(11)), '22023', 'Give a text%', 'follow_up with nothing');

select * from finish();
