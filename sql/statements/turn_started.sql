-- The turn's two messages, the agent session active; the event turn_started is
-- stored by now. A second time: the messages are there, the turn has ended.
-- $1 age in ms, $2 seq of the event, $3 turn, $4 agent
with turn as (
	select t.*, now() - $1::bigint * interval '1 ms' as at
	from hearth.turns t where t.id = $3::bigint
), question as (
	insert into hearth.messages (tenant, session_id, chat_id, turn_id, role,
		content, status, first_seq, last_seq, created_at, ended_at)
	select t.tenant, t.session_id, t.chat_id, t.id, 'user',
		hearth.prompt_text(t.prompt), 'complete', $2::bigint, $2::bigint,
		t.at, t.at
	from turn t
	on conflict (turn_id, role) do nothing
	returning id
), answer as (
	insert into hearth.messages (tenant, session_id, chat_id, turn_id, role,
		agent, first_seq, created_at)
	select t.tenant, t.session_id, t.chat_id, t.id, 'assistant', $4::text,
		$2::bigint, t.at
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
