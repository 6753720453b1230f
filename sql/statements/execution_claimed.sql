-- A chat has claimed a spare. A second time, or for a chat that is gone: nothing.
-- $1 execution, $2 chat
update hearth.executions x set chat_id = c.id, tenant = c.tenant
from hearth.chats c
where x.id = $1::bigint and c.id = $2::uuid and x.chat_id is null
