/* SPDX-License-Identifier: MIT */
/*
 * `hearth chat`: a conversation in the terminal. Each line is a prompt, one
 * that ends with a backslash goes on in the next; cli/follow.c shows the
 * answer, asks the agent's questions and lets an interrupt cancel the turn.
 *
 * The chat is opened at once and the agent told that somebody types, so that
 * it is warm when the first prompt comes. A session in which nothing was said
 * is archived.
 *
 * The terminal stays in line mode: one read() is one line, so that an answer
 * to a question, which follow.c reads, is never in our buffer. Between turns
 * an interrupt leaves; it is blocked but where it is waited for.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/ids.h"
#include "cli/render.h"
#include "cli/run.h"
#include "cli/submit.h"

#define WHO "hearth chat"
#define READ 4096
#define SHOWN "2"     /* messages of an old chat */

struct conversation {
	PGconn *conn;
	struct run_arguments a;
	char *chat;
	char *agent;          /* of an old chat, when none was given */
	bool is_terminal;     /* stdin is: a person types */
	bool is_new;
	bool has_turns;
	struct buf in;        /* read, and not yet a line */
	sigset_t unblocked;   /* the signals as they were */
	bool is_at_end;
	int status;           /* of the last turn */
};

enum line { LINE_PROMPT, LINE_END, LINE_INTERRUPT, LINE_LOST };

static volatile sig_atomic_t was_interrupted;

static void
on_interrupt(int sig)
{
	(void)sig;
	was_interrupted = 1;
}

/* Reading */

/* Something on stdin, or false: interrupted, or (complained) no server. */
static bool
wait_for_input(struct conversation *c)
{
	struct pollfd fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = PQsocket(c->conn), .events = POLLIN },
	};

	for (;;) {
		if (was_interrupted)
			return false;
		if (ppoll(fds, 2, NULL, &c->unblocked) <= 0)
			continue;
		if (fds[1].revents != 0 && !follow_wait(c->conn, false, 0))
			return false;
		if (fds[0].revents != 0)
			return true;
	}
}

/* More input; false as wait_for_input(). At its end is_at_end is set. */
static bool
read_more(struct conversation *c)
{
	bool ok = wait_for_input(c);
	ssize_t n = ok ? read(STDIN_FILENO, buf_room(&c->in, READ), READ) : -1;

	for (ssize_t i = 0; i < n; i++)
		if (c->in.data[c->in.len + (size_t)i] == '\0')
			c->in.data[c->in.len + (size_t)i] = ' ';
	if (n > 0)
		buf_grew(&c->in, (size_t)n);
	else if (ok)
		c->is_at_end = true;
	return ok;
}

/* A line without its end; what is left at the end of input is one, too. */
static bool
take_line(struct conversation *c, char **line)
{
	const char *end = c->in.len > 0 ?
	    memchr(c->in.data, '\n', c->in.len) : NULL;
	size_t n = end != NULL ? (size_t)(end - c->in.data) : c->in.len;

	if (end == NULL && (!c->is_at_end || n == 0))
		return false;
	*line = xasprintf("%.*s", (int)n, n > 0 ? c->in.data : "");
	buf_consume(&c->in, end != NULL ? n + 1 : n);
	return true;
}

static enum line
read_line(struct conversation *c, char **line)
{
	while (!take_line(c, line)) {
		if (c->is_at_end)
			return LINE_END;
		if (!read_more(c))
			return was_interrupted ? LINE_INTERRUPT : LINE_LOST;
	}
	return LINE_PROMPT;
}

static void
show_mark(const struct conversation *c, const char *mark)
{
	if (!c->is_terminal)
		return;
	fflush(stdout);
	fputs(mark, stderr);
	fflush(stderr);
}

/* The caller frees the prompt. */
static enum line
read_prompt(struct conversation *c, char **prompt)
{
	struct buf b = { 0 };
	const char *mark = "> ";
	enum line what;
	char *line;
	size_t n;

	do {
		show_mark(c, mark);
		what = read_line(c, &line);
		if (what != LINE_PROMPT)
			break;
		n = strlen(line);
		mark = n > 0 && line[n - 1] == '\\' ? ". " : NULL;
		if (mark != NULL)
			line[n - 1] = '\n';
		buf_adds(&b, line);
		free(line);
	} while (mark != NULL);
	if (what == LINE_END && b.len > 0)
		what = LINE_PROMPT;
	buf_adds(&b, "");
	*prompt = buf_take(&b);
	return what;
}

/* Turns */

static bool
is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

/* False: the user left, or there is no server any more. */
static bool
follow(struct conversation *c, const struct begun *b)
{
	static const struct follow_options options = { .by = WHO };

	c->status = follow_turn(c->conn, c->chat, b->turn,
	    strtoll(b->seq, NULL, 10), &options);
	if (PQstatus(c->conn) != CONNECTION_OK) {
		fprintf(stderr, "hearth: turn %s goes on without this client: "
		    "see hearth turns %s\n", b->turn, c->chat);
		return false;
	}
	if (c->status == CLI_INTERRUPTED)
		return false;
	submit_list_changes(c->conn, c->chat, b->turn);
	fflush(stdout);
	return true;
}

static bool
take_prompt(struct conversation *c, const char *prompt)
{
	struct begun b;
	bool goes_on = true;

	if (utf8_valid_prefix(prompt, strlen(prompt)) != strlen(prompt)) {
		c->status = cli_fail("chat: that is not valid UTF-8: set the "
		    "terminal to UTF-8");
		return true;
	}
	if (submit_prompt(c->conn, &c->a, c->chat, prompt, WHO, &b) == 0) {
		c->has_turns = true;
		submit_warn_without_node(c->conn);
		goes_on = follow(c, &b);
	} else {
		c->status = CLI_FAILED;
		goes_on = PQstatus(c->conn) == CONNECTION_OK;
	}
	begun_clear(&b);
	return goes_on;
}

