/* SPDX-License-Identifier: MIT */
/*
 * How commands end. An end goes out behind what the command did, and is fenced
 * as that is; when it turns out that another node has the session, what it did
 * is dropped, and the end says so instead. Archiving has done nothing by then:
 * its end only tells what was read.
 *
 * Must never know: what a command is about.
 */
#include "sql/recorder_build.h"

static void
queue_end(struct recorder *r, struct chat_log *log, int64_t command,
    const char *status, const char *error_code, const char *error)
{
	struct item *it = item_statement(r, log, "command_end");

	it->command = command;
	item_add_age(it);
	item_add_int(it, command);
	item_add(it, status);
	item_add(it, error_code);
	item_add(it, error);
	item_note_status(it, "command", NULL, NULL, command, status);
	item_queue(r, it, true);
}

void
command_lose(struct recorder *r, int64_t command)
{
	queue_end(r, NULL, command, "failed", "lost",
	    "another node has taken the session meanwhile");
}

void
record_command(struct recorder *r, struct chat_log *log, int64_t command,
    const char *status, const char *error_code, const char *error)
{
	if (log && log->is_fenced)
		command_lose(r, command);
	else
		queue_end(r, log, command, status, error_code, error);
}

void
record_archived(struct recorder *r, int64_t command, int64_t ahead,
    int64_t changed_files)
{
	struct item *it = item_statement(r, NULL, "archive_end");

	item_add_age(it);
	item_add_int(it, command);
	item_add_known(it, ahead, 0);
	item_add_known(it, changed_files, 0);
	item_note_status(it, "command", NULL, NULL, command, "done");
	item_queue(r, it, true);
}
