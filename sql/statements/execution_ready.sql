-- $1 execution, $2 initialize_ms, $3 session_ms
update hearth.executions set initialize_ms = $2::bigint,
	session_ms = $3::bigint
where id = $1::bigint
