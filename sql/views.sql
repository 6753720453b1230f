-- SPDX-License-Identifier: MIT
--
-- The views of the contract: what an admin reads in psql, 100 columns wide.
-- Replaced at every `hearth init`, after the functions. Columns are only ever
-- appended: that is what `create or replace view` allows, and what keeps the
-- views that others built upon these. Each reads with the rights of its reader
-- (security_invoker). Spans of time are texts such as 12s, 3m, 5h, 4d; the
-- tables have the times. Uuids and bigints are whole, to be pasted into the
-- functions.

create or replace view hearth.pool with (security_invoker) as
select e.chat_id, e.agent,
		case when e.chat_id is null then 'spare'
			when a.pid = e.pid then a.status
			else 'ending' end as status,
		e.pid, left(n.name, 12) as node,
		hearth.brief(now() - e.started_at) as age,
		case when a.pid = e.pid and a.status = 'idle'
			then hearth.brief(now() - a.last_active_at) end as idle,
		(select count(*) from hearth.turns t where t.chat_id = e.chat_id
			and t.execution_id = e.id) as turns,
		case when e.rss_kb < 10240 then e.rss_kb || ' kB'
			when e.rss_kb < 10240 * 1024 then e.rss_kb / 1024 || ' MB'
			else e.rss_kb / 1048576 || ' GB' end as rss
	from hearth.executions e
		left join hearth.agent_sessions a
			on a.chat_id = e.chat_id and a.agent = e.agent
		left join hearth.nodes n on n.id = e.node_id
	where e.ended_at is null
	order by e.started_at;
comment on view hearth.pool is
	'Every live child: whose it is, what it does, how old, idle for how long, turns, memory of all its processes';

create or replace view hearth.queue with (security_invoker) as
select t.id as turn, t.chat_id, t.agent,
		hearth.brief(now() - t.queued_at) as age,
		case
			when a.name is null then 'its agent, which is unknown'
			when not a.enabled then 'its agent, which is disabled'
			when a.paused then 'its agent, which is paused'
			when c.closed_at is not null then 'its end: the chat is closed'
			when s.archived_at is not null
				then 'its end: the session is archived'
			when t.not_before > now() then 'a retry in '
				|| hearth.brief(t.not_before - now())
			when g.backoff_until > now() then 'back-off, for '
				|| hearth.brief(g.backoff_until - now())
			when earlier.id is not null then 'turn ' || earlier.id
				|| ', before it in the chat'
			when live.id is not null then 'turn ' || live.id
				|| case when live.chat_id = t.chat_id
					then ' of the chat' else ' of the session' end
			when up.name is null then 'a node: none is up'
			when n.id is not null and hearth.is_alive(n.heartbeat_at)
				and n.draining then 'node ' || n.name || ' to come back'
			else 'node ' || coalesce(case when hearth.is_alive(
				n.heartbeat_at) then n.name end, up.name)
		end as waits_for
	from hearth.turns t
		join hearth.sessions s on s.id = t.session_id
		join hearth.chats c on c.id = t.chat_id
		left join hearth.agents a on a.name = t.agent
		left join hearth.agent_sessions g
			on g.chat_id = t.chat_id and g.agent = t.agent
		left join hearth.session_owners o on o.session_id = t.session_id
		left join hearth.nodes n on n.id = o.node_id
		left join lateral (select x.id from hearth.turns x
			where x.session_id = t.session_id and x.chat_id = t.chat_id
				and x.agent = t.agent and x.status = 'queued'
				and (x.priority > t.priority
					or x.priority = t.priority and x.id < t.id)
			order by x.priority desc, x.id limit 1) earlier on true
		left join lateral (select x.id, x.chat_id from hearth.turns x
			where x.session_id = t.session_id and x.status in
				('starting', 'running', 'waiting_permission')
				and (x.exclusive or not s.concurrent_turns
					or x.chat_id = t.chat_id and x.agent = t.agent)
			order by x.chat_id <> t.chat_id, x.id limit 1) live on true
		left join lateral (select x.name from hearth.nodes x
			where hearth.is_alive(x.heartbeat_at) and not x.draining
			order by x.id limit 1) up on true
	where t.status = 'queued'
	order by t.session_id, t.priority desc, t.id;
