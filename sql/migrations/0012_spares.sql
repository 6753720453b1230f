-- SPDX-License-Identifier: MIT
--
-- Children that belong to no chat yet.

comment on column hearth.agents.spares is
	'children that each node keeps initialized for the next chats, in none yet; none where the launcher names {worktree} or {project}';
comment on column hearth.turns.warm is
	'true: a warm child took it; false: it waited for a child, or for the session of a spare; NULL: not claimed yet';
