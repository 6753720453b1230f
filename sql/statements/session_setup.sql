-- Once per connection: hearthd's rights and nothing more, if it has them to
-- take; plans that are made once, so they may not count on tables being as
-- small as they are at that moment; no endless wait for anybody's lock; and long
-- texts compressed by lz4 where the server has it, at half of the cost of pglz.
-- (The advisory lock was taken before, by the role that logged in.)
select set_config('role', r.rolname, false)
from pg_catalog.pg_roles r
where r.rolname = 'hearth_daemon' and pg_catalog.pg_has_role(r.oid, 'member')
union all select set_config('search_path', 'pg_catalog, hearth, pg_temp', false)
union all select set_config('plan_cache_mode', 'force_generic_plan', false)
union all select set_config('enable_seqscan', 'off', false)
union all select set_config('enable_bitmapscan', 'off', false)
union all select set_config('jit', 'off', false)
union all select set_config('lock_timeout', '10s', false)
union all select set_config('statement_timeout', '0', false)
union all select set_config('idle_in_transaction_session_timeout', '0', false)
union all select set_config('TimeZone', 'UTC', false)
union all select set_config(s.name, 'lz4', false) from pg_catalog.pg_settings s
	where s.name = 'default_toast_compression' and 'lz4' = any (s.enumvals)
