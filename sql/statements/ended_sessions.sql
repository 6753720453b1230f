-- Ephemeral sessions whose turns have all ended, of this node or of nobody alive
-- (they become its own), with what removing their working copies takes. One that
-- another node has a copy of is not touched.
-- $1 node, $2 epoch, $3 limit
with ended as materialized (
	select s.id, s.tenant, s.project_id,
		(o.node_id = $1::bigint and o.epoch = $2::bigint) is true as is_held
	from hearth.sessions s
		join hearth.projects p on p.id = s.project_id
		left join hearth.session_owners o on o.session_id = s.id
		left join hearth.nodes n on n.id = o.node_id
		left join hearth.worktrees w on w.session_id = s.id
	where s.ephemeral and s.archived_at is null
		and (p.node_id is null or p.node_id = $1::bigint)
		and (w.node_id is null or w.node_id = $1::bigint)
		and (o.node_id is null or o.node_id = $1::bigint
			or n.heartbeat_at is null
			or n.heartbeat_at < now() - interval '60 s')
		and exists (select from hearth.chats c
			join hearth.turns t on t.chat_id = c.id
			where c.session_id = s.id)
		and not exists (select from hearth.chats c
			join hearth.turns t on t.chat_id = c.id
			where c.session_id = s.id and t.status || '' in ('queued',
				'starting', 'running', 'waiting_permission'))
	order by s.id limit $3::bigint
), taken as (
	insert into hearth.session_owners as o (session_id, tenant, node_id, epoch)
	select e.id, e.tenant, $1::bigint, $2::bigint from ended e
	where not e.is_held
	on conflict (session_id) do update set node_id = excluded.node_id,
		epoch = excluded.epoch
	where o.node_id = excluded.node_id or not exists (
		select from hearth.nodes n where n.id = o.node_id
			and n.heartbeat_at >= now() - interval '60 s')
	returning session_id
)
select e.id as session, p.id as project_id, p.path as project_path,
	p.default_branch, w.path as worktree_path, w.base_commit,
	p.snapshots
from ended e
	join hearth.projects p on p.id = e.project_id
	left join hearth.worktrees w on w.session_id = e.id
where e.is_held or e.id in (select t.session_id from taken t)
