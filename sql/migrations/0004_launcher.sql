-- SPDX-License-Identifier: MIT
--
-- A launcher may name the working copy of the child that it starts.

comment on column hearth.agents.launcher is
	'argv put before command (a sandbox, ssh, nice, …); {worktree}, {project}, {state_dir}, {home} stand for folders, as {worktree:sh} quoted for a shell; {command} and {env} for the quoted command and environment: see hearthd(8)';
