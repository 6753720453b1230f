-- A turn that started and ended within one flush: turn_started and turn_end in
-- one, for a turn without tool calls and permission requests. Only for a flush
-- that is surely the first: nothing here would bear a second time.
-- $1 age in ms, $2 turn, $3 status, $4 stop_reason, $5 end_reason, $6 error,
-- $7 error_code, $8 cancelled_by, $9 input_tokens, $10 output_tokens,
-- $11 suspicious, $12 status of the agent session, $13 seq of turn_started,
-- $14 seq of the turn's last event, $15 chat, $16 agent, $17 age of
-- turn_started in ms, $18 age of the first event after it, $19 text,
-- $20 reasoning
with id as materialized (
	select nextval('hearth.messages_id_seq') as question,
		nextval('hearth.messages_id_seq') as answer
), turn as (
	update hearth.turns t set status = $3::text, stop_reason = $4::text,
		end_reason = $5::text, error = $6::text, error_code = $7::text,
		cancelled_by = coalesce($8::text, cancelled_by),
		input_tokens = $9::bigint, output_tokens = $10::bigint,
		suspicious = $11::boolean,
		first_event_at = now() - $18::bigint * interval '1 ms',
		message_id = (select answer from id),
		ended_at = now() - $1::bigint * interval '1 ms'
	-- no index on the status: the id finds the row
	where t.id = $2::bigint
		and t.status || '' in ('running', 'waiting_permission')
	returning t.tenant, t.session_id, t.prompt
), messages as (
	insert into hearth.messages (id, tenant, session_id, chat_id, turn_id,
		role, agent, content, reasoning, status, first_seq, last_seq,
		created_at, ended_at)
	select m.id, t.tenant, t.session_id, $15::uuid, $2::bigint, m.role, m.agent,
		m.content, m.reasoning, m.status, $13::bigint, m.last_seq,
		now() - $17::bigint * interval '1 ms',
		now() - m.age * interval '1 ms'
	from turn t, id, lateral (values
		(id.question, 'user', null, hearth.prompt_text(t.prompt), null,
			'complete', $13::bigint, $17::bigint),
		(id.answer, 'assistant', $16::text, $19::text, $20::text,
			case when $3::text in ('completed', 'cancelled')
				then 'complete' else 'failed' end, $14::bigint, $1::bigint))
		m(id, role, agent, content, reasoning, status, last_seq, age)
)
update hearth.agent_sessions a set
	status = coalesce($12::text, a.status),
	crash_count = case when $3::text = 'completed' and $12::text = 'idle'
		then 0 else a.crash_count end,
	last_active_at = now() - $1::bigint * interval '1 ms',
	input_tokens = case when $9::bigint is null then a.input_tokens
		else coalesce(a.input_tokens, 0) + $9::bigint end,
	output_tokens = case when $10::bigint is null then a.output_tokens
		else coalesce(a.output_tokens, 0) + $10::bigint end
where a.chat_id = $15::uuid and a.agent = $16::text
	and exists (select from turn)
