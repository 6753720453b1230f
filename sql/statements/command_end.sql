-- Also of one that others have taken for lost when this node was silent; but
-- there may be another answer to a question by now.
-- $1 age in ms, $2 command, $3 status, $4 error_code, $5 error
update hearth.commands set status = $3::text, error_code = $4::text,
	error = $5::text, ended_at = now() - $1::bigint * interval '1 ms'
where id = $2::bigint and (status in ('pending', 'running')
	or error_code = 'node_gone' and kind <> 'answer_permission')
