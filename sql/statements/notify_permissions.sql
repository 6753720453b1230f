-- Permission requests get their ids in the database.
-- $1 number of the flush, $2 executions, $3 serials
select set_config('synchronous_commit', 'off', true),
	pg_notify('hearth_status', jsonb_build_object('what', 'permission',
		'chat', p.chat_id, 'agent', p.agent, 'id', p.id,
		'status', p.status)::text)
from unnest($2::bigint[], $3::bigint[]) k(execution, serial)
	join hearth.permission_requests p
		on p.execution_id = k.execution and p.serial = k.serial
where current_setting('hearth.flush', true) = $1::text
