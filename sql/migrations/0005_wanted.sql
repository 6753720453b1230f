-- SPDX-License-Identifier: MIT
--
-- Settings that outlive the child they were made in.

alter table hearth.agent_sessions add column wanted jsonb;
comment on column hearth.agent_sessions.wanted is
	'model, mode and options that users have set, made so again in each new child; NULL: none';
