-- The session's worktree was put away, or why it could not be removed. Its last
-- use stays what it was: it is put away again only after it was made again.
-- $1 node, $2 epoch, $3 session, $4 removed, $5 saved commit, $6 reason
with held as (
	select o.session_id from hearth.session_owners o
	where o.session_id = $3::uuid and o.node_id + 0 = $1::bigint
		and o.epoch = $2::bigint
	for share
), command as (
	update hearth.commands c set status = 'failed',
		error_code = 'workspace_failed', error = $6::text, ended_at = now()
	from held h
	where not $4::boolean and c.session_id = h.session_id
		and c.kind = 'delete_session' and c.status = 'running'
	returning pg_notify('hearth_status', json_build_object('what', 'command',
		'chat', null, 'agent', null, 'id', c.id, 'status', 'failed')::text)
)
update hearth.worktrees w set
	status = case when not $4::boolean then w.status
		when $5::text is null then 'removed' else 'saved' end,
	saved_commit = case when $4::boolean then $5::text
		else w.saved_commit end,
	size_kb = case when $4::boolean then 0 else w.size_kb end,
	kept_reason = case when not $4::boolean then $6::text end,
	kept_at = case when not $4::boolean then now() end
from held h
where w.session_id = h.session_id
	and (select count(*) from command) >= 0
