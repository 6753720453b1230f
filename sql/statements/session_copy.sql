-- What the working copy of a session is made of. No row: the session is not
-- this node's, or is gone.
-- $1 node, $2 epoch, $3 session
select s.id as session, p.id as project_id, p.path as project_path,
	p.default_branch, w.path as worktree_path, w.base_commit,
	p.include, p.setup_command, p.snapshots
from hearth.session_owners o
	join hearth.sessions s on s.id = o.session_id
	join hearth.projects p on p.id = s.project_id
	left join hearth.worktrees w on w.session_id = s.id
		and (w.node_id is null or w.node_id = $1::bigint)
where o.session_id = $3::uuid and o.node_id + 0 = $1::bigint
	and o.epoch = $2::bigint
