-- The short way, when the turn is known and a warm seat waits for it: running
-- at once. No row: it is not that simple, and the claim decides. That the
-- session has no live turn in its way is known to its owner, and certain by the
-- unique indexes; that no other is before it in the queue is not.
-- $1 turn, $2 node, $3 epoch; warm seats: $4 chats, $5 agents, $6 executions,
-- $7 config hashes
update hearth.turns t set status = 'running',
	exclusive = not s.concurrent_turns, warm = true,
	execution_id = w.execution, started_at = now(),
	attempts = t.attempts + 1, error = null
from hearth.turns h
	join hearth.session_owners o on o.session_id = h.session_id
	join hearth.sessions s on s.id = h.session_id
	join hearth.chats c on c.id = h.chat_id
	join hearth.agents a on a.name = h.agent
	join unnest($4::uuid[], $5::text[], $6::bigint[], $7::text[])
		w(chat, agent, execution, hash)
		on w.chat = h.chat_id and w.agent = h.agent
where h.id = $1::bigint and t.id = h.id and t.status = 'queued'
	and t.not_before is null
	and o.node_id = $2::bigint and o.epoch = $3::bigint
	and s.archived_at is null and c.closed_at is null
	and a.enabled and not a.paused
	and not exists (select from hearth.turns q
		where q.session_id = h.session_id and q.status = 'queued'
			and q.chat_id = h.chat_id and q.agent = h.agent
			and (q.priority, -q.id) > (h.priority, -h.id))
	and w.hash = md5(concat(a.command, a.env, a.mcp_servers, a.launcher,
		a.client_capabilities, a.permission_mode))
returning t.id as turn, t.session_id as session, t.chat_id as chat, t.agent,
	true as is_running, t.exclusive as is_exclusive, t.execution_id, t.prompt,
	t.model, t.mode_id, c.last_seq as chat_last_seq
