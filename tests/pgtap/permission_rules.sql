-- SPDX-License-Identifier: MIT
-- Permission rules: who edits them, what is refused, who is told.
\ir helpers.psql
\getenv heard HEARTH_SCRATCH
select no_plan();

create function pg_temp.rule(cols text, vals text) returns text language sql
return format('insert into hearth.permission_rules (%s) values (%s) returning id',
	cols, vals);
create function pg_temp.heard(written text) returns text[] language sql
return (select coalesce(array_agg(m[1] || ' ' || m[2]), '{}')
	from regexp_matches(written,
		'notification "(.*?)" with payload "(.*?)" received', 'g') m);

select lives_ok(format('select pg_temp.app(%L, %L)',
	pg_temp.rule('decision', '''ask'''), 'hearth_admin'),
	'hearth_admin makes a rule for everything');
select lives_ok(format('select pg_temp.app(%L, %L)', pg_temp.rule(
		'agent, project_id, priority, tool_kind, path_pattern, command_pattern, decision',
		$$'qwen', 1, 10, 'execute', 'src/**', 'git *', 'allow'$$),
	'hearth_admin'), 'hearth_admin makes one with everything');
select is(pg_temp.app('select count(*) from hearth.permission_rules'), '2',
	'hearth_app reads them');
select throws_ok(format('select pg_temp.app(%L, %L)',
		pg_temp.rule('decision', '''allow'''), role), '42501', null,
		role || ' makes none')
	from unnest('{hearth_app,hearth_daemon}'::text[]) role;
select throws_ok(format('select pg_temp.app(%L, %L)', what, role), '42501',
		null, role || ' may not: ' || what)
	from unnest('{hearth_app,hearth_daemon}'::text[]) role,
	unnest('{"delete from hearth.permission_rules returning id",
		"update hearth.permission_rules set priority = 1 returning id"}'::text[]) what;

select throws_ok(pg_temp.rule(cols, vals), state, null, why)
from (values
	('agent', '''qwen''', '23502', 'no decision'),
	('decision', '''maybe''', '23514', 'a decision that is none'),
	('decision, agent', $$'deny', 'qwne'$$, '23503', 'an unknown agent'),
	('decision, project_id', $$'deny', 99$$, '23503', 'an unknown project'),
	('decision, tool_kind', $$'deny', 'exec'$$, '23514', 'an unknown kind'),
	('decision, tool_kind', $$'deny', ''$$, '23514', 'an empty kind'),
	('decision, path_pattern', $$'deny', ''$$, '23514', 'an empty path'),
	('decision, path_pattern', $$'deny', '../x'$$, '23514', 'a path with ..'),
	('decision, path_pattern', $$'deny', './x'$$, '23514', 'a path with .'),
	('decision, path_pattern', $$'deny', 'src/'$$, '23514', 'a path that ends with /'),
	('decision, path_pattern', $$'deny', '~/x'$$, '23514', 'a path with ~'),
	('decision, path_pattern', $$'deny', repeat('x', 1001)$$, '23514', 'a long path'),
	('decision, command_pattern', $$'deny', ''$$, '23514', 'an empty command'),
	('decision, command_pattern', $$'deny', ' rm *'$$, '23514', 'a command that begins with a blank'),
	('decision, command_pattern', $$'deny', 'rm  *'$$, '23514', 'a command with two blanks'))
	c(cols, vals, state, why);
select lives_ok(pg_temp.rule('decision, path_pattern', quote_literal('deny')
		|| ', ' || quote_literal(p)), 'a path pattern may be ' || p)
	from unnest('{*.env,**/.git/**,/etc/**,.env,..x,src/a..b}'::text[]) p;

-- An agent does not lose its rules by being removed and added again.
select throws_ok($$ delete from hearth.agents where name = 'qwen' $$, '23503',
	null, 'an agent with rules stays');
update hearth.agents set name = 'qwen2' where name = 'qwen';
select is((select count(*) from hearth.permission_rules
	where agent = 'qwen2'), 1::bigint, 'its rules follow its new name');

-- hearthd is told, once per statement.
listen hearth_work;
\o :heard
select pg_temp.app('update hearth.permission_rules set priority = 5 returning 1',
	'hearth_admin');
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array['hearth_work {"rules":true}'],
	'a change is told');
\o :heard
delete from hearth.permission_rules where agent = 'qwen2' returning 1;
\o
\set out `cat "$HEARTH_SCRATCH"`
select is(pg_temp.heard(:'out'), array['hearth_work {"rules":true}'],
	'so is a removal');

select * from finish();
