-- Ends an old connection of ours and waits until it is gone. $1 server process
select pg_catalog.pg_terminate_backend(a.pid, 10000)
from pg_catalog.pg_stat_activity a
where a.pid = $1::bigint
	and a.application_name = current_setting('application_name')
