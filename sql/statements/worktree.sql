-- The session's worktree; one at most.
-- $1 age in ms, $2 session, $3 path, $4 branch, $5 base_commit, $6 node
insert into hearth.worktrees as w (tenant, session_id, path, branch,
	base_commit, node_id, created_at, last_used_at)
select s.tenant, s.id, $3::text, $4::text, $5::text, $6::bigint, g.at, g.at
from (select now() - $1::bigint * interval '1 ms' as at) g
	join hearth.sessions s on s.id = $2::uuid
on conflict (session_id) do update set path = excluded.path,
	branch = excluded.branch, base_commit = excluded.base_commit,
	node_id = excluded.node_id, status = 'active',
	last_used_at = excluded.last_used_at, saved_commit = null,
	kept_reason = null, kept_at = null
