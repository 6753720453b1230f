-- A turn ends that was never claimed.
-- $1 age in ms, $2 turn, $3 status, $4 stop_reason, $5 end_reason, $6 error,
-- $7 error_code, $8 cancelled_by
-- (The status is not as turns_heads has it: the row is found by its id.)
update hearth.turns set status = $3::text, stop_reason = $4::text,
	end_reason = $5::text, error = $6::text, error_code = $7::text,
	cancelled_by = coalesce($8::text, cancelled_by),
	ended_at = now() - $1::bigint * interval '1 ms'
where id = $2::bigint and status || '' = 'queued'
