-- The session's next turn that may start, if there is one: it becomes running
-- when a warm seat fits, else starting, and the session is this node's. What
-- was claimed is left for claim_details and claim_notify, as "number:turn".
-- The heads of the queue, one per (chat, agent), are found by skipping through
-- the index turns_heads: what waits behind them costs nothing.
-- $1 number of the claim, $2 node, $3 epoch, $4 session; warm seats: $5 chats,
-- $6 agents, $7 executions, $8 config hashes; $9 execution of a cold start
with recursive session as materialized (
	select s.id, s.tenant, s.concurrent_turns
	from hearth.sessions s
		join hearth.projects p on p.id = s.project_id
		left join hearth.session_owners o on o.session_id = s.id
		left join hearth.nodes n on n.id = o.node_id
	where s.id = $4::uuid and s.archived_at is null
		and (p.node_id is null or p.node_id = $2::bigint)
		and (o.node_id is null or o.node_id = $2::bigint
			or n.heartbeat_at is null
			or n.heartbeat_at < now() - interval '60 s')
		and not exists (select from hearth.turns t
			where t.session_id = s.id and t.exclusive and t.status in
				('starting', 'running', 'waiting_permission'))
		and (s.concurrent_turns or not exists (select from hearth.turns t
			where t.session_id = s.id and t.status in
				('starting', 'running', 'waiting_permission')))
), pair as (
	(select t.chat_id, t.agent
		from hearth.turns t join session s on true
		where t.session_id = $4::uuid and t.status = 'queued'
		order by t.chat_id, t.agent limit 1)
	union all
	select n.chat_id, n.agent
	from pair p cross join lateral (select t.chat_id, t.agent
		from hearth.turns t
		where t.session_id = $4::uuid and t.status = 'queued'
			and (t.chat_id, t.agent) > (p.chat_id, p.agent)
		order by t.chat_id, t.agent limit 1) n
), ready as materialized (
	select h.id, h.priority, h.chat_id, h.agent,
		md5(concat(a.command, a.env, a.mcp_servers, a.launcher,
			a.client_capabilities, a.permission_mode)) as config_hash
	from pair p
		cross join lateral (select t.id, t.priority, t.chat_id, t.agent,
				t.not_before
			from hearth.turns t
			where t.session_id = $4::uuid and t.status = 'queued'
				and t.chat_id = p.chat_id and t.agent = p.agent
			order by t.session_id, t.chat_id, t.agent, t.priority desc,
				t.id limit 1) h
		join hearth.chats c on c.id = h.chat_id and c.closed_at is null
		join hearth.agents a on a.name = h.agent and a.enabled
			and not a.paused
		left join hearth.agent_sessions x on x.chat_id = h.chat_id
			and x.agent = h.agent
	where (h.not_before is null or h.not_before <= now())
		and (x.backoff_until is null or x.backoff_until <= now())
		and not exists (select from hearth.turns t
			where t.chat_id = h.chat_id and t.agent = h.agent
				and t.status in
				('starting', 'running', 'waiting_permission'))
		-- what was asked for before it, and is not begun yet
		and not exists (select from hearth.commands k
			where k.session_id = $4::uuid and k.status = 'pending'
				and k.kind = 'reset_agent'
				and k.chat_id = h.chat_id and k.agent = h.agent)
), pick as materialized (
	select r.*, w.execution
	from (select * from ready order by priority desc, id limit 1) r
		left join unnest($5::uuid[], $6::text[], $7::bigint[], $8::text[])
			w(chat, agent, execution, hash)
		on w.chat = r.chat_id and w.agent = r.agent
			and w.hash = r.config_hash
	limit 1
), held as (
	select o.session_id from hearth.session_owners o
	where o.session_id = $4::uuid and o.node_id = $2::bigint
		and o.epoch = $3::bigint
	for share
), taken as (
	insert into hearth.session_owners as o (session_id, tenant, node_id, epoch)
	select s.id, s.tenant, $2::bigint, $3::bigint
	from session s
	where exists (select from pick) and not exists (select from held)
	on conflict (session_id) do update set node_id = excluded.node_id,
		epoch = excluded.epoch
	where o.node_id = excluded.node_id or not exists (
		select from hearth.nodes n where n.id = o.node_id
			and n.heartbeat_at >= now() - interval '60 s')
	returning session_id
), turn as (
	update hearth.turns t set
		status = case when p.execution is null
			then 'starting' else 'running' end,
		exclusive = not s.concurrent_turns,
		warm = p.execution is not null,
		execution_id = coalesce(p.execution, $9::bigint),
		started_at = case when p.execution is not null then now() end,
		attempts = t.attempts + 1, not_before = null, error = null
	from pick p, session s
	-- not as turns_heads has it: the row is found by its id
	where t.id = p.id and t.status || '' = 'queued'
		and (exists (select from held) or exists (select from taken))
	returning t.id, t.tenant, t.chat_id, t.session_id, t.agent, t.status
), seat as (
	insert into hearth.agent_sessions as a (chat_id, agent, tenant,
		session_id, node_id, status, last_active_at)
	select t.chat_id, t.agent, t.tenant, t.session_id, $2::bigint,
		case t.status when 'running' then 'active' else 'warming' end, now()
	from turn t
	on conflict (chat_id, agent) do update set status = excluded.status,
		node_id = excluded.node_id, end_reason = null,
		suspended_at = null, last_active_at = excluded.last_active_at
)
select set_config('hearth.claimed', $1::text || ':' || coalesce(
		(select t.id::text from turn t), ''), false),
	(select t.id from turn t) as turn,
	exists (select from hearth.turns t
		where t.session_id = $4::uuid and t.status = 'queued'
			and t.id is distinct from (select u.id from turn u)) as more
