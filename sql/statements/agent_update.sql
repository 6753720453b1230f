-- What the agent session keeps of an update.
-- $1 chat, $2 agent, $3 kind of event, $4 payload
update hearth.agent_sessions a set
	plan = case when $3::text = 'plan'
		then coalesce(u.p -> 'entries', u.p -> 'plan') else a.plan end,
	offers = case $3::text
		when 'commands' then coalesce(a.offers, '{}') || jsonb_build_object(
			'availableCommands', u.p -> 'availableCommands')
		when 'config' then coalesce(a.offers, '{}') || case
			when u.p ? 'configOptions' then jsonb_build_object(
				'configOptions', u.p -> 'configOptions') else '{}' end
		else a.offers end,
	mode_id = case $3::text
		when 'mode' then coalesce(u.p ->> 'currentModeId', u.p ->> 'modeId',
			a.mode_id)
		when 'config' then coalesce(jsonb_path_query_first(u.p,
			'$.configOptions[*] ? (@.category == "mode").currentValue')
			#>> '{}', a.mode_id)
		else a.mode_id end,
	model = case when $3::text = 'config' then coalesce(
		jsonb_path_query_first(u.p,
			'$.configOptions[*] ? (@.category == "model").currentValue')
			#>> '{}', u.p ->> 'currentModelId', a.model) else a.model end
from (select $4::jsonb as p) u
where a.chat_id = $1::uuid and a.agent = $2::text
