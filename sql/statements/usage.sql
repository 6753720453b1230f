-- What a usage_update says. The turn's cost is told as a whole, and the agent
-- session's sum grows by what that changed: a second time changes nothing.
-- $1 chat, $2 agent, $3 turn, $4 its cost so far in billionths of USD (null: not
-- known), $5 context_used, $6 context_size (null: as they are)
with given as materialized (
	select trim_scale($4::numeric / 1000000000) as cost
), before as materialized (
	select coalesce(t.cost, 0) as cost from hearth.turns t
	where t.id = $3::bigint
), turn as (
	update hearth.turns t set cost = (select cost from given)
	where t.id = $3::bigint
		and t.cost is distinct from coalesce((select cost from given), t.cost)
)
update hearth.agent_sessions a set
	context_used = coalesce($5::bigint, a.context_used),
	context_size = coalesce($6::bigint, a.context_size),
	cost = coalesce(trim_scale(coalesce(a.cost, 0) + (select cost from given)
		- (select cost from before)), a.cost)
where a.chat_id = $1::uuid and a.agent = $2::text
