-- Back to queued: it was claimed, but not delivered.
-- $1 age in ms, $2 turn, $3 error, $4 ms until it may be claimed again
update hearth.turns set status = 'queued', error = $3::text,
	not_before = now() - $1::bigint * interval '1 ms'
		+ $4::bigint * interval '1 ms',
	execution_id = null, warm = null, started_at = null
where id = $2::bigint and status || '' in ('starting', 'running')
