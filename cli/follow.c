/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a turn. Notifications are hints: what happened is read
 * with events_since(), and every second anyway. The turn's status is read
 * before its events, so that when it is an end, all events are in what is read
 * after it.
 *
 * stdout gets exactly the agent's text; on a terminal also, between it, one
 * line per tool call and the reasoning, dimmed. When stdout is no terminal
 * those lines go to stderr and the reasoning nowhere. First interrupt:
 * cancel(); second: leave. Read next: cli/render.c.
 */
#include "cli/follow.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/render.h"

#define POLL_MS 1000
#define BATCH "500"

static volatile sig_atomic_t interrupts;

struct follower {
	PGconn *conn;
	const char *chat, *turn;
	const struct follow_options *options;
	int64_t seq;
	bool is_terminal;
	bool in_line;         /* stdout is not at the start of a line */
	bool is_dim;
	FILE *notes;
	json_t *tools;        /* tool call id -> the title it was shown with */
	bool was_cancelled;
	char *question;       /* id of the request being asked, or NULL */
	json_t *options_asked; /* its options */
	char *hinted;         /* id of the request last shown */
};

static void
on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
}

int
follow_listen(PGconn *conn)
{
	PGresult *res = PQexec(conn, "listen hearth_events; "
	    "listen hearth_status");
	bool ok = db_ok(res);

	if (!ok)
		db_complain(conn, res);
	PQclear(res);
	return ok ? 0 : -1;
}

bool
follow_wait(PGconn *conn, bool with_stdin, int timeout_ms)
{
	struct pollfd fds[2] = {
		{ .fd = PQsocket(conn), .events = POLLIN },
		{ .fd = with_stdin ? STDIN_FILENO : -1, .events = POLLIN },
	};
	PGnotify *n;
	char *reason;
	bool seen = false;

	while ((n = PQnotifies(conn)) != NULL) {
		PQfreemem(n);
		seen = true;
	}
	if (seen || poll(fds, 2, timeout_ms) <= 0 || fds[0].revents == 0)
		return true;
	if (PQconsumeInput(conn) == 1) {
		while ((n = PQnotifies(conn)) != NULL)
			PQfreemem(n);
		return true;
	}
	reason = db_connection_error(conn);
	cli_fail("%s", reason);
	free(reason);
	return false;
}

/* Output */

static void
set_dim(struct follower *f, bool dim)
{
	if (f->is_dim != dim)
		fputs(dim ? "\033[2m" : "\033[0m", stdout);
	f->is_dim = dim;
}

static void
end_line(struct follower *f)
{
	if (!f->is_terminal)
		return;
	set_dim(f, false);
	if (f->in_line)
		putchar('\n');
	f->in_line = false;
	fflush(stdout);
}

static void
show_text(struct follower *f, const char *text, bool reasoning)
{
	struct buf b = { 0 };

	if (*text == '\0' || (reasoning && !f->is_terminal))
		return;
	if (!f->is_terminal) {
		fputs(text, stdout);
		f->in_line = text[strlen(text) - 1] != '\n';
		return;
	}
	render_for_terminal(&b, text);
	if (b.len > 0) {
		if (f->is_dim && !reasoning)
			end_line(f);
		set_dim(f, reasoning);
		fputs(b.data, stdout);
		f->in_line = b.data[b.len - 1] != '\n';
	}
	buf_free(&b);
}

static void
note(struct follower *f, const char *mark, const char *text)
{
	char *line = xstrdup(text);

	utf8_blank_controls(line);
	end_line(f);
	fprintf(f->notes, "%s %s\n", mark, line);
	free(line);
}

/* One line when a call is first heard of, one more if it fails. */
static void
show_tool(struct follower *f, const json_t *payload)
{
	const char *id = render_text(payload, "toolCallId");
	const json_t *shown = json_object_get(f->tools, id);
	bool failed = strcmp(render_text(payload, "status"), "failed") == 0;
	json_t *call;
	char *line;

	if (shown != NULL && !failed)
		return;
	call = json_copy((json_t *)payload);
	if (*render_text(call, "title") == '\0' && shown != NULL)
		json_object_set(call, "title", (json_t *)shown);
	line = render_tool_call(call, failed);
	note(f, failed ? "!" : "*", line);
	free(line);
	json_object_set_new(f->tools, id,
	    json_string(render_text(call, "title")));
	json_decref(call);
}

