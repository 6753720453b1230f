-- A thing that a turn brought about: a row per session and URL, whose state
-- follows what was said last, and the event `artifact`. A second time: the event
-- is there, so nothing else is done.
-- $1 age in ms, $2 chat, $3 seq, $4 turn, $5 agent, $6 type, $7 url, $8 title,
-- $9 metadata
with chat as (
	select c.id, c.session_id, c.tenant,
		now() - $1::bigint * interval '1 ms' as at
	from hearth.chats c
	where c.id = $2::uuid and not exists (select from hearth.events e
		where e.chat_id = $2::uuid and e.seq = $3::bigint)
), artifact as (
	insert into hearth.artifacts as a (tenant, session_id, chat_id, turn_id,
		type, url, title, metadata, created_at)
	select c.tenant, c.session_id, c.id, $4::bigint, $6::text, $7::text,
		$8::text, $9::jsonb, c.at
	from chat c
	on conflict (session_id, type, url) do update set
		metadata = a.metadata || excluded.metadata
	returning a.id, a.type, a.url, a.title, a.metadata
)
insert into hearth.events (chat_id, seq, turn_id, agent, kind, payload,
	created_at, tenant)
select c.id, $3::bigint, $4::bigint, $5::text, 'artifact',
	jsonb_build_object('artifact', a.id, 'type', a.type, 'url', a.url,
		'title', a.title, 'metadata', a.metadata), c.at, c.tenant
from chat c, artifact a
