-- SPDX-License-Identifier: MIT
--
-- What the children take.

alter table hearth.executions add rss_kb bigint;
comment on column hearth.executions.rss_kb is
	'memory of all its processes as last seen, what is shared with others in proportion; NULL: not seen yet';
comment on column hearth.agent_sessions.suspended_at is
	'since when its memory is given back by suspend_agent(); NULL: it is not';