/* A new child, and what it knows of the conversation. */
static void
show_status(struct follower *f, const json_t *payload)
{
	const char *how = render_text(payload, "resumed_by");

	if (strcmp(render_text(payload, "setup"), "done") == 0)
		note(f, "=", "the project's setup command has run in a new "
		    "worktree");
	else if (strcmp(how, "resume") == 0 || strcmp(how, "load") == 0)
		note(f, "=", "a new process goes on with the conversation");
	else if (strcmp(how, "replay") == 0)
		note(f, "=", "a new process was told the conversation from "
		    "its record");
}

static void
show_event(struct follower *f, const char *kind, const json_t *payload)
{
	if (strcmp(kind, "text") == 0)
		show_text(f, render_text(payload, "text"), false);
	else if (strcmp(kind, "reasoning") == 0)
		show_text(f, render_text(payload, "text"), true);
	else if (strcmp(kind, "tool_call") == 0 ||
	    strcmp(kind, "tool_update") == 0)
		show_tool(f, payload);
	else if (strcmp(kind, "artifact") == 0)
		note(f, "+", render_text(payload, "url"));
	else if (strcmp(kind, "agent_status") == 0)
		show_status(f, payload);
}

/* How many events came; -1 after a complaint. */
static int
read_events(struct follower *f)
{
	char since[24];
	PGresult *res;
	int n;

	snprintf(since, sizeof(since), "%lld", (long long)f->seq);
	res = db_query(f->conn, "select seq, kind, payload, turn_id = $3 "
	    "from hearth.events_since($1, $2, " BATCH ")",
	    PARAMS(f->chat, since, f->turn));
	if (res == NULL)
		return -1;
	n = PQntuples(res);
	for (int i = 0; i < n; i++) {
		json_t *payload = json_loads(PQgetvalue(res, i, 2),
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		f->seq = strtoll(PQgetvalue(res, i, 0), NULL, 10);
		if (*PQgetvalue(res, i, 3) == 't' && !f->options->quiet)
			show_event(f, PQgetvalue(res, i, 1), payload);
		json_decref(payload);
	}
	fflush(stdout);
	PQclear(res);
	return n;
}

/* Questions */

static void
drop_question(struct follower *f)
{
	free(f->question);
	f->question = NULL;
	json_decref(f->options_asked);
	f->options_asked = NULL;
}

static void
ask(struct follower *f, const char *id, const char *title, json_t *options)
{
	bool asks = isatty(STDIN_FILENO) != 0;
	char *list = render_options(options, !asks);
	char *line = xasprintf("permission %s: %s", id, title);

	note(f, "?", line);
	if (asks) {
		/* what was typed before the question does not answer it */
		tcflush(STDIN_FILENO, TCIFLUSH);
		fprintf(stderr, "  %s\n  answer: ", list);
		f->question = xstrdup(id);
		f->options_asked = json_incref(options);
	} else
		fprintf(stderr, "hearth: answer with `hearth approve %s "
		    "OPTION`: %s\n", id, list);
	fflush(stderr);
	free(f->hinted);
	f->hinted = xstrdup(id);
	free(line);
	free(list);
}

/* The oldest open question of the turn becomes the one that is asked. */
static int
look_for_question(struct follower *f)
{
	PGresult *res = db_query(f->conn, "select id, coalesce("
	    "tool_call ->> 'title', tool_call_id, 'something'), options "
	    "from hearth.permission_requests "
	    "where chat_id = $1 and turn_id = $2 and status = 'pending' "
	    "order by id limit 1", PARAMS(f->chat, f->turn));
	const char *id;
	json_t *options;

	if (res == NULL)
		return -1;
	id = PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "";
	if (f->question != NULL && strcmp(f->question, id) != 0) {
		fputs("(answered)\n", stderr);
		drop_question(f);
	}
	if (*id != '\0' && (f->hinted == NULL || strcmp(f->hinted, id) != 0)) {
		options = json_loads(PQgetvalue(res, 0, 2), 0, NULL);
		ask(f, id, PQgetvalue(res, 0, 1), options);
		json_decref(options);
	}
	PQclear(res);
	return 0;
}

/* The option that the line means: its number or its id. */
static const char *
choose(const json_t *options, const char *line)
{
	char *end;
	unsigned long n = strtoul(line, &end, 10);
	const json_t *option;
	size_t i;

	if (*line != '\0' && *end == '\0' && n >= 1)
		return json_string_value(json_object_get(
		    json_array_get(options, n - 1), "optionId"));
	json_array_foreach(options, i, option)
		if (strcmp(render_text(option, "optionId"), line) == 0)
			return render_text(option, "optionId");
	return NULL;
}

static int
read_answer(struct follower *f)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[256];
	const char *option;
	char *done;
	ssize_t n;

	if (f->question == NULL || poll(&in, 1, 0) <= 0)
		return 0;
	n = read(STDIN_FILENO, line, sizeof(line) - 1);
	if (n <= 0) {
		drop_question(f);
		return 0;
	}
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	option = choose(f->options_asked, line);
	if (option == NULL) {
		fputs("  a number of the list, please: ", stderr);
		return 0;
	}
	done = db_value(f->conn, "select hearth.answer_permission($1, $2, $3)",
	    PARAMS(f->question, option, f->options->by));
	drop_question(f);
	n = done != NULL ? 0 : -1;
	free(done);
	return (int)n;
}