comment on view hearth.queue is
	'Every queued turn, in the order of its session, and what it waits for';

create or replace view hearth.active_turns with (security_invoker) as
select t.id as turn, t.chat_id, t.agent, t.status::text,
		hearth.brief(now() - coalesce(t.started_at, t.queued_at)) as age,
		t.warm, left(n.name, 12) as node
	from hearth.turns t
		left join hearth.session_owners o on o.session_id = t.session_id
		left join hearth.nodes n on n.id = o.node_id
	where t.status in ('starting', 'running', 'waiting_permission')
	order by t.id;
comment on view hearth.active_turns is
	'Every live turn: starting, running or waiting for a permission';

create or replace view hearth.agent_list with (security_invoker) as
select a.name, a.title, a.enabled, a.paused, a.warm, a.spares,
		a.permission_mode, a.idle_timeout
	from hearth.agents a
	order by a.name;
comment on view hearth.agent_list is
	'The registered agents, without what launches them (command, env, mcp_servers)';

create or replace view hearth.agent_session_status with (security_invoker) as
select g.session_id, g.chat_id, g.agent, g.status::text,
		g.agent_session_id is not null as has_session, g.last_active_at
	from hearth.agent_sessions g;
comment on view hearth.agent_session_status is
	'Each agent of each chat: what it is doing, and whether it can be resumed';

create or replace view hearth.pending_permissions with (security_invoker) as
select p.id as request, p.chat_id, p.agent,
		hearth.brief(now() - p.created_at) as age,
		left(coalesce(p.tool_call ->> 'title', p.tool_call_id), 34) as asks
	from hearth.permission_requests p
	where p.status = 'pending'
	order by p.id;
comment on view hearth.pending_permissions is
	'Questions that wait for answer_permission(); their options are in permission_requests';

create or replace view hearth.turn_latency with (security_invoker) as
select agent, turns, first_p50, first_p95, first_p99,
		turn_p50, turn_p95, turn_p99
	from hearth.turn_latency(interval '24 hours');
comment on view hearth.turn_latency is
	'Per agent over 24 h, in ms: submit to first event (first_…), start to end (turn_…)';

create or replace view hearth.spawn_latency with (security_invoker) as
select agent, spawns, p50, p95, p99, spawn_ms, initialize_ms, session_ms
	from hearth.spawn_latency(interval '24 hours');
comment on view hearth.spawn_latency is
	'Per agent over 24 h, in ms: fork to a session (p50 …), and medians of its parts';

create or replace view hearth.warm_hit_rate with (security_invoker) as
select t.agent, count(*) as turns,
		count(*) filter (where t.warm) as warm,
		count(*) filter (where not t.warm) as cold,
		round(100.0 * count(*) filter (where t.warm) / count(*), 1)
			as percent
	from hearth.turns t
	where t.queued_at >= now() - interval '24 hours'
		and t.warm is not null
	group by t.agent
	order by t.agent;
comment on view hearth.warm_hit_rate is
	'Per agent over 24 h: turns that found a warm child, and turns that had to wait for one';

-- A child that was stopped has the reason of whoever stopped it; one that
-- ended by itself has how it ended.
create or replace view hearth.crashes with (security_invoker) as
select e.id as execution, e.chat_id, e.agent,
		hearth.brief(now() - e.ended_at) as ago,
		left(coalesce(e.end_reason, case
			when e.term_signal > 0 then 'signal ' || e.term_signal
			else 'exit code ' || e.exit_code end), 30) as how
	from hearth.executions e
	where e.ended_at is not null
		and (e.end_reason is null or e.end_reason ~ '^(exit code |SIG|signal )')
	order by e.ended_at desc;
comment on view hearth.crashes is
	'Children that ended by themselves, newest first; stderr_tail is in executions';

