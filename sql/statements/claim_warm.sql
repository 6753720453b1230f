-- The short way for turns that were just queued, when a warm seat waits for each.
-- No row for one: it is not that simple, and the claim decides. That the session
-- has no live turn in its way is known to its owner, and certain by the unique
-- indexes; that no other is before it in its agent's queue is not. What the
-- notification said of the turn is compared with its row.
-- Plans are made once, perhaps on empty tables, where one index looks as good as
-- another. So each row is looked up by a subquery that is not turned into a join,
-- once per turn; and of the indexes of turns that would do, the planner takes the
-- newest when nothing is known of the table: turns_pkey (migration 3), which an
-- index made later must not displace.
-- $1 node, $2 epoch; for each: $3 turn, $4 session, $5 chat, $6 agent,
-- $7 execution, $8 config hash
with w as materialized (
	select w.* from unnest($3::bigint[], $4::uuid[], $5::uuid[], $6::text[],
		$7::bigint[], $8::text[])
		w(turn, session, chat, agent, execution, hash)
	where (select o.node_id = $1::bigint and o.epoch = $2::bigint
			from hearth.session_owners o where o.session_id = w.session)
		and (select s.archived_at is null from hearth.sessions s
			where s.id = w.session)
		and (select c.closed_at is null from hearth.chats c
			where c.id = w.chat)
		and (select a.enabled and not a.paused and a.warm
				and w.hash = md5(concat(
				a.command, a.env, a.mcp_servers, a.launcher,
				a.client_capabilities, a.permission_mode))
			from hearth.agents a where a.name = w.agent)
)
update hearth.turns t set status = 'running',
	exclusive = (select not s.concurrent_turns from hearth.sessions s
		where s.id = w.session), warm = true,
	execution_id = w.execution, started_at = now(),
	attempts = t.attempts + 1, error = null
from w
where t.id = w.turn and t.chat_id = w.chat
	and t.agent is not distinct from w.agent
	and t.session_id is not distinct from w.session
	and t.status || '' = 'queued' and t.not_before is null
	and not exists (select from hearth.turns q
		where q.status = 'queued'
			and (q.session_id, q.chat_id, q.agent)
				>= (w.session, w.chat, w.agent)
			and (q.session_id, q.chat_id, q.agent)
				<= (w.session, w.chat, w.agent)
			and (q.priority, -q.id) > (t.priority, -t.id)
		offset 0)
	-- what was asked for before it, and is not begun yet
	and not exists (select from hearth.commands k
		where k.session_id = w.session and k.status = 'pending'
			and k.kind = 'reset_agent' and k.chat_id = w.chat
			and k.agent = w.agent
		offset 0)
returning t.id as turn, t.session_id as session, t.chat_id as chat, t.agent,
	true as is_running, t.exclusive as is_exclusive, t.execution_id, t.prompt,
	t.created_by, t.model, t.mode_id
