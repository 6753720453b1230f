-- SPDX-License-Identifier: MIT
--
-- A path may be longer than what an index takes of a row (a third of a page):
-- what is unique among the pending changes of a session is its hash.

create function hearth.path_key(file_path text)
returns bytea language sql immutable parallel safe
-- what \ is in the text form of a bytea, and as plain an expression as can be:
-- it is put in the place of the call
return sha256(replace(file_path, '\', '\\')::bytea);
comment on function hearth.path_key(text) is
	'What stands for a path in the unique index of pending changes, which paths are too long for';

drop index hearth.pending_changes_open;
create unique index pending_changes_open
	on hearth.pending_changes (session_id, hearth.path_key(file_path))
	where status = 'pending';
comment on index hearth.pending_changes_open is
	'At most one pending change per file of a session';
