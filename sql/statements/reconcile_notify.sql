select set_config('synchronous_commit', 'off', true),
	pg_notify('hearth_events', jsonb_build_object('chat', c.id,
		'seq', c.last_seq)::text),
	pg_notify('hearth_status', jsonb_build_object('what', 'turn',
		'chat', t.chat_id, 'agent', t.agent, 'id', t.id,
		'status', t.status)::text)
from hearth.turns t join hearth.chats c on c.id = t.chat_id
where t.id = any (string_to_array(nullif(
	current_setting('hearth.interrupted', true), ''), ',')::bigint[])
