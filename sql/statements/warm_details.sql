-- Everything that starting an agent for a chat ahead of a turn needs, as
-- claim_details has it for a turn, and what speaks against it, in words. No row:
-- the session is not this node's, or the chat or the agent is gone.
-- $1 node, $2 epoch, $3 session, $4 chat, $5 agent
select c.session_id as session, c.id as chat, a.name as agent,
	nextval('hearth.executions_id_seq') as execution_id,
	c.last_seq as chat_last_seq,
	p.id as project_id, p.path as project_path, p.default_branch,
	w.path as worktree_path, w.base_commit,
	p.include, p.setup_command, p.snapshots,
	a.launcher || a.command as command,
	array(select e.key || coalesce('=' || e.value, '')
		from jsonb_each_text(a.env) e order by e.key) as env,
	a.mcp_servers, a.client_capabilities, a.permission_mode,
	coalesce((extract(epoch from a.idle_timeout) * 1000)::bigint, -1)
		as idle_timeout,
	md5(concat(a.command, a.env, a.mcp_servers, a.launcher,
		a.client_capabilities, a.permission_mode)) as config_hash,
	case when x.crash_count > 0 and x.last_error_code = 'session_lost'
		then '' else x.agent_session_id end as known_session,
	coalesce(x.wanted, '{}') || jsonb_build_object('offers', x.offers
		- '{availableCommands,agentCapabilities}'::text[]) as wanted,
	s.tenant,
	coalesce(x.crash_count > 0 and x.last_error_code = 'resume_failed', false)
		or not exists (select from hearth.turns n
			where n.chat_id = c.id and n.agent = a.name
				and n.started_at is not null)
		as may_replace,
	cardinality(a.launcher)::bigint as launcher_words,
	not a.warm as ends_child, s.ephemeral as is_ephemeral,
	case when s.archived_at is not null then 'archived'
		when c.closed_at is not null then 'closed'
		when not a.enabled then 'disabled'
		when a.paused then 'paused'
		when x.backoff_until > now() then 'backoff' end as refusal,
	case when s.archived_at is not null then 'the session is archived'
		when c.closed_at is not null then 'the chat is closed'
		when not a.enabled then 'the agent is disabled'
		when a.paused then 'the agent is paused'
		when x.backoff_until > now() then
			'the agent waits after crashes until ' || to_char(x.backoff_until,
				'YYYY-MM-DD HH24:MI:SS "UTC"') end as refusal_words
from hearth.chats c
	join hearth.session_owners o on o.session_id = c.session_id
		and o.node_id + 0 = $1::bigint and o.epoch = $2::bigint
	join hearth.sessions s on s.id = c.session_id
	join hearth.projects p on p.id = s.project_id
	join hearth.agents a on a.name = $5::text
	left join hearth.agent_sessions x on x.chat_id = c.id
		and x.agent = a.name
	left join hearth.worktrees w on w.session_id = c.session_id
		and (w.node_id is null or w.node_id = $1::bigint)
where c.id = $4::uuid and (c.session_id = $3::uuid) is true
