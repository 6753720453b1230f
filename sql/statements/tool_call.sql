-- The tool call as it is now; output is given once, when it has ended.
-- $1 age in ms, $2 chat, $3 turn, $4 agent, $5 tool_call_id, $6 title, $7 kind,
-- $8 status, $9 final, $10 raw_input, $11 raw_output, $12 content,
-- $13 locations, $14 seq of its event
insert into hearth.tool_calls as t (tenant, chat_id, turn_id, agent,
	tool_call_id, title, kind, status, raw_input, raw_output, content,
	locations, first_seq, last_seq, started_at, ended_at)
select c.tenant, c.id, $3::bigint, $4::text, $5::text, $6::text, $7::text,
	$8::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::jsonb, $14::bigint,
	$14::bigint, g.at, case when $9::boolean then g.at end
from (select now() - $1::bigint * interval '1 ms' as at) g
	join hearth.chats c on c.id = $2::uuid
on conflict (chat_id, turn_id, tool_call_id) do update set
	title = coalesce(excluded.title, t.title),
	kind = coalesce(excluded.kind, t.kind),
	status = coalesce(excluded.status, t.status),
	raw_input = coalesce(excluded.raw_input, t.raw_input),
	raw_output = coalesce(excluded.raw_output, t.raw_output),
	content = coalesce(excluded.content, t.content),
	locations = coalesce(excluded.locations, t.locations),
	last_seq = greatest(t.last_seq, excluded.last_seq),
	ended_at = coalesce(t.ended_at, excluded.ended_at)
