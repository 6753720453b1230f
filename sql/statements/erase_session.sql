-- Rows of a session that was deleted, or of a chat, so many at a time.
-- $1 node, $2 epoch, $3 session, $4 chat or null, $5 so many
select hearth.erase_session($1::bigint, $2::bigint, $3::uuid, $4::uuid,
	$5::integer) as more
