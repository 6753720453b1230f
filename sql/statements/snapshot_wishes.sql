-- Projects that want snapshots of this node; and those that have some here,
-- though they want none (any more): count 0.
-- $1 node
select p.id as project_id, p.path as project_path, p.default_branch,
	p.include, p.setup_command, p.snapshots
from hearth.projects p
where p.snapshots > 0 and (p.node_id is null or p.node_id = $1::bigint)
union all
select s.project_id, '/', null, null, null, 0
from hearth.snapshots s
where s.node_id = $1::bigint and s.status in ('preparing', 'ready')
	and not exists (select from hearth.projects p
		where p.id = s.project_id and p.snapshots > 0
			and (p.node_id is null or p.node_id = $1::bigint))
group by s.project_id
order by project_id