create or replace view hearth.usage_by_agent with (security_invoker) as
select agent, coalesce(t.chats, 0) as chats, coalesce(t.turns, 0) as turns,
		t.input_tokens, t.output_tokens, coalesce(g.cost, t.cost) as cost
	from (select x.agent, count(distinct x.chat_id) as chats,
				count(*) as turns, sum(x.input_tokens) as input_tokens,
				sum(x.output_tokens) as output_tokens,
				sum(x.cost) as cost
			from hearth.turns x group by x.agent) t
		full join (select x.agent, sum(x.cost) as cost
			from hearth.agent_sessions x group by x.agent) g using (agent)
	order by agent;
comment on view hearth.usage_by_agent is
	'Per agent since ever: turns, tokens, and what its sessions cost in USD';

create or replace view hearth.usage_by_chat with (security_invoker) as
select c.id as chat_id, left(c.title, 20) as title,
		coalesce(t.turns, 0) as turns, t.input_tokens, t.output_tokens,
		coalesce(g.cost, t.cost) as cost
	from hearth.chats c
		left join (select x.chat_id, count(*) as turns,
				sum(x.input_tokens) as input_tokens,
				sum(x.output_tokens) as output_tokens,
				sum(x.cost) as cost
			from hearth.turns x group by x.chat_id) t on t.chat_id = c.id
		left join (select x.chat_id, sum(x.cost) as cost
			from hearth.agent_sessions x group by x.chat_id) g
			on g.chat_id = c.id
	order by c.created_at;
comment on view hearth.usage_by_chat is
	'Per chat since ever: turns, tokens, and what its agents'' sessions cost in USD';

create or replace view hearth.warnings with (security_invoker) as
select w.subject, w.agent, hearth.brief(now() - w.since) as since,
		case when length(w.warning) > 64
			then left(translate(w.warning, E'\n\t', '  '), 63) || '…'
			else translate(w.warning, E'\n\t', '  ') end as warning
	from (
		select 'turn ' || t.id as subject, t.agent, t.ended_at as since,
				case when t.suspicious
					then 'completed, but without an answer or a tool call'
					else t.status || ': ' || coalesce(t.error,
						t.error_code, t.end_reason, 'no reason')
				end as warning
			from hearth.turns t
			where t.queued_at > now() - interval '24 hours'
				and (t.suspicious or t.status in ('failed', 'interrupted'))
				and not exists (select from hearth.turns l
					where l.chat_id = t.chat_id and l.id > t.id
						and l.status = 'completed'
						and not l.suspicious)
		union all
		select 'turn ' || t.id, t.agent, t.queued_at,
				'queued for long; see the view queue'
			from hearth.turns t
			where t.status = 'queued'
				and t.queued_at < now() - interval '5 minutes'
		union all
		select 'request ' || p.id, p.agent, p.created_at,
				'nobody has answered the agent''s question'
			from hearth.permission_requests p
			where p.status = 'pending'
				and p.created_at < now() - interval '5 minutes'
		union all
		select 'agent session', g.agent, g.last_active_at,
				'backs off after ' || g.crash_count || ' crashes: '
				|| coalesce(g.last_error, 'no reason')
			from hearth.agent_sessions g
			where g.backoff_until > now()
		union all
		select 'command ' || c.id, c.agent, c.requested_at,
				case when c.status = 'failed' then c.kind || ' failed: '
						|| coalesce(c.error, c.error_code, 'no reason')
					when c.status = 'running'
						then c.kind || ' was begun by node ' || n.name
							|| ', which is gone'
					else c.kind || ' has not been taken by a node' end
			from hearth.commands c
				left join hearth.nodes n on n.id = c.node_id
			where c.status = 'failed'
					and c.requested_at > now() - interval '24 hours'
				or c.status = 'pending'
					and c.requested_at < now() - interval '1 minute'
				or c.status = 'running'
					and not hearth.is_alive(n.heartbeat_at)
		union all
		select 'node ' || n.name, null, n.heartbeat_at,
				'is gone, but has ' || count(*) || ' live turns'
			from hearth.nodes n
				join hearth.session_owners o on o.node_id = n.id
				join hearth.turns t on t.session_id = o.session_id
					and t.status in
						('starting', 'running', 'waiting_permission')
			where not hearth.is_alive(n.heartbeat_at)
			group by n.id
	) w
	order by w.since desc nulls last;
