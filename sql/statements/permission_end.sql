-- The end of a permission request, and the event `permission_answer`.
-- $1 age in ms, $2 chat, $3 seq, $4 turn, $5 agent, $6 execution, $7 serial,
-- $8 status, $9 option_id, $10 answered_by
with question as (
	update hearth.permission_requests set status = $8::text,
		option_id = $9::text, answered_by = $10::text,
		answered_at = now() - $1::bigint * interval '1 ms'
	where execution_id = $6::bigint and serial = $7::bigint
		and status = 'pending'
)
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
	created_at, tenant)
select c.id, $3::bigint, $4::bigint, $5::text, 'permission_answer',
	jsonb_build_object('request', (select p.id
			from hearth.permission_requests p
			where p.execution_id = $6::bigint and p.serial = $7::bigint),
		'status', $8::text, 'option_id', $9::text,
		'answered_by', $10::text),
	now() - $1::bigint * interval '1 ms', c.tenant
from hearth.chats c where c.id = $2::uuid
on conflict (chat_id, seq) do nothing
