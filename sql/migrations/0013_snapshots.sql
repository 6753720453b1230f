-- SPDX-License-Identifier: MIT
--
-- New worktrees: what they get besides the files of a commit, and prepared ones
-- that sessions begin with. Patterns and commands that could never work are
-- refused here, not in each session.

update hearth.projects set setup_command = null
where cardinality(setup_command) = 0 or setup_command[1] = ''
	or array_position(setup_command, null) is not null;
alter table hearth.projects
	add constraint projects_setup_command check (setup_command is null
		or (cardinality(setup_command) > 0 and setup_command[1] <> ''
			and array_position(setup_command, null) is null)),
	add column include text[] not null default '{}'
		check (array_position(include, null) is null
			and array_position(include, '') is null
			and array_to_string(include, '') !~ '[\r\n]'),
	add column snapshots integer not null default 0
		check (snapshots between 0 and 20);
comment on column hearth.projects.setup_command is
	'argv that is run once in each new worktree, before any agent works there; NULL: nothing. Whoever sets it runs code as the user of hearthd';
comment on column hearth.projects.include is
	'patterns (syntax of .gitignore) of files in the project''s folder that git ignores and that are copied into each new worktree, such as .env; besides those of the file .worktreeinclude';
comment on column hearth.projects.snapshots is
	'how many worktrees each node keeps prepared for new sessions: checked out, setup command done; 0: none';

alter table hearth.worktrees
	add column setup_exit_code integer,
	add column setup_ms bigint,
	add column setup_output text,
	add column setup_ended_at timestamptz;
comment on column hearth.worktrees.setup_exit_code is
	'of the project''s setup command; 128 + n: ended by signal n; NULL: none ran (setup_ended_at is NULL, too) or setup_timeout ended it';
comment on column hearth.worktrees.setup_ms is
	'how long the setup command took';
comment on column hearth.worktrees.setup_output is
	'the end of what the setup command said, on stdout and stderr';
comment on column hearth.worktrees.setup_ended_at is
	'NULL: no setup command ran';

create table hearth.snapshots (
	id              uuid primary key,
	tenant          text not null default '',
	project_id      bigint not null,
	node_id         bigint,
	base_commit     text,
	path            text not null,
	status          text not null default 'preparing'
		check (status in ('preparing', 'ready', 'claimed', 'expired',
			'failed')),
	session_id      uuid,
	end_reason      text,
	created_at      timestamptz not null default now(),
	expires_at      timestamptz,
	ended_at        timestamptz
);
create index snapshots_project on hearth.snapshots (project_id);
create index snapshots_open on hearth.snapshots (node_id)
	where status in ('preparing', 'ready');
comment on table hearth.snapshots is
	'Prepared worktrees and what became of them; those that are preparing or ready lie on the disk of their node';
comment on column hearth.snapshots.base_commit is
	'that is checked out; NULL: not known yet';
comment on column hearth.snapshots.status is
	'preparing; ready: the next new session of the project takes it; claimed: session_id has it; expired: removed, as it was too old, not wanted any more, or a newer one was there; failed: it could not be prepared, or was cut off';
comment on column hearth.snapshots.session_id is
	'whose worktree it has become';
comment on column hearth.snapshots.end_reason is
	'why it is expired or failed';
comment on column hearth.snapshots.expires_at is
	'then it is removed; NULL: it is not ready';
