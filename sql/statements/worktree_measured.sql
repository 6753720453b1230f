-- $1 age in ms, of the beginning, $2 session, $3 node, $4 behind, $5 ahead,
-- $6 changed files, $7 kB
update hearth.worktrees w set
	measured_at = now() - $1::bigint * interval '1 ms',
	behind = $4::integer, ahead = $5::integer, changed_files = $6::integer,
	size_kb = coalesce($7::bigint, w.size_kb)
where w.session_id = $2::uuid and w.node_id = $3::bigint
	and w.status = 'active'
