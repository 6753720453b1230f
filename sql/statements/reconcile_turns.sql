-- Turns that ran when the node's earlier life ended: nobody knows how far they
-- got. Their ids are left for reconcile_notify. $1 node name
with lost as (
	select t.id, t.chat_id, t.agent,
		row_number() over (partition by t.chat_id order by t.id) as nth,
		m.first_seq
	from hearth.turns t
		join hearth.session_owners o on o.session_id = t.session_id
		join hearth.nodes n on n.id = o.node_id and n.name = $1::text
		left join hearth.messages m
			on m.turn_id = t.id and m.role = 'assistant'
	where t.status in ('running', 'waiting_permission')
), turn as (
	update hearth.turns t set status = 'interrupted',
		error = 'hearthd ended while the turn was running',
		error_code = 'interrupted', ended_at = now(),
		first_event_at = (select min(e.created_at) from hearth.events e
			where e.chat_id = l.chat_id and e.seq >= l.first_seq
				and e.turn_id = l.id and e.kind not in
				('turn_started', 'turn_ended', 'agent_status'))
	from lost l where t.id = l.id
), head as (
	update hearth.chats c set last_seq = c.last_seq + l.n
	from (select chat_id, max(nth) as n from lost group by chat_id) l
	where c.id = l.chat_id
	returning c.id, c.tenant, c.last_seq - l.n as before
), event as (
	insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
		tenant)
	select l.chat_id, h.before + l.nth, l.id, l.agent, 'turn_ended',
		jsonb_build_object('status', 'interrupted', 'stop_reason', null,
			'error', 'hearthd ended while the turn was running',
			'error_code', 'interrupted'), h.tenant
	from lost l join head h on h.id = l.chat_id
), answer as (
	update hearth.messages m set status = 'failed', ended_at = now(),
		last_seq = h.before + l.nth,
		content = coalesce((select string_agg(e.payload ->> 'text', ''
				order by e.seq)
			from hearth.events e where e.chat_id = l.chat_id
				and e.seq >= l.first_seq and e.turn_id = l.id
				and e.kind = 'text'), ''),
		reasoning = (select string_agg(e.payload ->> 'text', ''
				order by e.seq)
			from hearth.events e where e.chat_id = l.chat_id
				and e.seq >= l.first_seq and e.turn_id = l.id
				and e.kind = 'reasoning')
	from lost l join head h on h.id = l.chat_id
	where m.turn_id = l.id and m.role = 'assistant'
		and m.status = 'streaming'
), tools as (
	update hearth.tool_calls c set status = 'cancelled', ended_at = now()
	from lost l where c.chat_id = l.chat_id and c.turn_id = l.id
		and c.ended_at is null
), questions as (
	update hearth.permission_requests p set status = 'cancelled',
		answered_at = now()
	from lost l where p.chat_id = l.chat_id and p.turn_id = l.id
		and p.status = 'pending'
)
select set_config('hearth.interrupted',
	coalesce(string_agg(l.id::text, ','), ''), false), count(*) as turns
from lost l
