-- SPDX-License-Identifier: MIT
--
-- Changes that one of several turns made, and turns that were cut off before
-- anybody had looked at what they changed.

alter table hearth.pending_changes
	add column if not exists other_turns bigint[];
comment on column hearth.pending_changes.other_turns is
	'Turns that were at work then, too, and may have made the change instead of turn_id and agent; NULL: there was none';
comment on column hearth.pending_changes.agent is
	'Who changed the file last (but see other_turns); NULL: a person did';
comment on column hearth.pending_changes.turn_id is
	'The turn in which the file was changed last; NULL: outside of any';
comment on column hearth.sessions.concurrent_turns is
	'true: turns of different chats may run side by side in the worktree; see set_concurrent_turns()';
create index if not exists turns_unread on hearth.turns (session_id, id)
	where status = 'interrupted' and end_reason is null;
