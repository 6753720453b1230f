-- running <-> waiting_permission
-- $1 turn, $2 status
update hearth.turns set status = $2::text
where id = $1::bigint and status || '' in ('running', 'waiting_permission')
