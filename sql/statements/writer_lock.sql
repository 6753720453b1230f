-- One writer per node. $1 node name
select pg_try_advisory_lock(hashtext('hearth.node'), hashtext($1::text)) as held
