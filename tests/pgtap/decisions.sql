-- SPDX-License-Identifier: MIT
-- Decisions on changes, and changes that are asked for: what is asked of the
-- daemon, and every refusal.
\ir helpers.psql
select no_plan();

insert into hearth.pending_changes (id, session_id, chat_id, file_path,
	operation, diff, status, agent)
select n, pg_temp.id(1), case when n <> 2 then pg_temp.id(11) end,
		'f' || n, 'edit', E'@@ -1 +1 @@\n-@@ a\n+@@ b\n@@ -9 +9 @@\n-c\n+d\n',
		status, 'qwen'
	from (values (1, 'pending'), (2, 'pending'), (3, 'applied'),
		(4, 'rejected'), (5, 'reverted'), (6, 'superseded'),
		(7, 'superseded'), (8, 'pending')) v (n, status);
update hearth.pending_changes set file_path = 'f6' where id = 8;
update hearth.pending_changes set diff = 'Binary file, 3 bytes' where id = 2;
insert into hearth.sessions (id, project_id, archived_at)
	values (pg_temp.id(3), 1, null), (pg_temp.id(4), 1, now());

-- What the daemon is asked for.
create function pg_temp.asked(sql text) returns text language plpgsql as $$
declare
	command bigint := pg_temp.app(sql)::bigint;
begin
	return (select concat_ws(' ', c.kind, c.session_id = pg_temp.id(1),
			c.chat_id = pg_temp.id(11), c.requested_by, c.status, c.args)
		from hearth.commands c where c.id = command);
end $$;
select is(pg_temp.asked(sql), expected, sql) from (values
	('select hearth.accept_change(1, ''ann'')',
	'accept_change t t ann pending {"changes": [1], "decision": "accept"}'),
	('select hearth.reject_change(1)',
	'reject_change t t pending {"changes": [1], "decision": "reject"}'),
	('select hearth.revert_change(3, ''ann'')',
	'revert_change t t ann pending {"changes": [3], "decision": "revert"}'),
	-- done already: asked again, the daemon finds nothing to do
	('select hearth.accept_change(3)',
	'accept_change t t pending {"changes": [3], "decision": "accept"}'),
	('select hearth.reject_change(4)',
	'reject_change t t pending {"changes": [4], "decision": "reject"}'),
	('select hearth.revert_change(5)',
	'revert_change t t pending {"changes": [5], "decision": "revert"}'),
	('select hearth.accept_hunks(1, array[2, 2], ''ann'')',
	'accept_hunks t t ann pending {"hunks": [2], "changes": [1], "decision": "accept"}'),
	-- all of them: the whole file
	('select hearth.accept_hunks(1, array[2, 1])',
	'accept_hunks t t pending {"changes": [1], "decision": "accept"}'))
	v (sql, expected);
select is(pg_temp.asked(format('select hearth.accept_changes(%L, ''ann'')',
	pg_temp.id(1))), 'accept_changes t t ann pending {"changes": [1, 2, 8],'
	' "decision": "accept"}', 'all that is pending now');
select is(pg_temp.asked(format('select hearth.reject_changes(%L)',
	pg_temp.id(2))), 'reject_changes f f pending {"changes": [],'
	' "decision": "reject"}', 'nothing is pending');
select is((select count(*) from hearth.pending_changes
	where decision is not null), 0::bigint,
	'rows are the daemon''s to change');

-- Refusals

select pg_temp.fails(sql, state, hint, sql) from (values
	('select hearth.accept_change(99)', '42704', 'See hearth.pending%'),
	('select hearth.accept_change(null)', '42704', 'See hearth.pending%'),
	('select hearth.accept_hunks(99, array[1])', '42704', 'See hearth.p%'),
	('select hearth.accept_change(4)', '55000', 'It was taken back%'),
	('select hearth.accept_change(5)', '55000', 'What the worktree%'),
	('select hearth.accept_change(6)', '55000', 'Decide on change 8%'),
	('select hearth.accept_change(7)', '55000', 'The file is as it%'),
	('select hearth.reject_change(3)', '55000', 'revert_change()%'),
	('select hearth.reject_change(6)', '55000', 'Decide on change 8%'),
	('select hearth.revert_change(1)', '55000', '%reject_change()%'),
	('select hearth.revert_change(4)', '55000', 'It was taken back%'),
	('select hearth.accept_hunks(1, array[3])', '22023', '%1 to 2%'),
	('select hearth.accept_hunks(1, array[0])', '22023', '%1 to 2%'),
	('select hearth.accept_hunks(1, array[1, null])', '22023', '%1 to 2%'),
	('select hearth.accept_hunks(1, ''{}'')', '22023', '%1 to 2%'),
	('select hearth.accept_hunks(1, null)', '22023', '%1 to 2%'),
	('select hearth.accept_hunks(2, array[1])', '22023', '%accept_change%'),
	(format('select hearth.accept_changes(%L)', pg_temp.id(99)), '42704',
		'%open_session()%'),
	(format('select hearth.reject_changes(%L)', pg_temp.id(99)), '42704',
		'%open_session()%'))
	v (sql, state, hint);

-- Files

select is(pg_temp.asked(format('select hearth.%s(%L, %s)', call,
	pg_temp.id(1), given)), expected, call || ' ' || given) from (values
	('queue_create', $$'a/b.c', 'x', 'qwen', 'ann'$$,
	'queue_create t t ann pending {"path": "a/b.c", "text": "x", "verb": "create"}'),
	('queue_create', $$'.env', null$$,
	'queue_create t t pending {"path": ".env", "text": "", "verb": "create"}'),
	('queue_edit', $$'a', 'x', 'y', 'qwen'$$,
	'queue_edit t t pending {"path": "a", "text": "x", "verb": "edit", "other_text": "y"}'),
	('queue_edit', $$'a', 'x', null$$,
	'queue_edit t t pending {"path": "a", "text": "x", "verb": "edit", "other_text": ""}'),
	('queue_delete', $$'..a/...'$$,
	'queue_delete t t pending {"path": "..a/...", "verb": "delete"}'))
	v (call, given, expected);
select is((select string_agg(agent, ' ') from hearth.commands
	where agent is not null), 'qwen qwen', 'for an agent');
select pg_temp.fails(format('select hearth.queue_create(%L, %L, ''x'')',
	pg_temp.id(1), path), '22023', 'Give it from the top%',
	coalesce(path, 'no path'))
	from unnest(array['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', './a',
		'.git', '.git/config', 'a/.git/x', '.GIT/hooks/x', E'a\nb', E'a\tb',
		repeat('x', 4001), null]) path;
select pg_temp.fails(format('select hearth.' || call, pg_temp.id(n)), state,
	hint, call) from (values
	('queue_edit(%L, ''a'', '''', ''y'')', 1, '22023', 'Give a text%'),
	('queue_edit(%L, ''a'', null, ''y'')', 1, '22023', 'Give a text%'),
	('queue_edit(%L, ''a'', ''y'', ''y'')', 1, '22023', 'Give a text%'),
	('queue_delete(%L, ''a'', ''nobody'')', 1, '42704', '%agent_list%'),
	('queue_delete(%L, ''a'')', 99, '42704', '%open_session()%'),
	('queue_delete(%L, ''a'')', 3, '55000', '%open_chat()%'),
	('queue_delete(%L, ''a'')', 4, '55000', 'Open a new session%'),
	('queue_create(%L, ''a'', repeat(''x'', 16777217))', 1, '54000',
		'Write it into%'))
	v (call, n, state, hint);

select * from finish();
