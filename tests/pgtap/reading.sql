-- SPDX-License-Identifier: MIT
-- history(), events_since() and poll(): their shapes, limits and errors.
\ir helpers.psql
select no_plan();

-- A chat of 30 events: turn 1 is done, turn 2 streams, 3 and 4 are queued.

insert into hearth.turns (chat_id, session_id, agent, prompt, status, priority)
values (pg_temp.id(11), pg_temp.id(1), 'qwen', '["a"]', 'completed', 0),
	(pg_temp.id(11), pg_temp.id(1), 'qwen', '["b"]', 'waiting_permission', 0),
	(pg_temp.id(11), pg_temp.id(1), 'qwen', '["c"]', 'queued', 0),
	(pg_temp.id(11), pg_temp.id(1), 'qwen', '["d"]', 'queued', 1),
	(pg_temp.id(12), pg_temp.id(1), 'qwen', '["e"]', 'failed', 0),
	(pg_temp.id(12), pg_temp.id(1), 'qwen', '["f"]', 'queued', 0);
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload)
select pg_temp.id(11), n, 1 + n / 20, 'qwen', case when n in (1, 20)
		then 'turn_started' when n in (25, 26) then 'reasoning'
		when n = 29 then 'permission' else 'text' end,
		jsonb_build_object('text', 'w' || n || ' ')
	from generate_series(1, 30) n;
update hearth.chats set last_seq = 30, title = 'Talk'
	where id = pg_temp.id(11);
insert into hearth.messages (session_id, chat_id, turn_id, role, agent, content,
	status, first_seq, last_seq) values
	(pg_temp.id(1), pg_temp.id(11), 1, 'user', null, 'a', 'complete', 1, 1),
	(pg_temp.id(1), pg_temp.id(11), 1, 'assistant', 'qwen', 'answer',
		'complete', 2, 19),
	(pg_temp.id(1), pg_temp.id(11), 2, 'user', null, 'b', 'complete', 20, 20),
	(pg_temp.id(1), pg_temp.id(11), 2, 'assistant', 'qwen', null,
		'streaming', 20, null);
insert into hearth.permission_requests (turn_id, chat_id, agent, execution_id,
	serial, options, status) values
	(2, pg_temp.id(11), 'qwen', 1, 1, '[{"optionId": "yes"}]', 'answered'),
	(2, pg_temp.id(11), 'qwen', 1, 2, '[{"optionId": "yes"}]', 'pending');

-- history

select pg_temp.app(format('select hearth.history(%L)', pg_temp.id(11)))
	as h \gset
select set_eq(format('select jsonb_object_keys(%L::jsonb)', :'h'),
	array['chat', 'first_seq', 'last_seq', 'messages', 'events',
		'queued_turns', 'live_turns', 'permissions'],
	'what history() consists of');
select is(:'h'::jsonb -> 'chat' ->> 'title', 'Talk', 'the chat');
select is(array[:'h'::jsonb ->> 'first_seq', :'h'::jsonb ->> 'last_seq'],
	'{1,30}', 'first_seq and last_seq');
select is(jsonb_path_query_array(:'h', '$.messages[*].content'),
	jsonb_build_array('a', 'answer', 'b',
		'w21 w22 w23 w24 w27 w28 w30 '),
	'messages, oldest first; a streaming one has the content so far');
select is(jsonb_path_query_array(:'h', '$.messages[*].reasoning'),
	'[null, null, null, "w25 w26 "]', 'and its reasoning');
select is(jsonb_path_query_array(:'h', '$.events[*].seq'),
	(select jsonb_agg(n) from generate_series(1, 30) n), 'the events');
