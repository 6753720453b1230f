-- Turns that were claimed by a claim whose answer was lost: nobody knows of
-- them, so they were not delivered. $1 sessions, $2 executions
update hearth.turns set status = 'queued', execution_id = null, warm = null,
	started_at = null
where session_id = any ($1::uuid[]) and execution_id = any ($2::bigint[])
	and status in ('starting', 'running')
