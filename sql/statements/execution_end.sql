-- $1 age in ms, $2 execution, $3 exit_code, $4 term_signal, $5 end_reason,
-- $6 peak_rss_kb, $7 stderr_tail
update hearth.executions set ended_at = now() - $1::bigint * interval '1 ms',
	exit_code = $3::bigint, term_signal = $4::bigint, end_reason = $5::text,
	peak_rss_kb = $6::bigint, stderr_tail = $7::text
where id = $2::bigint and ended_at is null
