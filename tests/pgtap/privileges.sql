-- SPDX-License-Identifier: MIT
-- Who may do what, and what every function and view must have.
\ir helpers.psql
select no_plan();

create temp view functions as
select p.oid::regprocedure::text as name, p.* from pg_proc p
	where p.pronamespace = 'hearth'::regnamespace;
create temp table roles (role text);
insert into roles values ('hearth_app'), ('hearth_admin'), ('hearth_daemon');

-- Functions

create temp table contract (name text);
insert into contract values ('add_project'), ('remove_project'),
	('open_session'), ('open_chat'),
	('rename_session'), ('rename_chat'), ('submit'), ('follow_up'), ('cancel'),
	('answer_permission'), ('close_agent'), ('reset_agent'), ('set_mode'), ('set_config_option'), ('close_chat'),
	('archive_session'), ('history'), ('events_since'), ('poll'),
	('join_chat'), ('leave_chat'), ('schema_version'), ('turn_latency'),
	('spawn_latency'), ('suspend_agent'), ('resume_agent'), ('warm'),
	('typing'), ('submit_once'), ('set_concurrent_turns');
select has_function('hearth', name, name || ' is there') from contract;
select ok(has_function_privilege('hearth_admin', f.oid, 'execute'),
		'hearth_admin may call ' || f.proname)
	from functions f join contract c on c.name = f.proname;
select is(has_function_privilege('hearth_app', f.oid, 'execute'),
		f.proname not in ('add_project', 'remove_project'), 'hearth_app may'
		|| case when f.proname ~ '_project$' then ' not' else '' end
		|| ' call ' || f.proname)
	from functions f join contract c on c.name = f.proname;
select is_empty($$ select name from functions where exists (
		select from aclexplode(coalesce(proacl, acldefault('f', proowner)))
			where grantee = 0) $$,
	'PUBLIC may call nothing');
select is_empty($$ select name from functions
	where obj_description(oid, 'pg_proc') is null $$,
	'every function has a comment');
select is_empty($$ select name from functions where prosecdef
	and proconfig is distinct from
		'{"search_path=pg_catalog, hearth, pg_temp"}' $$,
	'definer functions pin their search_path');
select is_empty($$ select name from functions
	where pg_get_userbyid(proowner) <> 'hearth_owner' $$,
	'hearth_owner owns every function');
select is_empty($$ select f.name from functions f
	where has_function_privilege('hearth_app', f.oid, 'execute')
		and provolatile = 'v' and not prosecdef
		and proname not in ('follow_up', 'no_such') $$,
	'what hearth_app writes with is a definer function');
select is_empty($$ select name from functions
	where proretset and prorettype in (select reltype from pg_class
		where relkind = 'r') $$,
	'no function returns a table''s type');

-- Views

select is_empty($$ select oid::regclass from pg_class
	where relnamespace = 'hearth'::regnamespace and relkind = 'v'
		and not coalesce(reloptions @> '{security_invoker=true}', false) $$,
	'every view is security_invoker');
select is_empty($$ select oid::regclass from pg_class
	where relnamespace = 'hearth'::regnamespace and relkind = 'v'
		and coalesce(obj_description(oid, 'pg_class'), E'\n') ~ E'\n' $$,
	'every view has one line of comment');
select is_empty($$ select oid::regclass from pg_class
	where relnamespace = 'hearth'::regnamespace
		and relkind in ('r', 'v', 'S')
		and pg_get_userbyid(relowner) <> 'hearth_owner' $$,
	'hearth_owner owns every table, view and sequence');

-- Tables

create temp view tables as
select c.oid, c.relname, c.relkind from pg_class c
	where c.relnamespace = 'hearth'::regnamespace and c.relkind in ('r', 'v');
select is_empty($$ select relname from tables, aclexplode((select relacl
		from pg_class where oid = tables.oid)) where grantee = 0 $$,
	'PUBLIC may read nothing');
