-- The short way for a turn that was just queued, when a warm seat waits for it.
-- No row: it is not that simple, and the claim decides. That the session has no
-- live turn in its way is known to its owner, and certain by the unique indexes;
-- that no other is before it in the queue is not.
-- Plans are made once, perhaps on empty tables, where one index looks as good as
-- another. So it is written that each row can only be found by the right one.
-- $1 turn, $2 node, $3 epoch, $4 session, $5 chat, $6 agent, $7 execution,
-- $8 config hash
update hearth.turns t set status = 'running',
	exclusive = not s.concurrent_turns, warm = true,
	execution_id = $7::bigint, started_at = now(),
	attempts = t.attempts + 1, error = null
from hearth.sessions s
where t.id = $1::bigint and t.status || '' = 'queued'
	and t.not_before is null
	and s.id = $4::uuid and s.archived_at is null
	and exists (select from hearth.session_owners o
		where o.session_id = $4::uuid and o.node_id + 0 = $2::bigint
			and o.epoch = $3::bigint)
	and exists (select from hearth.chats c
		where c.id = $5::uuid and c.closed_at is null)
	and exists (select from hearth.agents a
		where a.name = $6::text and a.enabled and not a.paused
			and $8::text = md5(concat(a.command, a.env, a.mcp_servers,
				a.launcher, a.client_capabilities, a.permission_mode)))
	and not exists (select from hearth.turns q
		where q.status = 'queued'
			and (q.session_id, q.chat_id, q.agent)
				>= ($4::uuid, $5::uuid, $6::text)
			and (q.session_id, q.chat_id, q.agent)
				<= ($4::uuid, $5::uuid, $6::text)
			and (q.priority, -q.id) > (t.priority, -$1::bigint))
returning t.id as turn, t.session_id as session, t.chat_id as chat, t.agent,
	true as is_running, t.exclusive as is_exclusive, t.execution_id, t.prompt,
	t.created_by, t.model, t.mode_id
