-- $1 node name
select n.hostname, n.pid, n.epoch from hearth.nodes n where n.name = $1::text
