-- $1 number of the claim
select set_config('synchronous_commit', 'off', true),
	pg_notify('hearth_status', jsonb_build_object('what', 'turn',
		'chat', t.chat_id, 'agent', t.agent, 'id', t.id,
		'status', t.status)::text)
from hearth.turns t
where t.id = case split_part(current_setting('hearth.claimed', true), ':', 1)
	when $1::text then nullif(split_part(
		current_setting('hearth.claimed', true), ':', 2), '')::bigint end
