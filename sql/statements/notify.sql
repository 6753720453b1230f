-- $1 number of the flush, $2 channels, $3 payloads
select set_config('synchronous_commit', 'off', true),
	pg_notify(n.channel, n.payload)
from unnest($2::text[], $3::text[]) n(channel, payload)
where current_setting('hearth.flush', true) = $1::text
