-- What became of the setup command in the session's worktree.
-- $1 age in ms, $2 session, $3 exit code (null: it was ended by setup_timeout),
-- $4 milliseconds, $5 output, $6 it ran just now; else only what is not known yet
update hearth.worktrees set setup_exit_code = $3::bigint,
	setup_ms = $4::bigint, setup_output = $5::text,
	setup_ended_at = now() - $1::bigint * interval '1 ms'
where session_id = $2::uuid and ($6::boolean or setup_ended_at is null)
