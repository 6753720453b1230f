-- What is known of a snapshot now; null stays as it is.
-- $1 age in ms, $2 id, $3 project, $4 node, $5 path, $6 status, $7 base_commit,
-- $8 session, $9 expires_at in seconds, $10 end_reason
insert into hearth.snapshots as s (id, tenant, project_id, node_id, base_commit,
	path, status, session_id, end_reason, created_at, expires_at, ended_at)
select $2::uuid, coalesce(p.tenant, ''), $3::bigint, $4::bigint, $7::text,
	$5::text, $6::text, $8::uuid, $10::text, g.at,
	to_timestamp($9::bigint),
	case when $6::text not in ('preparing', 'ready') then g.at end
from (select now() - $1::bigint * interval '1 ms' as at) g
	left join hearth.projects p on p.id = $3::bigint
on conflict (id) do update set status = excluded.status,
	base_commit = coalesce(excluded.base_commit, s.base_commit),
	session_id = coalesce(excluded.session_id, s.session_id),
	end_reason = coalesce(excluded.end_reason, s.end_reason),
	expires_at = coalesce(excluded.expires_at, s.expires_at),
	ended_at = case when excluded.ended_at is not null
		then coalesce(s.ended_at, excluded.ended_at) end
