/* SPDX-License-Identifier: MIT */
/*
 * Claims: the full one, which looks for a session's next turn, and the short
 * one, for a turn that is known and a warm seat that waits for it.
 *
 * A claim is one transaction. When its answer is lost nobody knows whether it
 * was committed; so the execution ids that it can have put into a turn are
 * known beforehand (those of the warm seats, and one reserved id), and after
 * the reconnection such a turn goes back to the queue: it was never delivered.
 *
 * One short claim is under way at a time; those that come meanwhile are asked
 * together in the next, so that many chats share its commit.
 */
#include "sql/db_private.h"

#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "sql/statement.h"

enum {
	RESERVE = 64,      /* execution ids at a time */
	WARM_AT_ONCE = 64, /* so that a claim stays short */
};

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

char **
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

static void
fill_turn(const PGresult *res, int row, struct claimed_turn *t)
{
	*t = (struct claimed_turn){
		.turn = result_int8(res, row, "turn"),
		.session = result_text(res, row, "session"),
		.chat = result_text(res, row, "chat"),
		.agent = result_text(res, row, "agent"),
		.is_running = result_bool(res, row, "is_running"),
		.is_exclusive = result_bool(res, row, "is_exclusive"),
		.execution_id = result_int8(res, row, "execution_id"),
		.prompt = result_text(res, row, "prompt"),
		.created_by = result_text(res, row, "created_by"),
		.model = result_text(res, row, "model"),
		.mode_id = result_text(res, row, "mode_id"),
	};
}

/* What only comes with what may need a new child. */
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
	t->known_session = result_text(res, 0, "known_session");
	t->wanted = result_text(res, 0, "wanted");
	t->may_replace = result_bool(res, 0, "may_replace");
	t->launcher_words = result_int8(res, 0, "launcher_words");
	t->tenant = result_text(res, 0, "tenant");
	t->ends_child = result_bool(res, 0, "ends_child");
	t->is_ephemeral = result_bool(res, 0, "is_ephemeral");
}

/* What went wrong first is the cause. */
static void
keep_failure(struct question *a, const struct sql_error *e)
{
	if (e && e->state[0] && !a->failure.state[0])
		a->failure = *e;
}

static void
on_claim(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	keep_failure(a, e);
	if (!e)
		a->more = result_bool(res, 0, "more");
}

static void
on_details(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;

	keep_failure(a, e);
	if (!e)
		a->details = PQcopyResult(res, PG_COPYRES_ATTRS |
		    PG_COPYRES_TUPLES);
}

/* Nobody knows whether it was committed: undone after the reconnection. */
static void
lose_claim(struct question *a)
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
	struct question *a = ctx;
	struct claimed_turn t;
	char **command, **env;

	(void)res;
	if (e && !a->failure.state[0])
		a->failure = *e;
	if (e && strncmp(e->state, "08", 2) == 0)
		lose_claim(a);
	if (e || a->failure.state[0]) {
		question_fail(a, &a->failure);
		return;
	}
	if (!a->details || PQntuples(a->details) == 0) {
		a->claimed(a->ctx, a->session, NULL, a->more, NULL);
		question_free(a);
		return;
	}
	fill_turn(a->details, 0, &t);
	fill_details(a->details, &t);
	t.unread = result_text(a->details, 0, "unread");
	t.command = command = parse_array(result_text(a->details, 0,
	    "command"));
	t.env = env = parse_array(result_text(a->details, 0, "env"));
	a->claimed(a->ctx, a->session, &t, a->more, NULL);
	strv_free(&command);
	strv_free(&env);
	question_free(a);
}

static void
send_claim(struct question *a)
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
		questions_refuse_waiting(db);
		return;
	}
	for (int i = 0; i < PQntuples(res); i++)
		db->reserved[db->n_reserved++] = result_int8(res, i, "id");
	while (!list_empty(&db->claims_waiting) && db->n_reserved > 0) {
		struct question *a = LIST_ITEM(db->claims_waiting.next,
		    struct question, node);

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
questions_refuse_waiting(struct db *db)
{
	LIST_EACH(pos, tmp, &db->claims_waiting) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		list_remove(pos);
		list_append(&db->asks, pos);
		ev_timer_start(db->loop, &a->refuse);
	}
}

static void
copy_seats(struct question *a, const struct warm_seat *warm, size_t n)
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
	struct question *a = question_new(db, ctx, session);

	a->claimed = done;
	if (!question_can(a))
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

/* ---- the short way */

static void send_warm(struct db *db);

static int
row_of(const PGresult *res, int64_t turn)
{
	for (int i = 0; i < PQntuples(res); i++)
		if (result_int8(res, i, "turn") == turn)
			return i;
	return -1;
}

/* res NULL: none of them was as simple. */
static void
answer_warm(struct question *a, const PGresult *res)
{
	int row = res ? row_of(res, a->turn) : -1;
	struct claimed_turn t;

	if (row >= 0)
		fill_turn(res, row, &t);
	a->claimed(a->ctx, a->session, row >= 0 ? &t : NULL, false, NULL);
	question_free(a);
}

