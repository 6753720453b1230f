-- SPDX-License-Identifier: MIT
--
-- What `hearth init` last wrote into the registry by itself. A column of an
-- agent that still has the value of its entry here was left alone by people
-- and may be kept up to date; one that differs is theirs. An entry here whose
-- agent is gone was removed by a person and is not brought back.

create table hearth.agent_defaults (
	name       text primary key,
	entry      jsonb not null check (jsonb_typeof(entry) = 'object'),
	updated_at timestamptz not null default now()
);
comment on table hearth.agent_defaults is
	'Registry entries as hearth init wrote them, to tell what people changed';
