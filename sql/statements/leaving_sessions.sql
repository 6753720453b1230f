-- Sessions, of this node or of nobody alive (they become its own), that something
-- is to be taken away of, with what that needs of their working copies:
--   ended    ephemeral ones whose turns have all ended
--   away     worktrees that nobody needs for now: of sessions that were archived
--            long enough ago, and the least recently used above the budget
--   deleted  all of it
--   chat     one chat of it
-- None with a queued or live turn (of the chat), an unanswered command, or a
-- copy on another node; none that was tried in vain within the last hour.
-- $1 node, $2 epoch, $3 limit, $4 how long archived ones are kept, in ms,
-- $5 budget in kB, 0: none
with used as materialized (
	select w.session_id, hearth.worktree_used(w) as at,
		sum(coalesce(w.size_kb, 0)) over (order by
			hearth.worktree_used(w) desc, w.session_id) as upto
	from hearth.worktrees w
	where $5::bigint > 0 and w.node_id = $1::bigint
		and w.status = 'active'
), wish as materialized (
	select s.id, null::uuid as chat, 'ended' as why, null::timestamptz as at
	from hearth.sessions s
	where s.ephemeral and s.archived_at is null and exists (
		select from hearth.chats c join hearth.turns t on t.chat_id = c.id
		where c.session_id = s.id)
	union all
	select s.id, null, 'deleted', s.deleted_at from hearth.sessions s
	where s.deleted_at is not null
	union all
	select c.session_id, c.id, 'chat', c.deleted_at from hearth.chats c
	where c.deleted_at is not null and not exists (
		select from hearth.executions e
		where e.chat_id = c.id and e.ended_at is null)
	union all
	select w.session_id, null, 'away', s.archived_at
	from hearth.worktrees w join hearth.sessions s on s.id = w.session_id
	where w.node_id = $1::bigint and w.status = 'active'
		and s.archived_at <= now() - $4::bigint * interval '1 ms'
	union all
	select u.session_id, null, 'away', u.at
	from used u join hearth.sessions s on s.id = u.session_id
	where u.upto > $5::bigint and s.archived_at is null
		and not s.ephemeral and not exists (
			select from hearth.agent_sessions a
			where a.session_id = s.id and a.pid is not null)
), leaving as materialized (
	select x.id, x.chat, x.why, s.tenant, s.project_id,
		(o.node_id = $1::bigint and o.epoch = $2::bigint) is true as is_held
	from wish x
		join hearth.sessions s on s.id = x.id
		join hearth.projects p on p.id = s.project_id
		left join hearth.session_owners o on o.session_id = s.id
		left join hearth.nodes n on n.id = o.node_id
		left join hearth.worktrees w on w.session_id = s.id
	where (p.node_id is null or p.node_id = $1::bigint)
		and (w.node_id is null or w.node_id = $1::bigint)
		and (w.kept_at is null or x.why = 'chat'
			or w.kept_at < now() - interval '1 hour')
		and (s.deleted_at is null or x.why = 'deleted')
		and (o.node_id is null or o.node_id = $1::bigint
			or n.heartbeat_at is null
			or n.heartbeat_at < now() - interval '60 s')
		and not exists (select from hearth.chats c
			join hearth.turns t on t.chat_id = c.id
			where c.session_id = s.id and c.id = coalesce(x.chat, c.id)
				and t.status || '' in ('queued', 'starting', 'running',
					'waiting_permission'))
		and not exists (select from hearth.commands c
			where c.session_id = s.id and c.status = 'pending')
	order by x.at nulls first, x.id limit $3::bigint
), taken as (
	insert into hearth.session_owners as o (session_id, tenant, node_id, epoch)
	select distinct e.id, e.tenant, $1::bigint, $2::bigint from leaving e
	where not e.is_held
	on conflict (session_id) do update set node_id = excluded.node_id,
		epoch = excluded.epoch
	where o.node_id = excluded.node_id or not exists (
		select from hearth.nodes n where n.id = o.node_id
			and n.heartbeat_at >= now() - interval '60 s')
	returning session_id
)
select e.id as session, e.chat, e.why, p.id as project_id,
	p.path as project_path, p.default_branch, w.path as worktree_path,
	w.base_commit, p.snapshots
from leaving e
	join hearth.projects p on p.id = e.project_id
	left join hearth.worktrees w on w.session_id = e.id
where e.is_held or e.id in (select t.session_id from taken t)
