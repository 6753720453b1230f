/* SPDX-License-Identifier: MIT */
/*
 * The simple questions: who waits, which commands there are, what was said,
 * which permission rules hold, which spares are wanted. One statement each.
 *
 * Must never know: what a turn or a command means.
 */
#include "sql/db_private.h"

#include <stdlib.h>

#include "base/alloc.h"

static void
answer_waiting(struct question *a, const PGresult *res, const struct err *e)
{
	int rows = res ? PQntuples(res) : 0;
	const char **sessions = xcalloc((size_t)rows + 1, sizeof *sessions);
	size_t n = 0;

	for (int i = 0; i < rows; i++)
		if (result_text(res, i, "session"))
			sessions[n++] = result_text(res, i, "session");
	a->tell.waiting(a->ctx, sessions, n, rows > 0 ?
	    result_int8(res, 0, "next_ms") : -1, e);
	free(sessions);
}

void
db_waiting_sessions(struct db *db, int limit, db_waiting_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_waiting, ctx);
	struct params p = { 0 };

	a->tell.waiting = done;
	params_int8(&p, db->node);
	params_int8(&p, limit);
	question_ask(a, "waiting_sessions", &p);
}

static void
fill_command(const PGresult *res, int i, void *to)
{
	*(struct command *)to = (struct command){
		.id = result_int8(res, i, "id"),
		.kind = result_text(res, i, "kind"),
		.session = result_text(res, i, "session"),
		.chat = result_text(res, i, "chat"),
		.agent = result_text(res, i, "agent"),
		.chat_last_seq = result_int8(res, i, "chat_last_seq"),
		.turn = result_int8(res, i, "turn"),
		.turn_status = result_text(res, i, "turn_status"),
		.requested_by = result_text(res, i, "requested_by"),
		.reason = result_text(res, i, "reason"),
		.execution_id = result_int8(res, i, "execution_id"),
		.serial = result_int8(res, i, "serial"),
		.option_id = result_text(res, i, "option_id"),
		.mode_id = result_text(res, i, "mode_id"),
		.option = result_text(res, i, "option"),
		.value = result_text(res, i, "value"),
	};
}

static void
answer_commands(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct command *list = result_rows(res, sizeof *list, fill_command,
	    &n);

	a->tell.commands(a->ctx, list, n, e);
	free(list);
}

void
db_take_commands(struct db *db, db_commands_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_commands, ctx);
	struct params p = { 0 };

	a->tell.commands = done;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	question_ask(a, "take_commands", &p);
}

static void
answer_transcript(struct question *a, const PGresult *res,
    const struct err *e)
{
	struct transcript t;

	if (res)
		t = (struct transcript){
			.text = result_text(res, 0, "text"),
			.messages = result_int8(res, 0, "messages"),
			.omitted = result_int8(res, 0, "omitted"),
		};
	a->tell.transcript(a->ctx, a->session, a->turn, res ? &t : NULL, e);
}

void
db_transcript(struct db *db, const char *session, const char *chat,
    int64_t turn, int64_t bytes, db_transcript_fn *done, void *ctx)
{
	struct question *a = question_new(db, session, answer_transcript, ctx);
	struct params p = { 0 };

	a->tell.transcript = done;
	a->turn = turn;
	params_text(&p, chat);
	params_int8(&p, turn);
	params_int8(&p, bytes);
	question_ask(a, "transcript", &p);
}

static void
fill_rule(const PGresult *res, int i, void *to)
{
	*(struct rule_row *)to = (struct rule_row){
		.id = result_int8(res, i, "id"),
		.tenant = result_text(res, i, "tenant"),
		.agent = result_text(res, i, "agent"),
		.project_id = result_int8(res, i, "project_id"),
		.tool_kind = result_text(res, i, "tool_kind"),
		.path_pattern = result_text(res, i, "path_pattern"),
		.command_pattern = result_text(res, i, "command_pattern"),
		.decision = result_text(res, i, "decision"),
	};
}

static void
answer_rules(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct rule_row *list = result_rows(res, sizeof *list, fill_rule, &n);

	a->tell.rules(a->ctx, list, n, e);
	free(list);
}

void
db_permission_rules(struct db *db, db_rules_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_rules, ctx);
	struct params p = { 0 };

	a->tell.rules = done;
	question_ask(a, "permission_rules", &p);
}

static void
fill_spare(const PGresult *res, int i, void *to)
{
	*(struct spare_row *)to = (struct spare_row){
		.agent = result_text(res, i, "agent"),
		.spares = result_int8(res, i, "spares"),
		.execution_id = result_int8(res, i, "execution_id"),
		.command = result_array(res, i, "command"),
		.env = result_array(res, i, "env"),
		.mcp_servers = result_text(res, i, "mcp_servers"),
		.client_capabilities = result_text(res, i,
		    "client_capabilities"),
		.permission_mode = result_text(res, i, "permission_mode"),
		.config_hash = result_text(res, i, "config_hash"),
		.launcher_words = result_int8(res, i, "launcher_words"),
	};
}

static void
answer_spares(struct question *a, const PGresult *res, const struct err *e)
{
	size_t n;
	struct spare_row *list = result_rows(res, sizeof *list, fill_spare,
	    &n);

	a->tell.spares(a->ctx, list, n, e);
	for (size_t i = 0; i < n; i++) {
		strv_free(&list[i].command);
		strv_free(&list[i].env);
	}
	free(list);
}

void
db_spares(struct db *db, db_spares_fn *done, void *ctx)
{
	struct question *a = question_new(db, NULL, answer_spares, ctx);
	struct params p = { 0 };

	a->tell.spares = done;
	question_ask(a, "spares", &p);
}
