/* SPDX-License-Identifier: MIT */
/*
 * hearth-memory: says what trees of processes take, so that hearthd does not
 * wait while the kernel counts their pages. hearthd starts one while it has
 * children, under a keeper; the end of its input is its end.
 *
 * A request is a line per tree, "SERIAL PID…" (the processes below which the
 * tree is), and an empty line. The answer is, as it becomes known, a line per
 * tree in the same order, "SERIAL PSS_KB CPU_MS PROCESSES", and an empty line.
 *
 * Read next: pool/footprint.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "pool/footprint.h"

#define ROOTS 64
/* It takes a fifth of a processor at most, and leaves every process that it
 * looks at alone for longer than it held it up. */
#define PAUSE 4

/* False when the line cannot be meant so. */
static int
parse(char *line, int64_t *serial, pid_t *roots, size_t *n)
{
	char *end;

	*serial = strtoll(line, &end, 10);
	for (*n = 0; end != line && *end == ' ' && *n < ROOTS; ++*n) {
		line = end + 1;
		roots[*n] = (pid_t)strtol(line, &end, 10);
	}
	return end != line && *end == '\n';
}

int
main(void)
{
	struct footprints *f = footprints_new(PAUSE);
	char *line = NULL;
	size_t size = 0, n;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		struct footprint print;
		pid_t roots[ROOTS];
		int64_t serial;

		if (len == 1) {
			footprints_end_round(f);
			puts("");
		} else if (parse(line, &serial, roots, &n)) {
			footprints_read(f, serial, roots, n, &print);
			printf("%" PRId64 " %" PRId64 " %" PRId64 " %d\n",
			    serial, print.pss_kb, print.cpu_ms,
			    print.processes);
		} else {
			fputs("hearth-memory: a line of the request cannot "
			    "be read\n", stderr);
			return EXIT_FAILURE;
		}
		if (fflush(stdout) != 0)
			break;
	}
	free(line);
	footprints_free(&f);
	return EXIT_SUCCESS;
}
