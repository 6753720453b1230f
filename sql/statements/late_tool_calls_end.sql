-- The child of an agent has ended; what it had open after the end of its turns
-- is not going to end. $1 age in ms, $2 chat, $3 the first of those turns,
-- $4 agent
update hearth.tool_calls set status = 'cancelled',
	ended_at = now() - $1::bigint * interval '1 ms'
where chat_id = $2::uuid and turn_id >= $3::bigint and agent = $4::text
	and ended_at is null
