-- Snapshots of this node that are not on its disk (any more).
-- $1 age in ms, $2 node, $3 ids that are, with commas between
update hearth.snapshots set status = 'failed',
	end_reason = 'it was not there when hearthd started',
	ended_at = now() - $1::bigint * interval '1 ms'
where node_id = $2::bigint and status in ('preparing', 'ready')
	and id <> all (string_to_array($3::text, ',')::uuid[])
