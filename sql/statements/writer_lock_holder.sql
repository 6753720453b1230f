-- Who holds it; our own connection of before is ended. $1 node name, $2 its pid
select l.pid, case when l.pid = $2::bigint
	then pg_catalog.pg_terminate_backend(l.pid) end as ended
from pg_catalog.pg_locks l
where l.locktype = 'advisory' and l.granted and l.objsubid = 2
	and l.database = (select d.oid from pg_catalog.pg_database d
		where d.datname = current_database())
	and l.classid = (hashtext('hearth.node')::bigint & 4294967295)::oid
	and l.objid = (hashtext($1::text)::bigint & 4294967295)::oid
