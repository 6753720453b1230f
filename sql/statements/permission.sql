-- A permission request and the event `permission`, which carries its id.
-- A second time: both are there.
-- $1 age in ms, $2 chat, $3 seq, $4 turn, $5 agent, $6 execution, $7 serial,
-- $8 tool_call_id, $9 tool_call, $10 options
with chat as (
	select c.id, c.tenant, now() - $1::bigint * interval '1 ms' as at
	from hearth.chats c where c.id = $2::uuid
), question as (
	insert into hearth.permission_requests (tenant, turn_id, chat_id, agent,
		execution_id, serial, tool_call_id, tool_call, options, created_at)
	select c.tenant, $4::bigint, c.id, $5::text, $6::bigint, $7::bigint,
		$8::text, $9::jsonb, coalesce($10::jsonb, '[]'), c.at
	from chat c
	on conflict (execution_id, serial) do nothing
	returning id
)
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
	created_at, tenant)
select c.id, $3::bigint, $4::bigint, $5::text, 'permission',
	jsonb_build_object('request', (select id from question),
		'tool_call_id', $8::text, 'tool_call', $9::jsonb,
		'options', coalesce($10::jsonb, '[]')), c.at, c.tenant
from chat c
on conflict (chat_id, seq) do nothing