select set_eq(format('select jsonb_object_keys(%L::jsonb)',
		:'h'::jsonb #> '{events,0}'),
	array['seq', 'turn_id', 'agent', 'kind', 'payload', 'repaired',
		'created_at'], 'what an event consists of');
select is(jsonb_path_query_array(:'h', '$.queued_turns[*].id'), '[4, 3]',
	'queued turns in the order in which they are claimed');
select is(jsonb_path_query_array(:'h', '$.live_turns[*].id'), '[2]',
	'the live turn');
select is(:'h'::jsonb #>> '{live_turns,0,status}', 'waiting_permission',
	'and its status');
select is(jsonb_path_query_array(:'h', '$.permissions[*].id'), '[2]',
	'open permissions');
select is(:'h'::jsonb #>> '{permissions,0,options,0,optionId}', 'yes',
	'and their options');
select pg_temp.app(format('select hearth.history(%L, message_limit => 2,
	event_limit => 3)', pg_temp.id(11))) as h \gset
select is(jsonb_path_query_array(:'h', '$.messages[*].content'),
	jsonb_build_array('b', 'w21 w22 w23 w24 w27 w28 w30 '),
	'message_limit takes the newest');
select is(jsonb_path_query_array(:'h', '$.events[*].seq'), '[28, 29, 30]',
	'event_limit takes the newest');
select pg_temp.app(format('select hearth.history(%L, 0, 0)', pg_temp.id(21)))
	as h \gset
select is(:'h'::jsonb - 'chat', '{"first_seq": 1, "last_seq": 0, "messages":
	[], "events": [], "queued_turns": [], "live_turns": [],
	"permissions": []}', 'an empty chat has empty arrays');
select pg_temp.fails(format('select hearth.history(%L)', pg_temp.id(99)),
	'42704', '%open_chat()%', 'history of an unknown chat');

-- events_since

select results_eq(format('select (%s).*', x),
		'select chat_id, seq, turn_id, agent, kind, payload, repaired,
			created_at from hearth.events where seq > 27 order by seq',
		'events_since returns the rows after seq')
	from format('hearth.events_since(%L, 27)', pg_temp.id(11)) x;
select results_eq(format('select seq from hearth.events_since(chat => %L,
	seq => 10, max_rows => 3)', pg_temp.id(11)),
	'values (11::bigint), (12), (13)', 'max_rows takes the oldest');
select is_empty(format('select hearth.events_since(%L, %s)', pg_temp.id(11),
		seq), 'nothing after ' || seq)
	from unnest('{30,31,9223372036854775807}'::bigint[]) seq;
select is(pg_temp.app(format('select count(*) from hearth.events_since(%L,
	%L)', pg_temp.id(11), seq)), '30', coalesce(seq, 'NULL')
	|| ' is the beginning') from unnest('{0,-1,null}'::text[]) seq;
select pg_temp.fails(format('select hearth.events_since(%L, 0)',
	pg_temp.id(99)), '42704', '%open_chat()%',
	'events of an unknown chat');
delete from hearth.events where seq <= 10;
update hearth.chats set first_seq = 11 where id = pg_temp.id(11);
select pg_temp.fails(format('select * from hearth.events_since(%L, %s)',
		pg_temp.id(11), seq), 'HE001', 'Call history()%',
		'after retention, events since ' || seq)
	from unnest('{0,9}'::bigint[]) seq;
select is(pg_temp.app(format('select min(seq) from hearth.events_since(%L,
	10)', pg_temp.id(11))), '11', 'the first cursor that is still good');

-- poll

create function pg_temp.poll(cursors text) returns text language sql
return format('select * from hearth.poll(%L)', cursors);
select results_eq(pg_temp.poll(jsonb_object(array[
		pg_temp.id(11)::text, pg_temp.id(12)::text, pg_temp.id(21)::text,
		pg_temp.id(99)::text], '{null,null,null,null}')::text),
	$$ values (pg_temp.id(11), 30::bigint, 2::bigint, 'waiting_permission',
			1::bigint),
		(pg_temp.id(12), 0, 6, 'queued', 0),
		(pg_temp.id(21), 0, null, null, 0) $$,
	'poll has a row for each chat that exists');
update hearth.turns set status = 'cancelled' where id = 6;
select results_eq(pg_temp.poll(format('{"%s": 5}', pg_temp.id(12))),
	$$ values (pg_temp.id(12), 0::bigint, 6::bigint, 'cancelled',
		0::bigint) $$, 'the last turn when none is unfinished');
select is_empty(pg_temp.poll('{}'), 'no chats, no rows');
select is(pg_temp.app(format('select count(*) from (%s) p', pg_temp.poll(
	format('{"%s": 5}', pg_temp.id(11))))), '1', 'an application may poll');
select pg_temp.fails(pg_temp.poll(cursors), '22023', 'Give {"<chat%',
		'poll of ' || coalesce(cursors, 'NULL'))
	from (values ('[]'), ('{"x": 1}'), ('1'), (null),
		(format('{"%s": "1"}', pg_temp.id(11)))) v (cursors);

select * from finish();
