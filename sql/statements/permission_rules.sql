-- All permission rules, in the order in which they are looked at.
select r.id, r.tenant, r.agent, r.project_id, r.tool_kind, r.path_pattern,
	r.command_pattern, r.decision
from hearth.permission_rules r
order by r.priority desc, r.id
