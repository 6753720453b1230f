-- The outcome of a decision: the row, and the event `change`. A second time: the
-- decision is not there any more, and the event is.
-- $1 age in ms, $2 chat or null, $3 seq, $4 change, $5 status, null: as it is,
-- $6 error, $7 decided_by; of a part that was accepted $8 diff, $9 new_oid,
-- $10 new_mode
with decided as (
	update hearth.pending_changes p set decision = null, error = $6::text,
		status = coalesce($5::text, p.status),
		decided_at = case when $5::text is null then p.decided_at
			else now() - $1::bigint * interval '1 ms' end,
		decided_by = case when $5::text is null then p.decided_by
			else $7::text end,
		diff = coalesce($8::text, p.diff),
		new_oid = coalesce($9::text, p.new_oid),
		new_mode = coalesce($10::text, p.new_mode)
	where p.id = $4::bigint and p.decision is not null
	returning p.*
)
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
	created_at, tenant)
select c.id, $3::bigint, d.turn_id, d.agent, 'change',
	jsonb_strip_nulls(jsonb_build_object('change', $4::bigint,
		'file_path', d.file_path, 'operation', d.operation,
		'status', d.status, 'error', $6::text, 'decided_by', $7::text)),
	now() - $1::bigint * interval '1 ms', c.tenant
from hearth.chats c left join decided d on true
where c.id = $2::uuid
on conflict (chat_id, seq) do nothing
