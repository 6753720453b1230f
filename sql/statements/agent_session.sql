-- Upsert; null stays as it is, and of an agent that nobody knew yet means that it
-- has no child. offers are merged with those that are known. A child that has a
-- session ends what was said of one that was lost, or could not be reopened: the
-- next child is to reopen this one.
-- $1 age in ms, $2 chat, $3 agent, $4 node, $5 status, $6 end_reason,
-- $7 agent_session_id ('': none any more), $8 resumed_by, $9 offers, $10 config_hash,
-- $11 last_error, $12 last_error_code, $13 pid (0: none any more, below: as it
-- is), $14 crash_count, $15 back-off in ms (likewise)
with given as (
	select $9::jsonb as offers, now() - $1::bigint * interval '1 ms' as at,
		coalesce($9::jsonb #>> '{modes,currentModeId}',
			jsonb_path_query_first($9::jsonb,
				'$.configOptions[*] ? (@.category == "mode").currentValue')
				#>> '{}') as mode_id,
		coalesce($9::jsonb #>> '{models,currentModelId}',
			jsonb_path_query_first($9::jsonb,
				'$.configOptions[*] ? (@.category == "model").currentValue')
				#>> '{}') as model
)
insert into hearth.agent_sessions as a (chat_id, agent, tenant, session_id,
	worktree_id, node_id, status, end_reason, agent_session_id, resumed_by,
	offers, mode_id, model, config_hash, last_error, last_error_code, pid,
	crash_count, backoff_until, created_at, last_active_at, suspended_at)
select c.id, $3::text, c.tenant, c.session_id, w.id, $4::bigint,
	coalesce($5::text, 'closed'), $6::text, $7::text, $8::text, g.offers,
	g.mode_id, g.model, $10::text, $11::text, $12::text,
	case when $13::bigint > 0 then $13::bigint end,
	coalesce($14::bigint, 0),
	case when $15::bigint > 0 then g.at + $15::bigint * interval '1 ms' end,
	g.at, g.at, case when $5::text = 'hibernated' then g.at end
from given g join hearth.chats c on c.id = $2::uuid
	left join hearth.worktrees w on w.session_id = c.session_id
on conflict (chat_id, agent) do update set
	node_id = excluded.node_id,
	worktree_id = coalesce(excluded.worktree_id, a.worktree_id),
	status = coalesce($5::text, a.status),
	end_reason = case
		when $5::text in ('warming', 'active', 'idle') then $6::text
		else coalesce($6::text, a.end_reason) end,
	agent_session_id = nullif(coalesce($7::text, a.agent_session_id), ''),
	resumed_by = coalesce($8::text, a.resumed_by),
	offers = case when $9::jsonb is null then a.offers
		else coalesce(a.offers, '{}') || $9::jsonb end,
	mode_id = coalesce(excluded.mode_id, a.mode_id),
	model = coalesce(excluded.model, a.model),
	config_hash = coalesce($10::text, a.config_hash),
	last_error = coalesce($11::text, case when $7::text <> ''
			and a.last_error_code in ('session_lost', 'resume_failed')
		then null else a.last_error end),
	last_error_code = coalesce($12::text, case when $7::text <> ''
			and a.last_error_code in ('session_lost', 'resume_failed')
		then null else a.last_error_code end),
	pid = case when $13::bigint < 0 then a.pid
		else nullif($13::bigint, 0) end,
	crash_count = coalesce($14::bigint, a.crash_count),
	backoff_until = case when $15::bigint < 0 then a.backoff_until
		else excluded.backoff_until end,
	suspended_at = case when $5::text is null or $5::text = 'closed'
			then a.suspended_at
		else excluded.suspended_at end,
	last_active_at = case when $5::text in ('active', 'idle')
		then excluded.last_active_at else a.last_active_at end
