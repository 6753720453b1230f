-- SPDX-License-Identifier: MIT
--
-- Columns that mean more than they did.

comment on column hearth.agents.launcher is
	'argv put before command (a sandbox, ssh, nice, …), and before what the agent runs in terminals; {worktree}, {project}, {state_dir}, {home} stand for folders, as {worktree:sh} quoted for a shell; {command} and {env} for the quoted command and environment: see hearthd(8)';
comment on column hearth.agents.client_capabilities is
	'what hearthd offers to the agent beyond the default, which has no files and no terminals: {"fs": {"readTextFile": true, "writeTextFile": true}, "terminal": true}';
comment on column hearth.turns.input_tokens is
	'as billed, with cache reads and cache writes; NULL: the agent did not say';
comment on column hearth.turns.output_tokens is
	'as billed, with thoughts; NULL: the agent did not say';
comment on column hearth.turns.cost is
	'in USD: by how much the cost that the agent tells for its session grew with the turn. NULL: not told, or in another currency or credits, which only the usage events show';
comment on column hearth.agent_sessions.input_tokens is
	'sum over its turns, whichever child had them';
comment on column hearth.agent_sessions.output_tokens is
	'sum over its turns, whichever child had them';
comment on column hearth.agent_sessions.cost is
	'in USD, sum over its turns, whichever child had them';
comment on column hearth.agent_sessions.context_used is
	'tokens in the context window, of context_size, as last told; nothing that was billed';
