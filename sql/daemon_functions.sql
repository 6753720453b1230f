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

-- The heads of the queue, one per (chat, agent), are found by skipping through
-- this index, however many turns wait behind them.
create index if not exists turns_heads on hearth.turns
	(session_id, chat_id, agent, priority desc, id)
	where status = 'queued';
