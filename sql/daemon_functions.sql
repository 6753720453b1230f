-- SPDX-License-Identifier: MIT
--
-- What hearthd calls and nobody else: replaced at every `hearth init`, between
-- the functions and the views. Only what a plain statement cannot do is here.

create or replace function hearth.check_fence(node bigint, epoch bigint,
	sessions uuid[])
returns void language plpgsql as $$
declare
	held uuid[];
	lost text;
begin
	-- FOR SHARE: a node that wants to take one of them over waits for the end
	-- of this transaction.
	held := array(select o.session_id from hearth.session_owners o
		where o.session_id = any (check_fence.sessions)
			and o.node_id = check_fence.node
			and o.epoch = check_fence.epoch
		order by o.session_id for share);
	if pg_catalog.cardinality(held) = pg_catalog.cardinality(sessions) then
		return;
	end if;
	select pg_catalog.string_agg(distinct s.id::text, ',') into lost
		from pg_catalog.unnest(check_fence.sessions) s(id)
		where s.id <> all (held);
	-- The same session may stand in the list more than once.
	if lost is not null then
		raise exception using errcode = 'HE002', detail = lost,
			message = 'this node does not own the session any more';
	end if;
end $$;
comment on function hearth.check_fence(bigint, bigint, uuid[]) is
	'Raises HE002 with the lost sessions as detail unless the node, in this epoch, owns them all';
revoke all on function hearth.check_fence(bigint, bigint, uuid[]) from public;
grant execute on function hearth.check_fence(bigint, bigint, uuid[])
	to hearth_daemon;

-- The heads of the queue, one per (chat, agent), are found by skipping through
-- this index, however many turns wait behind them.
create index if not exists turns_heads on hearth.turns
	(session_id, chat_id, agent, priority desc, id)
	where status = 'queued';
