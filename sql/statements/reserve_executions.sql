-- Ids for executions that claims will start, the highest first: they are
-- taken from the end. $1 how many
select id from (select nextval('hearth.executions_id_seq') as id
	from generate_series(1, $1::bigint)) ids
order by id desc
