/* SPDX-License-Identifier: MIT */
/*
 * The `hearth` client: a table of its commands, one file each. Everything that
 * they do goes through the SQL contract, so whatever they can do an
 * application can do as well.
 *
 * Must never know: hearthd's insides, what any command does.
 */
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

static const struct command {
	const char *name;
	cli_command *run;
	const char *usage;
	const char *summary;
} commands[] = {
	{ "init", cli_init, "init",
	    "create or upgrade the schema and the registry of agents" },
	{ "run", cli_run, "run -a AGENT [-p PROJECT] [--title T] "
	    "[--model M] [--mode M] PROMPT\n"
	    "run --chat CHAT [-a AGENT] [--model M] [--mode M] PROMPT",
	    "submit a prompt, stream the answer, show the changes" },
	{ "chat", cli_chat, "chat -a AGENT [-p PROJECT] [--title T] "
	    "[--model M] [--mode M]\n"
	    "chat --chat CHAT [-a AGENT] [--model M] [--mode M]",
	    "talk with an agent in this terminal" },
	{ "status", cli_status, "status",
	    "nodes, warm agents, running and queued turns" },
	{ "top", cli_top, "top [-n SECONDS]",
	    "the same, again and again on the whole terminal" },
	{ "agents", cli_agents, "agents [list]\n"
	    "agents add NAME [--env K=V]... [--title T] "
	    "[--permission ask|allow|deny]\n"
	    "\t[LAUNCHER] -- COMMAND ARG...\n"
	    "agents import FILE [--name NAME] [--force]\n"
	    "agents launcher NAME [LAUNCHER]\n"
	    "agents remove|enable|disable|test NAME\n"
	    "LAUNCHER: --sandbox [--writable DIR]... | --ssh HOST | "
	    "--launcher WORD...",
	    "the registry of agents" },
	{ "projects", cli_projects, "projects [list]\n"
	    "projects add [--name NAME] FOLDER\n"
	    "projects set PROJECT [--name NAME] [--branch BRANCH] "
	    "[--include PATTERN]...\n"
	    "\t[--snapshots COUNT] [--no-setup | -- COMMAND ARG...]\n"
	    "projects remove [--sessions] PROJECT",
	    "the registry of projects" },
	{ "sessions", cli_sessions, "sessions [list] [-p PROJECT] "
	    "[--archived]\n"
	    "sessions archive|restore|delete SESSION...",
	    "working copies, and what becomes of them" },
	{ "turns", cli_turns, "turns [-n COUNT] [CHAT]",
	    "the latest turns and what became of them" },
	{ "events", cli_events, "events [-f] [--since SEQ] CHAT",
	    "what happened in a chat; -f: and what happens" },
	{ "warm", cli_warm, "warm CHAT AGENT",
	    "start an agent before it is prompted" },
	{ "cancel", cli_cancel, "cancel TURN", "cancel a turn" },
	{ "close", cli_close, "close CHAT [AGENT]\nclose --session SESSION",
	    "end an agent's child, a chat, a whole session" },
	{ "approve", cli_approve, "approve [REQUEST OPTION]",
	    "answer an agent's question, or list what is asked" },
	{ "changes", cli_changes, "changes [list [--applied] [CHAT]]\n"
	    "changes show ID...\n"
	    "changes accept|reject|revert ID...\n"
	    "changes accept --hunks N[,N...] ID\n"
	    "changes accept|reject|revert --all CHAT",
	    "changed files that wait for a decision, and deciding" },
	{ "doctor", cli_doctor, "doctor [--state-dir DIR]",
	    "check this machine and the database" },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
print_help(void)
{
	puts("usage: hearth [-d CONNINFO] COMMAND [ARGUMENT...]\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	puts("\n  -d, --database CONNINFO   the database; else "
	    "$HEARTH_DATABASE, else hearthd's own\n"
	    "  -h, --help                this, or after COMMAND how it is "
	    "called\n"
	    "  -V, --version             the version");
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int
wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0)
			return 1;
	return 0;
}

/* One line for each way to call it; what begins otherwise explains them. */
static void
print_usage(const struct command *c)
{
	size_t len = strlen(c->name);

	for (const char *at = c->usage, *end; *at != '\0'; at = end) {
		end = at + strcspn(at, "\n");
		end += *end == '\n';
		if (strncmp(at, c->name, len) == 0)
			fputs(at == c->usage ? "usage: hearth " :
			    "       hearth ", stdout);
		else
			fputs("       ", stdout);
		fwrite(at, 1, (size_t)(end - at), stdout);
	}
	printf("\n%s\n", c->summary);
}

static int
run_command(struct cli *cli, int argc, char **argv)
{
	bool helps = strcmp(argv[0], "help") == 0;
	const struct command *c = find_command(argv[helps && argc > 1]);

	if (helps && argc == 1) {
		print_help();
		return 0;
	}
	if (c == NULL)
		return cli_usage("no command \"%s\"; see hearth --help",
		    argv[helps]);
	if (helps || wants_help(argc, argv)) {
		print_usage(c);
		return 0;
	}
	return c->run(cli, argc, argv);
}

/* As it was written, if it was a word. */
static const char *
unknown_option(char **argv)
{
	static char letter[] = "-?";

	if (optopt == 0)
		return argv[optind - 1];
	letter[1] = (char)optopt;
	return letter;
}

/* Options before the command; POSIXLY ordered, so that its own are left. */
static int
parse_global(struct cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "database", required_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	cli_begin();
	while ((c = getopt_long(argc, argv, "+:d:hV", longs, NULL)) != -1)
		switch (c) {
		case 'd':
			cli->database = optarg;
			break;
		case 'h':
			print_help();
			return 0;
		case 'V':
			puts("hearth " PACKAGE_VERSION);
			return 0;
		case ':':
			return cli_usage("%s needs a value; see hearth --help",
			    argv[optind - 1]);
		default:
			return cli_usage("unknown option %s; see hearth "
			    "--help", unknown_option(argv));
		}
	return -1;
}

int
main(int argc, char **argv)
{
	struct cli cli = { NULL };
	int status;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	status = parse_global(&cli, argc, argv);
	if (status == -1 && optind == argc)
		status = cli_usage("which command? See hearth --help");
	if (status == -1)
		status = run_command(&cli, argc - optind, argv + optind);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0)
		status = cli_fail("could not write all output");
	return status;
}
