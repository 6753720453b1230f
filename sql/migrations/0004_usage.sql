-- SPDX-License-Identifier: MIT
--
-- What the columns of usage mean, now that a turn has a cost of its own. What an
-- agent session had cost until now stays in its sum.

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
