/* SPDX-License-Identifier: MIT */
/*
 * `hearth run`: submits a prompt, follows the turn, lists what it changed. The
 * exit status is 0 only when the turn completed. The chat's id goes to stderr,
 * so that a conversation can be continued with --chat while stdout holds
 * nothing but the answer and the changes.
 */
#include "cli/run.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/db.h"
#include "cli/follow.h"
#include "cli/project.h"

struct begun {
	char *chat, *turn;
	char *seq;            /* the chat's last event before the turn */
};

static const struct option options[] = {
	{ "agent", required_argument, NULL, 'a' },
	{ "project", required_argument, NULL, 'p' },
	{ "chat", required_argument, NULL, 'c' },
	{ "model", required_argument, NULL, 'm' },
	{ "mode", required_argument, NULL, 'M' },
	{ "title", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

static int
check(const struct run_arguments *a, const char *project, int left,
    const char *extra, struct err *e)
{
	if (left == 0)
		return fail(e, "run: no prompt; see hearth run --help");
	if (left > 1)
		return fail(e, "run: unexpected argument \"%s\": put the prompt "
		    "in quotes", extra);
	if (a->agent == NULL && a->chat == NULL)
		return fail(e, "run: which agent? Give -a AGENT (hearth agents "
		    "lists them)");
	if (project != NULL && a->chat != NULL)
		return fail(e, "run: -p and --chat exclude each other: a chat "
		    "has its project");
	return 0;
}

int
run_parse(struct cli *cli, int argc, char **argv, struct run_arguments *a,
    struct err *e)
{
	int c;

	memset(a, 0, sizeof(*a));
	cli_begin();
	while ((c = cli_option(cli, argc, argv, "a:p:", options, e)) != -1)
		switch (c) {
		case 'a': a->agent = optarg; break;
		case 'p': a->project = optarg; break;
		case 'c': a->chat = optarg; break;
		case 'm': a->model = optarg; break;
		case 'M': a->mode_id = optarg; break;
		case 't': a->title = optarg; break;
		default: return -1;
		}
	if (check(a, a->project, argc - optind,
	    argc - optind > 1 ? argv[optind + 1] : "", e) == -1)
		return -1;
	if (a->project == NULL)
		a->project = ".";
	a->prompt = argv[optind];
	return 0;
}

/* The whole of it; NULL after a complaint. */
static char *
read_stdin(void)
{
	struct buf b = { 0 };
	size_t n;

	do {
		n = fread(buf_room(&b, 65536), 1, 65536, stdin);
		buf_grew(&b, n);
	} while (n > 0);
	buf_adds(&b, "");
	if (ferror(stdin))
		cli_fail("run: standard input: %s", strerror(errno));
	else if (memchr(b.data, '\0', b.len) != NULL)
		cli_fail("run: the prompt on standard input holds a NUL byte: "
		    "give text");
	else
		return buf_take(&b);
	buf_free(&b);
	return NULL;
}

/* The text to submit; NULL after a complaint. */
static char *
read_prompt(const struct run_arguments *a)
{
	char *prompt = strcmp(a->prompt, "-") == 0 ? read_stdin() :
	    xstrdup(a->prompt);

	if (prompt != NULL &&
	    utf8_valid_prefix(prompt, strlen(prompt)) == strlen(prompt))
		return prompt;
	if (prompt != NULL)
		cli_fail("run: the prompt is not valid UTF-8: convert it, for "
		    "example with iconv");
	free(prompt);
	return NULL;
}

/* The chat to speak in; NULL after a complaint. */
static char *
open_chat(PGconn *conn, const struct run_arguments *a)
{
	char *session, *chat;

	if (a->chat != NULL)
		return xstrdup(a->chat);
	session = project_open_session(conn, a->project, a->title);
	if (session == NULL)
		return NULL;
	chat = db_value(conn, "select hearth.open_chat($1)", PARAMS(session));
	free(session);
	return chat;
}

static char *
submit(PGconn *conn, const struct run_arguments *a, const char *chat,
    const char *prompt)
{
	if (a->agent == NULL)
		return db_value(conn, "select hearth.follow_up($1, $2, "
		    "created_by => 'hearth run', model => $3, mode_id => $4)",
		    PARAMS(chat, prompt, a->model, a->mode_id));
	return db_value(conn, "select hearth.submit($1, $2, $3, "
	    "created_by => 'hearth run', model => $4, mode_id => $5)",
	    PARAMS(chat, a->agent, prompt, a->model, a->mode_id));
}

static void
warn_without_node(PGconn *conn)
{
	char *alive = db_value(conn, "select exists (select from hearth.nodes "
	    "where hearth.is_alive(heartbeat_at) and not draining)",
	    NO_PARAMS);

	if (alive != NULL && *alive != 't')
		cli_fail("no hearthd is up: the turn waits until one is");
	free(alive);
}

static void
list_changes(PGconn *conn, const char *chat)
{
	PGresult *res = db_query(conn, "select id, operation, file_path, "
	    "coalesce(agent, 'a person') from hearth.pending_changes "
	    "where status = 'pending' and session_id = (select session_id "
	    "from hearth.chats where id = $1) order by file_path",
	    PARAMS(chat));

	for (int i = 0; res != NULL && i < PQntuples(res); i++)
		printf("%4s  %-6s  %s  (%s)\n", PQgetvalue(res, i, 0),
		    PQgetvalue(res, i, 1), PQgetvalue(res, i, 2),
		    PQgetvalue(res, i, 3));
	if (res != NULL && PQntuples(res) > 0) {
		fflush(stdout);
		fprintf(stderr, "hearth changes show, accept or reject them "
		    "by their numbers\n");
	}
	PQclear(res);
}

/* Opens and submits in one transaction: a prompt that is refused leaves no
 * session behind. */
static int
begin_turn(PGconn *conn, const struct run_arguments *a, const char *prompt,
    struct begun *b)
{
	PGresult *res = db_query(conn, "begin", NO_PARAMS);

	PQclear(res);
	if (res == NULL)
		return -1;
	b->chat = open_chat(conn, a);
	if (b->chat != NULL)
		b->seq = db_value(conn, "select coalesce(max(last_seq), 0) "
		    "from hearth.chats where id = $1", PARAMS(b->chat));
	if (b->seq != NULL)
		b->turn = submit(conn, a, b->chat, prompt);
	res = b->turn != NULL ? db_query(conn, "commit", NO_PARAMS) : NULL;
	PQclear(res);
	return res != NULL ? 0 : -1;
}

static int
run(PGconn *conn, const struct run_arguments *a, const char *prompt)
{
	static const struct follow_options follow_options = { false };
	struct begun b = { NULL, NULL, NULL };
	int status = CLI_FAILED;

	if (begin_turn(conn, a, prompt, &b) == 0) {
		warn_without_node(conn);
		status = follow_turn(conn, b.chat, b.turn,
		    strtoll(b.seq, NULL, 10), &follow_options);
		if (PQstatus(conn) != CONNECTION_OK)
			fprintf(stderr, "hearth: turn %s goes on without this "
			    "client: see hearth turns %s\n", b.turn, b.chat);
		else if (status != CLI_INTERRUPTED)
			list_changes(conn, b.chat);
		fflush(stdout);
		fprintf(stderr, "chat %s\n", b.chat);
	}
	free(b.chat);
	free(b.seq);
	free(b.turn);
	return status;
}

int
cli_run(struct cli *cli, int argc, char **argv)
{
	struct run_arguments a;
	struct err e;
	PGconn *conn;
	char *prompt;
	int status = CLI_FAILED;

	if (run_parse(cli, argc, argv, &a, &e) == -1)
		return cli_usage("%s", e.text);
	prompt = read_prompt(&a);
	conn = prompt != NULL ? db_open(cli) : NULL;
	if (conn != NULL && follow_listen(conn) == 0)
		status = run(conn, &a, prompt);
	free(prompt);
	PQfinish(conn);
	return status;
}
