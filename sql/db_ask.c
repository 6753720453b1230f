/* SPDX-License-Identifier: MIT */
/*
 * Questions: what they all have in common, and the simple ones: who waits,
 * which commands there are, what was said, which permission rules hold. Each
 * runs on the asking connection and is answered once, with an error when the
 * connection is lost. The claims are in db_claim.c.
 *
 * Must never know: what a turn or a command means.
 */
#include "sql/db_private.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/statement.h"

/* The member of a flat JSON object whose texts need no escapes; "" when it is
 * not there. */
static const char *
member(const char *json, const char *name, char out[static 72])
{
	char key[24];
	const char *at;
	size_t n;

	out[0] = '\0';
	snprintf(key, sizeof key, "\"%s\":", name);
	at = strstr(json, key);
	if (!at)
		return out;
	at += strlen(key);
	at += *at == '"';
	n = strcspn(at, "\",}");
	snprintf(out, 72, "%.*s", n < 72 ? (int)n : 0, at);
	return out;
}

/* {"session":"uuid","turn":1,"chat":"uuid","agent":"name"}, the same with
 * "typing":1 for the turn, {"command":1}, {"rules":true}, {"agents":true}. */
void
on_work(void *ctx, const char *channel, const char *payload)
{
	struct db *db = ctx;
	char command[72], rules[72], session[72], turn[72], chat[72], agent[72];
	char typing[72], agents[72];
	struct queued_turn q = {
		.session = member(payload, "session", session),
		.turn = atoll(member(payload, "turn", turn)),
		.chat = member(payload, "chat", chat),
		.agent = member(payload, "agent", agent),
	};

	if (strcmp(channel, "hearth_work") != 0 || !db->is_up ||
	    db->is_closing)
		return;
	if (*member(payload, "command", command))
		db->cb->commands(db->ctx);
	if (*member(payload, "rules", rules))
		db->cb->rules(db->ctx);
	if (*member(payload, "agents", agents))
		db->cb->agents(db->ctx);
	if (strlen(session) != 36)
		return;
	if (strlen(chat) != 36 || !*agent)
		q.chat = q.agent = NULL;
	if (!*member(payload, "typing", typing))
		db->cb->work(db->ctx, &q);
	else if (q.chat)
		db->cb->typing(db->ctx, session, chat, agent);
}

void
question_free(struct question *a)
{
	ev_timer_stop(a->db->loop, &a->refuse);
	list_remove(&a->node);
	for (int i = 0; i < 4; i++)
		array_free(&a->seats[i]);
	PQclear(a->details);
	free(a->chat);
	free(a->agent);
	free(a->config_hash);
	free(a->executions);
	free(a->session);
	free(a);
}

void
questions_free(struct db *db)
{
	LIST_EACH(pos, tmp, &db->asks)
		question_free(LIST_ITEM(pos, struct question, node));
	LIST_EACH(pos, tmp, &db->claims_waiting)
		question_free(LIST_ITEM(pos, struct question, node));
	LIST_EACH(pos, tmp, &db->warm_waiting)
		question_free(LIST_ITEM(pos, struct question, node));
	LIST_EACH(pos, tmp, &db->warm_asked)
		question_free(LIST_ITEM(pos, struct question, node));
}

static const struct err *
words_of(const struct sql_error *e, struct err *out)
{
	fail(out, "%s%s%s%s", e->text, e->state[0] ? " (SQLSTATE " : "",
	    e->state, e->state[0] ? ")" : "");
	return out;
}

