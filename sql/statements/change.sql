-- A file is different now: the event `change`, the pending row of the same path
-- superseded, a new one (unless the file is as it was reviewed). A row that says
-- just this stays as it is, whoever says it again. A second time: the event is
-- there, so nothing else is done.
-- $1 age in ms, $2 chat, $3 seq, $4 turn, $5 agent, $6 path, $7 operation or
-- null, $8 diff, $9 old_oid, $10 new_oid, $11 old_mode, $12 new_mode,
-- $13 other turns that may have done it, or null
with chat as (
	select c.id, c.session_id, c.tenant,
		now() - $1::bigint * interval '1 ms' as at, k.id as known,
		case when k.id is not null then k.id
			when $7::text is not null then nextval(
				'hearth.pending_changes_id_seq') end as change
	from hearth.chats c
		left join hearth.pending_changes k on k.session_id = c.session_id
			and hearth.path_key(k.file_path) = hearth.path_key($6::text)
			and k.file_path = $6::text and k.status = 'pending'
			and k.operation = $7::text
			and k.old_oid is not distinct from $9::text
			and k.new_oid is not distinct from $10::text
			and k.old_mode is not distinct from $11::text
			and k.new_mode is not distinct from $12::text
	where c.id = $2::uuid
), event as (
	insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
		created_at, tenant)
	select c.id, $3::bigint, $4::bigint, $5::text, 'change',
		jsonb_build_object('change', c.change, 'file_path', $6::text,
			'operation', $7::text, 'status', case when $7::text is null
			then 'superseded' else 'pending' end)
			|| case when $13::bigint[] is null then '{}'
				else jsonb_build_object('other_turns', $13::bigint[]) end,
		c.at, c.tenant
	from chat c
	on conflict (chat_id, seq) do nothing
	returning chat_id
), superseded as (
	update hearth.pending_changes p set status = 'superseded',
		decided_at = c.at
	from chat c join event e on e.chat_id = c.id
	where p.session_id = c.session_id
		and hearth.path_key(p.file_path) = hearth.path_key($6::text)
		and p.file_path = $6::text and p.status = 'pending'
		and c.known is null
	returning p.id
)
insert into hearth.pending_changes (id, tenant, session_id, chat_id, turn_id,
	file_path, operation, diff, old_oid, new_oid, old_mode, new_mode, agent,
	created_at, other_turns)
select c.change, c.tenant, c.session_id, c.id, $4::bigint, $6::text, $7::text,
	$8::text, $9::text, $10::text, $11::text, $12::text, $5::text, c.at,
	$13::bigint[]
from chat c join event e on e.chat_id = c.id
-- counted first, so that the old row is out of the way of the unique index
where (select count(*) from superseded) >= 0 and c.change is not null
	and c.known is null
