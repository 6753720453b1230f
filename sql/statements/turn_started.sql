-- The event turn_started, the turn's two messages, the agent session active;
-- what was asked for is taken from the turn. A second time: all three are there.
-- $1 age in ms, $2 chat, $3 seq, $4 turn, $5 agent
with turn as (
	select t.*, now() - $1::bigint * interval '1 ms' as at,
		(select string_agg(b ->> 'text', E'\n' order by n)
			from jsonb_array_elements(t.prompt) with ordinality p(b, n)
			where b ->> 'type' = 'text') as words
	from hearth.turns t where t.id = $4::bigint
), event as (
	insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
		created_at, tenant)
	select c.id, $3::bigint, $4::bigint, $5::text, 'turn_started',
		jsonb_build_object('prompt', t.prompt, 'created_by', t.created_by,
			'model', t.model, 'mode_id', t.mode_id),
		now() - $1::bigint * interval '1 ms', c.tenant
	from hearth.chats c left join turn t on true where c.id = $2::uuid
	on conflict (chat_id, seq) do nothing
), question as (
	insert into hearth.messages (tenant, session_id, chat_id, turn_id, role,
		content, status, first_seq, last_seq, created_at, ended_at)
	select t.tenant, t.session_id, t.chat_id, t.id, 'user',
		coalesce(t.words, ''), 'complete', $3::bigint, $3::bigint, t.at, t.at
	from turn t
	on conflict (turn_id, role) do nothing
	returning id
), answer as (
	insert into hearth.messages (tenant, session_id, chat_id, turn_id, role,
		agent, first_seq, created_at)
	select t.tenant, t.session_id, t.chat_id, t.id, 'assistant', $5::text,
		$3::bigint, t.at
	from turn t
	-- the question's id is the smaller one
	where (select count(*) from question) >= 0
	on conflict (turn_id, role) do nothing
	returning id, turn_id
), seat as (
	update hearth.agent_sessions a set status = 'active', last_active_at = t.at
	from turn t
	where a.chat_id = t.chat_id and a.agent = t.agent
		and a.status <> 'active'
		and t.status in ('running', 'waiting_permission')
)
update hearth.turns t set message_id = a.id
from answer a where t.id = a.turn_id
