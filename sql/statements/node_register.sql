-- A new life of the node. $1 name, $2 host name, $3 pid, $4 version,
-- $5 project roots, colon-separated
insert into hearth.nodes as n (name, epoch, hostname, pid, version,
	project_roots)
values ($1::text, 1, $2::text, $3::bigint, $4::text,
	coalesce(string_to_array(nullif($5::text, ''), ':'), '{}'))
on conflict (name) do update set epoch = n.epoch + 1,
	hostname = excluded.hostname, pid = excluded.pid,
	version = excluded.version, project_roots = excluded.project_roots,
	started_at = now(), heartbeat_at = now(), draining = false
returning n.id, n.epoch
