-- Agents of which spares are wanted: how many, what starting one takes, as
-- claim_details has it, and the id of an execution for it.
select a.name as agent, a.spares, nextval('hearth.executions_id_seq')
		as execution_id,
	a.launcher || a.command as command,
	array(select e.key || coalesce('=' || e.value, '')
		from jsonb_each_text(a.env) e order by e.key) as env,
	a.mcp_servers, a.client_capabilities, a.permission_mode,
	md5(concat(a.command, a.env, a.mcp_servers, a.launcher,
		a.client_capabilities, a.permission_mode)) as config_hash,
	cardinality(a.launcher) as launcher_words
from hearth.agents a
where a.spares > 0 and a.enabled and not a.paused
order by a.name
