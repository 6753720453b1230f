-- Makes a session this node's, unless it is already or another has it that
-- lives; warm_details comes behind it in the same transaction and sees which.
-- $1 node, $2 epoch, $3 session
insert into hearth.session_owners as o (session_id, tenant, node_id, epoch)
select s.id, s.tenant, $1::bigint, $2::bigint
from hearth.sessions s join hearth.projects p on p.id = s.project_id
where s.id = $3::uuid and s.archived_at is null
	and (p.node_id is null or p.node_id = $1::bigint)
	and not exists (select from hearth.session_owners h
		where h.session_id = s.id and h.node_id + 0 = $1::bigint
			and h.epoch = $2::bigint)
on conflict (session_id) do update set node_id = excluded.node_id,
	epoch = excluded.epoch
where o.node_id = excluded.node_id or not exists (
	select from hearth.nodes n where n.id = o.node_id
		and n.heartbeat_at >= now() - interval '60 s')