/* Status */

static bool
has_ended(const char *status)
{
	static const char *const ends[] = { "completed", "failed", "cancelled",
		"interrupted" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(status, ends[i]) == 0)
			return true;
	return false;
}

/* How the turn ended, as an exit status; says so unless it completed. */
static int
conclude(struct follower *f, const PGresult *turn)
{
	const char *status = db_field(turn, 0, "status");
	const char *error = db_field(turn, 0, "error");
	const char *code = db_field(turn, 0, "error_code");
	const char *reason = db_field(turn, 0, "end_reason");

	end_line(f);
	if (!f->is_terminal && f->in_line && !f->options->quiet)
		putchar('\n');
	fflush(stdout);
	if (strcmp(status, "completed") == 0)
		return 0;
	if (error == NULL && reason != NULL && strcmp(reason, status) != 0)
		error = reason;
	return cli_fail("turn %s %s%s%s%s%s%s", f->turn,
	    strcmp(status, "cancelled") == 0 ? "was cancelled" :
	    strcmp(status, "interrupted") == 0 ? "was interrupted" : status,
	    error != NULL ? ": " : "", error != NULL ? error : "",
	    code != NULL ? " (" : "", code != NULL ? code : "",
	    code != NULL ? ")" : "");
}

static int
cancel_turn(struct follower *f)
{
	char *done = db_value(f->conn, "select hearth.cancel($1, $2)",
	    PARAMS(f->turn, f->options->by));

	end_line(f);
	fprintf(stderr, "hearth: cancelling turn %s; interrupt again to "
	    "leave\n", f->turn);
	f->was_cancelled = true;
	free(done);
	return done != NULL ? 0 : -1;
}

/* One look at the turn: -1 it goes on, else the exit status. */
static int
look(struct follower *f)
{
	PGresult *turn = db_query(f->conn, "select status, error, error_code, "
	    "end_reason from hearth.turns where id = $1", PARAMS(f->turn));
	int n, status = -1;

	if (turn == NULL)
		return CLI_FAILED;
	if (PQntuples(turn) == 0) {
		PQclear(turn);
		return cli_fail("turn %s is gone", f->turn);
	}
	do
		n = read_events(f);
	while (n > 0);
	if (n == -1)
		status = CLI_FAILED;
	else if (has_ended(db_field(turn, 0, "status")))
		status = conclude(f, turn);
	else if (!f->options->quiet && (read_answer(f) == -1 ||
	    look_for_question(f) == -1))
		status = CLI_FAILED;
	PQclear(turn);
	return status;
}

static int
follow(struct follower *f)
{
	int status;

	for (;;) {
		if (interrupts > 1)
			return CLI_INTERRUPTED;
		if (interrupts > 0 && !f->was_cancelled &&
		    cancel_turn(f) == -1)
			return CLI_FAILED;
		status = look(f);
		if (status != -1)
			return status;
		if (!follow_wait(f->conn, f->question != NULL, POLL_MS))
			return CLI_FAILED;
	}
}

int
follow_turn(PGconn *conn, const char *chat, const char *turn, int64_t seq,
    const struct follow_options *options)
{
	const struct sigaction action = { .sa_handler = on_interrupt };
	struct sigaction before;
	sigset_t interrupt, mask;
	struct follower f = {
		.conn = conn, .chat = chat, .turn = turn, .options = options,
		.seq = seq, .is_terminal = isatty(STDOUT_FILENO) != 0,
		.tools = json_object(),
	};
	int status;

	f.notes = f.is_terminal ? stdout : stderr;
	interrupts = 0;
	sigaction(SIGINT, &action, &before);
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_UNBLOCK, &interrupt, &mask);
	status = follow(&f);
	end_line(&f);
	if (PQstatus(conn) != CONNECTION_OK)
		cli_fail("the database is gone: once it is back, hearth turns "
		    "%s says what became of turn %s", chat, turn);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(SIGINT, &before, NULL);
	drop_question(&f);
	free(f.hinted);
	json_decref(f.tools);
	return status;
}
