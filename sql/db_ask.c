/* SPDX-License-Identifier: MIT */
/*
 * Questions: the claim, who waits, which commands there are. Each runs on the
 * asking connection and is answered once, with an error when the connection is
 * lost.
 *
 * A claim is one transaction. When its answer is lost nobody knows whether it
 * was committed; so the execution ids that it can have put into a turn are
 * known beforehand (those of the warm seats, and one reserved id), and after
 * the reconnection such a turn goes back to the queue: it was never delivered.
 *
 * Must never know: what a turn or a command means.
 */
#include "sql/db_private.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
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

/* {"session":"uuid","turn":1,"chat":"uuid","agent":"name"} or {"command":1}. */
void
on_work(void *ctx, const char *channel, const char *payload)
{
	struct db *db = ctx;
	char command[72], session[72], turn[72], chat[72], agent[72];
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
	if (strlen(session) != 36)
		return;
	if (strlen(chat) != 36 || !*agent)
		q.chat = q.agent = NULL;
	db->cb->work(db->ctx, &q);
}

static void reserve(struct db *db);

/* One element of an array in PostgreSQL's text form, from s on. */
static const char *
take_element(const char *s, struct buf *out)
{
	bool quoted = *s == '"';

	if (quoted)
		s++;
	while (*s && (quoted ? *s != '"' : *s != ',' && *s != '}')) {
		if (*s == '\\' && s[1])
			s++;
		buf_addc(out, *s++);
	}
	return quoted && *s ? s + 1 : s;
}

/* "{a,\"b c\"}" as a list; the caller frees it. Never NULL. */
static char **
parse_array(const char *s)
{
	char **list = xcalloc(1, sizeof *list);
	struct buf b = { 0 };

	if (!s || *s != '{' || s[1] == '}')
		return list;
	for (s++; *s; s++) {
		b.len = 0;
		buf_adds(&b, "");
		s = take_element(s, &b);
		strv_add(&list, b.data);
		if (*s != ',')
			break;
	}
	buf_free(&b);
	return list;
}

enum { RESERVE = 64 };  /* execution ids at a time */

struct ask {
	struct list node;          /* db.asks, or db.claims_waiting */
	struct db *db;
	char *session;
	db_claimed_fn *claimed;
	db_waiting_fn *waiting;
	db_commands_fn *commands;
	void *ctx;
	struct ev_timer refuse;    /* there is no connection to ask on */
	/* claim */
	struct sql_array seats[4]; /* chats, agents, executions, hashes */
	int64_t *executions;       /* that a claimed turn can have */
	size_t n_executions;
	PGresult *details;
	bool more;
	struct sql_error failure;
};

static void
free_ask(struct ask *a)
{
	ev_timer_stop(a->db->loop, &a->refuse);
	list_remove(&a->node);
	for (int i = 0; i < 4; i++)
		array_free(&a->seats[i]);
	PQclear(a->details);
	free(a->executions);
	free(a->session);
	free(a);
}

void
ask_free_all(struct db *db)
{
	LIST_EACH(pos, tmp, &db->asks)
		free_ask(LIST_ITEM(pos, struct ask, node));
	LIST_EACH(pos, tmp, &db->claims_waiting)
		free_ask(LIST_ITEM(pos, struct ask, node));
}

static const struct err *
words_of(const struct sql_error *e, struct err *out)
{
	fail(out, "%s%s%s%s", e->text, e->state[0] ? " (SQLSTATE " : "",
	    e->state, e->state[0] ? ")" : "");
	return out;
}

static void
tell_error(struct ask *a, const struct sql_error *e)
{
	struct err words;

	words_of(e, &words);
	if (a->claimed)
		a->claimed(a->ctx, a->session, NULL, false, &words);
	else if (a->waiting)
		a->waiting(a->ctx, NULL, 0, -1, &words);
	else
		a->commands(a->ctx, NULL, 0, &words);
	free_ask(a);
}

static void
on_refuse(struct ev_loop *loop, struct ev_timer *w, int events)
{
	static const struct sql_error e = {
		"08003", "there is no connection to PostgreSQL", ""
	};

	(void)loop, (void)events;
	tell_error(w->data, &e);
}

/* NULL when it can't be asked now: then it is answered so from the loop. */
static struct ask *
new_ask(struct db *db, void *ctx, const char *session)
{
	struct ask *a = xcalloc(1, sizeof *a);

	a->db = db;
	a->ctx = ctx;
	a->session = xstrdup(session);
	ev_timer_init(&a->refuse, on_refuse, 0, 0);
	a->refuse.data = a;
	list_append(&db->asks, &a->node);
	return a;
}

static bool
can_ask(struct ask *a)
{
	struct db *db = a->db;

	if (db->asker_ready && db->node && conn_is_up(db->asker))
		return true;
	ev_timer_start(db->loop, &a->refuse);
	return false;
}

