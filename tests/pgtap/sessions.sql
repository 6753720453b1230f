-- SPDX-License-Identifier: MIT
-- Projects, sessions and chats: opening, renaming, presence.
\ir helpers.psql
select no_plan();

select is(pg_temp.app('select hearth.schema_version()')::int,
	(select max(version) from hearth.schema_migrations), 'schema_version');

-- add_project

select pg_temp.app($$ select hearth.add_project('/srv/lib/') $$,
	'hearth_admin') as id \gset
select results_eq(format('select name, path from hearth.projects
	where id = %s', :'id'), $$ values ('lib', '/srv/lib') $$,
	'a project is called after its folder, without the slash at the end');
select is(pg_temp.app($$ select hearth.add_project('/srv/lib', 'lib') $$,
		'hearth_admin'),
	(select id::text from hearth.projects where path = '/srv/lib'),
	'adding it again returns it');
select pg_temp.fails($$ select hearth.add_project('/srv/lib', 'library') $$,
	'23505', 'Use it, %', 'the path under another name', 'hearth_admin');
select pg_temp.fails($$ select hearth.add_project('/srv/lib2', 'lib') $$,
	'23505', 'Choose another name.', 'the name with another path',
	'hearth_admin');
select pg_temp.fails(format('select hearth.add_project(%L)', path), '22023',
		'Give it from the root%', 'the path ' || coalesce(quote_literal(
		replace(path, E'\n', '\n')), 'NULL') || ' is refused', 'hearth_admin')
	from unnest(array['srv/lib', '', '/', '//srv', '/srv//lib',
		'/srv/../lib', '/srv/.', '/srv/..', E'/srv/a\nb', null]) path;
select lives_ok($$ select pg_temp.app(
	'select hearth.add_project(''/srv/a..b/.c'')', 'hearth_admin') $$,
	'dots within names are fine');

-- remove_project

select pg_temp.app($$ select hearth.add_project('/srv/short') $$,
	'hearth_admin');
select lives_ok($$ select pg_temp.app(
	'select hearth.remove_project(''/srv/short/'')', 'hearth_admin') $$,
	'a project without sessions is removed');
select is_empty($$ select from hearth.projects where path = '/srv/short' $$,
	'and is gone');
select pg_temp.fails(format('select hearth.remove_project(%L)', project),
		'42704', 'See hearth.projects%', 'removing the project '
		|| coalesce(quote_literal(project), 'NULL'), 'hearth_admin')
	from unnest(array['/srv/short', 'short', '', '/', null]) project;
select pg_temp.app($$ select hearth.open_session('lib') $$) as id \gset
select pg_temp.fails($$ select hearth.remove_project('lib') $$, '55006',
	'Accept what is to stay, then delete them%', 'a project in use',
	'hearth_admin');
select pg_temp.app(format('select hearth.archive_session(%L)', :'id'));
select pg_temp.fails($$ select hearth.remove_project('lib') $$, '55006',
	'%delete_session()%', 'one with an archived session', 'hearth_admin');
select pg_temp.app(format('select hearth.delete_session(%L)', :'id'));
select pg_temp.fails($$ select hearth.remove_project('lib') $$, '55006',
	'Try again%', 'one whose session is being deleted', 'hearth_admin');

-- open_session

select pg_temp.app($$ select hearth.open_session('shop', ' Fix it ') $$)
	as id \gset
select is((select title from hearth.sessions where id = :'id'), 'Fix it',
	'a session of a project by name');
select pg_temp.app($$ select hearth.open_session('/srv/shop/') $$) as id \gset
select is((select project_id from hearth.sessions where id = :'id'), 1::bigint,
	'a session of a project by path');
select is(pg_temp.app(format('select hearth.open_session(project => %L,
		title => %L, id => %L)', 'shop', 't', pg_temp.id(3))),
	pg_temp.id(3)::text, 'the caller supplies the id');
select is(pg_temp.app(format('select hearth.open_session(project => %L,
		title => %L, id => %L)', 'shop', 't', pg_temp.id(3))),
	pg_temp.id(3)::text, 'the same id again returns it');
select is((select count(*) from hearth.sessions where id = pg_temp.id(3)),
	1::bigint, 'there is one of it');
select pg_temp.fails(format('select hearth.open_session(%L, id => %L)', 'lib',
	pg_temp.id(3)), '23505', 'Give a new id%', 'the id in another project');
select pg_temp.fails($$ select hearth.open_session('nowhere') $$, '42704',
	'%add_project(%project_roots%', 'an unknown project');
select pg_temp.fails($$ select hearth.open_session(null) $$, '42704',
	'%add_project(%', 'no project');
select pg_temp.fails($$ select hearth.open_session('/srv/../etc') $$, '22023',
	'Give it%', 'a path that climbs');

-- project_roots of live nodes

insert into hearth.nodes (name, project_roots, heartbeat_at) values
	('live', '{/home/ann/,/data}', now()),
	('dead', '{/old}', now() - interval '1 hour');
select pg_temp.fails(format('select hearth.open_session(%L)', path), '42704',
		'%add_project(%project_roots%', 'the path ' || path
		|| ' lies below no root')
	from unnest('{/srv/other,/home/annex/x,/home/ann,/data,/old/x,/database}'
		::text[]) path;
create function pg_temp.project_of(session text) returns text language sql
return (select concat_ws(' ', p.id, p.name, p.path, n.name)
	from hearth.sessions s join hearth.projects p on p.id = s.project_id
		left join hearth.nodes n on n.id = p.node_id
	where s.id = session::uuid);
select pg_temp.app($$ select hearth.open_session('/home/ann/code/web') $$)
	as id \gset
select pg_temp.app($$ select hearth.open_session('/home/ann/code/web') $$)
	as again \gset
select pg_temp.app($$ select hearth.open_session('/data/web') $$)
	as other \gset
select matches(pg_temp.project_of(:'id'),
	'^[0-9]+ web /home/ann/code/web live$',
	'a path below a root becomes a project');
select is(pg_temp.project_of(:'again'), pg_temp.project_of(:'id'),
	'and is that project the next time');
select matches(pg_temp.project_of(:'other'), '^[0-9]+ /data/web /data/web live$',
	'where the name is taken it is called by its path');

-- open_chat

select pg_temp.app(format('select hearth.open_chat(%L, %L)', pg_temp.id(1),
	'Talk')) as id \gset
select is((select title from hearth.chats where id = :'id'), 'Talk',
	'a chat of a session');
select is(pg_temp.app(format('select hearth.open_chat(session => %L,
	id => %L)', pg_temp.id(1), pg_temp.id(13))), pg_temp.id(13)::text,
	'the caller supplies the chat''s id') from generate_series(1, 2);
select pg_temp.fails(format('select hearth.open_chat(%L, id => %L)',
	pg_temp.id(2), pg_temp.id(13)), '23505', 'Give a new id%',
	'the id in another session');
select pg_temp.fails(format('select hearth.open_chat(%L)', pg_temp.id(99)),
	'42704', '%open_session()%', 'a chat of an unknown session');
select pg_temp.fails('select hearth.open_chat(null)', '42704',
	'%open_session()%', 'a chat of no session');
update hearth.sessions set archived_at = now() where id = pg_temp.id(3);
select pg_temp.fails(format('select hearth.open_chat(%L)', pg_temp.id(3)),
	'55000', 'Open a new session%', 'a chat of an archived session');

-- Renaming

select pg_temp.app(format('select hearth.rename_session(%L, %L)',
	pg_temp.id(1), 'New'));
select pg_temp.app(format('select hearth.rename_chat(%L, %L)',
	pg_temp.id(11), ' '));
select is((select title from hearth.sessions where id = pg_temp.id(1)), 'New',
	'rename_session');
select is((select title from hearth.chats where id = pg_temp.id(11)), null,
	'a blank title is none');
select pg_temp.fails(format('select hearth.rename_session(%L, %L)',
	pg_temp.id(99), 'x'), '42704', '%open_session()%',
	'renaming an unknown session');
select pg_temp.fails(format('select hearth.rename_chat(%L, %L)',
	pg_temp.id(99), 'x'), '42704', '%open_chat()%',
	'renaming an unknown chat');

select pg_temp.app(format('select hearth.set_concurrent_turns(%L, %L)',
	pg_temp.id(1), true));
select is((select concurrent_turns from hearth.sessions
	where id = pg_temp.id(1)), true, 'set_concurrent_turns');
select pg_temp.app(format('select hearth.set_concurrent_turns(%L, %L)',
	pg_temp.id(1), false));
select is((select concurrent_turns from hearth.sessions
	where id = pg_temp.id(1)), false, 'and back');
select pg_temp.fails(format('select hearth.set_concurrent_turns(%L, %L)',
	pg_temp.id(99), true), '42704', '%open_session()%',
	'concurrent turns in an unknown session');
select pg_temp.fails(format('select hearth.set_concurrent_turns(%L, null)',
	pg_temp.id(1)), '22023', '%true or false%', 'neither true nor false');

-- Presence

select pg_temp.app(format('select hearth.join_chat(%L, %L)', pg_temp.id(11),
	'ann')) from generate_series(1, 2);
select results_eq($$ select participant, status from hearth.participants $$,
	$$ values ('ann', 'online') $$, 'who joins is online');
select pg_temp.app(format('select hearth.leave_chat(%L, %L)', pg_temp.id(11),
	who)) from unnest('{ann,ben}'::text[]) who;
select results_eq($$ select participant, status from hearth.participants $$,
	$$ values ('ann', 'offline') $$,
	'who leaves is offline, who never was here is not noted');
select pg_temp.fails(format('select hearth.join_chat(%L, %L)',
	pg_temp.id(99), 'ann'), '42704', '%open_chat()%', 'an unknown chat');
select pg_temp.fails(format('select hearth.join_chat(%L, %L)',
	pg_temp.id(11), who), '22023', '%', 'a bad participant')
	from unnest(array['', null, repeat('x', 201)]) who;

select * from finish();
