/* SPDX-License-Identifier: MIT */
/*
 * `hearth top`: what `hearth status` shows, again and again on the whole
 * terminal; where stdout is none, once and plain.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/db.h"
#include "cli/screen.h"
#include "cli/status.h"

/* Lines that are no rows: the first two, and titles, headers and gaps of the
 * sections that are always there; the rest is theirs, in equal parts. */
#define SECTIONS 4
#define OVERHEAD (3 + 3 * SECTIONS)
#define ROWS_LEAST 2

static int
draw(PGconn *conn, int seconds)
{
	int rows = (screen_height() - OVERHEAD) / SECTIONS, status;
	struct show to = { .rows = rows > ROWS_LEAST ? rows : ROWS_LEAST };
	time_t now = time(NULL);
	char *text = NULL, at[32];
	size_t len;

	to.f = open_memstream(&text, &len);
	MUST(to.f != NULL);
	strftime(at, sizeof(at), "%F %T", localtime(&now));
	fprintf(to.f, "hearth top  %s  every %d s; q leaves\n\n", at, seconds);
	status = status_show(conn, &to);
	fclose(to.f);
	if (status == 0)
		screen_draw(text);
	free(text);
	return status;
}

static int
watch(PGconn *conn, int seconds)
{
	int status, key;

	screen_open();
	do {
		status = draw(conn, seconds);
		key = status == 0 ? screen_key(seconds * 1000) : -1;
	} while (key != -1 && key != 'q' && key != 'Q');
	screen_close();
	return status;
}

static int
parse_seconds(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return *s != '\0' && *end == '\0' && n >= 1 && n <= 3600 ? (int)n : -1;
}

int
cli_top(struct cli *cli, int argc, char **argv)
{
	const struct show plain = { stdout, 0, 0 };
	int seconds = 2, c, status;
	struct err e;
	PGconn *conn;

	cli_begin();
	while ((c = cli_option(cli, argc, argv, "n:", NULL, &e)) != -1) {
		if (c == '?')
			return cli_usage("%s", e.text);
		seconds = parse_seconds(optarg);
		if (seconds == -1)
			return cli_usage("top: -n takes seconds from 1 to "
			    "3600, not \"%s\"", optarg);
	}
	if (optind < argc)
		return cli_usage("top: unexpected argument \"%s\"",
		    argv[optind]);
	conn = db_open(cli);
	if (conn == NULL)
		return CLI_FAILED;
	status = isatty(STDOUT_FILENO) ? watch(conn, seconds) :
	    status_show(conn, &plain);
	PQfinish(conn);
	return status;
}
