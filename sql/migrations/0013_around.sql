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