void
question_fail(struct question *a, const struct sql_error *e)
{
	struct err words;

	words_of(e, &words);
	if (a->claimed)
		a->claimed(a->ctx, a->session, NULL, false, &words);
	else if (a->waiting)
		a->waiting(a->ctx, NULL, 0, -1, &words);
	else if (a->transcript)
		a->transcript(a->ctx, a->session, a->turn, NULL, &words);
	else if (a->rules)
		a->rules(a->ctx, NULL, 0, &words);
	else if (a->spares)
		a->spares(a->ctx, NULL, 0, &words);
	else if (a->warm)
		a->warm(a->ctx, NULL, "database", words.text);
	else if (a->leaving)
		a->leaving(a->ctx, NULL, 0);
	else if (a->left)
		a->left(a->ctx, a->session, false);
	else if (a->unmeasured)
		a->unmeasured(a->ctx, NULL);
	else if (a->decide)
		a->decide(a->ctx, NULL, 0, &words);
	else if (a->copy)
		a->copy(a->ctx, a->session, NULL, &words);
	else
		a->commands(a->ctx, NULL, 0, &words);
	question_free(a);
}

static void
on_refuse(struct ev_loop *loop, struct ev_timer *w, int events)
{
	static const struct sql_error e = {
		"08003", "there is no connection to PostgreSQL", ""
	};

	(void)loop, (void)events;
	question_fail(w->data, &e);
}

struct question *
question_new(struct db *db, void *ctx, const char *session)
{
	struct question *a = xcalloc(1, sizeof *a);

	a->db = db;
	a->ctx = ctx;
	a->session = xstrdup(session);
	ev_timer_init(&a->refuse, on_refuse, 0, 0);
	a->refuse.data = a;
	list_append(&db->asks, &a->node);
	return a;
}

bool
question_can(struct question *a)
{
	struct db *db = a->db;

	if (db->asker_ready && db->node && conn_is_up(db->asker) &&
	    !db->is_closing)
		return true;
	ev_timer_start(db->loop, &a->refuse);
	return false;
}

static void
on_waiting(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	const char **sessions;
	size_t n = 0;

	if (e) {
		question_fail(a, e);
		return;
	}
	sessions = xcalloc((size_t)PQntuples(res) + 1, sizeof *sessions);
	for (int i = 0; i < PQntuples(res); i++)
		if (result_text(res, i, "session"))
			sessions[n++] = result_text(res, i, "session");
	a->waiting(a->ctx, sessions, n, PQntuples(res) ?
	    result_int8(res, 0, "next_ms") : -1, NULL);
	free(sessions);
	question_free(a);
}

void
db_waiting_sessions(struct db *db, int limit, db_waiting_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->waiting = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, limit);
	conn_ask(db->asker, "waiting_sessions", &p, on_waiting, a);
}

