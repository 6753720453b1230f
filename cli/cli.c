/* SPDX-License-Identifier: MIT */
/*
 * Options and complaints, the same for every command: getopt_long() with
 * messages of our own, because each complaint is one line that says what,
 * where and what to do. Must never know: any one command, libpq.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static void
complain(const char *fmt, va_list ap)
{
	char line[2048];

	vsnprintf(line, sizeof(line), fmt, ap);
	utf8_blank_controls(line);
	fflush(stdout);
	fprintf(stderr, "hearth: %s\n", line);
}

int
cli_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	return CLI_FAILED;
}

int
cli_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	return CLI_USAGE;
}

void
cli_begin(void)
{
	optind = 0;
	opterr = 0;
}

int
cli_option(struct cli *cli, int argc, char **argv, const char *shorts,
    const struct option *longs, struct err *e)
{
	static const struct option common = {
		"database", required_argument, NULL, 'd',
	};
	struct option all[16] = { 0 };
	char letters[64];
	int n = 0, c;

	for (; longs != NULL && longs[n].name != NULL; n++) {
		MUST(n < 14);
		all[n] = longs[n];
	}
	all[n] = common;
	snprintf(letters, sizeof(letters), ":d:%s", shorts);
	while ((c = getopt_long(argc, argv, letters, all, NULL)) == 'd')
		cli->database = optarg;
	if (c == ':')
		fail(e, "%s: %s needs a value; see hearth %s --help", argv[0],
		    argv[optind - 1], argv[0]);
	else if (c == '?' && optopt != 0)
		fail(e, "%s: unknown or misused option -%c; see hearth %s "
		    "--help", argv[0], optopt, argv[0]);
	else if (c == '?')
		fail(e, "%s: unknown option %s; see hearth %s --help", argv[0],
		    argv[optind - 1], argv[0]);
	return c == ':' ? '?' : c;
}

int
cli_plain(struct cli *cli, int argc, char **argv, int least, int most,
    char ***rest, struct err *e)
{
	cli_begin();
	if (cli_option(cli, argc, argv, "", NULL, e) != -1)
		return -1;
	if (argc - optind < least)
		return fail(e, "%s: too few arguments; see hearth %s --help",
		    argv[0], argv[0]);
	if (most >= 0 && argc - optind > most)
		return fail(e, "%s: unexpected argument \"%s\"; see hearth %s "
		    "--help", argv[0], argv[optind + most], argv[0]);
	*rest = argv + optind;
	return 0;
}
