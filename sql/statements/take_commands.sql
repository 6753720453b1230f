-- The pending commands that are for this node: of its own sessions, of those
-- that nobody alive has (they become its own), and of no session. What another
-- node has taken, and has been silent for so long since, ends here, for it may
-- never come back; should it, its own word counts (command_end).
-- $1 node, $2 epoch
with silent as (
	-- what its last transaction still holds is left to a later look
	select c.id, n.name, c.args
	from hearth.commands c join hearth.nodes n on n.id = c.node_id
	where c.status = 'running' and n.id <> $1::bigint
		and n.heartbeat_at < now() - interval '60 s'
	order by c.id
	for update of c skip locked
), held as (
	select p.id from hearth.pending_changes p
	where p.decision is not null and p.id in (select w.id::bigint
		from silent s, jsonb_array_elements_text(s.args -> 'changes') w(id))
	order by p.id
	for update skip locked
), gone as (
	update hearth.commands c set status = 'failed', error_code = 'node_gone',
		error = 'node ' || n.name || ', which was to do it, is gone: nobody '
			|| 'knows how far it got', ended_at = now()
	from silent n
	where c.id = n.id and not exists (
		select from jsonb_array_elements_text(n.args -> 'changes') w(id)
			join hearth.pending_changes p on p.id = w.id::bigint
		where p.decision is not null
			and p.id not in (select h.id from held h))
	returning c.args, c.error, pg_notify('hearth_status', jsonb_build_object(
		'what', 'command', 'chat', null, 'agent', null, 'id', c.id,
		'status', 'failed')::text)
), undecided as (
	-- they may be decided on again; what was done already is found done
	update hearth.pending_changes p set decision = null, error = g.error
	from gone g, jsonb_array_elements_text(g.args -> 'changes') w(id)
	where p.id = w.id::bigint and p.decision is not null
), mine as (
	select c.id, c.session_id, s.id is null as is_free, s.tenant,
		o.node_id is not distinct from $1::bigint
			and o.epoch is not distinct from $2::bigint as is_held
	from hearth.commands c
		left join hearth.sessions s on s.id = c.session_id
		left join hearth.projects p on p.id = s.project_id
		left join hearth.session_owners o on o.session_id = s.id
		left join hearth.nodes n on n.id = o.node_id
	where c.status = 'pending'
		and (p.node_id is null or p.node_id = $1::bigint)
		and (o.node_id is null or o.node_id = $1::bigint
			or n.heartbeat_at is null
			or n.heartbeat_at < now() - interval '60 s')
	order by c.id limit 200
	for update of c skip locked
), taken as (
	insert into hearth.session_owners as o (session_id, tenant, node_id, epoch)
	select distinct m.session_id, m.tenant, $1::bigint, $2::bigint
	from mine m where not m.is_free and not m.is_held
	on conflict (session_id) do update set node_id = excluded.node_id,
		epoch = excluded.epoch
	where o.node_id = excluded.node_id or not exists (
		select from hearth.nodes n where n.id = o.node_id
			and n.heartbeat_at >= now() - interval '60 s')
	returning session_id
), command as (
	update hearth.commands c set status = 'running', node_id = $1::bigint
	from mine m where c.id = m.id and (m.is_free or m.is_held
		or m.session_id in (select t.session_id from taken t))
	returning c.*
)
select c.id, c.kind, c.session_id as session, c.chat_id as chat, c.agent,
	coalesce(h.last_seq, 0) as chat_last_seq, c.turn_id as turn,
	t.status as turn_status, c.requested_by, c.args ->> 'reason' as reason,
	c.args ->> 'option_id' as option_id, c.args ->> 'mode_id' as mode_id,
	c.args ->> 'option' as option, (c.args -> 'value')::text as value,
	q.execution_id, q.serial
from command c
	left join hearth.chats h on h.id = c.chat_id
	left join hearth.turns t on t.id = c.turn_id
	left join hearth.permission_requests q
		on q.id = (c.args ->> 'request')::bigint
order by c.id
