-- starting -> running, before the prompt is written. A turn that was claimed as
-- running stays as it is.
-- $1 age in ms, $2 turn, $3 execution, $4 warm
with turn as (
	update hearth.turns set status = 'running', warm = $4::boolean,
		execution_id = coalesce($3::bigint, execution_id),
		started_at = now() - $1::bigint * interval '1 ms'
	where id = $2::bigint and status || '' = 'starting'
	returning chat_id, agent
)
update hearth.agent_sessions a set status = 'active',
	last_active_at = now() - $1::bigint * interval '1 ms'
from turn t where a.chat_id = t.chat_id and a.agent = t.agent
