-- SPDX-License-Identifier: MIT
--
-- Columns that mean more than they did.

comment on column hearth.agents.launcher is
	'argv put before command (a sandbox, ssh, nice, …), and before what the agent runs in terminals; {worktree}, {project}, {state_dir}, {home} stand for folders, as {worktree:sh} quoted for a shell; {command} and {env} for the quoted command and environment: see hearthd(8)';
comment on column hearth.agents.client_capabilities is
	'what hearthd offers to the agent beyond the default, which has no files and no terminals: {"fs": {"readTextFile": true, "writeTextFile": true}, "terminal": true}';
