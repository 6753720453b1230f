-- A child was spawned. A second time: it is there.
-- $1 age in ms, $2 execution, $3 chat (null: a spare), $4 agent, $5 node,
-- $6 pid, $7 spawn_ms, $8 origin
insert into hearth.executions (id, tenant, chat_id, agent, node_id, pid,
	started_at, spawn_ms, origin)
select $2::bigint, coalesce(c.tenant, ''), c.id, $4::text, $5::bigint, $6::bigint,
	now() - $1::bigint * interval '1 ms', $7::bigint, $8::text
from (values ($3::uuid)) of (chat) left join hearth.chats c on c.id = of.chat
where of.chat is null or c.id is not null
on conflict (id) do nothing
