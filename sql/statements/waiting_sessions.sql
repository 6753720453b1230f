-- Sessions of this node, or of nobody alive, with a turn that could start as
-- far as its head is concerned; and how long until the earliest that waits for
-- a time. Skips through the index turns_heads, one step per (chat, agent).
-- $1 node, $2 limit
with recursive pair as (
	(select t.session_id, t.chat_id, t.agent from hearth.turns t
		where t.status = 'queued'
		order by t.session_id, t.chat_id, t.agent limit 1)
	union all
	select n.session_id, n.chat_id, n.agent
	from pair p cross join lateral (
		select t.session_id, t.chat_id, t.agent from hearth.turns t
		where t.status = 'queued' and (t.session_id, t.chat_id, t.agent)
			> (p.session_id, p.chat_id, p.agent)
		order by t.session_id, t.chat_id, t.agent limit 1) n
), head as materialized (
	select h.id, h.session_id, greatest(h.not_before, x.backoff_until) as at
	from pair p
		cross join lateral (select t.id, t.session_id, t.chat_id, t.agent,
				t.not_before
			from hearth.turns t
			where t.session_id = p.session_id and t.status = 'queued'
				and t.chat_id = p.chat_id and t.agent = p.agent
			order by t.session_id, t.chat_id, t.agent, t.priority desc,
				t.id limit 1) h
		join hearth.sessions s on s.id = h.session_id
			and s.archived_at is null
		join hearth.projects j on j.id = s.project_id
			and (j.node_id is null or j.node_id = $1::bigint)
		join hearth.chats c on c.id = h.chat_id and c.closed_at is null
		join hearth.agents a on a.name = h.agent and a.enabled
			and not a.paused
		left join hearth.agent_sessions x on x.chat_id = h.chat_id
			and x.agent = h.agent
		left join hearth.session_owners o on o.session_id = h.session_id
		left join hearth.nodes n on n.id = o.node_id
	where (o.node_id is null or o.node_id = $1::bigint
			or n.heartbeat_at is null
			or n.heartbeat_at < now() - interval '60 s')
		and not exists (select from hearth.turns t
			where t.chat_id = h.chat_id and t.agent = h.agent
				and t.status in
				('starting', 'running', 'waiting_permission'))
		and not exists (select from hearth.turns t
			where t.session_id = h.session_id and t.exclusive
				and t.status in
				('starting', 'running', 'waiting_permission'))
), next as (
	select (extract(epoch from min(h.at) - now()) * 1000)::bigint as ms
	from head h where h.at > now()
)
select q.session_id as session, coalesce(n.ms, -1) as next_ms
from next n left join (
	select h.session_id, min(h.id) as first from head h
	where h.at is null or h.at <= now()
	group by h.session_id order by first limit $2::bigint) q on true
order by q.first
