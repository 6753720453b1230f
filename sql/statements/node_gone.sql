-- It stopped in order; others may take its sessions at once, and what it was
-- asked for and has not done. $1 node, $2 epoch
with node as (
	update hearth.nodes set heartbeat_at = 'epoch', pid = null, draining = true
	where id = $1::bigint and epoch = $2::bigint
	returning id
)
update hearth.commands c set status = 'pending', node_id = null
from node n where c.node_id = n.id and c.status = 'running'
