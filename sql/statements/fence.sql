-- First in every flush: this node still owns the sessions that it writes for.
-- The flush's number is undone with the transaction, so that the notifications
-- behind it know whether there is anything to tell.
-- $1 number of the flush, $2 node, $3 epoch, $4 sessions
select set_config('hearth.flush', $1::text, false),
	hearth.check_fence($2::bigint, $3::bigint, $4::uuid[])