static void
fill_turn(const PGresult *res, struct claimed_turn *t)
{
	*t = (struct claimed_turn){
		.turn = result_int8(res, 0, "turn"),
		.session = result_text(res, 0, "session"),
		.chat = result_text(res, 0, "chat"),
		.agent = result_text(res, 0, "agent"),
		.is_running = result_bool(res, 0, "is_running"),
		.is_exclusive = result_bool(res, 0, "is_exclusive"),
		.execution_id = result_int8(res, 0, "execution_id"),
		.prompt = result_text(res, 0, "prompt"),
		.created_by = result_text(res, 0, "created_by"),
		.model = result_text(res, 0, "model"),
		.mode_id = result_text(res, 0, "mode_id"),
	};
}

/* What only a turn that may need a new child comes with. */
static void
fill_details(const PGresult *res, struct claimed_turn *t)
{
	t->chat_last_seq = result_int8(res, 0, "chat_last_seq");
	t->project_id = result_int8(res, 0, "project_id");
	t->project_path = result_text(res, 0, "project_path");
	t->default_branch = result_text(res, 0, "default_branch");
	t->worktree_path = result_text(res, 0, "worktree_path");
	t->base_commit = result_text(res, 0, "base_commit");
	t->mcp_servers = result_text(res, 0, "mcp_servers");
	t->client_capabilities = result_text(res, 0, "client_capabilities");
	t->permission_mode = result_text(res, 0, "permission_mode");
	t->idle_timeout = result_int8(res, 0, "idle_timeout");
	t->config_hash = result_text(res, 0, "config_hash");
}

static void
on_claim(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;

	if (e && e->state[0] && !a->failure.state[0])
		a->failure = *e;
	if (!e)
		a->more = result_bool(res, 0, "more");
}

static void
on_details(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;

	if (e && e->state[0] && !a->failure.state[0])
		a->failure = *e;
	if (!e)
		a->details = PQcopyResult(res, PG_COPYRES_ATTRS |
		    PG_COPYRES_TUPLES);
}

/* Nobody knows whether it was committed: undone after the reconnection. */
static void
lose_claim(struct ask *a)
{
	struct db *db = a->db;

	strv_add(&db->lost_sessions, a->session);
	for (size_t i = 0; i < a->n_executions; i++) {
		char *execution = xasprintf("%lld",
		    (long long)a->executions[i]);

		strv_add(&db->lost_executions, execution);
		free(execution);
	}
}

static void
on_claimed(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;
	struct claimed_turn t;
	char **command, **env;

	(void)res;
	if (e && !a->failure.state[0])
		a->failure = *e;
	if (e && strncmp(e->state, "08", 2) == 0)
		lose_claim(a);
	if (e || a->failure.state[0]) {
		tell_error(a, &a->failure);
		return;
	}
	if (!a->details || PQntuples(a->details) == 0) {
		a->claimed(a->ctx, a->session, NULL, a->more, NULL);
		free_ask(a);
		return;
	}
	fill_turn(a->details, &t);
	fill_details(a->details, &t);
	t.command = command = parse_array(result_text(a->details, 0,
	    "command"));
	t.env = env = parse_array(result_text(a->details, 0, "env"));
	a->claimed(a->ctx, a->session, &t, a->more, NULL);
	strv_free(&command);
	strv_free(&env);
	free_ask(a);
}

static void
send_claim(struct ask *a)
{
	struct db *db = a->db;
	int claim = statement_find("claim");
	int details = statement_find("claim_details");
	int tell = statement_find("claim_notify");
	struct params p = { 0 };

	a->executions[a->n_executions++] = db->reserved[--db->n_reserved];
	conn_need(db->asker, claim);
	conn_need(db->asker, details);
	conn_need(db->asker, tell);
	params_int8(&p, ++db->claims);
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, a->session);
	for (int i = 0; i < 4; i++)
		params_array(&p, &a->seats[i]);
	params_int8(&p, a->executions[a->n_executions - 1]);
	conn_send(db->asker, claim, &p, on_claim, a);
	p.n = 2;
	conn_send(db->asker, details, &p, on_details, a);
	conn_sync(db->asker, on_claimed, a);
	p.n = 1;
	conn_send(db->asker, tell, &p, NULL, NULL);
	conn_sync(db->asker, NULL, NULL);
}

