-- Everything that running the claimed turn needs; behind claim, in the same
-- transaction, so that chat_last_seq is what the owner before us left.
-- $1 number of the claim, $2 node
select t.id as turn, t.session_id as session, t.chat_id as chat, t.agent,
	t.status = 'running' as is_running, t.exclusive as is_exclusive,
	t.execution_id, t.prompt, t.created_by, t.model, t.mode_id,
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
	-- a session that is reopened need not say again what it offers
	coalesce(x.wanted, '{}') || jsonb_build_object('offers', x.offers
		- '{availableCommands,agentCapabilities}'::text[]) as wanted,
	coalesce(x.crash_count > 0 and x.last_error_code = 'resume_failed', false)
		-- nothing is lost of one that has had no prompt
		or not exists (select from hearth.turns n
			where n.chat_id = t.chat_id and n.agent = t.agent
				and n.started_at is not null and n.id <> t.id)
		as may_replace,
	cardinality(a.launcher)::bigint as launcher_words,
	s.tenant,
	not a.warm as ends_child, s.ephemeral as is_ephemeral,
	-- cut off by a crash, and nobody has worked in the session since
	(select string_agg(i.id || ' ' || i.agent, E'\n' order by i.id)
		from hearth.turns i
		where i.session_id = t.session_id and i.status = 'interrupted'
			and i.end_reason is null
			and not exists (select from hearth.chats k
				cross join lateral (select from hearth.turns n
					where n.chat_id = k.id and n.id > i.id
						and n.id <> t.id
						and n.started_at > i.ended_at
					order by n.id limit 1) later
				where k.session_id = t.session_id)) as unread
from hearth.turns t
	join hearth.chats c on c.id = t.chat_id
	join hearth.sessions s on s.id = t.session_id
	join hearth.projects p on p.id = s.project_id
	join hearth.agents a on a.name = t.agent
	left join hearth.agent_sessions x on x.chat_id = t.chat_id
		and x.agent = t.agent
	left join hearth.worktrees w on w.session_id = t.session_id
		and (w.node_id is null or w.node_id = $2::bigint)
where t.id = case split_part(current_setting('hearth.claimed', true), ':', 1)
	when $1::text then nullif(split_part(
		current_setting('hearth.claimed', true), ':', 2), '')::bigint end
