-- $1 execution, $2 rss_kb
update hearth.executions set rss_kb = $2::bigint
where id = $1::bigint and ended_at is null
