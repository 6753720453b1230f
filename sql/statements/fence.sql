-- First in every flush: this node still owns the sessions that it writes for.
-- FOR SHARE: a node that wants to take one of them over waits for the end of
-- this transaction. The flush's number is undone with the transaction, so that
-- the notifications behind it know whether there is anything to tell.
-- $1 number of the flush, $2 node, $3 epoch, $4 sessions
select set_config('hearth.flush', $1::text, false),
	case when cardinality($4::uuid[]) > (select count(*) from (
			select from hearth.session_owners o
			where o.session_id = any ($4::uuid[])
				-- not by the index of all sessions of the node
				and o.node_id + 0 = $2::bigint and o.epoch = $3::bigint
			for share) held)
		then hearth.refuse_fenced($2::bigint, $3::bigint, $4::uuid[]) end
