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
#include "cli/submit.h"

#define WHO "hearth run"

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
check(const struct run_arguments *a, const char *command, struct err *e)
{
	struct err why;

	if (a->agent == NULL && a->chat == NULL)
		return fail(e, "%s: which agent? Give -a AGENT (hearth agents "
		    "lists them)", command);
	if (a->project != NULL && a->chat != NULL)
		return fail(e, "%s: -p and --chat exclude each other: a chat "
		    "has its project", command);
	if (a->project == NULL && a->chat == NULL &&
	    project_check_current(&why) == -1)
		return fail(e, "%s: %s", command, why.text);
	return 0;
}

static int
take_options(struct cli *cli, int argc, char **argv,
    struct run_arguments *a, struct err *e)
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
	return 0;
}

int
run_parse(struct cli *cli, int argc, char **argv, struct run_arguments *a,
    struct err *e)
{
	if (take_options(cli, argc, argv, a, e) == -1)
		return -1;
	if (optind == argc)
		return fail(e, "run: no prompt; see hearth run --help");
	if (argc - optind > 1)
		return fail(e, "run: unexpected argument \"%s\": put the "
		    "prompt in quotes", argv[optind + 1]);
	if (check(a, "run", e) == -1)
		return -1;
	if (a->project == NULL)
		a->project = ".";
	a->prompt = argv[optind];
	return 0;
}

int
chat_parse(struct cli *cli, int argc, char **argv, struct run_arguments *a,
    struct err *e)
{
	if (take_options(cli, argc, argv, a, e) == -1)
		return -1;
	if (optind < argc)
		return fail(e, "chat: unexpected argument \"%s\": prompts are "
		    "typed", argv[optind]);
	if (check(a, "chat", e) == -1)
		return -1;
	if (a->project == NULL)
		a->project = ".";
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

/* Opens and submits in one transaction: a prompt that is refused leaves no
 * session behind. */
static int
begin_turn(PGconn *conn, const struct run_arguments *a, const char *prompt,
    char **chat, struct begun *b)
{
	PGresult *res = db_query(conn, "begin", NO_PARAMS);
	int rc = -1;

	PQclear(res);
	if (res == NULL)
		return -1;
	*chat = submit_open_chat(conn, a);
	if (*chat != NULL)
		rc = submit_prompt(conn, a, *chat, prompt, WHO, b);
	res = rc == 0 ? db_query(conn, "commit", NO_PARAMS) : NULL;
	PQclear(res);
	return res != NULL ? 0 : -1;
}

static int
run(PGconn *conn, const struct run_arguments *a, const char *prompt)
{
	static const struct follow_options follow_options = { .by = WHO };
	struct begun b = { NULL, NULL };
	char *chat = NULL;
	int status = CLI_FAILED;

	if (begin_turn(conn, a, prompt, &chat, &b) == 0) {
		submit_warn_without_node(conn);
		status = follow_turn(conn, chat, b.turn,
		    strtoll(b.seq, NULL, 10), &follow_options);
		if (PQstatus(conn) != CONNECTION_OK)
			fprintf(stderr, "hearth: turn %s goes on without this "
			    "client: see hearth turns %s\n", b.turn, chat);
		else if (status != CLI_INTERRUPTED)
			submit_list_changes(conn, chat, NULL);
		fflush(stdout);
		fprintf(stderr, "chat %s\n", chat);
	}
	begun_clear(&b);
	free(chat);
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
