-- SPDX-License-Identifier: MIT
-- What new worktrees get: who says so, and what is refused.
\ir helpers.psql
select no_plan();

select lives_ok($$ select pg_temp.app('update hearth.projects set
		setup_command = ''{npm,ci}'', include = ''{.env,"!a b"}'',
		snapshots = 2 returning id', 'hearth_admin') $$,
	'hearth_admin sets what new worktrees get');
select throws_ok(format('select pg_temp.app(%L, %L)', 'update hearth.projects '
		|| 'set ' || col || ' returning id', role), '42501', null,
		role || ' does not set ' || col)
	from unnest('{hearth_app,hearth_daemon}'::text[]) role,
	unnest(array[$$setup_command = null$$, $$include = '{}'$$,
		$$snapshots = 0$$]) col;
select throws_ok('update hearth.projects set ' || what, '23514', null,
		what || ' is refused')
	from unnest(array[$$setup_command = '{}'$$, $$setup_command = '{""}'$$,
		$$setup_command = '{a,null}'$$, $$include = '{null}'$$,
		$$include = '{""}'$$, $$include = array[E'a\nb']$$,
		$$snapshots = -1$$, $$snapshots = 21$$]) what;

select lives_ok($$ select pg_temp.app('insert into hearth.snapshots (id,
		project_id, path) values (gen_random_uuid(), 1, ''/s'')
		returning id', 'hearth_daemon') $$, 'hearthd records snapshots');
select is(pg_temp.app('select status from hearth.snapshots'), 'preparing',
	'hearth_app reads them');
select throws_ok(format('select pg_temp.app(%L, %L)', what, role), '42501',
		null, role || ' may not: ' || what)
	from unnest('{hearth_app,hearth_admin}'::text[]) role,
	unnest('{"update hearth.snapshots set path = path returning id",
		"delete from hearth.snapshots returning id"}'::text[]) what;
select throws_ok($$ update hearth.snapshots set status = 'made' $$, '23514',
	null, 'an unknown status');

select * from finish();
