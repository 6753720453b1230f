-- SPDX-License-Identifier: MIT
--
-- What hearthd calls and nobody else: replaced at every `hearth init`, between
-- the functions and the views. Only what a plain statement cannot do, or not as
-- fast, is here.

drop function if exists hearth.check_fence(bigint, bigint, uuid[]);
create or replace function hearth.refuse_fenced(node bigint, epoch bigint,
	sessions uuid[])
returns void language plpgsql as $$
declare
	lost text;
begin
	select pg_catalog.string_agg(distinct s.id::text, ',') into lost
		from pg_catalog.unnest(refuse_fenced.sessions) s(id)
		where not exists (select from hearth.session_owners o
			where o.session_id = s.id and o.node_id = refuse_fenced.node
				and o.epoch = refuse_fenced.epoch);
	-- The same session may stand in the list more than once.
	if lost is not null then
		raise exception using errcode = 'HE002', detail = lost,
			message = 'this node does not own the session any more';
	end if;
end $$;
comment on function hearth.refuse_fenced(bigint, bigint, uuid[]) is
	'Raises HE002 with the lost sessions as detail unless the node, in this epoch, owns them all';
revoke all on function hearth.refuse_fenced(bigint, bigint, uuid[]) from public;
grant execute on function hearth.refuse_fenced(bigint, bigint, uuid[])
	to hearth_daemon;

-- What a prompt says in words.
create or replace function hearth.prompt_text(prompt jsonb)
returns text language plpgsql immutable parallel safe as $$
begin
	-- as most are
	if pg_catalog.jsonb_array_length(prompt) = 1
		and prompt #>> '{0,type}' = 'text' then
		return coalesce(prompt #>> '{0,text}', '');
	end if;
	return coalesce((select pg_catalog.string_agg(b ->> 'text', E'\n' order by n)
		from pg_catalog.jsonb_array_elements(prompt) with ordinality p(b, n)
		where b ->> 'type' = 'text'), '');
end $$;
comment on function hearth.prompt_text(jsonb) is
	'The text blocks of a prompt, one below the other';
revoke all on function hearth.prompt_text(jsonb) from public;
grant execute on function hearth.prompt_text(jsonb) to hearth_daemon;

-- What hearthd may not do by itself: it deletes nothing but what a user has
-- deleted, a bounded number of rows at a time.
create or replace function hearth.erase_chat(chat uuid, how_many integer)
returns boolean language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
declare
	tab text;
	n integer;
begin
	delete from events e where e.chat_id = chat and e.seq in (
		select x.seq from events x where x.chat_id = chat
			order by x.seq limit how_many);
	get diagnostics n = row_count;
	if n >= how_many then
		return true;
	end if;
	foreach tab in array '{tool_calls,permission_requests,messages,
		executions,artifacts,turns}'::text[]
	loop
		execute format('delete from %I where id in (select x.id from %I x
			where x.chat_id = $1 limit $2)', tab, tab)
			using chat, how_many;
		get diagnostics n = row_count;
		if n >= how_many then
			return true;
		end if;
	end loop;
	update pending_changes p set chat_id = null, turn_id = null
		from chats c where c.id = chat and p.session_id = c.session_id
			and p.chat_id = c.id;
	delete from chats c where c.id = chat;
	return false;
end $$;
comment on function hearth.erase_chat(uuid, integer) is
	'Deletes rows of a chat, so many at a time; false when there are none left';

create or replace function hearth.erase_session(node bigint, epoch bigint,
	session uuid, chat uuid, how_many integer)
returns boolean language plpgsql security definer
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	one uuid;
begin
	perform from session_owners o
		where o.session_id = session and o.node_id = erase_session.node
			and o.epoch = erase_session.epoch for share;
	if not found then
		return false;
	end if;
	for one in select c.id from chats c join sessions s on s.id = c.session_id
		where s.id = session and (s.deleted_at is not null
			or c.deleted_at is not null and c.id = chat)
		order by c.id
	loop
		if erase_chat(one, how_many) then
			return true;
		end if;
		perform end_erasing(session, one);
	end loop;
	if exists (select from sessions s
			where s.id = session and s.deleted_at is not null) then
		delete from worktrees w where w.session_id = session;
		delete from sessions s where s.id = session;
		perform end_erasing(session, null);
	end if;
	return false;
end $$;
comment on function hearth.erase_session(bigint, bigint, uuid, uuid, integer) is
	'Deletes rows of a deleted session, or of one deleted chat of it, if the node owns it; true when there are more';
revoke all on function hearth.erase_session(bigint, bigint, uuid, uuid,
	integer) from public;
grant execute on function hearth.erase_session(bigint, bigint, uuid, uuid,
	integer) to hearth_daemon;

-- Who asked for it finds an answer; what else was asked for has no object.
create or replace function hearth.end_erasing(session uuid, chat uuid)
returns void language plpgsql
set search_path = pg_catalog, hearth, pg_temp as $$
#variable_conflict use_column
declare
	command bigint;
begin
	for command in
		update commands c set status = 'done', ended_at = now(),
				error = null, error_code = null,
				session_id = null, chat_id = null
			where c.session_id = session
				and (end_erasing.chat is null or c.chat_id = end_erasing.chat)
				and c.kind = case when end_erasing.chat is null
					then 'delete_session' else 'delete_chat' end
		returning c.id
	loop
		perform pg_notify('hearth_status', json_build_object('what',
			'command', 'chat', null, 'agent', null, 'id', command,
			'status', 'done')::text);
	end loop;
	delete from commands c where c.session_id = session
		and (end_erasing.chat is null or c.chat_id = end_erasing.chat);
end $$;
comment on function hearth.end_erasing(uuid, uuid) is
	'Answers who deleted a session or a chat, and deletes what else was asked of it';

-- The heads of the queue, one per (chat, agent), are found by skipping through
-- this index, however many turns wait behind them.
create index if not exists turns_heads on hearth.turns
	(session_id, chat_id, agent, priority desc, id)
	where status = 'queued';