static void
on_claimed_warm(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct db *db = ctx;
	bool is_lost = e && strncmp(e->state, "08", 2) == 0;

	/* 23505: another live turn is in the way of one of them after all;
	 * 55P03: somebody holds one of their rows. The full claim of each finds
	 * out which. */
	if (e && !is_lost)
		log_debug("database", "short claim: %s", e->text);
	LIST_EACH(pos, tmp, &db->warm_asked) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		if (is_lost) {
			lose_claim(a);
			question_fail(a, e);
		} else {
			answer_warm(a, e ? NULL : res);
		}
	}
	send_warm(db);
}

/* What waits, in one statement and one commit. */
static void
send_warm(struct db *db)
{
	struct sql_array arrays[6] = { 0 };
	struct params p = { 0 };
	int n = 0;

	if (!list_empty(&db->warm_asked))
		return;
	array_begin(&arrays[0], SQL_INT8);
	array_begin(&arrays[1], SQL_UUID);
	array_begin(&arrays[2], SQL_UUID);
	array_begin(&arrays[3], SQL_TEXT);
	array_begin(&arrays[4], SQL_INT8);
	array_begin(&arrays[5], SQL_TEXT);
	LIST_EACH(pos, tmp, &db->warm_waiting) {
		struct question *a = LIST_ITEM(pos, struct question, node);

		if (n == WARM_AT_ONCE)
			break;
		list_remove(pos);
		list_append(&db->asks, pos);
		if (!question_can(a))
			continue;
		n++;
		list_remove(pos);
		list_append(&db->warm_asked, pos);
		array_int8(&arrays[0], a->turn);
		array_uuid(&arrays[1], a->session);
		array_uuid(&arrays[2], a->chat);
		array_string(&arrays[3], a->agent);
		array_int8(&arrays[4], a->executions[0]);
		array_string(&arrays[5], a->config_hash);
	}
	if (!list_empty(&db->warm_asked)) {
		params_int8(&p, db->node);
		params_int8(&p, db->epoch);
		for (int i = 0; i < 6; i++)
			params_array(&p, &arrays[i]);
		conn_ask(db->asker, "claim_warm", &p, on_claimed_warm, db);
	}
	for (int i = 0; i < 6; i++)
		array_free(&arrays[i]);
}

void
db_claim_warm(struct db *db, const char *session, int64_t turn,
    const struct warm_seat *seat, db_claimed_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, session);

	a->claimed = done;
	a->turn = turn;
	a->chat = xstrdup(seat->chat);
	a->agent = xstrdup(seat->agent);
	a->config_hash = xstrdup(seat->config_hash);
	a->executions = xcalloc(1, sizeof *a->executions);
	a->executions[a->n_executions++] = seat->execution_id;
	list_remove(&a->node);
	list_append(&db->warm_waiting, &a->node);
	send_warm(db);
}

/* ---- ahead of a turn */

static void
on_warm(void *ctx, const PGresult *res, const struct sql_error *e)
{
	struct question *a = ctx;
	struct claimed_turn t;
	char **command, **env;

	(void)res;
	if (e && !a->failure.state[0])
		a->failure = *e;
	if (e || a->failure.state[0]) {
		question_fail(a, &a->failure);
		return;
	}
	if (!a->details || PQntuples(a->details) == 0) {
		a->warm(a->ctx, NULL, "gone", "the chat or the agent is gone, "
		    "or another node has the session");
		question_free(a);
		return;
	}
	if (result_text(a->details, 0, "refusal")) {
		a->warm(a->ctx, NULL, result_text(a->details, 0, "refusal"),
		    result_text(a->details, 0, "refusal_words"));
		question_free(a);
		return;
	}
	t = (struct claimed_turn){
		.session = result_text(a->details, 0, "session"),
		.chat = result_text(a->details, 0, "chat"),
		.agent = result_text(a->details, 0, "agent"),
		.execution_id = result_int8(a->details, 0, "execution_id"),
	};
	fill_details(a->details, &t);
	t.command = command = parse_array(result_text(a->details, 0,
	    "command"));
	t.env = env = parse_array(result_text(a->details, 0, "env"));
	a->warm(a->ctx, &t, NULL, NULL);
	strv_free(&command);
	strv_free(&env);
	question_free(a);
}

void
db_warm(struct db *db, const char *session, const char *chat,
    const char *agent, db_warm_fn *done, void *ctx)
{
	struct question *a = question_new(db, ctx, session);
	int take = statement_find("warm_take");
	int details = statement_find("warm_details");
	struct params p = { 0 };

	a->warm = done;
	if (!question_can(a))
		return;
	conn_need(db->asker, take);
	conn_need(db->asker, details);
	params_int8(&p, db->node);
	params_int8(&p, db->epoch);
	params_text(&p, session);
	conn_send(db->asker, take, &p, NULL, NULL);
	params_text(&p, chat);
	params_text(&p, agent);
	conn_send(db->asker, details, &p, on_details, a);
	conn_sync(db->asker, on_warm, a);
}
