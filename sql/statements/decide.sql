-- What a command says of single files, with everything that carrying it out
-- takes. Decisions that can be carried out are noted in their rows: should
-- hearthd end before the outcome is there, they show it. No row: the command is
-- not this node's, or has ended; one without a verb: it is about no file.
-- $1 node, $2 epoch, $3 command
with command as materialized (
	select c.id, c.session_id, c.chat_id, c.args, c.agent, c.requested_by,
		c.args ->> 'decision' as decision, c.args ->> 'verb' as verb,
		case c.args ->> 'decision' when 'revert' then 'applied'
			else 'pending' end as from_status
	from hearth.commands c
		join hearth.session_owners o on o.session_id = c.session_id
			and o.node_id + 0 = $1::bigint and o.epoch = $2::bigint
	where c.id = $3::bigint and c.status = 'running'
), wanted as materialized (
	select w.id::bigint as id
	from command c, jsonb_array_elements_text(c.args -> 'changes') w(id)
), noted as (
	update hearth.pending_changes p set decision = c.decision, error = null
	from command c
	where p.id in (select w.id from wanted w)
		and p.session_id = c.session_id and p.status = c.from_status
	returning p.id
)
select p.id, c.decision as verb, n.id is not null as is_fit, p.status,
	p.file_path as path, p.old_oid, p.new_oid, p.old_mode, p.new_mode,
	(select string_agg(h.n, ',') from jsonb_array_elements_text(
		c.args -> 'hunks') h(n)) as hunks,
	null as text, null as other_text, q.id is not null as has_pending,
	coalesce(q.turn_id, p.turn_id) as turn,
	case when q.id is null then p.agent else q.agent end as agent,
	case when q.id is null then p.other_turns else q.other_turns end::text
		as other_turns,
	h.id as chat, h.last_seq as chat_last_seq
from command c
	join hearth.pending_changes p on p.id in (select w.id from wanted w)
		and p.session_id = c.session_id
	left join noted n on n.id = p.id
	-- what comes back by a revert joins what waits there
	left join hearth.pending_changes q on c.decision = 'revert'
		and q.session_id = p.session_id
		and hearth.path_key(q.file_path) = hearth.path_key(p.file_path)
		and q.file_path = p.file_path
		and q.status = 'pending'
	left join hearth.chats x on x.id = p.chat_id
	left join hearth.chats h on h.id = coalesce(x.id, c.chat_id)
union all
select c.id, c.verb, true, null, c.args ->> 'path', null, null, null, null,
	null, c.args ->> 'text', c.args ->> 'other_text', false, null, c.agent,
	null, h.id, h.last_seq
from command c left join hearth.chats h on h.id = c.chat_id
where not exists (select from wanted)
order by 1
