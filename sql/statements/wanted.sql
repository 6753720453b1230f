-- A setting that the agent session's next child is to have, too.
-- $1 chat, $2 agent, $3 model, $4 mode_id, $5 option, $6 its value
insert into hearth.agent_sessions as a (chat_id, agent, tenant, session_id,
	status, wanted)
select c.id, $2::text, c.tenant, c.session_id, 'closed',
	jsonb_strip_nulls(jsonb_build_object('model', $3::text, 'mode', $4::text,
		'options', case when $5::text is not null
			then jsonb_build_object($5::text, $6::jsonb) end))
from hearth.chats c where c.id = $1::uuid
on conflict (chat_id, agent) do update set
	wanted = coalesce(a.wanted, '{}') || excluded.wanted
		|| case when excluded.wanted ? 'options' then jsonb_build_object(
			'options', coalesce(a.wanted -> 'options', '{}')
				|| (excluded.wanted -> 'options')) else '{}' end
