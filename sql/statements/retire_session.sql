-- The end of an ephemeral session: archived, unless another turn has come or
-- another node has it now. Its worktree is gone, if it could be removed.
-- $1 node, $2 epoch, $3 session, $4 removed
with held as (
	select o.session_id from hearth.session_owners o
	where o.session_id = $3::uuid and o.node_id + 0 = $1::bigint
		and o.epoch = $2::bigint
	for share
), tree as (
	update hearth.worktrees w set status = 'removed', last_used_at = now()
	from held h where w.session_id = h.session_id and $4::boolean
)
update hearth.sessions s set archived_at = now()
from held h
where s.id = h.session_id and s.ephemeral and s.archived_at is null
	and not exists (select from hearth.chats c
		join hearth.turns t on t.chat_id = c.id
		where c.session_id = s.id and t.status || '' in ('queued',
			'starting', 'running', 'waiting_permission'))
