-- SPDX-License-Identifier: MIT
--
-- One-shot sessions are looked for when they may have ended.

create index if not exists sessions_ephemeral on hearth.sessions (id)
	where ephemeral and archived_at is null;
comment on column hearth.sessions.ephemeral is
	'true: when its last turn has ended its children end, its worktree and branch are removed, and it is archived';
comment on column hearth.worktrees.status is
	'active; removed: it is gone, as that of a one-shot session is at its end';
comment on column hearth.executions.origin is
	'cold: started for a turn; warmed: ahead of one; spare: before it had a chat';
