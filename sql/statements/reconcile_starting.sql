-- Turns that were claimed and never delivered wait again. $1 node name
update hearth.turns t set status = 'queued', execution_id = null, warm = null,
	started_at = null
from hearth.session_owners o, hearth.nodes n
where t.status = 'starting' and o.session_id = t.session_id
	and n.id = o.node_id and n.name = $1::text
