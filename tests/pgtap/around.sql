-- SPDX-License-Identifier: MIT
-- Around the changes: artifacts once per session and URL; archived sessions come
-- back, deleted ones do not, and what hearthd erases is all of theirs and nothing
-- else.
\ir helpers.psql
begin;
select no_plan();

create function pg_temp.kinds() returns text language sql
return (select string_agg(kind || ' ' || status, ', ' order by id)
	from hearth.commands);

-- Artifacts

select lives_ok(format('insert into hearth.artifacts (session_id, type, url)
	values (%L, %L, %L)', pg_temp.id(s), 'pr', 'https://x/1'),
	'an URL in session ' || s) from generate_series(1, 2) s;
select throws_ok(format('insert into hearth.artifacts (session_id, type, url)
	values (%L, %L, %L)', pg_temp.id(1), 'pr', 'https://x/1'), '23505', null,
	'but once in each');
select lives_ok(format('insert into hearth.artifacts (session_id, type)
	values (%L, %L)', pg_temp.id(1), 'screenshot'), 'image ' || n)
	from generate_series(1, 2) n;

-- Restoring

select pg_temp.fails('select hearth.restore_session(null)', '42704', '%',
	'restore_session: an unknown session');
select pg_temp.app(format('select hearth.archive_session(%L)', pg_temp.id(1)));
select pg_temp.app(format('select hearth.restore_session(%L, %L)',
	pg_temp.id(1), 'ann'));
select is(archived_at, null, 'a restored session is not archived')
	from hearth.sessions where id = pg_temp.id(1);
select is(pg_temp.kinds(), 'archive_session pending, restore_session pending',
	'and the daemon is asked');
select is(requested_by, 'ann', 'by whom') from hearth.commands
	where kind = 'restore_session';
select lives_ok(format('select pg_temp.app($$ select hearth.submit(%L, %L,
	%L) $$)', pg_temp.id(11), 'qwen', 'x'), 'it has turns again');
update hearth.sessions set ephemeral = true where id = pg_temp.id(2);
select pg_temp.fails(format('select hearth.restore_session(%L)',
	pg_temp.id(2)), '55000', '%open a new session%',
	'restore_session: a one-shot session');
update hearth.sessions set ephemeral = false where id = pg_temp.id(2);

-- Deleting: nothing begins any more, and it is asked for

select pg_temp.fails('select hearth.delete_chat(null)', '42704', '%',
	'delete_chat: an unknown chat');
select pg_temp.fails('select hearth.delete_session(null)', '42704', '%',
	'delete_session: an unknown session');
delete from hearth.commands;
select pg_temp.app(format('select hearth.delete_chat(%L)', pg_temp.id(11)));
select is(pg_temp.kinds(), 'cancel pending, delete_chat pending',
	'the chat''s turn is cancelled');
select isnt(deleted_at, null, 'it is marked') from hearth.chats
	where id = pg_temp.id(11);
select pg_temp.fails(format('select hearth.submit(%L, %L, %L)',
	pg_temp.id(11), 'qwen', 'x'), '55000', '%', 'and has no turns any more');
select pg_temp.fails(format('select hearth.open_chat(%L, null, %L)',
	pg_temp.id(1), pg_temp.id(11)), '55000', '%new id%',
	'nor is it opened again');
select lives_ok(format('select pg_temp.app($$ select hearth.delete_chat(%L)
	$$)', pg_temp.id(11)), 'it may be deleted twice');
select pg_temp.app(format('select hearth.delete_session(%L)', pg_temp.id(2)));
select ok(deleted_at is not null and archived_at is not null,
	'a session likewise') from hearth.sessions where id = pg_temp.id(2);
select pg_temp.fails(format('select hearth.open_session(%L, null, %L)',
	'shop', pg_temp.id(2)), '55000', '%new id%', 'and is not opened again');
select pg_temp.fails(format('select hearth.restore_session(%L)',
	pg_temp.id(2)), '42704', '%does not come back%', 'or restored');

-- Erasing, as hearthd does it

insert into hearth.nodes (name) values ('alpha');
insert into hearth.session_owners (session_id, node_id, epoch)
	select pg_temp.id(n), 1, 7 from generate_series(1, 2) n;
insert into hearth.events (chat_id, seq, kind)
	select pg_temp.id(c), n, 'text' from unnest('{11,12,21}'::int[]) c,
		generate_series(1, 25) n;
insert into hearth.tool_calls (chat_id, turn_id, tool_call_id)
	select pg_temp.id(c), 1, 't' || n from unnest('{11,12,21}'::int[]) c,
		generate_series(1, 15) n;
insert into hearth.messages (session_id, chat_id, turn_id, role)
	values (pg_temp.id(1), pg_temp.id(11), 1, 'user'),
		(pg_temp.id(1), pg_temp.id(12), 2, 'user');
insert into hearth.executions (chat_id, agent, ended_at)
	select pg_temp.id(c), 'qwen', now() from unnest('{11,12,21}'::int[]) c;
insert into hearth.permission_requests (chat_id, turn_id)
	select pg_temp.id(c), 1 from unnest('{11,12,21}'::int[]) c;
insert into hearth.agent_sessions (chat_id, agent, session_id)
	select pg_temp.id(c), 'qwen', pg_temp.id(c / 10)
		from unnest('{11,12,21}'::int[]) c;
insert into hearth.artifacts (session_id, chat_id, type)
	select pg_temp.id(c / 10), pg_temp.id(c), 'screenshot'
		from unnest('{11,12,21}'::int[]) c;
insert into hearth.participants (chat_id, participant)
	select pg_temp.id(c), 'ann' from unnest('{11,12,21}'::int[]) c;
insert into hearth.pending_changes (session_id, chat_id, turn_id, file_path,
	operation, agent)
	select pg_temp.id(c / 10), pg_temp.id(c), 1, 'f' || c, 'edit', 'qwen'
		from unnest('{11,12,21}'::int[]) c;
insert into hearth.worktrees (session_id, path)
	select pg_temp.id(n), '/w' from generate_series(1, 2) n;

-- Every row that names the chat or the session, wherever it is.
create function pg_temp.rows_of(col text, id uuid) returns text
language plpgsql as $$
declare
	tab text;
	n bigint;
	found text[] := '{}';
begin
	for tab in select attrelid::regclass::text from pg_attribute
			join pg_class c on c.oid = attrelid and c.relkind = 'r'
			where relnamespace = 'hearth'::regnamespace
				and attname = col order by 1
	loop
		execute format('select count(*) from %s where %I = $1', tab, col)
			into n using id;
		if n > 0 then
			found := found || tab;
		end if;
	end loop;
	return array_to_string(found, ' ');
end $$;
create function pg_temp.erase(session integer, chat integer, epoch bigint)
returns text language sql
return pg_temp.app(format('select hearth.erase_session(1, %s, %L, %L, 10)',
	epoch, pg_temp.id(session), pg_temp.id(chat)), 'hearth_daemon');

select is(pg_temp.erase(1, 11, 6), 'false', 'not by an earlier life');
select is(pg_temp.erase(1, 12, 7), 'false', 'and not what nobody deleted');
select is((select count(*) from hearth.events), 75::bigint,
	'nothing has happened');
select is(pg_temp.erase(1, 11, 7), 'true', 'so many rows at a time, call ' || n)
	from generate_series(1, 3) n;
select is((select count(*) from hearth.events
	where chat_id = pg_temp.id(11)), 0::bigint, 'its events come first');
select is(pg_temp.erase(1, 11, 7), 'false', 'until there are no more');
select is(pg_temp.rows_of('chat_id', pg_temp.id(11)), '',
	'nothing names the chat any more');
select is_empty(format('select from hearth.chats where id = %L',
	pg_temp.id(11)), 'it is gone');
select is((select string_agg(concat_ws(' ', kind, status, session_id), ', ')
	from hearth.commands where kind = 'delete_chat'),
	'delete_chat done, delete_chat done', 'who asked has an answer');
select results_eq(format('select chat_id, turn_id, agent, status from
	hearth.pending_changes where file_path = %L', 'f11'),
	$$ values (null::uuid, null::bigint, 'qwen', 'pending') $$,
	'its changes are the session''s, still to be decided on');
select is((select count(*) from hearth.events
	where chat_id = pg_temp.id(12)), 25::bigint, 'the other chat is untouched');

select is(pg_temp.erase(2, null, 7), 'true', 'a session, call ' || n)
	from generate_series(1, 3) n;
select is(pg_temp.erase(2, null, 7), 'false', 'until there is no more of it');
select is(pg_temp.rows_of('session_id', pg_temp.id(2)), '',
	'nothing names the session any more');
select is(pg_temp.rows_of('chat_id', pg_temp.id(21)), '', 'nor its chat');
select is_empty(format('select from hearth.sessions where id = %L',
	pg_temp.id(2)), 'it is gone');
select is(status, 'done', 'who asked for it has an answer, too')
	from hearth.commands where kind = 'delete_session';
select is((select count(*) from hearth.events), 25::bigint,
	'other sessions are untouched');
select throws_ok($$ select pg_temp.app(
	'select hearth.erase_session(1, 7, null, null, 1)') $$, '42501', null,
	'erasing is hearthd''s alone');

select * from finish();
rollback;
