-- SPDX-License-Identifier: MIT
--
-- The functions of the contract: what an application calls. Replaced at every
-- `hearth init`, after the migrations, before the views (which use some) and
-- the grants (sql/roles.sql).
--
-- None waits for the daemon and none touches a row that the daemon holds for
-- longer than a flush: what the daemon must do is a row of hearth.commands and
-- a notification. What writes for hearth_app is SECURITY DEFINER and pins its
-- search_path; what only reads runs with the rights of its caller.
--
-- Errors are always one of these:
--   42704  the project, session, chat, agent, turn or request does not exist
--   55000  it exists, but is disabled, closed or archived
--   55006  the chat has an unfinished turn (submit, mode 'reject'); the project
--          has sessions (remove_project)
--   22023  an argument makes no sense (empty prompt, bad path, unknown option)
--   23505  taken: an idempotency key or an id with other content, a name
--   54000  the prompt is larger than 16 MB
--   HE001  the events asked for were taken by retention: call history()

alter default privileges revoke execute on functions from public;

-- Helpers. no_such(), brief() and is_alive() are used by what runs with the
-- rights of the caller, so everybody may call them; the others nobody may.

create or replace function hearth.no_such(what text, name text, hint text)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	raise exception using errcode = '42704',
		message = format('%s %s does not exist', what,
			coalesce('"' || name || '"', 'NULL')),
		hint = no_such.hint;
end $$;
comment on function hearth.no_such(text, text, text) is
	'Raises 42704 for something that does not exist';

create or replace function hearth.is_alive(heartbeat timestamptz)
returns boolean language sql stable
return heartbeat >= pg_catalog.now() - interval '60 seconds';
comment on function hearth.is_alive(timestamptz) is
	'Whether a node with this heartbeat counts as running; after 60 seconds another may take its sessions';

create or replace function hearth.brief(span interval)
returns text language sql immutable
return case
	when span is null then null
	when span < interval '1 minute'
		then pg_catalog.floor(extract(epoch from span))::text || 's'
	when span < interval '1 hour'
		then pg_catalog.floor(extract(epoch from span) / 60)::text || 'm'
	when span < interval '48 hours'
		then pg_catalog.floor(extract(epoch from span) / 3600)::text || 'h'
	else pg_catalog.floor(extract(epoch from span) / 86400)::text || 'd'
end;
comment on function hearth.brief(interval) is
	'A time span in few characters for the views: 12s, 3m, 5h, 4d';

create or replace function hearth.clean_path(path text)
returns text language plpgsql immutable
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	if path is null or path !~ '^/[^/]'
		or path ~ '//|/\.\.?(/|$)|[[:cntrl:]]' then
		raise exception using errcode = '22023',
			message = format('%s is not an absolute, normalised path',
				coalesce('"' || path || '"', 'NULL')),
			hint = 'Give it from the root, without "." and ".." parts and'
				' doubled slashes.';
	end if;
	return rtrim(path, '/');
end $$;
comment on function hearth.clean_path(text) is
	'The path without a slash at its end; 22023 when not absolute and normalised';

create or replace function hearth.request(kind text, session uuid,
	chat uuid default null, agent text default null,
	requested_by text default null)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	command bigint;
begin
	insert into commands (tenant, kind, session_id, chat_id, agent,
			requested_by)
	select s.tenant, request.kind, s.id, request.chat, request.agent,
			request.requested_by
		from sessions s where s.id = request.session
	returning id into command;
	perform pg_notify('hearth_work', '{"command":' || command || '}');
	return command;
end $$;
comment on function hearth.request(text, uuid, uuid, text, text) is
	'Asks the daemon for something: a row of commands, its id returned, and a notification';

