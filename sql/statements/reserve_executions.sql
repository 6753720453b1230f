-- Ids for executions that claims will start. $1 how many
select nextval('hearth.executions_id_seq') as id
from generate_series(1, $1::bigint)
