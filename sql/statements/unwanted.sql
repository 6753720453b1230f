-- No setting is made again in the agent session's next child.
-- $1 chat, $2 agent
update hearth.agent_sessions set wanted = null
where chat_id = $1::uuid and agent = $2::text
