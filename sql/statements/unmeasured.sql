-- One of the node's worktrees that was used since it was measured.
-- $1 node
select w.session_id as session, p.id as project_id, p.path as project_path,
	p.default_branch, w.path as worktree_path, w.base_commit, p.snapshots
from hearth.worktrees w
	join hearth.sessions s on s.id = w.session_id
	join hearth.projects p on p.id = s.project_id
where w.node_id = $1::bigint and w.status = 'active'
	and s.deleted_at is null
	and (w.measured_at is null or w.measured_at < hearth.worktree_used(w))
order by w.measured_at nulls first limit 1
