-- $1 node, $2 epoch, $3 draining
update hearth.nodes set heartbeat_at = now(), draining = $3::boolean
where id = $1::bigint and epoch = $2::bigint