select ok(not has_schema_privilege('public', 'hearth', 'usage'),
	'PUBLIC has no usage of the schema');
select is_empty($$ select relname, what from tables,
	unnest('{insert,update,delete,truncate,references,trigger}'::text[]) what
	where has_table_privilege('hearth_app', oid, what) $$,
	'hearth_app writes no table');
select is_empty($$ select relname, what from tables,
	unnest('{insert,update,references}'::text[]) what
	where has_any_column_privilege('hearth_app', oid, what) $$,
	'hearth_app writes no column');
select is_empty($$ select c.oid::regclass from pg_class c
	where c.relnamespace = 'hearth'::regnamespace and c.relkind = 'S'
		and case c.relkind when 'S' then
			has_sequence_privilege('hearth_app', c.oid, 'usage') end $$,
	'hearth_app draws from no sequence');
select set_eq($$ select relname::text from tables
	where not has_table_privilege('hearth_app', oid, 'select')
		and relname <> 'schema_replaceable' $$,
	array['agents', 'agent_defaults'],
	'hearth_app reads all but what says how agents are launched');
select set_eq($$ select attname::text from pg_attribute
	where attrelid = 'hearth.agents'::regclass and attnum > 0
		and not has_column_privilege('hearth_app', attrelid, attnum,
			'select') $$,
	array['command', 'env', 'mcp_servers', 'launcher',
		'client_capabilities'],
	'of agents it does not see what launches them');
select throws_ok($$ select pg_temp.app(
	'select command::text from hearth.agents') $$, '42501', null,
	'hearth_app can''t read agents.command');
select is(pg_temp.app('select count(*) from hearth.agent_list'), '3',
	'hearth_app reads agent_list');
select set_eq($$ select relname::text from tables where
	has_table_privilege('hearth_admin', oid, 'insert') $$,
	array['agents', 'projects', 'permission_rules'],
	'hearth_admin edits agents, projects and permission rules alone');
select lives_ok($$ select pg_temp.app($i$ insert into hearth.agents (name,
	command) values ('new', '{new}') returning name $i$, 'hearth_admin') $$,
	'hearth_admin registers an agent');
select lives_ok($$ select pg_temp.app($i$ insert into hearth.projects (name,
	path) values ('new', '/new') returning name $i$, 'hearth_admin') $$,
	'hearth_admin inserts a project');
select is_empty($$ select relname from tables where
	has_table_privilege('hearth_daemon', oid, 'delete')
	or has_table_privilege('hearth_daemon', oid, 'truncate') $$,
	'hearth_daemon deletes nothing');
select is_empty($$ select relname from tables where relname in
		('agents', 'projects', 'schema_migrations', 'permission_rules')
	and (has_table_privilege('hearth_daemon', oid, 'insert')
		or has_table_privilege('hearth_daemon', oid, 'update')) $$,
	'hearth_daemon does not edit the registry');
select ok(has_table_privilege('hearth_daemon', ('hearth.' || t)::regclass,
		'update'), 'hearth_daemon updates ' || t)
	from unnest('{nodes,session_owners,chats,agent_sessions,executions,turns,
		events,messages,tool_calls,permission_requests,worktrees,
		pending_changes,commands}'::text[]) t;
select ok(not has_schema_privilege(role, 'hearth', 'create'),
		role || ' makes no objects') from roles;
select is_empty($$ select rolname from pg_roles where rolname ~ '^hearth_'
	and (rolsuper or rolcanlogin or rolcreaterole or rolcreatedb) $$,
	'no role logs in or is a superuser');
select ok(not pg_has_role(role, 'hearth_owner', 'member'),
		role || ' can''t become hearth_owner') from roles;

-- Each view can really be read by each role.

select lives_ok(format('select pg_temp.app(%L, %L)',
		'select count(*) from hearth.' || relname, role),
		role || ' reads ' || relname)
	from tables, roles where relkind = 'v';

select * from finish();
