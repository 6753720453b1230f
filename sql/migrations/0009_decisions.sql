-- SPDX-License-Identifier: MIT
--
-- Decisions on changes are carried out.

comment on table hearth.pending_changes is
	'What turns and people changed in files, against what was reviewed (the base, and what was accepted since), and what was decided on it';
comment on column hearth.pending_changes.status is
	'pending; applied: it was put into the project''s checkout; rejected: it was taken back in the worktree; reverted: it was taken out of the project again; superseded: the file was changed again, or back, before anybody decided';
comment on column hearth.pending_changes.decision is
	'asked for, and being carried out; NULL again when it is done or could not be done';
comment on column hearth.pending_changes.error is
	'why the last decision on it was not carried out; nothing was changed then';
comment on column hearth.pending_changes.decided_by is
	'who decided, as the application calls the person';
comment on column hearth.commands.args is
	'cancel: {"reason"}; answer_permission: {"request", "option_id"}; decisions: {"decision", "changes", "hunks"}; queue_…: {"verb", "path", "text", "other_text"}';
