-- What was said in a chat before a turn: the newest messages, oldest first, as
-- one text. A message that is too long loses its middle.
-- $1 chat, $2 turn, whose own messages do not count, $3 bytes at most
with said as materialized (
	select m.id, m.role, m.agent, case when length(m.content) <= 12000
		then m.content else left(m.content, 8000) || E'\n[…]\n'
			|| right(m.content, 4000) end as content
	from hearth.messages m
	where m.chat_id = $1::uuid and m.turn_id <> $2::bigint
		and m.content <> ''
	order by m.id desc limit 500
), counted as (
	select s.*, sum(octet_length(s.content) + 40)
		over (order by s.id desc) as size
	from said s
)
select coalesce(string_agg(format(E'<message from="%s">\n%s\n</message>',
		case c.role when 'user' then 'user' else c.agent end, c.content),
		E'\n' order by c.id), '') as text,
	count(*) as messages,
	(select count(*) from hearth.messages m
		where m.chat_id = $1::uuid and m.turn_id <> $2::bigint
			and m.content <> '') - count(*) as omitted
from counted c
where c.size <= $3::bigint