create or replace function hearth.request_for_agent(kind text, chat uuid,
	agent text, requested_by text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	session uuid;
begin
	select c.session_id into session from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	if not exists (select from agent_sessions a where a.chat_id = chat
			and a.agent = request_for_agent.agent)
		and not exists (select from agents a
			where a.name = request_for_agent.agent) then
		perform no_such('agent', agent, 'See the view hearth.agent_list.');
	end if;
	return request(kind, session, chat, agent, requested_by);
end $$;
comment on function hearth.request_for_agent(text, uuid, text, text) is
	'request() about one agent of one chat; 42704 when either is unknown';

-- Projects, sessions and chats.

create or replace function hearth.schema_version()
returns integer language sql stable
return (select max(m.version) from hearth.schema_migrations m);
comment on function hearth.schema_version() is
	'Number of the newest migration that was applied; NULL when there is none';

create or replace function hearth.add_project(path text,
	name text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	clean text := clean_path(add_project.path);
	called text := coalesce(nullif(btrim(add_project.name), ''),
		regexp_replace(clean, '^.*/', ''));
	project projects;
begin
	insert into projects (name, path) values (called, clean)
	on conflict do nothing returning * into project;
	if found then
		return project.id;
	end if;
	select * into project from projects p
		where p.tenant = '' and p.node_id is null
			and p.name = called and p.path = clean;
	if found then
		return project.id;
	end if;
	select * into project from projects p
		where (p.tenant = '' and p.name = called)
			or (p.node_id is null and p.path = clean)
		order by p.path = clean desc limit 1;
	raise exception using errcode = '23505',
		message = format('project "%s" with path %s exists already',
			project.name, project.path),
		hint = case when project.path = clean
			then 'Use it, or update its row in hearth.projects.'
			else 'Choose another name.' end;
end $$;
comment on function hearth.add_project(text, text) is
	'Registers a folder as a project and returns its id; the same path and name again return it. The name defaults to the last part of the path. 22023 for a path that is not absolute and normalised, 23505 when the path or the name is taken. Whether the folder exists is seen at the first turn';

create or replace function hearth.remove_project(project text)
returns void language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it projects;
	n record;
begin
	select * into it from projects p
		where p.tenant = '' and (p.name = remove_project.project
			or p.path = rtrim(remove_project.project, '/'))
		order by p.name = remove_project.project desc,
			p.node_id nulls first limit 1;
	if not found then
		perform no_such('project', project, 'See hearth.projects, or hearth projects.');
	end if;
	select count(*) filter (where s.archived_at is null) as open,
			count(*) filter (where s.deleted_at is null) as kept,
			count(*) as sessions
		into n from sessions s where s.project_id = it.id;
	if n.sessions > 0 then
		raise exception using errcode = '55006',
			message = format('project "%s" is in use: %s open and %s'
				' archived sessions%s', it.name, n.open, n.kept - n.open,
				case when n.kept < n.sessions then format(', %s being'
					' deleted', n.sessions - n.kept) else '' end),
			hint = case when n.kept > 0 then 'Accept what is to stay, then'
					' delete them: delete_session() for each, or hearth'
					' projects remove --sessions.'
				else 'Try again when the daemon has deleted them.' end;
	end if;
	delete from projects p where p.id = it.id;
exception when foreign_key_violation then
	raise exception using errcode = '55006',
		message = format('project "%s" is in use: a session was opened just'
			' now', it.name),
		hint = 'Delete it with delete_session(), or keep the project.';
end $$;
comment on function hearth.remove_project(text) is
	'Takes a project (by name or path) out of the registry, with its permission rules; its folder is not touched. What agents did in it is read by its sessions, so these must have been deleted: 55006 while there are any, archived or not. 42704 unknown project';

create or replace function hearth.find_project(project text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	clean text;
	node bigint;
	found_id bigint;
begin
	if project is null or project !~ '^/' then
		select p.id into found_id from projects p
			where p.tenant = '' and p.name = find_project.project;
		if not found then
			perform no_such('project', project,
				'Register it with add_project(path, name), or give an'
				' absolute path below project_roots of a running node.');
		end if;
		return found_id;
	end if;
	clean := clean_path(project);
	select p.id into found_id from projects p
		where p.tenant = '' and p.path = clean
		order by p.node_id nulls first limit 1;
	if found then
		return found_id;
	end if;
	select n.id into node from nodes n, unnest(n.project_roots) root
		where is_alive(n.heartbeat_at) and root ~ '^/'
			and starts_with(clean, rtrim(root, '/') || '/')
		order by length(root) desc, n.id limit 1;
	if not found then
		perform no_such('project with path', clean,
			'Register it with add_project(path, name), or put a folder above'
			' it in project_roots of hearthd.conf.');
	end if;
	insert into projects (name, path, node_id)
	select case when exists (select from projects p
			where p.tenant = '' and p.name = base) then clean else base end,
			clean, node
		from regexp_replace(clean, '^.*/', '') base
	on conflict do nothing returning id into found_id;
	if not found then
		-- Another caller was faster, with the path or with the short name.
		insert into projects (name, path, node_id) values (clean, clean, node)
		on conflict do nothing;
		select p.id into strict found_id from projects p
			where p.node_id = node and p.path = clean;
	end if;
	return found_id;
end $$;
comment on function hearth.find_project(text) is
	'The project of this name or path; makes one when the path lies below a live node''s project_roots, else 42704';

create or replace function hearth.open_session(project text,
	title text default null, id uuid default null)
returns uuid language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	belongs_to bigint := find_project(project);
	session sessions;
begin
	insert into sessions (id, tenant, project_id, title)
	select coalesce(open_session.id, gen_random_uuid()), p.tenant, p.id,
			nullif(btrim(open_session.title), '')
		from projects p where p.id = belongs_to
	on conflict (id) do nothing returning * into session;
	if not found then
		select * into session from sessions s where s.id = open_session.id;
		if session.project_id is distinct from belongs_to then
			raise exception using errcode = '23505',
				message = format('session %s exists already, in another'
					' project', open_session.id),
				hint = 'Give a new id, or none.';
		end if;
		if session.deleted_at is not null then
			raise exception using errcode = '55000',
				message = format('session %s is being deleted',
					open_session.id),
				hint = 'Give a new id, or none.';
		end if;
	end if;
	return session.id;
end $$;
comment on function hearth.open_session(text, text, uuid) is
	'Opens a working copy of a project (by name or path) and returns its id. An id that exists in the same project is returned as it is, whatever its title is now. 42704 unknown project, 22023 bad path, 23505 the id is of another project';

create or replace function hearth.open_chat(session uuid,
	title text default null, id uuid default null)
returns uuid language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	parent sessions;
	opened chats;
begin
	select * into parent from sessions s where s.id = session;
	if not found then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
	select * into opened from chats c where c.id = open_chat.id;
	if not found then
		if parent.archived_at is not null then
			raise exception using errcode = '55000',
				message = format('session %s is archived', session),
				hint = 'Open a new session of the project, or take that back with'
					' restore_session().';
		end if;
		insert into chats (id, tenant, session_id, title)
		values (coalesce(open_chat.id, gen_random_uuid()), parent.tenant,
			parent.id, nullif(btrim(open_chat.title), ''))
		on conflict (id) do nothing returning * into opened;
		if not found then
			select * into opened from chats c where c.id = open_chat.id;
		end if;
	end if;
	if opened.session_id is distinct from parent.id then
		raise exception using errcode = '23505',
			message = format('chat %s exists already, in another session',
				open_chat.id),
			hint = 'Give a new id, or none.';
	end if;
	if opened.deleted_at is not null then
		raise exception using errcode = '55000',
			message = format('chat %s is being deleted', open_chat.id),
			hint = 'Give a new id, or none.';
	end if;
	return opened.id;
end $$;
comment on function hearth.open_chat(uuid, text, uuid) is
	'Opens a conversation in a session and returns its id. An id that exists in the same session is returned as it is, whatever its title is now. 42704 unknown session, 55000 archived session, 23505 the id is of another session';

create or replace function hearth.rename_session(session uuid, title text)
returns void language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	update sessions s set title = nullif(btrim(rename_session.title), '')
		where s.id = session;
	if not found then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
end $$;
comment on function hearth.rename_session(uuid, text) is
	'Gives a session another title; NULL or blank: none. 42704 unknown session';

create or replace function hearth.rename_chat(chat uuid, title text)
returns void language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	update chats c set title = nullif(btrim(rename_chat.title), '')
		where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
end $$;
comment on function hearth.rename_chat(uuid, text) is
	'Gives a chat another title; NULL or blank: none. Commit soon: until then the chat''s events wait. 42704 unknown chat';

create or replace function hearth.set_concurrent_turns(session uuid,
	allowed boolean)
returns void language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	if allowed is null then
		raise exception using errcode = '22023',
			message = 'allowed is null',
			hint = 'Give true or false.';
	end if;
	update sessions s set concurrent_turns = allowed where s.id = session;
	if not found then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
end $$;
comment on function hearth.set_concurrent_turns(uuid, boolean) is
	'Lets turns of the session''s different chats run side by side in its worktree, or no more; holds from the next turn that starts. 42704 unknown session, 22023 NULL';

-- Turns. submit() is the hot path: one look, one row, one pair of
-- notifications; all else happens only when it is asked for.

create or replace function hearth.interrupt_chat(chat uuid,
	requested_by text)
returns integer language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	command bigint;
	highest integer;
begin
	for command in
		insert into commands (tenant, kind, session_id, chat_id, agent,
				turn_id, args, requested_by)
		select t.tenant, 'cancel', t.session_id, t.chat_id, t.agent, t.id,
				'{"reason": "replaced"}', interrupt_chat.requested_by
			from turns t
			where t.chat_id = chat and t.status in
				('starting', 'running', 'waiting_permission')
			order by t.id
		on conflict (turn_id) where kind = 'cancel'
			and status in ('pending', 'running') do nothing
		returning id
	loop
		perform pg_notify('hearth_work', '{"command":' || command || '}');
	end loop;
	select max(t.priority) into highest from turns t
		join chats c on c.id = t.chat_id
		where t.session_id = c.session_id and t.chat_id = chat
			and t.status = 'queued';
	return least(greatest(coalesce(highest, 0), 0) + 1, 32767);
end $$;
comment on function hearth.interrupt_chat(uuid, text) is
	'Asks the daemon to cancel the chat''s live turns as replaced; returns the priority that goes before its queued ones';

create or replace function hearth.refuse_if_busy(chat uuid)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	busy bigint;
begin
	-- Two callers at once would both see an idle chat.
	perform pg_advisory_xact_lock(hashtextextended(
		'hearth.submit ' || chat, 0));
	-- In one look: between two, a queued turn may begin to run.
	select u.id into busy from (
		select t.id from turns t
			where t.chat_id = chat and t.status in
				('starting', 'running', 'waiting_permission')
		union all
		select t.id from chats c
			join turns t on t.session_id = c.session_id
				and t.chat_id = c.id and t.status = 'queued'
			where c.id = chat) u
		limit 1;
	if busy is not null then
		raise exception using errcode = '55006',
			message = format('chat %s is busy with turn %s', chat, busy),
			hint = 'Wait for its end, or submit with mode queue or'
				' interrupt.';
	end if;
end $$;
comment on function hearth.refuse_if_busy(uuid) is
	'Raises 55006 when the chat has an unfinished turn';

-- Without a search_path of its own: setting one costs as much as the rest, and
-- submit() has set it.
create or replace function hearth.content_blocks(prompt text, blocks jsonb)
returns jsonb language plpgsql immutable as $$
declare
	result jsonb := '[]';
begin
	if octet_length(prompt) + coalesce(octet_length(blocks::text), 0)
			> 16 * 1024 * 1024
		or octet_length(blocks::text) > 16 * 1024 * 1024 then
		raise exception using errcode = '54000',
			message = 'the prompt is larger than 16 MB',
			hint = 'Put it into a file of the project and name the file.';
	end if;
	if btrim(prompt, E' \t\r\n\f\v') <> '' then
		result := jsonb_build_array(jsonb_build_object(
			'type', 'text', 'text', prompt));
	end if;
	if jsonb_typeof(blocks) <> 'null' then
		if jsonb_typeof(blocks) <> 'array' or exists (
			select from jsonb_array_elements(blocks) b
				where jsonb_typeof(b -> 'type') is distinct from 'string')
		then
			raise exception using errcode = '22023',
				message = 'blocks is not an array of content blocks',
				hint = 'Each block is an object with a "type", such as'
					' {"type": "text", "text": "…"}.';
		end if;
		result := result || blocks;
	end if;
	if result = '[]' then
		raise exception using errcode = '22023',
			message = 'the prompt is empty',
			hint = 'Give a text, or content blocks.';
	end if;
	return result;
end $$;
comment on function hearth.content_blocks(text, jsonb) is
	'The prompt as it is stored: a block for the text, then the given ones';

create or replace function hearth.submit(chat uuid, agent text, prompt text,
	blocks jsonb default null, mode text default 'queue',
	idempotency_key text default null, created_by text default null,
	model text default null, mode_id text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	content jsonb := content_blocks(prompt, blocks);
	key text := nullif(submit.idempotency_key, '');
	hash bytea;
	at record;
	rank integer := 0;
	turn bigint;
begin
	if submit.mode is null
		or submit.mode not in ('queue', 'interrupt', 'reject') then
		raise exception using errcode = '22023',
			message = format('unknown mode %L', submit.mode),
			hint = 'Use queue, interrupt or reject.';
	end if;
	if octet_length(key) > 1000 then
		raise exception using errcode = '54000',
			message = format('the idempotency key has %s bytes, at most'
				' 1000 are taken', octet_length(key)),
			hint = 'Give a hash of it.';
	end if;
	if key is not null then
		hash := sha256(convert_to(jsonb_build_array(submit.agent, content,
			submit.model, submit.mode_id)::text, 'UTF8'));
		turn := same_turn(chat, key, hash);
		if turn is not null then
			return turn;
		end if;
	end if;

	select c.tenant, c.session_id, c.closed_at, s.archived_at, a.enabled
		into at
		from chats c
			join sessions s on s.id = c.session_id
			left join agents a on a.name = submit.agent
		where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	if at.closed_at is not null or at.archived_at is not null then
		raise exception using errcode = '55000',
			message = case when at.archived_at is null
				then format('chat %s is closed', chat)
				else format('session %s is archived', at.session_id) end,
			hint = case when at.archived_at is null
				then 'Open another one with open_chat().'
				else 'Open a new session of the project, or take that back with'
					' restore_session().' end;
	end if;
	if at.enabled is not true then
		perform refuse_agent(submit.agent);
	end if;
	if submit.mode = 'reject' then
		perform refuse_if_busy(chat);
	elsif submit.mode = 'interrupt' then
		rank := interrupt_chat(chat, submit.created_by);
	end if;

	insert into turns (tenant, chat_id, session_id, agent, prompt, priority,
			idempotency_key, request_hash, created_by, model, mode_id)
	values (at.tenant, chat, at.session_id, submit.agent, content, rank,
			key, hash, submit.created_by, nullif(submit.model, ''),
			nullif(submit.mode_id, ''))
	on conflict (chat_id, idempotency_key)
		where idempotency_key is not null do nothing
	returning id into turn;
	if turn is null then
		return same_turn(chat, key, hash);
	end if;
	perform pg_notify('hearth_work',
			'{"session":"' || at.session_id || '","turn":' || turn
			|| ',"chat":"' || chat || '","agent":"' || submit.agent || '"}'),
		pg_notify('hearth_status', '{"what":"turn","chat":"' || chat
			|| '","agent":"' || submit.agent || '","id":' || turn
			|| ',"status":"queued"}');
	return turn;
end $$;
comment on function hearth.submit(uuid, text, text, jsonb, text, text, text, text, text) is
	'Queues a prompt for an agent in a chat and returns the turn''s id. mode: queue; interrupt (cancels the live turn as replaced and goes before the queued ones); reject (55006 when the chat has an unfinished turn). The same idempotency_key with the same content returns the first turn, with other content 23505. 42704 unknown chat or agent; 55000 closed chat, archived session, disabled agent; 22023 empty prompt, bad blocks or mode; 54000 a prompt above 16 MB, a key above 1000 bytes. model and mode_id are set before the prompt and stay so; the turn fails with error_code unsupported when the agent does not offer them';

create or replace function hearth.submit_once(project text, agent text,
	prompt text, blocks jsonb default null,
	idempotency_key text default null, created_by text default null,
	model text default null, mode_id text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	belongs_to bigint := find_project(project);
	key text := nullif(submit_once.idempotency_key, '');
	session uuid := gen_random_uuid();
	chat uuid := gen_random_uuid();
begin
	if key is not null then
		session := md5(format('hearth session %s %s', belongs_to, key));
		chat := md5(format('hearth chat %s %s', belongs_to, key));
	end if;
	insert into sessions (id, tenant, project_id, ephemeral)
	select session, p.tenant, p.id, true
		from projects p where p.id = belongs_to
	on conflict (id) do nothing;
	insert into chats (id, tenant, session_id)
	select chat, s.tenant, s.id from sessions s where s.id = session
	on conflict (id) do nothing;
	return submit(chat, agent, prompt, blocks, 'queue', key, created_by,
		model, mode_id);
end $$;
comment on function hearth.submit_once(text, text, text, jsonb, text, text, text, text) is
	'Queues a prompt that needs no conversation: in a session, worktree and child of its own, which end with it; what was said and changed stays to be read. The same idempotency_key for the same project and content returns the first turn, with other content 23505. Returns the turn''s id; the errors of open_session() and submit()';

create or replace function hearth.same_turn(chat uuid, key text, hash bytea)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	first record;
begin
	select t.id, t.request_hash into first from turns t
		where t.chat_id = chat and t.idempotency_key = key;
	if found and first.request_hash is distinct from hash then
		raise exception using errcode = '23505',
			message = format('idempotency key %L belongs to turn %s, which'
				' has other content', key, first.id),
			hint = 'A new prompt needs a new key.';
	end if;
	return first.id;
end $$;
comment on function hearth.same_turn(uuid, text, bytea) is
	'The chat''s turn with this idempotency key, NULL when there is none; 23505 when its content is another';

create or replace function hearth.refuse_agent(agent text)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	usable text;
begin
	if exists (select from agents a where a.name = agent) then
		raise exception using errcode = '55000',
			message = format('agent "%s" is disabled', agent),
			hint = format('Enable it (hearth agents enable %s), or choose another.',
				agent);
	end if;
	select string_agg(a.name, ', ' order by a.name) into usable
		from agents a where a.enabled;
	perform no_such('agent', agent, coalesce('Enabled: ' || usable || '.',
		'None is enabled yet: hearth agents enable, hearth agents add, or a'
		' row in hearth.agents.'));
end $$;
comment on function hearth.refuse_agent(text) is
	'Raises why no turn can be submitted for this agent: 55000 disabled, 42704 unknown';

create or replace function hearth.follow_up(chat uuid, prompt text,
	blocks jsonb default null, mode text default 'queue',
	idempotency_key text default null, created_by text default null,
	model text default null, mode_id text default null)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	last_agent text;
begin
	select t.agent into last_agent from turns t
		where t.chat_id = chat order by t.id desc limit 1;
	if not found then
		if not exists (select from chats c where c.id = chat) then
			perform no_such('chat', chat::text,
				'Create it with open_chat().');
		end if;
		raise exception using errcode = '55000',
			message = format('chat %s has had no turn yet', chat),
			hint = 'Use submit(), which names the agent.';
	end if;
	return submit(chat, last_agent, prompt, blocks, mode, idempotency_key,
		created_by, model, mode_id);
end $$;
comment on function hearth.follow_up(uuid, text, jsonb, text, text, text, text, text) is
	'submit() to the agent of the chat''s last turn; 55000 when there was none, else the errors of submit()';

create or replace function hearth.cancel(turn bigint,
	cancelled_by text default null)
returns boolean language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it turns;
	command bigint;
begin
	select * into it from turns t where t.id = turn;
	if not found then
		perform no_such('turn', turn::text, 'See hearth.turns.');
	end if;
	if it.status in ('completed', 'failed', 'cancelled', 'interrupted') then
		return false;
	end if;
	insert into commands (tenant, kind, session_id, chat_id, agent, turn_id,
			requested_by)
	values (it.tenant, 'cancel', it.session_id, it.chat_id, it.agent, it.id,
			cancel.cancelled_by)
	on conflict (turn_id) where kind = 'cancel'
		and status in ('pending', 'running') do nothing
	returning id into command;
	if command is not null then
		perform pg_notify('hearth_work', '{"command":' || command || '}');
	end if;
	return true;
end $$;
comment on function hearth.cancel(bigint, text) is
	'Asks the daemon to cancel a turn, queued or live; false when it had ended already, true otherwise, also when it was asked before. 42704 unknown turn';

create or replace function hearth.answer_permission(request bigint,
	option_id text, answered_by text default null)
returns boolean language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	question permission_requests;
	command bigint;
begin
	select * into question from permission_requests p where p.id = request;
	if not found then
		perform no_such('permission request', request::text,
			'See the view hearth.pending_permissions.');
	end if;
	if question.status <> 'pending' then
		return false;
	end if;
	if not exists (select from jsonb_array_elements(question.options) o
			where o ->> 'optionId' = answer_permission.option_id) then
		raise exception using errcode = '22023',
			message = format('permission request %s has no option %L',
				request, answer_permission.option_id),
			hint = (select 'Options: ' || coalesce(string_agg(
					o ->> 'optionId', ', ' order by n), 'none') || '.'
				from jsonb_array_elements(question.options)
					with ordinality x (o, n));
	end if;
	insert into commands (tenant, kind, session_id, chat_id, agent, turn_id,
			args, requested_by)
	select c.tenant, 'answer_permission', c.session_id, c.id, question.agent,
			question.turn_id, jsonb_build_object('request', question.id,
				'option_id', answer_permission.option_id),
			answer_permission.answered_by
		from chats c where c.id = question.chat_id
	on conflict do nothing returning id into command;
	if command is not null then
		perform pg_notify('hearth_work', '{"command":' || command || '}');
	end if;
	return command is not null;
end $$;
comment on function hearth.answer_permission(bigint, text, text) is
	'Answers an agent''s question with one of its options. The first answer wins: true; a later one, or one to a question that has ended, returns false. 42704 unknown request, 22023 no such option';

create or replace function hearth.permission_rules_changed()
returns trigger language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	perform pg_notify('hearth_work', '{"rules":true}');
	return null;
end $$;
comment on function hearth.permission_rules_changed() is
	'Tells every node to read the permission rules again';
create or replace trigger permission_rules_changed
	after insert or update or delete or truncate on hearth.permission_rules
	for each statement execute function hearth.permission_rules_changed();

create or replace function hearth.agents_changed()
returns trigger language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	perform pg_notify('hearth_work', '{"agents":true}');
	return null;
end $$;
comment on function hearth.agents_changed() is
	'Tells every node to look at the registry again: for its spares';
create or replace trigger agents_changed
	after insert or update or delete or truncate on hearth.agents
	for each statement execute function hearth.agents_changed();

create or replace function hearth.close_agent(chat uuid, agent text,
	requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.request_for_agent('close_agent', chat, agent, requested_by);
comment on function hearth.close_agent(uuid, text, text) is
	'Asks the daemon to end the agent''s child in this chat, and to cancel its turn, also one that has begun and waits for a child; queued turns stay. The conversation is kept and the next turn starts a new child. Returns the id in hearth.commands. 42704 unknown chat or agent';

create or replace function hearth.reset_agent(chat uuid, agent text,
	requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.request_for_agent('reset_agent', chat, agent, requested_by);
comment on function hearth.reset_agent(uuid, text, text) is
	'Asks the daemon to end the agent''s child in this chat, and to forget its crashes, its back-off, its session and what was set (model, mode, options): the next turn begins anew, as does one that has no child yet; one that has is cancelled. Returns the id in hearth.commands. 42704 unknown chat or agent';

create or replace function hearth.set_mode(chat uuid, agent text,
	mode_id text, requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	command bigint := request_for_agent('set_mode', chat, agent,
		requested_by);
begin
	if coalesce(set_mode.mode_id, '') = '' then
		raise exception using errcode = '22023',
			message = 'no mode was given',
			hint = 'See offers in hearth.agent_sessions.';
	end if;
	update commands c set args = jsonb_build_object(
			'mode_id', set_mode.mode_id)
		where c.id = command;
	return command;
end $$;
comment on function hearth.set_mode(uuid, text, text, text) is
	'Asks the daemon to set the agent''s mode in this chat: at once when it is idle, after its turn, or its start, when it has one, in its next child when it has none; it stays so in later children. Returns the id in hearth.commands, which fails with error_code unsupported when the agent does not offer it. 42704 unknown chat or agent, 22023 no mode';

create or replace function hearth.set_config_option(chat uuid, agent text,
	option text, value jsonb, requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	command bigint := request_for_agent('set_config_option', chat, agent,
		requested_by);
begin
	if coalesce(set_config_option.option, '') = ''
		or coalesce(jsonb_typeof(set_config_option.value), '')
			not in ('string', 'boolean') then
		raise exception using errcode = '22023',
			message = 'an option has an id, and a value that is a JSON'
				' string, true or false',
			hint = 'See offers -> ''configOptions'' in'
				' hearth.agent_sessions.';
	end if;
	update commands c set args = jsonb_build_object(
			'option', set_config_option.option,
			'value', set_config_option.value)
		where c.id = command;
	return command;
end $$;
comment on function hearth.set_config_option(uuid, text, text, jsonb, text) is
	'The same as set_mode() for any of the agent''s config options, by its id. 42704 unknown chat or agent, 22023 no option, or a value that is neither string nor boolean';

create or replace function hearth.suspend_agent(chat uuid, agent text,
	requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.request_for_agent('suspend_agent', chat, agent, requested_by);
comment on function hearth.suspend_agent(uuid, text, text) is
	'Asks the daemon for the memory of the agent''s idle child in this chat: the child is ended, the conversation is kept, and the next turn goes on with it. Returns the id in hearth.commands, which fails with agent_busy when the agent is at work or being started. 42704 unknown chat or agent';

create or replace function hearth.resume_agent(chat uuid, agent text,
	requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.request_for_agent('resume_agent', chat, agent, requested_by);
comment on function hearth.resume_agent(uuid, text, text) is
	'Takes suspend_agent() back: suspended_at is NULL again. The child is started by the next turn, which needs no resume_agent(). Returns the id in hearth.commands. 42704 unknown chat or agent';

-- Warmth: a child before the prompt.

create or replace function hearth.chat_for_agent(chat uuid, agent text,
	out session uuid, out refusal text, out hint text)
language plpgsql stable
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	at record;
begin
	select c.session_id, c.closed_at, s.archived_at, a.enabled, a.paused,
			x.backoff_until
		into at
		from chats c
			join sessions s on s.id = c.session_id
			left join agents a on a.name = chat_for_agent.agent
			left join agent_sessions x on x.chat_id = c.id
				and x.agent = a.name
		where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	if at.enabled is null then
		perform refuse_agent(agent);
	end if;
	session := at.session_id;
	if at.archived_at is not null then
		refusal := format('session %s is archived', at.session_id);
		hint := 'Open a new session of the project, or take that back with'
			' restore_session().';
	elsif at.closed_at is not null then
		refusal := format('chat %s is closed', chat);
		hint := 'Open another one with open_chat().';
	elsif not at.enabled then
		refusal := format('agent "%s" is disabled', agent);
		hint := format('Enable it (hearth agents enable %s), or choose'
			' another.', agent);
	elsif at.paused then
		refusal := format('agent "%s" is paused', agent);
		hint := 'It starts again when hearth.agents.paused is false.';
	elsif at.backoff_until > now() then
		refusal := format('agent "%s" waits after crashes until %s', agent,
			date_trunc('second', at.backoff_until));
		hint := 'See last_error in hearth.agent_sessions; reset_agent()'
			' ends the wait.';
	end if;
end $$;
comment on function hearth.chat_for_agent(uuid, text) is
	'The chat''s session, and why the agent may not be started in it now, if so; 42704 unknown chat or agent';

create or replace function hearth.warm(chat uuid, agent text,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	at record;
begin
	at := chat_for_agent(chat, agent);
	if at.refusal is not null then
		raise exception using errcode = '55000', message = at.refusal,
			hint = at.hint;
	end if;
	return request('warm', at.session, chat, agent, requested_by);
end $$;
comment on function hearth.warm(uuid, text, text) is
	'Asks the daemon to start the agent in this chat before it is prompted. Returns the id in hearth.commands: done when the child is ready, failed with the reason. 42704 unknown chat or agent; 55000 closed chat, archived session, agent disabled, paused or in back-off';

create or replace function hearth.typing(chat uuid, agent text,
	participant text)
returns void language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	at record;
begin
	if coalesce(btrim(participant), '') = ''
		or octet_length(participant) > 200 then
		raise exception using errcode = '22023',
			message = 'the participant is empty or longer than 200 bytes',
			hint = 'Give the id that the application has for the person.';
	end if;
	at := chat_for_agent(chat, agent);
	if at.refusal is not null then
		return;
	end if;
	perform pg_notify('hearth_work', '{"session":"' || at.session
			|| '","typing":1,"chat":"' || chat || '","agent":"' || agent
			|| '"}'),
		pg_notify('hearth_status', json_build_object('what', 'presence',
			'chat', chat, 'agent', agent, 'id', participant,
			'status', 'typing')::text);
end $$;
comment on function hearth.typing(uuid, text, text) is
	'Somebody types a prompt for this agent: its child is started if it can be, or kept warm, and readers of the chat are told. Nothing is stored, and nothing happens while no hearthd is up. Call it as often as you like, a few seconds apart is enough. 42704 unknown chat or agent, 22023 bad participant';

create or replace function hearth.cancel_unfinished(session uuid, chat uuid,
	requested_by text)
returns void language sql
set search_path = pg_catalog, hearth, pg_temp
begin atomic
	insert into hearth.commands (tenant, kind, session_id, chat_id, agent,
		turn_id, args, requested_by)
	select t.tenant, 'cancel', t.session_id, t.chat_id, t.agent, t.id,
			'{"reason": "closed"}', cancel_unfinished.requested_by
		from hearth.chats c
			join hearth.turns t on t.chat_id = c.id
				and t.session_id = c.session_id
		where c.session_id = cancel_unfinished.session
			and (cancel_unfinished.chat is null
				or c.id = cancel_unfinished.chat)
			and t.status in ('queued', 'starting', 'running',
				'waiting_permission')
		order by t.id
	on conflict (turn_id) where kind = 'cancel'
		and status in ('pending', 'running') do nothing;
end;
comment on function hearth.cancel_unfinished(uuid, uuid, text) is
	'Asks the daemon to cancel what is queued or live in a chat, or in a whole session';

create or replace function hearth.close_chat(chat uuid,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it chats;
begin
	select * into it from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	if it.closed_at is null then
		update chats c set closed_at = now()
			where c.id = it.id and c.closed_at is null;
	end if;
	perform cancel_unfinished(it.session_id, it.id,
		close_chat.requested_by);
	return request('close_chat', it.session_id, it.id, null,
		close_chat.requested_by);
end $$;
comment on function hearth.close_chat(uuid, text) is
	'Closes a chat: no new turns, and the daemon is asked to cancel what is unfinished and to end its agents. What was said stays. Returns the id in hearth.commands. 42704 unknown chat';

create or replace function hearth.archive_session(session uuid,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	if not exists (select from sessions s where s.id = session) then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
	update sessions s set archived_at = now()
		where s.id = session and s.archived_at is null;
	perform cancel_unfinished(session, null,
		archive_session.requested_by);
	return request('archive_session', session, null, null,
		archive_session.requested_by);
end $$;
comment on function hearth.archive_session(uuid, text) is
	'Archives a session: no new chats and turns, and the daemon is asked to cancel what is unfinished and to end its agents. Returns the id in hearth.commands, whose result says what is at risk: pending_changes that nobody has accepted, uncommitted_files in the worktree, unmerged_commits that the default branch lacks. None of it is lost when the worktree is removed after archive_grace: it is saved, and restore_session() brings it back. 42704 unknown session';

create or replace function hearth.restore_session(session uuid,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it sessions;
begin
	select * into it from sessions s where s.id = session;
	if not found or it.deleted_at is not null then
		perform no_such('session', session::text,
			'See hearth.sessions; what was deleted does not come back.');
	end if;
	if it.ephemeral then
		raise exception using errcode = '55000',
			message = format('session %s was made by submit_once()', session),
			hint = 'It has ended with its turn: open a new session.';
	end if;
	update sessions s set archived_at = null
		where s.id = it.id and s.archived_at is not null;
	return request('restore_session', it.id, null, null,
		restore_session.requested_by);
end $$;
comment on function hearth.restore_session(uuid, text) is
	'Takes archive_session() back: the session has chats and turns again, and the daemon is asked to bring back its worktree with all that was in it, and its branch; changes that wait for a decision were kept. Closed chats stay closed, ignored files are gone when the worktree was removed. Also for one that is not archived, whose worktree was put away. Returns the id in hearth.commands: done when the worktree is there, failed with the reason. 42704 unknown or deleted session, 55000 one of submit_once()';

create or replace function hearth.delete_session(session uuid,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	if not exists (select from sessions s where s.id = session) then
		perform no_such('session', session::text, 'See hearth.sessions.');
	end if;
	update sessions s set deleted_at = coalesce(deleted_at, now()),
			archived_at = coalesce(archived_at, now())
		where s.id = session;
	perform cancel_unfinished(session, null, delete_session.requested_by);
	return request('delete_session', session, null, null,
		delete_session.requested_by);
end $$;
comment on function hearth.delete_session(uuid, text) is
	'Deletes a session for good, without saving anything: its chats with all that was said, its changes whether accepted or not, its worktree with uncommitted work, its branch with commits that are on no other branch, and what was saved of it. What was accepted stays in the project. At once nothing can be begun in it; the daemon cancels what is unfinished, removes the rest and then the rows, also later when no node is up now. Returns the id in hearth.commands, a row that stays: done when all is gone, failed when the worktree could not be removed, which is tried again every hour. 42704 unknown session';

create or replace function hearth.delete_chat(chat uuid,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it chats;
begin
	select * into it from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'See hearth.chats.');
	end if;
	update chats c set deleted_at = coalesce(deleted_at, now()),
			closed_at = coalesce(closed_at, now())
		where c.id = it.id;
	perform cancel_unfinished(it.session_id, it.id,
		delete_chat.requested_by);
	return request('delete_chat', it.session_id, it.id, null,
		delete_chat.requested_by);
end $$;
comment on function hearth.delete_chat(uuid, text) is
	'Deletes a chat for good: its turns, messages, events, tool calls, artifacts and what its agents remember of it. The files in the session''s worktree stay, and so do the changes that it made, with their agent but without chat and turn. At once nothing can be begun in it; the daemon cancels what is unfinished, ends its agents and then removes the rows, also later when no node is up now. Returns the id in hearth.commands, a row that stays: done when all is gone. 42704 unknown chat';

create or replace function hearth.worktree_used(w hearth.worktrees)
returns timestamptz language sql stable
return greatest(w.last_used_at, (select max(coalesce(t.ended_at,
		t.started_at, t.queued_at))
	from hearth.chats c cross join lateral (select * from hearth.turns x
		where x.chat_id = c.id order by x.id desc limit 1) t
	where c.session_id = w.session_id));
comment on function hearth.worktree_used(hearth.worktrees) is
	'When a worktree was used last: made, taken up again, or by a turn';

-- Decisions on changes. The daemon carries them out when no turn is at work in
-- the session, in the order in which they were asked for.

create or replace function hearth.request_files(kind text, session uuid,
	chat uuid, agent text, args jsonb, requested_by text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	command bigint := request(kind, session, chat, agent, requested_by);
begin
	update commands c set args = request_files.args where c.id = command;
	return command;
end $$;
comment on function hearth.request_files(text, uuid, uuid, text, jsonb, text) is
	'request() with arguments';

create or replace function hearth.newest_chat(session uuid)
returns uuid language sql stable
return (select c.id from hearth.chats c where c.session_id = session
	order by c.closed_at is not null, c.created_at desc, c.id limit 1);
comment on function hearth.newest_chat(uuid) is
	'The chat where it is told what happens in a session and in no chat of it; NULL when it has none';

create or replace function hearth.refuse_decision(it hearth.pending_changes,
	decision text)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	newer bigint;
	hint text := case it.status
		when 'pending' then 'It has not been accepted yet: reject_change()'
			' takes it back in the worktree.'
		when 'applied' then 'revert_change() takes it out of the project'
			' again.'
		when 'rejected' then 'It was taken back in the worktree; ask the'
			' agent to make it again.'
		when 'reverted' then 'What the worktree still has of it is a'
			' pending change of its own.' end;
begin
	if it.status = 'superseded' then
		select p.id into newer from pending_changes p
			where p.session_id = it.session_id
				and p.file_path = it.file_path and p.status = 'pending';
		hint := coalesce('Decide on change ' || newer || ', the newest of'
			' this file.', 'The file is as it was before.');
	end if;
	raise exception using errcode = '55000',
		message = format('change %s of %s is %s: it cannot be %s', it.id,
			it.file_path, it.status, case decision
			when 'accept' then 'accepted' when 'reject' then 'rejected'
			else 'reverted' end),
		hint = hint;
end $$;
comment on function hearth.refuse_decision(hearth.pending_changes, text) is
	'Raises 55000: why a change in this status cannot be decided on in this way';

create or replace function hearth.decide(kind text, change bigint,
	decision text, hunks integer[], decided_by text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it pending_changes;
begin
	select * into it from pending_changes p where p.id = decide.change;
	if not found then
		perform no_such('change', change::text,
			'See hearth.pending_changes, or the view'
			' hearth.pending_review.');
	end if;
	if it.status not in (case decide.decision when 'revert' then 'applied'
			else 'pending' end, case decide.decision when 'accept'
			then 'applied' when 'reject' then 'rejected'
			else 'reverted' end) then
		perform refuse_decision(it, decide.decision);
	end if;
	return request_files(decide.kind, it.session_id, coalesce(
			(select c.id from chats c where c.id = it.chat_id),
			newest_chat(it.session_id)), null,
		jsonb_strip_nulls(jsonb_build_object('decision', decide.decision,
			'changes', jsonb_build_array(it.id),
			'hunks', to_jsonb(decide.hunks))), decide.decided_by);
end $$;
comment on function hearth.decide(text, bigint, text, integer[], text) is
	'Asks the daemon to carry out a decision on one change. 42704 unknown change, 55000 its status speaks against it';

create or replace function hearth.accept_change(change bigint,
	decided_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.decide('accept_change', change, 'accept', null, decided_by);
comment on function hearth.accept_change(bigint, text) is
	'Asks the daemon to put a pending change into the project''s own checkout, three-way where that has moved on; what the file is then is what later changes of it are told against. The row becomes applied, or has an error and nothing was changed. Once it is applied, asking again does nothing. Returns the id in hearth.commands, which fails with conflict, no_checkout, changed, write_failed or not_pending. 42704 unknown change, 55000 superseded, rejected or reverted';

create or replace function hearth.reject_change(change bigint,
	decided_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.decide('reject_change', change, 'reject', null, decided_by);
comment on function hearth.reject_change(bigint, text) is
	'Asks the daemon to take a pending change back in the session''s worktree, if the file still is what the change made of it. The row becomes rejected, or has an error and nothing was changed. Returns the id in hearth.commands, which fails with changed, write_failed or not_pending. 42704 unknown change, 55000 superseded, applied or reverted';

create or replace function hearth.revert_change(change bigint,
	decided_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.decide('revert_change', change, 'revert', null, decided_by);
comment on function hearth.revert_change(bigint, text) is
	'Asks the daemon to take an applied change out of the project''s checkout again, three-way. The row becomes reverted, and what the worktree still has of it a pending change; or it has an error and nothing was changed. Returns the id in hearth.commands, which fails with conflict, no_checkout, changed, write_failed or not_pending. 42704 unknown change, 55000 not applied';

create or replace function hearth.decide_all(kind text, session uuid,
	decision text, decided_by text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	if not exists (select from sessions s where s.id = decide_all.session)
	then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
	return request_files(decide_all.kind, session, newest_chat(session),
		null, jsonb_build_object('decision', decide_all.decision,
			'changes', (select coalesce(jsonb_agg(p.id order by p.id), '[]')
				from pending_changes p
				where p.session_id = decide_all.session
					and p.status = 'pending')),
		decide_all.decided_by);
end $$;
comment on function hearth.decide_all(text, uuid, text, text) is
	'Asks the daemon to carry out a decision on what is pending in a session now. 42704 unknown session';

create or replace function hearth.accept_changes(session uuid,
	decided_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.decide_all('accept_changes', session, 'accept', decided_by);
comment on function hearth.accept_changes(uuid, text) is
	'accept_change() for all that is pending in a session now, in one step; each file has its own outcome, and the command fails when one has. Returns the id in hearth.commands. 42704 unknown session';

create or replace function hearth.reject_changes(session uuid,
	decided_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.decide_all('reject_changes', session, 'reject', decided_by);
comment on function hearth.reject_changes(uuid, text) is
	'reject_change() for all that is pending in a session now, in one step; each file has its own outcome, and the command fails when one has. Returns the id in hearth.commands. 42704 unknown session';

create or replace function hearth.accept_hunks(change bigint,
	hunks integer[], decided_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	shown text := (select p.diff from pending_changes p where p.id = change);
	there bigint := (select count(*) from regexp_matches(shown, '^@@ ', 'gn'));
	wrong integer;
	chosen integer[] := (select array_agg(distinct h order by h)
		from unnest(hunks) h where h is not null);
begin
	select h into wrong from unnest(hunks) h
		where h is null or h < 1 or h > there limit 1;
	if shown is not null and (found or chosen is null) then
		raise exception using errcode = '22023',
			message = case when chosen is null then 'no hunk was given'
				else format('change %s has no hunk %s', change,
					coalesce(wrong::text, 'NULL')) end,
			hint = case when there > 0
				then format('Its hunks are 1 to %s, as in its diff.', there)
				else 'Its diff has no hunks: accept_change() accepts the'
					' whole file.' end;
	end if;
	return decide('accept_hunks', change, 'accept', case
		when cardinality(chosen) < there then chosen end, decided_by);
end $$;
comment on function hearth.accept_hunks(bigint, integer[], text) is
	'accept_change() for some hunks of a change, by their numbers (from 1) in its diff: the row becomes applied with that part, the rest is a pending change of its own. 22023 no such hunk; else as accept_change()';

create or replace function hearth.clean_file_path(file_path text)
returns text language plpgsql immutable
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	if file_path is null or octet_length(file_path) not between 1 and 4000
		or file_path ~ '^/|//|/$|[[:cntrl:]]'
		or file_path ~* '(^|/)(\.|\.\.|\.git)(/|$)' then
		raise exception using errcode = '22023',
			message = format('%s is not the path of a file in the worktree',
				coalesce('"' || file_path || '"', 'NULL')),
			hint = 'Give it from the top of the worktree, such as'
				' src/main.c, without "." and ".." parts and outside of'
				' .git.';
	end if;
	return file_path;
end $$;
comment on function hearth.clean_file_path(text) is
	'The path as it is; 22023 when it is not relative and normalised, or leads into .git';

create or replace function hearth.queue_file(kind text, session uuid,
	args jsonb, agent text, requested_by text)
returns bigint language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it sessions;
	told_in uuid := newest_chat(session);
begin
	select * into it from sessions s where s.id = queue_file.session;
	if not found then
		perform no_such('session', session::text,
			'Create it with open_session().');
	end if;
	if it.archived_at is not null then
		raise exception using errcode = '55000',
			message = format('session %s is archived', session),
			hint = 'Open a new session of the project, or take that back with'
				' restore_session().';
	end if;
	if told_in is null then
		raise exception using errcode = '55000',
			message = format('session %s has no chat yet', session),
			hint = 'Open one with open_chat(): what happens in the session'
				' is told there.';
	end if;
	if queue_file.agent is not null and not exists (select from agents a
			where a.name = queue_file.agent) then
		perform no_such('agent', queue_file.agent,
			'See the view hearth.agent_list; NULL: a person does it.');
	end if;
	if octet_length(args ->> 'text') > 16 * 1024 * 1024
		or octet_length(args ->> 'other_text') > 16 * 1024 * 1024 then
		raise exception using errcode = '54000',
			message = 'the text is larger than 16 MB',
			hint = 'Write it into the worktree directly.';
	end if;
	return request_files(queue_file.kind, it.id, told_in, queue_file.agent,
		queue_file.args, queue_file.requested_by);
end $$;
comment on function hearth.queue_file(text, uuid, jsonb, text, text) is
	'Asks the daemon to change a file in a session''s worktree. 42704 unknown session or agent, 55000 archived, or no chat, 54000 above 16 MB';

create or replace function hearth.queue_create(session uuid, file_path text,
	content text, agent text default null, requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.queue_file('queue_create', session, jsonb_build_object(
	'verb', 'create', 'path', hearth.clean_file_path(file_path),
	'text', coalesce(content, '')), agent, requested_by);
comment on function hearth.queue_create(uuid, text, text, text, text) is
	'Asks the daemon to make a file in the session''s worktree, for an agent (NULL: a person); it becomes a pending change. Waits for a running turn''s end. Returns the id in hearth.commands, which fails with exists or ignored. 42704 unknown session or agent, 22023 bad path, 55000 archived session, or one without a chat, 54000 above 16 MB';

create or replace function hearth.queue_edit(session uuid, file_path text,
	old_text text, new_text text, agent text default null,
	requested_by text default null)
returns bigint language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
begin
	if coalesce(old_text, '') = '' or old_text = coalesce(new_text, '') then
		raise exception using errcode = '22023',
			message = case when coalesce(old_text, '') = ''
				then 'the old text is empty'
				else 'the old text and the new text are the same' end,
			hint = 'Give a text that is in the file exactly once, and what'
				' it is to become.';
	end if;
	return queue_file('queue_edit', session, jsonb_build_object(
		'verb', 'edit', 'path', clean_file_path(file_path),
		'text', old_text, 'other_text', coalesce(new_text, '')), agent,
		requested_by);
end $$;
comment on function hearth.queue_edit(uuid, text, text, text, text, text) is
	'Asks the daemon to replace a text that is in a file of the session''s worktree exactly once, for an agent (NULL: a person); it becomes a pending change. Returns the id in hearth.commands, which fails with not_found, ambiguous, missing or no_file. 22023 no old text, or no change; else as queue_create()';

create or replace function hearth.queue_delete(session uuid, file_path text,
	agent text default null, requested_by text default null)
returns bigint language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.queue_file('queue_delete', session, jsonb_build_object(
	'verb', 'delete', 'path', hearth.clean_file_path(file_path)), agent,
	requested_by);
comment on function hearth.queue_delete(uuid, text, text, text) is
	'Asks the daemon to delete a file of the session''s worktree, for an agent (NULL: a person); it becomes a pending change. Returns the id in hearth.commands, which fails with missing. Else as queue_create()';

-- Reading. These run with the rights of the caller; STABLE gives each the one
-- snapshot that its answer is true for.

create or replace function hearth.history(chat uuid,
	message_limit integer default 100, event_limit integer default 500)
returns jsonb language plpgsql stable
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it chats;
begin
	select * into it from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	return jsonb_build_object(
		'chat', jsonb_build_object('id', it.id, 'session_id', it.session_id,
			'title', it.title, 'created_at', it.created_at,
			'closed_at', it.closed_at),
		'first_seq', it.first_seq,
		'last_seq', it.last_seq,
		'messages', last_messages(it.id,
			greatest(coalesce(message_limit, 100), 0)),
		'events', (select coalesce(jsonb_agg(jsonb_build_object(
				'seq', e.seq, 'turn_id', e.turn_id, 'agent', e.agent,
				'kind', e.kind, 'payload', e.payload,
				'repaired', e.repaired, 'created_at', e.created_at)
				order by e.seq), '[]')
			from events e where e.chat_id = it.id and e.seq > it.last_seq
				- greatest(coalesce(event_limit, 500), 0)),
		'queued_turns', (select coalesce(jsonb_agg(turn_object(t)
				order by t.priority desc, t.id), '[]')
			from turns t where t.session_id = it.session_id
				and t.chat_id = it.id and t.status = 'queued'),
		'live_turns', (select coalesce(jsonb_agg(turn_object(t)
				order by t.id), '[]')
			from turns t where t.chat_id = it.id and t.status in
				('starting', 'running', 'waiting_permission')),
		'permissions', (select coalesce(jsonb_agg(jsonb_build_object(
				'id', p.id, 'turn_id', p.turn_id, 'agent', p.agent,
				'tool_call_id', p.tool_call_id, 'tool_call', p.tool_call,
				'options', p.options, 'created_at', p.created_at)
				order by p.id), '[]')
			from permission_requests p
			where p.chat_id = it.id and p.status = 'pending'));
end $$;
comment on function hearth.history(uuid, integer, integer) is
	'A chat as one snapshot: {chat, first_seq, last_seq, messages, events, queued_turns, live_turns, permissions}, the newest message_limit messages and event_limit events in order; go on with events_since(chat, last_seq). A message that still streams has the content so far. 42704 unknown chat';

create or replace function hearth.turn_object(t hearth.turns)
returns jsonb language sql immutable
return pg_catalog.jsonb_build_object('id', t.id, 'agent', t.agent,
	'status', t.status, 'prompt', t.prompt, 'priority', t.priority,
	'created_by', t.created_by, 'model', t.model, 'mode_id', t.mode_id,
	'queued_at', t.queued_at, 'started_at', t.started_at,
	'not_before', t.not_before);
comment on function hearth.turn_object(hearth.turns) is
	'A turn as history() shows it';

create or replace function hearth.last_messages(chat uuid, how_many integer)
returns jsonb language sql stable
begin atomic
	select coalesce(jsonb_agg(jsonb_build_object(
			'id', m.id, 'turn_id', m.turn_id, 'role', m.role,
			'agent', m.agent, 'status', m.status,
			'content', case when m.status = 'streaming'
				then coalesce(s.content, m.content, '')
				else m.content end,
			'reasoning', case when m.status = 'streaming'
				then coalesce(s.reasoning, m.reasoning)
				else m.reasoning end,
			'first_seq', m.first_seq, 'last_seq', m.last_seq,
			'created_at', m.created_at, 'ended_at', m.ended_at)
			order by m.id), '[]')
		from (select * from hearth.messages x where x.chat_id = chat
				order by x.id desc limit how_many) m
			left join lateral (
				select string_agg(e.payload ->> 'text', '' order by e.seq)
						filter (where e.kind = 'text') as content,
						string_agg(e.payload ->> 'text', '' order by e.seq)
						filter (where e.kind = 'reasoning') as reasoning
					from hearth.events e
					where e.chat_id = m.chat_id
						and e.seq >= coalesce(m.first_seq, 0)
						and e.turn_id = m.turn_id
						and e.kind in ('text', 'reasoning')
			) s on m.status = 'streaming' and m.role = 'assistant';
end;
comment on function hearth.last_messages(uuid, integer) is
	'The chat''s newest messages in order, as history() shows them';

create or replace function hearth.events_since(chat uuid, seq bigint,
	max_rows integer default 1000)
returns setof hearth.event_row language plpgsql stable
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	after bigint := greatest(coalesce(events_since.seq, 0), 0);
	begins bigint;
begin
	select c.first_seq into begins from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	if after < begins - 1 then
		raise exception using errcode = 'HE001',
			message = format('the events of chat %s before seq %s are gone',
				chat, begins),
			hint = 'Call history() and go on from its last_seq.';
	end if;
	return query
	select e.chat_id, e.seq, e.turn_id, e.agent, e.kind, e.payload,
			e.repaired, e.created_at
		from events e where e.chat_id = chat and e.seq > after
		order by e.seq limit greatest(coalesce(max_rows, 1000), 1);
end $$;
comment on function hearth.events_since(uuid, bigint, integer) is
	'The chat''s events after seq, in order, max_rows at most: when so many come, ask again. HE001 when retention took some of them: call history(). 42704 unknown chat';

create or replace function hearth.poll(cursors jsonb)
returns setof hearth.poll_row language plpgsql stable
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
begin
	if jsonb_typeof(cursors) is distinct from 'object' or exists (
		select from jsonb_each(case when jsonb_typeof(cursors) = 'object'
				then cursors end) k
			where k.key !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
				or jsonb_typeof(k.value) not in ('number', 'null')) then
		raise exception using errcode = '22023',
			message = 'cursors is not an object of chat ids and seqs',
			hint = 'Give {"<chat uuid>": <last seq seen>, …}.';
	end if;
	return query
	select c.id, c.last_seq, t.id, t.status::text, (select count(*)
				from permission_requests p
				where p.chat_id = c.id and p.status = 'pending')
		from jsonb_object_keys(cursors) k
			join chats c on c.id = k::uuid
			left join lateral (
				(select 1 as rank, x.id, x.status from turns x
					where x.chat_id = c.id and x.status in
						('starting', 'running', 'waiting_permission')
					order by x.id limit 1)
				union all
				(select 2, x.id, x.status from turns x
					where x.session_id = c.session_id
						and x.chat_id = c.id and x.status = 'queued'
					order by x.priority desc, x.id limit 1)
				union all
				(select 3, x.id, x.status from turns x
					where x.chat_id = c.id order by x.id desc limit 1)
				order by rank limit 1
			) t on true
		order by c.id;
end $$;
comment on function hearth.poll(jsonb) is
	'The state of many chats at once, from {"chat uuid": last seq seen, …}: one row for each that exists; there is news where last_seq is above the given one. turn_id and status are those of the live turn, else of the next queued one, else of the last. 22023 bad cursors';

-- Who looks at a chat.

create or replace function hearth.set_presence(chat uuid, participant text,
	status text)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	it chats;
	before text;
begin
	if coalesce(btrim(set_presence.participant), '') = ''
		or octet_length(set_presence.participant) > 200 then
		raise exception using errcode = '22023',
			message = 'the participant is empty or longer than 200 bytes',
			hint = 'Give the id that the application has for the person.';
	end if;
	select * into it from chats c where c.id = chat;
	if not found then
		perform no_such('chat', chat::text, 'Create it with open_chat().');
	end if;
	select p.status into before from participants p
		where p.chat_id = it.id and p.participant = set_presence.participant;
	if not found and set_presence.status = 'offline' then
		return;
	end if;
	insert into participants as p (chat_id, participant, tenant, status)
	values (it.id, set_presence.participant, it.tenant, set_presence.status)
	on conflict (chat_id, participant) do update
		set status = excluded.status, last_seen_at = now();
	if before is distinct from set_presence.status then
		perform pg_notify('hearth_status', json_build_object(
			'what', 'presence', 'chat', it.id,
			'id', set_presence.participant,
			'status', set_presence.status)::text);
	end if;
end $$;
comment on function hearth.set_presence(uuid, text, text) is
	'Sets a participant''s status in a chat and tells it when it is another';

create or replace function hearth.join_chat(chat uuid, participant text)
returns void language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.set_presence(chat, participant, 'online');
comment on function hearth.join_chat(uuid, text) is
	'Somebody looks at the chat; call it again to be seen as present. 42704 unknown chat, 22023 bad participant';

create or replace function hearth.leave_chat(chat uuid, participant text)
returns void language sql security definer
set search_path = pg_catalog, hearth, pg_temp
return hearth.set_presence(chat, participant, 'offline');
comment on function hearth.leave_chat(uuid, text) is
	'Somebody looks at the chat no more; nothing happens when they never did. 42704 unknown chat, 22023 bad participant';

-- Figures. Of the same name as the views that show 24 hours of them.

create or replace function hearth.turn_latency(
	since interval default '24 hours')
returns setof hearth.turn_latency_row language sql stable
begin atomic
	select t.agent, count(*),
			round((percentile_cont(0.5) within group (order by t.first))::numeric, 1),
			round((percentile_cont(0.95) within group (order by t.first))::numeric, 1),
			round((percentile_cont(0.99) within group (order by t.first))::numeric, 1),
			round((percentile_cont(0.5) within group (order by t.whole))::numeric, 1),
			round((percentile_cont(0.95) within group (order by t.whole))::numeric, 1),
			round((percentile_cont(0.99) within group (order by t.whole))::numeric, 1)
		from (select x.agent,
				extract(epoch from x.first_event_at - x.queued_at) * 1000
					as first,
				extract(epoch from x.ended_at - x.started_at) * 1000
					as whole
			from hearth.turns x
			where x.queued_at >= now() - since
				and x.started_at is not null) t
		group by t.agent order by t.agent;
end;
comment on function hearth.turn_latency(interval) is
	'Per agent, of the turns queued since: how many started, and percentiles in ms of submit to first event (first_…) and of start to end (turn_…)';

create or replace function hearth.spawn_latency(
	since interval default '24 hours')
returns setof hearth.spawn_latency_row language sql stable
begin atomic
	select e.agent, count(*),
			round((percentile_cont(0.5) within group (order by e.total))::numeric, 1),
			round((percentile_cont(0.95) within group (order by e.total))::numeric, 1),
			round((percentile_cont(0.99) within group (order by e.total))::numeric, 1),
			round((percentile_cont(0.5) within group (order by e.spawn_ms))::numeric, 1),
			round((percentile_cont(0.5) within group (order by e.initialize_ms))::numeric, 1),
			round((percentile_cont(0.5) within group (order by e.session_ms))::numeric, 1)
		from (select x.agent, x.spawn_ms, x.initialize_ms, x.session_ms,
				x.spawn_ms + x.initialize_ms + coalesce(x.session_ms, 0)
					as total
			from hearth.executions x
			where x.started_at >= now() - since) e
		group by e.agent order by e.agent;
end;
comment on function hearth.spawn_latency(interval) is
	'Per agent, of the children started since: how many, and ms from fork to a session: percentiles of the whole, medians of its parts';
