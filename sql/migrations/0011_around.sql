-- SPDX-License-Identifier: MIT
--
-- Around the changes: artifacts once per session and URL, what is measured of a
-- working copy, and what is saved of one that was removed.

create unique index artifacts_url on hearth.artifacts (session_id, type, url);
comment on column hearth.artifacts.url is
	'what names it: once per session; NULL: an image, see metadata';
comment on column hearth.artifacts.turn_id is
	'that brought it about, or spoke of it first';
comment on column hearth.artifacts.metadata is
	'pr: provider, repository, number, state (opened, merged, closed; absent: not known); preview: path; screenshot: tool_call_id of the turn, column (content or raw_output of tool_calls) and index of the block there, bytes, mime_type';

alter table hearth.worktrees
	add column ahead         integer,
	add column behind        integer,
	add column changed_files integer,
	add column size_kb       bigint,
	add column measured_at   timestamptz,
	add column saved_commit  text,
	add column kept_reason   text,
	add column kept_at       timestamptz;
comment on column hearth.worktrees.status is
	'active: it is there; saved: put away, with work in saved_commit; removed: put away, or gone, without';
comment on column hearth.worktrees.ahead is
	'commits that are checked out and not on the default branch, when measured; NULL: not known';
comment on column hearth.worktrees.behind is
	'commits of the default branch that are not checked out, likewise';
comment on column hearth.worktrees.changed_files is
	'files that differ from what is checked out, ignored ones left out';
comment on column hearth.worktrees.size_kb is
	'on disk, ignored files included';
comment on column hearth.worktrees.measured_at is
	'NULL: not yet; measured again after the session''s next turn';
comment on column hearth.worktrees.saved_commit is
	'what was in it when it was put away, on refs/hearth/saved/<session> of the project';
comment on column hearth.worktrees.kept_reason is
	'why it could not be put away or removed; tried again an hour after kept_at';

alter table hearth.sessions add column deleted_at timestamptz;
comment on column hearth.sessions.deleted_at is
	'delete_session() was called: the daemon removes all of it';
alter table hearth.chats add column deleted_at timestamptz;
comment on column hearth.chats.deleted_at is
	'delete_chat() was called: the daemon removes all of it';

-- What the daemon looks through every few seconds.
create index worktrees_active on hearth.worktrees (node_id)
	where status = 'active';
create index sessions_deleted on hearth.sessions (id)
	where deleted_at is not null;
create index chats_deleted on hearth.chats (id) where deleted_at is not null;
