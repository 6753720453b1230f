-- The end of a live turn with all that hangs on it, in one statement. Its text
-- and reasoning are put together from its events, which are stored by now.
-- A second time: the turn is not live, so nothing is added again.
-- Rows are looked up by values that are known before the scan begins, not by
-- joins: the plan is made once, perhaps on empty tables, where the planner
-- takes a walk through a chat's whole history for as good as a step to its end.
-- $1 age in ms, $2 turn, $3 status, $4 stop_reason, $5 end_reason, $6 error,
-- $7 error_code, $8 cancelled_by, $9 input_tokens, $10 output_tokens,
-- $11 suspicious, $12 status of the agent session, $13 seq of turn_started
-- (0 not known), $14 seq of the turn's last event
with span as materialized (
	select t.chat_id, t.agent, coalesce(nullif($13::bigint, 0),
		(select m.first_seq from hearth.messages m
			where m.turn_id = $2::bigint and m.role = 'assistant'),
		0) as first_seq
	from hearth.turns t where t.id = $2::bigint
), said as materialized (
	select string_agg(e.payload ->> 'text', '' order by e.seq)
			filter (where e.kind = 'text') as content,
		string_agg(e.payload ->> 'text', '' order by e.seq)
			filter (where e.kind = 'reasoning') as reasoning,
		min(e.created_at) filter (where e.kind not in
			('turn_started', 'turn_ended', 'agent_status')) as first_event_at
	from hearth.events e
	where e.chat_id = (select chat_id from span)
		and e.seq >= (select first_seq from span)
		and e.seq <= $14::bigint and e.turn_id = $2::bigint
), turn as (
	update hearth.turns t set status = $3::text, stop_reason = $4::text,
		end_reason = $5::text, error = $6::text, error_code = $7::text,
		cancelled_by = coalesce($8::text, cancelled_by),
		input_tokens = $9::bigint, output_tokens = $10::bigint,
		suspicious = $11::boolean,
		first_event_at = said.first_event_at,
		ended_at = now() - $1::bigint * interval '1 ms'
	from said
	where t.id = $2::bigint
		and t.status || '' in ('starting', 'running', 'waiting_permission')
	returning t.ended_at
), answer as (
	update hearth.messages m set content = coalesce(said.content, ''),
		reasoning = said.reasoning, last_seq = $14::bigint,
		status = case when $3::text in ('completed', 'cancelled')
			then 'complete' else 'failed' end,
		ended_at = t.ended_at
	from turn t, said
	where m.turn_id = $2::bigint and m.role = 'assistant'
		and m.status = 'streaming'
), tools as (
	update hearth.tool_calls c set status = 'cancelled', ended_at = t.ended_at
	from turn t
	where c.chat_id = (select chat_id from span)
		and c.turn_id = $2::bigint and c.ended_at is null
), questions as (
	update hearth.permission_requests p set status = 'cancelled',
		answered_at = t.ended_at
	from turn t
	where p.chat_id = (select chat_id from span)
		and p.turn_id = $2::bigint and p.status = 'pending'
)
update hearth.agent_sessions a set
	status = coalesce($12::text, a.status),
	crash_count = case when $3::text = 'completed' and $12::text = 'idle'
		then 0 else a.crash_count end,
	last_active_at = t.ended_at,
	input_tokens = case when $9::bigint is null then a.input_tokens
		else coalesce(a.input_tokens, 0) + $9::bigint end,
	output_tokens = case when $10::bigint is null then a.output_tokens
		else coalesce(a.output_tokens, 0) + $10::bigint end
from turn t where a.chat_id = (select chat_id from span)
	and a.agent = (select agent from span)
