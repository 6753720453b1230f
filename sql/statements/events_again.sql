-- The same as events, when some may be stored already: a chat that has its
-- last_seq takes nothing, and what is there stays as it is.
-- $1 chats, $2 their last seq; then per event: $3 chat, $4 seq, $5 turn,
-- $6 agent, $7 kind, $8 payload, $9 repaired, $10 age in ms
with heads as (
	update hearth.chats c set last_seq = h.seq
	from unnest($1::uuid[], $2::bigint[]) h(chat, seq)
	where c.id = h.chat and c.last_seq < h.seq
	returning c.id, c.tenant
)
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
	repaired, created_at, tenant)
select e.chat, e.seq, e.turn, e.agent, e.kind, e.payload, e.repaired,
	now() - e.age * interval '1 ms', h.tenant
from (select unnest($3::uuid[]) as chat, unnest($4::bigint[]) as seq,
		unnest($5::bigint[]) as turn, unnest($6::text[]) as agent,
		unnest($7::text[]) as kind, unnest($8::jsonb[]) as payload,
		unnest($9::boolean[]) as repaired, unnest($10::bigint[]) as age) e
	join heads h on h.id = e.chat
on conflict (chat_id, seq) do nothing