static void
on_reserved(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;

	db->is_reserving = false;
	if (e) {
		log_warning("database", "execution ids: %s", e->text);
		ask_refuse_waiting(db);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		db->reserved[db->n_reserved++] = result_int8(res, i, "id");
	while (!list_empty(&db->claims_waiting) && db->n_reserved > 0) {
		struct ask *a = LIST_ITEM(db->claims_waiting.next, struct ask,
		    node);

		list_remove(&a->node);
		list_append(&db->asks, &a->node);
		send_claim(a);
	}
	if (!list_empty(&db->claims_waiting))
		reserve(db);
}

static void
reserve(struct db *db)
{
	struct params p = { 0 };

	if (db->is_reserving || db->n_reserved >= RESERVE / 2)
		return;
	db->is_reserving = true;
	params_int8(&p, RESERVE);
	conn_ask(db->asker, "reserve_executions", &p, on_reserved, db);
}

/* Those that wait for a reserved id will not get one. */
void
ask_refuse_waiting(struct db *db)
{
	LIST_EACH(pos, tmp, &db->claims_waiting) {
		struct ask *a = LIST_ITEM(pos, struct ask, node);

		list_remove(pos);
		list_append(&db->asks, pos);
		ev_timer_start(db->loop, &a->refuse);
	}
}

static void
copy_seats(struct ask *a, const struct warm_seat *warm, size_t n)
{
	a->executions = xcalloc(n + 1, sizeof *a->executions);
	array_begin(&a->seats[0], SQL_UUID);
	array_begin(&a->seats[1], SQL_TEXT);
	array_begin(&a->seats[2], SQL_INT8);
	array_begin(&a->seats[3], SQL_TEXT);
	for (size_t i = 0; i < n; i++) {
		array_uuid(&a->seats[0], warm[i].chat);
		array_string(&a->seats[1], warm[i].agent);
		array_int8(&a->seats[2], warm[i].execution_id);
		array_string(&a->seats[3], warm[i].config_hash);
		a->executions[a->n_executions++] = warm[i].execution_id;
	}
}

void
db_claim(struct db *db, const char *session, const struct warm_seat *warm,
    size_t n_warm, db_claimed_fn *done, void *ctx)
{
	struct ask *a = new_ask(db, ctx, session);

	a->claimed = done;
	if (!can_ask(a))
		return;
	copy_seats(a, warm, n_warm);
	if (db->n_reserved > 0) {
		send_claim(a);
	} else {
		list_remove(&a->node);
		list_append(&db->claims_waiting, &a->node);
	}
	reserve(db);
}

/* One statement, one commit; a seat's execution names it if it is lost. */
static void
on_claimed_warm(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;
	struct claimed_turn t;

	if (e && strncmp(e->state, "08", 2) == 0)
		lose_claim(a);
	if (e && strncmp(e->state, "23", 2) != 0) {
		tell_error(a, e);
		return;
	}
	/* 23505: another live turn is in its way after all */
	if (!e && PQntuples(res) > 0)
		fill_turn(res, &t);
	a->claimed(a->ctx, a->session, !e && PQntuples(res) > 0 ? &t : NULL,
	    false, NULL);
	free_ask(a);
}

void
db_claim_warm(struct db *db, const char *session, int64_t turn,
    const struct warm_seat *seat, db_claimed_fn *done, void *ctx)
{
	struct ask *a = new_ask(db, ctx, session);
	struct params p = { 0 };

	a->claimed = done;
	if (!can_ask(a))
		return;
	a->executions = xcalloc(1, sizeof *a->executions);
	a->executions[a->n_executions++] = seat->execution_id;
	params_int8(&p, turn);
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, session);
	params_text(&p, seat->chat);
	params_text(&p, seat->agent);
	params_int8(&p, seat->execution_id);
	params_text(&p, seat->config_hash);
	conn_ask(db->asker, "claim_warm", &p, on_claimed_warm, a);
}

static void
on_waiting(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;
	const char **sessions;
	size_t n = 0;

	if (e) {
		tell_error(a, e);
		return;
	}
	sessions = xcalloc((size_t)PQntuples(res) + 1, sizeof *sessions);
	for (int i = 0; i < PQntuples(res); i++)
		if (result_text(res, i, "session"))
			sessions[n++] = result_text(res, i, "session");
	a->waiting(a->ctx, sessions, n, PQntuples(res) ?
	    result_int8(res, 0, "next_ms") : -1, NULL);
	free(sessions);
	free_ask(a);
}

void
db_waiting_sessions(struct db *db, int limit, db_waiting_fn *done, void *ctx)
{
	struct ask *a = new_ask(db, ctx, NULL);
	struct params p = { 0 };

	a->waiting = done;
	if (!can_ask(a))
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
	};
}

static void
on_commands(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct ask *a = ctx;
	struct command *list;
	int n;

	if (e) {
		tell_error(a, e);
		return;
	}
	n = PQntuples(res);
	list = xcalloc((size_t)n + 1, sizeof *list);
	for (int i = 0; i < n; i++)
		fill_command(res, i, &list[i]);
	a->commands(a->ctx, list, (size_t)n, NULL);
	free(list);
	free_ask(a);
}

void
db_take_commands(struct db *db, db_commands_fn *done, void *ctx)
{
	struct ask *a = new_ask(db, ctx, NULL);
	struct params p = { 0 };

	a->commands = done;
	if (!can_ask(a))
		return;
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	conn_ask(db->asker, "take_commands", &p, on_commands, a);
}
