-- SPDX-License-Identifier: MIT
--
-- Terminals can be offered now; what is offered to whom was said wrongly.

comment on column hearth.agents.client_capabilities is
	'what hearthd offers to the agent beyond the default, which has no files and no terminals: {"fs": {"readTextFile": true, "writeTextFile": true}, "terminal": true}';
comment on column hearth.agents.launcher is
	'argv put before command (a sandbox, nice, …), and before what the agent runs in terminals';
