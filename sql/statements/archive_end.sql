-- The end of archive_session, with what is at risk when the worktree goes.
-- $1 age in ms, $2 command, $3 commits ahead, $4 changed files
update hearth.commands c set status = 'done', error = null, error_code = null,
	ended_at = now() - $1::bigint * interval '1 ms',
	result = jsonb_strip_nulls(jsonb_build_object(
		'pending_changes', (select count(*) from hearth.pending_changes p
			where p.session_id = c.session_id and p.status = 'pending'),
		'unmerged_commits', $3::bigint, 'uncommitted_files', $4::bigint))
where c.id = $2::bigint and (c.status in ('pending', 'running')
	or c.error_code = 'node_gone')
