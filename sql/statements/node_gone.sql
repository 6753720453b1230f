-- It stopped in order; others may take its sessions at once. $1 node, $2 epoch
update hearth.nodes set heartbeat_at = 'epoch', pid = null, draining = true
where id = $1::bigint and epoch = $2::bigint
