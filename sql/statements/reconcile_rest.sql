-- Children (with the tool calls that they had open when no turn was),
-- agent sessions and commands of the node's earlier life, and its sessions,
-- which the new life takes over. $1 node name
with node as (
	select n.id, n.epoch from hearth.nodes n where n.name = $1::text
), children as (
	update hearth.executions x set ended_at = now(), end_reason = 'daemon died'
	from node n where x.node_id = n.id and x.ended_at is null
	returning x.chat_id, x.agent
), tools as (
	update hearth.tool_calls c set status = 'cancelled', ended_at = now()
	from children x where c.chat_id = x.chat_id and c.agent = x.agent
		and c.ended_at is null
), agents as (
	update hearth.agent_sessions a set pid = null,
		status = case when a.status in ('warming', 'active',
			'idle', 'hibernated')
			then 'closed' else a.status end,
		end_reason = case when a.status in ('warming', 'active',
			'idle', 'hibernated')
			then 'daemon restarted' else a.end_reason end
	from node n where a.node_id = n.id and (a.pid is not null
		or a.status in ('warming', 'active',
			'idle', 'hibernated'))
), commands as (
	update hearth.commands c set status = 'pending', node_id = null
	from node n where c.node_id = n.id and c.status = 'running'
)
update hearth.session_owners o set epoch = n.epoch
from node n where o.node_id = n.id
