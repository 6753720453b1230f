-- $1 age in ms, $2 command, $3 status, $4 error_code, $5 error
update hearth.commands set status = $3::text, error_code = $4::text,
	error = $5::text, ended_at = now() - $1::bigint * interval '1 ms'
where id = $2::bigint and status in ('pending', 'running')