static void
converse(struct conversation *c)
{
	bool goes_on = true;

	while (goes_on) {
		char *prompt;
		enum line what = read_prompt(c, &prompt);

		if (what == LINE_PROMPT && !is_blank(prompt))
			goes_on = take_prompt(c, prompt);
		else
			goes_on = what == LINE_PROMPT;
		if (what != LINE_PROMPT)
			show_mark(c, "\n");
		if (what == LINE_LOST)
			c->status = CLI_FAILED;
		free(prompt);
	}
}

/* The beginning and the end */

/* The last things that were said in it. */
static void
show_messages(const struct conversation *c)
{
	PGresult *res = db_query(c->conn, "select role, coalesce(agent, ''), "
	    "content from (select * from hearth.messages where chat_id = $1 "
	    "order by id desc limit " SHOWN ") m where content <> '' "
	    "order by id", PARAMS(c->chat));

	for (int i = 0; res != NULL && i < PQntuples(res); i++) {
		bool is_user = strcmp(PQgetvalue(res, i, 0), "user") == 0;
		struct buf b = { 0 };

		render_for_terminal(&b, PQgetvalue(res, i, 2));
		buf_adds(&b, "");
		printf("%s%s\n", is_user ? "> " : "", b.data);
		buf_free(&b);
	}
	PQclear(res);
}

/* hearth.typing() says nothing about it, and a prompt is typed for nothing. */
static int
refuse_closed(PGconn *conn, const char *chat)
{
	char *why = db_value(conn, "select coalesce((select case "
	    "when s.archived_at is not null then 'its session ' || s.id || "
	    "' is archived: hearth.restore_session() takes that back' "
	    "when c.closed_at is not null then 'it is closed: hearth turns ' "
	    "|| c.id || ' and hearth events show what was said' end "
	    "from hearth.chats c join hearth.sessions s on s.id = c.session_id "
	    "where c.id = $1), '')", PARAMS(chat));
	int status = why == NULL ? -1 : 0;

	if (why != NULL && *why != '\0') {
		cli_fail("chat %s takes no prompts: %s", chat, why);
		status = -1;
	}
	free(why);
	return status;
}

static int
open_old(struct conversation *c)
{
	c->chat = ids_chat(c->conn, c->a.chat);
	if (c->chat == NULL || refuse_closed(c->conn, c->chat) == -1)
		return -1;
	if (c->a.agent == NULL) {
		c->agent = db_value(c->conn, "select coalesce((select agent "
		    "from hearth.turns where chat_id = $1 "
		    "order by id desc limit 1), '')", PARAMS(c->chat));
		if (c->agent == NULL)
			return -1;
		if (*c->agent == '\0') {
			cli_fail("chat %s has no agent yet: give -a AGENT",
			    c->chat);
			return -1;
		}
		c->a.agent = c->agent;
	}
	if (c->is_terminal)
		show_messages(c);
	return 0;
}

static bool
run(PGconn *conn, const char *sql, int n, const char *const *values)
{
	PGresult *res = db_query(conn, sql, n, values);

	PQclear(res);
	return res != NULL;
}

static bool
open_chat(struct conversation *c)
{
	if (c->a.chat != NULL)
		return open_old(c) == 0;
	c->chat = submit_open_chat(c->conn, &c->a);
	return c->chat != NULL;
}

/* The chat, and the agent on its way; after a complaint nothing is left. */
static int
begin(struct conversation *c)
{
	if (!run(c->conn, "begin", NO_PARAMS) || !open_chat(c) ||
	    !run(c->conn, "select hearth.typing($1, $2, '" WHO "')",
	    PARAMS(c->chat, c->a.agent)) ||
	    !run(c->conn, "commit", NO_PARAMS))
		return -1;
	c->is_new = c->a.chat == NULL;
	if (c->is_terminal)
		fprintf(stderr, "%s in chat %s; ^C cancels a turn, ^D leaves\n",
		    c->a.agent, c->chat);
	return 0;
}

static void
end(struct conversation *c)
{
	if (c->is_new && !c->has_turns &&
	    PQstatus(c->conn) == CONNECTION_OK)
		run(c->conn, "select hearth.archive_session((select session_id "
		    "from hearth.chats where id = $1), '" WHO "')",
		    PARAMS(c->chat));
	else if (c->has_turns)
		fprintf(stderr, "chat %s\n", c->chat);
	buf_free(&c->in);
	free(c->chat);
	free(c->agent);
	PQfinish(c->conn);
}

static void
hold_interrupts(struct conversation *c)
{
	const struct sigaction action = { .sa_handler = on_interrupt };
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &c->unblocked);
	sigaction(SIGINT, &action, NULL);
}

int
cli_chat(struct cli *cli, int argc, char **argv)
{
	struct conversation c = { .is_terminal = isatty(STDIN_FILENO) != 0 };
	struct err e;

	if (chat_parse(cli, argc, argv, &c.a, &e) == -1)
		return cli_usage("%s", e.text);
	c.conn = db_open(cli);
	if (c.conn == NULL)
		return CLI_FAILED;
	hold_interrupts(&c);
	if (follow_listen(c.conn) == 0 && begin(&c) == 0)
		converse(&c);
	else
		c.status = CLI_FAILED;
	end(&c);
	return c.status;
}