comment on view hearth.warnings is
	'What somebody should look at: failed and suspicious turns until a later one of their chat succeeds, long waits, back-off, gone nodes';

create or replace view hearth.files_changed with (security_invoker) as
select c.session_id, c.file_path, c.operation, c.status, c.agent,
		hearth.brief(now() - c.created_at) as age,
		left((select string_agg(distinct w.who, ', ')
			from (select t.agent from hearth.turns t
					where t.id = any(c.other_turns)
						and (c.turn_id is not null or t.agent <> c.agent)
				union all select 'a person'
					where c.turn_id is null
						and c.other_turns is not null) w(who)), 16)
			as or_agents
	from (select distinct on (x.session_id, x.file_path) *
			from hearth.pending_changes x
			where x.status <> 'superseded'
			order by x.session_id, x.file_path, x.id desc) c
	order by c.session_id, c.id desc;
comment on view hearth.files_changed is
	'Per session and file the last change, most recent first, who made it (agent NULL: a person; or_agents: or one of these, at work in the same time; or a person, where nobody can say whether what an agent left at work did it) and what became of it';

create or replace view hearth.pending_review with (security_invoker) as
select c.session_id, left(s.title, 10) as title, count(*) as files,
		left('changes from ' || (select string_agg(distinct w.who, ', ')
			from hearth.pending_changes x
				cross join lateral (
					select coalesce(x.agent, 'a person')
					union all select t.agent from hearth.turns t
						where t.id = any(x.other_turns)
					union all select 'a person' where x.turn_id is null
						and x.other_turns is not null) w(who)
			where x.session_id = c.session_id
				and x.status = 'pending'), 29) as changed_by,
		hearth.brief(now() - min(c.created_at)) as oldest
	from hearth.pending_changes c
		join hearth.sessions s on s.id = c.session_id
	where c.status = 'pending' and s.deleted_at is null
	group by c.session_id, s.title
	order by min(c.created_at);
comment on view hearth.pending_review is
	'Sessions with changes that nobody has decided on, the longest waiting first';

create or replace view hearth.node_status with (security_invoker) as
select left(n.name, 20) as node,
		case when not hearth.is_alive(n.heartbeat_at) then 'gone'
			when n.draining then 'draining' else 'up' end as status,
		n.pid, left(n.version, 12) as version,
		hearth.brief(case when hearth.is_alive(n.heartbeat_at)
			then now() - n.started_at end) as uptime,
		hearth.brief(now() - nullif(n.heartbeat_at, 'epoch')) as heartbeat,
		(select count(*) from hearth.session_owners o
			where o.node_id = n.id) as sessions,
		(select count(*) from hearth.executions e
			where e.node_id = n.id and e.ended_at is null) as children,
		(select count(*) from hearth.turns t
			join hearth.session_owners o on o.session_id = t.session_id
			where o.node_id = n.id and t.status in
				('starting', 'running', 'waiting_permission')) as turns
	from hearth.nodes n
	order by n.name;
comment on view hearth.node_status is
	'Every node: up, draining or gone (no heartbeat for 60 s), and what it has in hand';

create or replace view hearth.worktree_status with (security_invoker) as
select w.session_id, left(p.name, 10) as project,
		left(w.branch, 15) as branch, w.status,
		hearth.brief(now() - hearth.worktree_used(w)) as used,
		case when w.status = 'active' then concat_ws(' ', '+' || w.ahead,
			'-' || w.behind, '*' || w.changed_files) end as git,
		case when w.size_kb >= 0 then
			pg_size_pretty(w.size_kb * 1024) end as size
	from hearth.worktrees w
		join hearth.sessions s on s.id = w.session_id
		join hearth.projects p on p.id = s.project_id
	order by hearth.worktree_used(w) desc;
comment on view hearth.worktree_status is
	'The working copy of each session: last use, commits ahead (+) and behind (-) of the default branch and files not committed (*), size on disk, as measured after the last turn';
