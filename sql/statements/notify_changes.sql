-- The newest row of each changed file.
-- $1 number of the flush, $2 sessions, $3 paths
select set_config('synchronous_commit', 'off', true),
	pg_notify('hearth_status', jsonb_build_object('what', 'change',
		'chat', p.chat_id, 'agent', p.agent, 'id', p.id,
		'status', p.status)::text)
from unnest($2::uuid[], $3::text[]) k(session, path)
	cross join lateral (select * from hearth.pending_changes x
		where x.session_id = k.session and x.file_path = k.path
		order by x.id desc limit 1) p
where current_setting('hearth.flush', true) = $1::text
