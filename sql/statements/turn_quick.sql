-- A turn that started and ended within one flush: turn_started and turn_end in
-- one, for a turn without tool calls and permission requests. Only for a flush
-- that is surely the first: nothing here would bear a second time.
-- $1 age in ms, $2 turn, $3 status, $4 stop_reason, $5 end_reason, $6 error,
-- $7 error_code, $8 cancelled_by, $9 input_tokens, $10 output_tokens,
-- $11 suspicious, $12 status of the agent session, $13 seq of turn_started,
-- $14 seq of the turn's last event, $15 age of turn_started in ms
with said as materialized (
	select string_agg(e.payload ->> 'text', '' order by e.seq)
			filter (where e.kind = 'text') as content,
		string_agg(e.payload ->> 'text', '' order by e.seq)
			filter (where e.kind = 'reasoning') as reasoning,
		min(e.created_at) filter (where e.kind <> 'turn_ended')
			as first_event_at,
		nextval('hearth.messages_id_seq') as question_id,
		nextval('hearth.messages_id_seq') as answer_id
	from hearth.turns t join hearth.events e on e.chat_id = t.chat_id
		and e.seq > $13::bigint and e.seq <= $14::bigint
		and e.turn_id = t.id
	where t.id = $2::bigint
), turn as (
	update hearth.turns t set status = $3::text, stop_reason = $4::text,
		end_reason = $5::text, error = $6::text, error_code = $7::text,
		cancelled_by = coalesce($8::text, cancelled_by),
		input_tokens = $9::bigint, output_tokens = $10::bigint,
		suspicious = $11::boolean,
		first_event_at = said.first_event_at,
		message_id = said.answer_id,
		ended_at = now() - $1::bigint * interval '1 ms'
	from said
	where t.id = $2::bigint
		and t.status in ('running', 'waiting_permission')
	returning t.*
), event as (
	insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
		created_at, tenant)
	select t.chat_id, $13::bigint, t.id, t.agent, 'turn_started',
		jsonb_build_object('prompt', t.prompt, 'created_by', t.created_by,
			'model', t.model, 'mode_id', t.mode_id),
		now() - $15::bigint * interval '1 ms', t.tenant
	from turn t
), messages as (
	insert into hearth.messages (id, tenant, session_id, chat_id, turn_id,
		role, agent, content, reasoning, status, first_seq, last_seq,
		created_at, ended_at)
	select m.id, t.tenant, t.session_id, t.chat_id, t.id, m.role, m.agent,
		m.content, m.reasoning, m.status, $13::bigint, m.last_seq,
		now() - $15::bigint * interval '1 ms', m.ended_at
	from turn t, said, lateral (values
		(said.question_id, 'user', null,
			coalesce((select string_agg(b ->> 'text', E'\n' order by n)
				from jsonb_array_elements(t.prompt)
					with ordinality p(b, n)
				where b ->> 'type' = 'text'), ''), null, 'complete',
			$13::bigint, now() - $15::bigint * interval '1 ms'),
		(t.message_id, 'assistant', t.agent, coalesce(said.content, ''),
			said.reasoning, case when $3::text in ('completed', 'cancelled')
				then 'complete' else 'failed' end,
			$14::bigint, t.ended_at))
		m(id, role, agent, content, reasoning, status, last_seq, ended_at)
)
update hearth.agent_sessions a set
	status = coalesce($12::text, a.status),
	last_active_at = t.ended_at,
	input_tokens = case when $9::bigint is null then a.input_tokens
		else coalesce(a.input_tokens, 0) + $9::bigint end,
	output_tokens = case when $10::bigint is null then a.output_tokens
		else coalesce(a.output_tokens, 0) + $10::bigint end
from turn t where a.chat_id = t.chat_id and a.agent = t.agent
