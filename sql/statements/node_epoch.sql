-- After a reconnection: nobody has started the node a second time.
-- $1 node, $2 epoch
select n.epoch = $2::bigint as is_ours, n.hostname, n.pid
from hearth.nodes n where n.id = $1::bigint
