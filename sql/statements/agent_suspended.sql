-- A user asked for its memory, or takes that back.
-- $1 age in ms, $2 chat, $3 agent, $4 whether it is suspended
update hearth.agent_sessions set suspended_at = case when $4::boolean
	then now() - $1::bigint * interval '1 ms' end
where chat_id = $2::uuid and agent = $3::text
	and (suspended_at is not null) <> $4::boolean