static void
fill_command(const PGresult *res, int i, struct command *c)
{
	*c = (struct command){
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
on_commands(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct command *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		fill_command(res, i, &list[i]);
	a->commands(a->ctx, list, (size_t)n, NULL);
	free(list);
	question_free(a);
}

void
db_take_commands(struct db *db, db_commands_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->commands = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	conn_ask(db->asker, "take_commands", &p, on_commands, a);
}

static void
on_transcript(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	if (e) {
		question_fail(a, e);
		return;
	}
	a->transcript(a->ctx, a->session, a->turn, &(struct transcript){
		.text = result_text(res, 0, "text"),
		.messages = result_int8(res, 0, "messages"),
		.omitted = result_int8(res, 0, "omitted"),
	    }, NULL);
	question_free(a);
}

void
db_transcript(struct db *db, const char *session, const char *chat,
    int64_t turn, int64_t bytes, db_transcript_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, session);
	struct params p = { 0 };

	a->transcript = done;
	a->turn = turn;
	if (!question_can(a))
		return;
	params_text(&p, chat);
	params_int8(&p, turn);
	params_int8(&p, bytes);
	conn_ask(db->asker, "transcript", &p, on_transcript, a);
}

static void
on_rules(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct rule_row *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = (struct rule_row){
			.id = result_int8(res, i, "id"),
			.tenant = result_text(res, i, "tenant"),
			.agent = result_text(res, i, "agent"),
			.project_id = result_int8(res, i, "project_id"),
			.tool_kind = result_text(res, i, "tool_kind"),
			.path_pattern = result_text(res, i, "path_pattern"),
			.command_pattern = result_text(res, i,
			    "command_pattern"),
			.decision = result_text(res, i, "decision"),
		};
	a->rules(a->ctx, list, (size_t)n, NULL);
	free(list);
	question_free(a);
}

void
db_permission_rules(struct db *db, db_rules_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->rules = done;
	if (!question_can(a))
		return;
	conn_ask(db->asker, "permission_rules", &p, on_rules, a);
}

static void
on_spares(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct spare_row *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = (struct spare_row){
			.agent = result_text(res, i, "agent"),
			.spares = result_int8(res, i, "spares"),
			.execution_id = result_int8(res, i, "execution_id"),
			.command = parse_array(result_text(res, i, "command")),
			.env = parse_array(result_text(res, i, "env")),
			.mcp_servers = result_text(res, i, "mcp_servers"),
			.client_capabilities = result_text(res, i,
			    "client_capabilities"),
			.permission_mode = result_text(res, i,
			    "permission_mode"),
			.config_hash = result_text(res, i, "config_hash"),
			.launcher_words = result_int8(res, i,
			    "launcher_words"),
		};
	a->spares(a->ctx, list, (size_t)n, NULL);
	for (int i = 0; i < n; i++) {
		strv_free(&list[i].command);
		strv_free(&list[i].env);
	}
	free(list);
	question_free(a);
}

void
db_spares(struct db *db, db_spares_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->spares = done;
	if (!question_can(a))
		return;
	conn_ask(db->asker, "spares", &p, on_spares, a);
}

/* ---- decisions */

static struct decision_row
decision_of(const PGresult *res, int i)
{
	return (struct decision_row){
		.id = result_int8(res, i, "id"),
		.verb = result_text(res, i, "verb"),
		.is_fit = result_bool(res, i, "is_fit"),
		.status = result_text(res, i, "status"),
		.path = result_text(res, i, "path"),
		.old_oid = result_text(res, i, "old_oid"),
		.new_oid = result_text(res, i, "new_oid"),
		.old_mode = result_text(res, i, "old_mode"),
		.new_mode = result_text(res, i, "new_mode"),
		.hunks = result_text(res, i, "hunks"),
		.text = result_text(res, i, "text"),
		.other_text = result_text(res, i, "other_text"),
		.turn = result_int8(res, i, "turn"),
		.agent = result_text(res, i, "agent"),
		.other_turns = result_text(res, i, "other_turns"),
		.chat = result_text(res, i, "chat"),
		.chat_last_seq = result_int8(res, i, "chat_last_seq"),
	};
}

static void
on_decide(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct decision_row *list;
	int n;

	if (e) {
		question_fail(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		list[i] = decision_of(res, i);
	a->decide(a->ctx, list, (size_t)n, NULL);
	free(list);
	question_free(a);
}

void
db_decide(struct db *db, int64_t command, db_decide_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, NULL);
	struct params p = { 0 };

	a->decide = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_int8(&p, command);
	conn_ask(db->asker, "decide", &p, on_decide, a);
}

/* ---- working copies */

struct claimed_turn
question_copy(const PGresult *res, int i)
{
	return (struct claimed_turn){
		.session = result_text(res, i, "session"),
		.project_id = result_int8(res, i, "project_id"),
		.project_path = result_text(res, i, "project_path"),
		.default_branch = result_text(res, i, "default_branch"),
		.worktree_path = result_text(res, i, "worktree_path"),
		.base_commit = result_text(res, i, "base_commit"),
	};
}

static void
on_copy(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct claimed_turn copy;

	if (e) {
		question_fail(a, e);
		return;
	}
	copy = question_copy(res, 0);
	a->copy(a->ctx, a->session, copy.session ? &copy : NULL, NULL);
	question_free(a);
}

void
db_session_copy(struct db *db, const char *session, db_copy_fn *done,
    void *ctx)
{
	struct question *a = question_new(db, ctx, session);
	struct params p = { 0 };

	a->copy = done;
	if (!question_can(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, session);
	conn_ask(db->asker, "session_copy", &p, on_copy, a);
}
